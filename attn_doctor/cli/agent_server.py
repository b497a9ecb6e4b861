"""Make the server of `attn-doctor mcp`: the names, arguments and texts of its tools, for the official SDK. Imported for that command only."""

# No `from __future__ import annotations`: the SDK reads the annotations of functions that are defined inside of a function.
import json
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

from attn_doctor import __version__
from attn_doctor.cli.agent_tools import Failed, Goal, Mode, Tools

T = TypeVar("T")

_INSTRUCTIONS = (
    "attn-doctor says what is wrong with FlashAttention, PyTorch and Ultralytics YOLOv12 in one Python environment, and which commands put it "
    "right. Begin with `check` (mode no-trial); give `diagnose` the whole output of a build or a program that failed; `explain` has a page for "
    "each code. The root cause has root_cause true: cure it first, then check again. Nothing is changed by these tools: a person, or you with "
    "their consent, runs the commands. <home>, <user> and <host> in answers stand for private names."
)
_CHECK = (
    "Examine the Python environment of this server. no-trial imports torch and the extensions in a child, as quick as `import torch`; static "
    "reads files only; trial also runs the model under every attention backend, which takes minutes on a CPU."
)
_DIAGNOSE = (
    "Name the root cause in what pip, uv, conda, a compiler, Python, docker or Slurm printed; also in a pasted `pip list`, `collect_env` or "
    "`nvidia-smi`, and in a requirements.txt or Dockerfile."
)
_EXPLAIN = "Return the page of a failure mode, as Markdown: what it is, why it happens, what to do. Other words than a code or a slug are searched for."
_WHEELS = "Name the finished flash-attn wheels that fit this environment, or the versions that are given, and why the others do not fit."
_FACTS = "sections of the facts to add, such as torch, graphics, packages, system, toolchain"
_TEXT = "the whole output, at most 4 million characters"
_COMPARE = "Say what differs between two reports that `attn-doctor check --json FILE` wrote: problems that came and went, facts, times."


def server(tools: Tools) -> Any:
    """Return the server, ready to run. Raises ImportError where the SDK is not installed."""
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import ToolAnnotations
    from pydantic import Field

    made = MCPServer("attn-doctor", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING")

    async def told(answer: Awaitable[T]) -> T:
        try:
            return await answer
        except Failed as failed:  # the SDK shows an agent the text of a ToolError, and of no other exception
            raise ToolError(str(failed)) from failed

    async def check(
        mode: Mode = "no-trial",
        goal: Goal | None = None,
        facts: Annotated[tuple[str, ...], Field(description=_FACTS)] = (),
    ) -> str:
        return _json(await told(tools.check(mode, goal, facts)))

    async def diagnose(text: Annotated[str, Field(description=_TEXT)], goal: Goal | None = None) -> str:
        return _json(await told(tools.diagnose(text, goal)))

    async def explain(name: Annotated[str, Field(description="AD311, numpy-abi, or words")]) -> str:
        return await told(tools.explain(name))

    async def wheels(  # noqa: PLR0917 - the SDK calls it by names
        torch: str | None = None,
        cuda: str | None = None,
        python: str | None = None,
        abi: Annotated[str | None, Field(description="TRUE or FALSE: the C++11 ABI of torch")] = None,
        platform: Annotated[str | None, Field(description="linux_x86_64, win_amd64 or a manylinux tag")] = None,
        gpu: Annotated[str | None, Field(description="compute capability (8.9) or name")] = None,
    ) -> str:
        given = {"torch": torch, "cuda": cuda, "python": python, "abi": abi, "platform": platform, "gpu": gpu}
        return _json(await told(tools.wheels(given)))

    async def compare(
        before: Annotated[str, Field(description="path of a report")],
        after: Annotated[str, Field(description="path of another")],
    ) -> str:
        return _json(await told(tools.compare(before, after)))

    only_reads = ToolAnnotations.model_validate(
        {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
    )
    for function, text in (
        (check, _CHECK),
        (diagnose, _DIAGNOSE),
        (explain, _EXPLAIN),
        (wheels, _WHEELS),
        (compare, _COMPARE),
    ):
        made.add_tool(function, description=text, annotations=only_reads, structured_output=False)
    return made


def _json(answer: object) -> str:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
