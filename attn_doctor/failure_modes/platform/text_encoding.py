"""Python reads or prints text in the encoding of the system, and the text is UTF-8.

What it is
    Python before 3.15 takes the encoding of a file or of a console from the system: cp1252 in Western Windows, gbk, cp949 and cp932 in
    Chinese, Korean and Japanese Windows, ASCII in a container without a locale. Most files and programs today have UTF-8 text.

How it shows
    "UnicodeDecodeError: 'gbk' codec can't decode byte 0x80 in position 2047: illegal multibyte sequence", in a setup.py, in the reader of a
    YAML file, or in torch's cpp_extension; "UnicodeEncodeError: 'charmap' codec can't encode characters in position 0-79"; "'ascii' codec can't
    decode byte 0xe2 in position 5421: ordinal not in range(128)"; torch.compile on Windows: "UnicodeDecodeError: 'utf-8' codec can't decode byte
    0x8e in position 0" in `_is_msvc_cl`; pip: "'utf-8' codec can't decode byte 0xff in position 0" in req_file.py.

Why it happens
    A program calls open() without encoding="utf-8", or prints a progress bar or an emoji that the code page lacks. Output that goes into a
    file or a pipe has the code page of the system also where the console itself shows all characters. torch.compile reads the words of
    Microsoft's compiler, which are not UTF-8 in another language than English. PowerShell 5 writes files as UTF-16.

What to do
    Set PYTHONUTF8=1 before the program or the installer starts (Python 3.7 and newer). Microsoft's compiler: install the English language
    pack of Visual Studio. A requirements.txt in UTF-16: save it as UTF-8.

How to reproduce
    There is no recipe: `PYTHONIOENCODING=ascii PYTHONUTF8=0 python -c "print(chr(9608))"` shows the failure on any system.

References
    https://docs.python.org/3/using/cmdline.html#envvar-PYTHONUTF8
    https://docs.python.org/3/using/cmdline.html#envvar-PYTHONIOENCODING
    https://github.com/nerfstudio-project/nerfstudio/issues/1169
    https://github.com/kotaro-kinoshita/yomitoku/issues/147 (cp932: `python -X utf8`)
    https://github.com/pytorch/pytorch/issues/159537 (torch.compile: the English language pack of MSVC)
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

# The encodings of systems. "charmap" stands for every code page of one byte: cp1252, cp1251, cp850.
_OF_SYSTEMS = r"(?P<codec>charmap|gbk|gb2312|gb18030|cp\d{3,4}|euc[_-]\w{2,6}|shift_?jis|big5|ascii|latin-1|mbcs)"

MODE = FailureMode(
    code="AD570",
    slug="text-encoding",
    title="Text is read or printed in the encoding of the system",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED, "git-cannot-fetch"),
    signs=(
        Sign(
            pattern=rf"'{_OF_SYSTEMS}' codec can't decode bytes? ",
            literal="' codec can't decode byte",
            sample="UnicodeDecodeError: 'gbk' codec can't decode byte 0x80 in position 2047: illegal multibyte sequence",
        ),
        Sign(
            pattern=rf"(?P<printed>'){_OF_SYSTEMS}' codec can't encode characters? ",
            literal="' codec can't encode character",
            sample="UnicodeEncodeError: 'charmap' codec can't encode characters in position 0-79: character maps to <undefined>",
        ),
        Sign(
            pattern=r"'utf-8' codec can't decode byte (?P<first>0xff) in position 0: invalid start byte",
            literal="'utf-8' codec can't decode byte 0xff",
            sample="UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<compiler>InductorError): UnicodeDecodeError: 'utf-8' codec",
            literal="InductorError: UnicodeDecodeError",
            sample="torch._inductor.exc.InductorError: UnicodeDecodeError: 'utf-8' codec can't decode byte 0x8e in position 0: invalid start byte",
        ),
        Sign(
            pattern=r"\bin (?P<asks>_is_msvc_cl|check_msvc_cl_language_id)$",
            literal="msvc_cl",
            sample='  File "C:\\v\\lib\\site-packages\\torch\\_inductor\\cpp_builder.py", line 431, in _is_msvc_cl',
            strength="context",
        ),
        Sign(
            pattern=r"UnicodeDecodeError: '(?P<utf8>utf-8)' codec can't decode byte",
            literal="UnicodeDecodeError: 'utf-8'",
            sample="UnicodeDecodeError: 'utf-8' codec can't decode byte 0x8e in position 0: invalid start byte",
            strength="hint",
        ),
        Sign(
            pattern=r"pip[\\/]_internal[\\/]req[\\/](?P<listed>req_file|constructors)\.py",
            literal="_internal",
            sample='  File "C:\\v\\lib\\site-packages\\pip\\_internal\\req\\req_file.py", line 156, in parse_requirements',
            strength="context",
        ),
        # logging prints this line, and the program goes on.
        Sign(
            pattern=r"--- (?P<logged>Logging error) ---",
            literal="--- Logging error ---",
            sample="--- Logging error ---",
            strength="context",
        ),
    ),
)
# There is no `detect`: the encoding of a system is no failure, and no fact says which text a program will read or print.

Kind = Literal["read", "printed", "compiler", "listed"]


class Wrong(Variant, frozen=True, kw_only=True):
    """Hold what failed, the encoding that Python took ("gbk"), and whether an installer had started the program.

    "read", "printed": text was read from a file, or printed. "compiler": the output of a compiler was read. "listed":
    pip read a list of packages.
    """

    kind: Kind
    codec: str | None = None
    install: bool = False


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    codec = seen.group("codec")
    kind: Kind
    if codec is not None:
        kind = "printed" if seen.group("printed") and not _only_read(seen) else "read"
    elif seen.group("compiler") or (seen.group("asks") and seen.group("utf8")):
        kind = "compiler"
    elif seen.group("first") and seen.group("listed"):
        kind = "listed"
    else:
        return None
    told = [m for m in seen.matches if m.strength == "proof"] or [m for m in seen.matches if m.strength == "hint"]
    return Hit(
        message=_message(kind, codec),
        evidence=building.lines(told[:2]),
        variant=Wrong(kind=kind, codec=codec, install=any(building.in_build(seen, m) for m in told)),
        severity=Severity.WARNING if seen.group("logged") and kind == "printed" else None,
    )


def _only_read(seen: Seen) -> bool:
    """Return whether the last error with an encoding of the system is one of reading."""
    of_codec = [m for m in seen.matches if "codec" in m.groups]
    return "printed" not in of_codec[-1].groups


def _message(kind: Kind, codec: str | None) -> str:
    if kind == "compiler":
        return "torch.compile cannot read what Microsoft's compiler prints: the compiler speaks another language than English, and its text is not UTF-8."
    if kind == "listed":
        return "The file of requirements is UTF-16 text (PowerShell writes its files so), and pip reads UTF-8."
    named = "a code page of the system" if codec == "charmap" else f"the encoding {codec}"
    if kind == "printed":
        return f"The program prints a character that {named} lacks: Python took this encoding from the system, for a console, a file or a pipe."
    return f"Python reads a UTF-8 file in {named}, which it took from the system."


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    wrong = hit.variant if isinstance(hit.variant, Wrong) else Wrong(kind="read")
    verify = commands.check(facts)
    if wrong.kind == "compiler":
        return (_english(facts),)
    if wrong.kind == "listed":
        words = (
            "save the file of requirements as UTF-8: in Notepad, Save as, Encoding: UTF-8; or write it again in cmd, not in PowerShell: "
            "pip freeze > requirements.txt. Then repeat the command that failed"
        )
        return (
            Fix(
                title="Save the file as UTF-8",
                steps=(commands.by_hand((), words, "the file of requirements"),),
                verify=verify,
            ),
        )
    made = [Fix(title="Let Python use UTF-8", steps=(*_utf8(facts, wrong), _again(wrong)), verify=verify)]
    if wrong.kind == "read" and not wrong.install:
        words = (
            'in the program: open(path, encoding="utf-8") in place of open(path), in the line that the traceback names'
        )
        step = commands.by_hand((), words, "the program", "none")
        made.append(Fix(title="Name the encoding in the program", steps=(step,), verify=verify))
    return tuple(made)


def _utf8(facts: Facts, wrong: Wrong) -> tuple[Step, ...]:
    """Return the steps that set UTF-8: PYTHONUTF8, or before Python 3.7, which has no such mode, PYTHONIOENCODING or the locale.

    https://docs.python.org/3/using/cmdline.html#envvar-PYTHONUTF8
    """
    python = facts.interpreter.version
    numbers = pair(python) if isinstance(python, str) else None
    old = numbers is not None and numbers < (3, 7)
    if not old:
        why = (
            "Python's UTF-8 mode, for files and for the console; set it before Python, Jupyter or the installer starts"
        )
        return (commands.variable("PYTHONUTF8", "1", why),)
    if wrong.kind == "printed":
        return (commands.variable("PYTHONIOENCODING", "utf-8", "the encoding of what Python prints"),)
    if facts.system.os == "linux":
        return (
            commands.variable("LC_ALL", "C.UTF-8", "the locale of this shell, from which Python takes the encoding"),
        )
    words = (
        "Python 3.6 has no UTF-8 mode. In Windows: Settings, Time & language, Language, Administrative language settings, Change system locale: "
        "tick 'Beta: Use Unicode UTF-8', and restart Windows; or use Python 3.7 or newer with PYTHONUTF8=1"
    )
    return (commands.by_hand((), words, "the code page of all programs of Windows", "medium"),)


def _again(wrong: Wrong) -> Step:
    what = "the installation" if wrong.install else "the command"
    words = f"repeat {what} that failed, in this shell. In a notebook: set the variable in the shell that starts Jupyter, and start Jupyter again"
    return commands.by_hand((), words, "none", "none")


def _english(facts: Facts) -> Fix:
    words = (
        "Visual Studio Installer, Modify, Language packs: tick English, untick the other, Modify. Then open a new "
        "'x64 Native Tools Command Prompt', and run the program there"
    )
    step = commands.by_hand((), words, "the language of Visual Studio")
    return Fix(title="Let the compiler speak English", steps=(step,), verify=commands.check(facts))
