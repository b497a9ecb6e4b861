"""Check nodes by the system's ssh: without questions, without a terminal, without forwarding."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from attn_doctor.fleet.engines.asked import Asked
from attn_doctor.fleet.engines.deliver import COMMAND, Failed, all_at_once, known, last_words, over_stdin, program
from attn_doctor.fleet.engines.hosts import nodes
from attn_doctor.model.fleet import NodeAnswer

_TO_CONNECT = 15  # seconds
# man ssh_config: no question is asked, nothing of this machine is forwarded, a connection that is gone is noticed after 3 x 15 s.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(_TO_CONNECT),
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "RequestTTY": "no",
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "3",
    "LogLevel": "INFO",  # with ERROR it does not say that a connection was lost
}
_OF_SSH = 255  # the exit code of ssh itself; every other one is that of the command on the node


def answers(where: str, asked: Asked, say: Callable[[str], None]) -> Iterator[NodeAnswer]:
    """Yield the answers of the hosts. `where`: their list, "gpu[01-04]" or "@FILE". Raises Refused for a wrong list, NotExamined if there is no ssh."""
    listed = nodes(where)
    ssh = program("ssh", "install the OpenSSH client of this system")
    yield from known(asked, [node.name for node in listed], "the list of hosts")
    chosen = [node for node in listed if not asked.nodes or node.name in asked.nodes]
    say(f"Hosts to check by ssh: {len(chosen)}.")
    options = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
    yield from all_at_once(
        [
            functools.partial(
                over_stdin,
                node=node,
                argv=[ssh, *options, "-T", "--", node.name, COMMAND],
                asked=asked,
                failed=_failed,
                wait=_TO_CONNECT,
            )
            for node in chosen
        ]
    )


def _failed(code: int | None, chatter: str) -> Failed:
    words = last_words(chatter)
    if code == _OF_SSH and re.search(r"^Timeout, server .* not responding", chatter, re.MULTILINE):
        return Failed("silent", "ssh lost the connection to it while the check ran: the host is cut off, or hangs")
    if code == _OF_SSH:
        gone = any(sign in chatter for sign in ("closed by remote host", "Broken pipe", "Connection reset"))
        return Failed("died" if gone else "refused", f"ssh: {words.removeprefix('ssh: ') or 'no connection'}")
    if code == 127:
        return Failed("refused", "it has no python3 on the PATH of a login by ssh")
    if code is not None and code < 0:
        return Failed("died", f"ssh was ended here by signal {-code}")
    return Failed("died", f"the check ended there without an answer (exit code {code}): {words}")
