"""Write fixtures/answers anew: what attn-doctor answers to each recorded log and machine. Read the difference before you commit it.

python scripts/refresh_answers.py && git diff fixtures/answers
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main() -> int:
    import answers

    files: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for file, heading, answer in answers.made():
        files[file].append((heading, answer))
    answers.FOLDER.mkdir(exist_ok=True)
    for path in answers.FOLDER.glob("*.txt"):
        if path.name not in files:
            path.unlink()
    for file, texts in files.items():
        (answers.FOLDER / file).write_text(answers.as_file(texts), "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
