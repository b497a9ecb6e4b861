# ruff: noqa: INP001 - a program
"""Stand in for a server on the network, inside a namespace without network. A program, not a module.

python -I server.py KIND CERTIFICATE KEY

KIND: "404" | "self-signed" | "hang" | "reset"
"""

from __future__ import annotations

import http.server
import socket
import ssl
import struct
import sys

PORT = 443


class Nothing(http.server.BaseHTTPRequestHandler):
    """Answer every request with 404."""

    def answer(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = answer  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base class has it
        pass


def main() -> None:
    kind, certificate, key = sys.argv[1:4]
    listening = socket.create_server(("127.0.0.1", PORT))
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    if kind == "hang":
        kept = []
        while True:
            kept.append(listening.accept())
    if kind == "reset":
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Nothing, bind_and_activate=False)
    server.socket.close()
    server.socket = context.wrap_socket(listening, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
