"""Regenerate the parts of docs/ and README.md that come from the code.

`--check` only reports whether they are up to date.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

_HELP = re.compile(r"<!-- help: (attn-doctor[\w -]*) -->\n.*?<!-- /help -->\n", re.DOTALL)


def help_of(command: str) -> str:
    """Return the output of `COMMAND --help` as it is without a terminal."""
    words = command.split()[1:]
    argv = [sys.executable, "-m", "attn_doctor", *words, "--help"]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def with_help(page: Path) -> bytes:
    """Return a page with each help text between its marks replaced by the current one."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- help: {match[1]} -->\n```text\n$ {match[1]} --help\n{help_of(match[1])}```\n<!-- /help -->\n"

    return _HELP.sub(block, page.read_text("utf-8")).encode()


def made() -> dict[Path, bytes]:
    from attn_doctor.cli import parser
    from attn_doctor.cli.manual import page as manual
    from attn_doctor.failure_modes import ALL
    from attn_doctor.model.report import schema
    from attn_doctor.report import pages

    folder = ROOT / "docs" / "failure-modes"
    return {
        **{page: with_help(page) for page in (ROOT / "README.md", ROOT / "docs" / "commands.md")},
        ROOT / "docs" / "attn-doctor.1": manual(parser()).encode(),
        ROOT / "docs" / "report.schema.json": schema(),
        folder / "README.md": pages.index(ALL).encode(),
        **{folder / f"{module.MODE.slug}.md": pages.markdown(module).encode() for module in ALL},
    }


def main() -> int:
    stale = {path: content for path, content in made().items() if not path.exists() or path.read_bytes() != content}
    for path, content in stale.items():
        print(f"{'stale' if '--check' in sys.argv else 'written'}: {path.relative_to(ROOT)}")
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
