"""Make one Python program from scripts, as text for the standard input of `python -`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

OLDEST_TARGET = (3, 8)  # the oldest Python that can run the scripts; an older one only reports its version
_IMPORT = re.compile(r"^from attn_doctor\S* import (?:\([^)]*\)|.*)$", re.MULTILINE)


def program(scripts: Sequence[str | Path], config: Mapping[str, Any], nonce: str) -> str:
    """Return one Python program, in ASCII, made from scripts.

    A script is a name in this package ("target/channel.py") or a Path.

    The program parses under any Python, 2.7 included, so that an old target can report its version. `config`: the values that
    the scripts read, as JSON in `_CONFIG`. `nonce`: the word that marks each line with a record.
    """
    sources = [(str(script), _source(script)) for script in scripts]
    return "\n".join(
        [
            # Before any other import: `python -` puts the current folder first on sys.path, and PYTHONPATH may contain it too.
            "import sys; sys.path[:] = [_p for _p in sys.path if _p not in ('', '.')]",
            f"_NONCE = {nonce!a}",
            f"_CONFIG = {json.dumps(config)!a}",
            f"if sys.version_info < {OLDEST_TARGET!r}:",
            '    sys.stdout.write(\'\\x1e\' + _NONCE + \' {"at": "too-old", "section": "", "data": "%d.%d"}\\n\'',
            "                     % sys.version_info[:2])",
            "    sys.exit(0)",
            f"for _name, _source in {sources!a}:",
            "    exec(compile(_source, '<attn-doctor ' + _name + '>', 'exec'), globals())",
            "send('done', '')",
            "os._exit(0)",  # unloading torch takes a tenth of a second, and may crash
            "",
        ]
    )


def _source(script: str | Path) -> str:
    """Return the text of a script without its imports from attn_doctor, because the scripts before it define the imported names."""
    place = script if isinstance(script, Path) else resources.files("attn_doctor").joinpath(script)
    return _IMPORT.sub(lambda found: "\n" * found[0].count("\n"), place.read_text("utf-8"))
