"""A server that stands for the Internet: a proxy that answers for every host with the pages of a test, under a certificate of its own."""

from __future__ import annotations

import functools
import socketserver
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

HOSTS = ("github.com", "api.github.com", "pypi.org", "huggingface.co")
_CERTIFICATES = tempfile.TemporaryDirectory()


@functools.cache
def certificate() -> tuple[Path, Path]:
    """Certificate and key, made once. Whoever trusts the first (SSL_CERT_FILE) reaches the server under each of the names."""
    made, key = Path(_CERTIFICATES.name, "cert.pem"), Path(_CERTIFICATES.name, "key.pem")
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    command = [
        "openssl",
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=a test",
        "-addext",
        f"subjectAltName={names}",
    ]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        asked = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        if asked[:1] != ["CONNECT"]:
            self.wfile.write(b"HTTP/1.1 405 Only CONNECT\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        self.wfile.flush()
        try:
            with (
                self.server.tls.wrap_socket(self.connection, server_side=True) as secure,
                secure.makefile("rwb") as stream,
            ):
                self._answer(asked[1].partition(":")[0], stream)
        except (OSError, ssl.SSLError):  # the client did not trust it, or has read enough
            return

    def _answer(self, host: str, stream) -> None:
        line = stream.readline().decode().split()
        while stream.readline().strip():
            pass
        address = f"https://{host}{line[1]}"
        self.server.asked.append(address)
        page = self.server.pages.get(address)
        if isinstance(page, str):
            stream.write(
                f"HTTP/1.1 302 Found\r\nLocation: {page}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
        elif page is None:
            stream.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            stream.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n".encode() + page)
        stream.flush()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class Internet:
    """`pages`: address -> content, or the address to which it leads. `asked`: every address that somebody asked for."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        made, key = certificate()
        self._server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.tls.load_cert_chain(made, key)
        self.pages: dict[str, bytes | str] = {}
        self.asked: list[str] = []
        self._server.pages, self._server.asked = self.pages, self.asked
        proxy = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.environ = {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "",
            "no_proxy": "",
            "SSL_CERT_FILE": str(made),
        }
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Internet:
        return self

    def __exit__(self, *ended: object) -> None:
        self._server.shutdown()
        self._server.server_close()
