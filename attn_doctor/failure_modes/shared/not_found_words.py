"""Hold the words by which a compiler says that a header is missing, and a shell that a program is missing, in many languages. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.knowledge import translated_messages

# The words that bash, zsh and dash print after the name of a program that they do not find.
NO_COMMAND = rf"\s?[:：]\s?(?:not found|{translated_messages.pattern('command not found')})"


# A compiler's "no such file": gcc and clang ("a.h:1:2: fatal error: x.h: ..."; the colons are the same in every language),
# MSVC ("C1083: ... 'x.h'"), nvcc's front end (cannot open source file "x.h") and tcc (include file 'x.h').
def missing_header(names: str) -> str:
    """Return a pattern for the line in which a compiler reports a missing header. `names`: a regular expression for the names of the headers."""
    return (
        rf"(?::\d+:\d+: [^:：]{{2,40}}[:：]\s?|fatal error: |C1083: .{{0,80}}?[ '\":：「“„«‘]|open source file \"|include file ')"
        rf"(?P<header>{names})(?=\s?[:：'\"」”“»’])"
    )


def unknown_to_windows(program: str, group: str) -> tuple[Sign, ...]:
    """Return the signs of a program that cmd.exe or PowerShell does not find, in all known languages.

    `program`: its name ("nvcc"). `group`: the name of the group that captures it.
    """
    shells = ("is not recognized as an internal or external command", "is not recognized as the name of a cmdlet")
    words = rf"(?:is not recognized as |{translated_messages.pattern(*shells)})"
    return tuple(
        Sign(
            pattern=rf"['\"“«‘]\s?(?P<{group}>{program}(?:\.exe)?)\s?['\"”»’].{{0,20}}?{words}",
            literal=program + end,
            sample=f"'{program}{end} is not recognized as an internal or external command,",
        )
        for end in ("'", '"', "”", "»", " »", ".exe'", '.exe"', ".exe”")
    )
