"""`attn-doctor mcp`: answer an agent over standard input and output, by the Model Context Protocol. Read-only.

The SDK (extra `mcp`) installs pydantic, starlette and more, which can break an environment that has a fault already. So the
server refuses to run in the environment that it would examine. https://py.sdk.modelcontextprotocol.io/
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

_INSTALL = 'uv tool install "./dist/attn_doctor-VERSION-py3-none-any.whl[mcp]"'


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "mcp",
        help="answer an agent by the Model Context Protocol, read-only",
        description="Serves the Model Context Protocol on standard input and output, for an agent: check, diagnose, explain, wheels and compare. "
        "No tool changes anything. It needs the extra `mcp`, and an environment of its own, never the one that is examined: docs/agents.md.",
        epilog="Exit codes: 0 the agent closed the connection; 2 wrong usage, or no SDK in this environment; 3 the target cannot be a Python.",
        formatter_class=formatter,
    )
    parser.add_argument(
        "--target",
        metavar="PYTHON",
        help="the Python to examine (default: the active environment, then `python` on PATH)",
    )
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import os

    from attn_doctor.cli.agent_server import server
    from attn_doctor.cli.agent_tools import Tools
    from attn_doctor.errors import Refused
    from attn_doctor.probes.choose import choose
    from attn_doctor.probes.prefixes import prefix_of

    python = choose(arguments.target, os.environ).python
    if os.path.realpath(prefix_of(python)) == os.path.realpath(sys.prefix):
        raise Refused(
            f"the packages of the server must not be in the environment that it examines: give it an environment of its own ({_INSTALL}), "
            "and name the Python to examine with --target"
        )
    try:
        made = server(Tools(python))
    except ImportError as error:
        raise Refused(f"the SDK of the Model Context Protocol is not here ({error}): {_INSTALL}") from error
    made.run("stdio")
    return 0
