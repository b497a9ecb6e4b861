"""Find a password in a sentence of a person, who writes no sign between the word and the value: "use X when it asks for the password".

The words of programs about passwords have no value ("password authentication is disabled"), and are English. So an English sentence
needs a verb that gives the value away, directly before it; in another language the word for a password is enough. The value must look like
a password, or stand in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Both kinds are tried on the same sentence: "la password è" is Italian. Word endings are free: "hasła", "пароля", "lösenordet".
_ENGLISH = re.compile(r"(?i)\b(?:pass[- ]?(?:word|phrase|code|wd)|pwd|pw)\b")
_OTHERS = re.compile(
    r"(?i)passwort|kennwort|mot de passe|contrase[ñn]a|\bsenha|palavra-passe|\bhas[lł][aoeu]|wachtwoord|l[öo]senord|\bpassord|adgangskode|kodeord|salasana|tunnussana|"
    r"\bhesl[aou]|jelsz[óa]|\bpar[oô]la|[sş]ifre|mật khẩu|kata sandi|парол|lozink|zaporka|密[码碼]|口令|パスワード|暗証|비밀번호|암호|كلمة (?:المرور|السر)|סיסמ[הת]|รหัสผ่าน|पासवर्ड|κωδικ|رمز عبور"
)
_HINTS = (
    "pass", "pwd", "pw", "kennw", "contras", "senha", "palavra", "has", "wacht", "senord", "adgang", "kodeord", "salas", "tunnuss", "hesl", "jelsz", "par", "ifre", "khẩu",
    "sandi", "парол", "lozink", "zapork", "密", "口令", "パスワ", "暗証", "비밀", "암호", "كلمة", "סיסמ", "รหัส", "पास", "κωδικ", "رمز",
)  # fmt: skip
_ENDS = re.compile(r"[.!?]+[\"')»”]?(?:\s|$)|[\n;。！？]")
_FAR = 120  # characters between the word and the value
_REACH = _FAR + 80  # so that a value is seen whole
_SHORTEST = 10  # characters of a sentence

_VALUE = re.compile(r"[^\s\"'`«»„“”「」『』<>(){}|,;。、，；]{5,80}")
_QUOTED = re.compile(
    r"«\s?([^«»\n]{4,60}?)\s?»|「([^「」\n]{4,60})」|„([^„“”\n]{4,60})[“”]|“([^“”\n]{4,60})”|\"([^\"\n]{4,60})\""
)
# The verb stands before the value, with one word between them at most: "is now X", "type in X".
_GIVES = re.compile(
    r"(?i)\b(?:is|was|reads?|says|becomes?|are|be|use[ds]?|using|type|typing|enter|entering|give|giving|try|put|say|with)(?:[ :]{1,2}(?:now|still|in|just|currently|simply|again))?[ :]{1,2}$"
)
_AS = re.compile(r"(?i) (?:as|for) (?:(?:a|the|my|our|your) )?(?:\w{1,20} )?pass")
# What has letters and digits too: an algorithm, a program with its version, a file, an address, a name in code.
_NO_PASSWORD = re.compile(
    r"(?i)(?:sha|md|base|utf|aes|pbkdf|python|py|cuda|cu|sm|rsa|ed|x|pkcs|tls|ssl|ipv|oauth|argon|rtx|gtx|krb|ntlm|http|win|ubuntu|v)[-_]?\d[\w.]{0,8}(?![^\W_])"
    r"|https?:|file:|[-/~.$%\\<\[{]|\w+\(|[\w.-]+/[\w./-]*$|(?-i:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)$|[\w-]{1,60}\.[A-Za-z]{1,5}$|[\w.+-]+@[\w.-]+$|\d[\d.,:x-]*[A-Za-z]{0,2}$"
)


def values(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each password that a sentence names."""
    lowered = text.lower()
    if not any(hint in lowered for hint in _HINTS):
        return
    begin = 0
    for ending in (*_ENDS.finditer(text), None):
        end = ending.start() if ending else len(text)
        if end - begin > _SHORTEST:
            for words in (_OTHERS, _ENGLISH):
                for word in words.finditer(text, begin, end):
                    place = max(begin, word.start() - _REACH), min(end, word.end() + _REACH)
                    yield from _beside(text, word, *place)
        begin = ending.end() if ending else end


def _beside(text: str, word: re.Match[str], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the best value beside a word for a password, in a part of its sentence."""
    other = word.re is _OTHERS
    found: list[tuple[int, int, int]] = []
    for match in _QUOTED.finditer(text, begin, end):
        start, stop = match.span(match.lastindex or 0)
        given = other or _is_given(word, begin, *match.span(), _kinds(text[start:stop]))
        if given and _is_near(word, start, stop) and not word.re.search(match[0]):
            found.append((5, start, stop))
    for match in _VALUE.finditer(text, begin, end):
        start, stop = match.start(), match.start() + len(match[0].rstrip(".:!?"))
        kinds = _kinds(text[start:stop]) if _is_near(word, start, stop) else 0
        enough = kinds >= (2 if stop - start > 7 else 3) if other else _is_given(word, begin, start, stop, kinds)
        if kinds and enough:
            found.append((kinds, start, match.end() if text[match.end() - 1] == "!" else stop))
    if found:
        yield max(found)[1:]


def _is_near(word: re.Match[str], start: int, end: int) -> bool:
    """Return whether a place is near the word, and does not touch it: "password123" is a name."""
    return 0 < start - word.end() < _FAR or 0 < word.start() - end < _FAR


def _is_given(word: re.Match[str], begin: int, start: int, end: int, kinds: int) -> bool:
    """Return whether an English sentence gives a value away.

    Before the word, "use X" can be about something else: X mixes three kinds of character, or the sentence says "use X as the password".
    """
    if _GIVES.search(word.string, max(begin, start - 40), start) is None:
        return False
    return start > word.start() or kinds > 2 or _AS.match(word.string, end) is not None


def _kinds(value: str) -> int:
    """Return how many kinds of character a value mixes, as a password does: small letters, capitals, digits, signs. 0: it is something else."""
    if _NO_PASSWORD.match(value) or not any(map(str.isalpha, value)):
        return 0
    digits = any(map(str.isdigit, value))
    signs = any(one in "!#$%&*@^~+?=" for one in value[1:-1])
    if not digits and not signs:
        return 0
    joined = any(one in "-_." for one in value[1:-1])
    return digits + (signs or joined) + any(map(str.isupper, value)) + any(map(str.islower, value))
