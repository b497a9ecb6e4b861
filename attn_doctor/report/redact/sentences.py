"""Find a password in a sentence of a person, who writes no sign between the word and the value: "use X when it asks for the password".

The words of programs about passwords have no value ("password authentication is disabled"), and are English. So an English sentence
needs a verb that gives the value away, directly before it; in another language the word for a password is enough. The value must look like
a password, or stand in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attn_doctor.report.redact import password_words

# Both kinds are tried on the same sentence: "la password è" is Italian. Word endings are free: "hasła", "пароля", "lösenordet".
_ENGLISH = re.compile(r"(?i)\b(?:pass[- ]?(?:word|phrase|code|wd)|pwd|pw)\b")
_ENGLISH_HINTS = ("pass", "pwd", "pw")
_ENDS = re.compile(r"[.!?]+[\"')»”]?(?:\s|$)|[\n;。！？]")
_FAR = 120  # characters between the word and the value
_REACH = _FAR + 80  # so that a value is seen whole
_SHORTEST = 10  # characters of a sentence

_VALUE = re.compile(r"[^\s\"'`«»„“”「」『』<>(){}|,;。、，；]{5,80}")
_QUOTED = re.compile(
    r"«\s?([^«»\n]{4,60}?)\s?»|「([^「」\n]{4,60})」|„([^„“”\n]{4,60})[“”]|“([^“”\n]{4,60})”|\"([^\"\n]{4,60})\""
)
# Chinese and Japanese have no space around a value.
_ASCII_VALUE = re.compile(r"[!#-&*+./-~-]{6,80}")
_CJK = "\u2e80"
# The verb stands before the value, with one word between them at most: "is now X", "type in X".
_GIVES = re.compile(
    r"(?i)\b(?:is|was|reads?|says|becomes?|are|be|been|use[ds]?|using|type|typing|typed|enter|entering|entered|give|giving|gave it|gave them|give it|try|trying|tried|put|say|with|it's|stays|remains|equals|chose|picked|called|pass(?:word|phrase|wd)? ?[=:])(?:[ :]{1,2}(?:now|still|in|just|currently|simply|again|always|set to|literally|temporarily|probably|actually|really|only|likely|as))?[ :]{1,2}$"
    r"|\b(?:accepts?|takes?|wants|expects|answers? to|(?:set|changed|reset|switched|rotated|updated|went back|back|defaults?|equals?|equal|corresponds|moved) to|went with|settled on|ends up as|turned out to be)[ :]{1,2}$|['’]s (?:now |still |just )?$|(?:=|→|—|–|->|=>) ?$"
)
# "set the password of the box to X"
_SETS = re.compile(
    r"(?i)\b(?:set(?:s|ting)?|chang(?:e[ds]?|ing)|reset(?:s|ting)?|switch(?:ed|ing)?|rotat(?:e[ds]?|ing)|updat(?:e[ds]?|ing)|ma[dk]e|moved?|alter(?:ed)?|put)\b"
)
_TO = re.compile(r"(?i)\b(?:to|into|as)[ :]{1,2}$")
# "X is the password", "X should be our new password"
_IS_THE = re.compile(
    r"(?i)['’]? (?:is|was|will be|should be|would be|works as|became|is still|is now|remains|being|=)(?: (?:the|my|our|your|their|its|a|an|his|her|still|now|also)){0,3}(?: [a-z0-9-]{1,20}){0,3} (?:pass|pw|pin\b|secret|log[- ]?in)"
)
# "use X to log in", "unlock the drive with X": there no word for a password stands
_USED = re.compile(
    r"(?i)\b(?:use|using|used|try|trying|tried|type|typing|enter|entering|with)[: ]{1,2}[\"'`]?(?P<use>[^\s\"'`<>(){}|,;]{8,80})[\"'`]? (?:to|for|when(?: you)?|whenever you|if you|and) (?:log(?:ging)?[ -]?(?:in|on)|sign(?:ing)?[ -]?in|unlock|decrypt|get in(?!to the code)|authenticate|ssh in|elevate|sudo|become root)"
    r"|\b(?:unlock(?:s|ed)?|decrypt(?:s|ed)?|log(?:s|ged)?[ -]?(?:in|on)|sign(?:s|ed)?[ -]?in|authenticate[ds]?|g[eo]t in|let(?:s)? (?:you|me|us) in)\b(?: (?!with|using)[\w'./-]{1,30}){0,6} (?:with|using|via) [\"'`]?(?P<with>[^\s\"'`<>(){}|,;]{8,80})"
)
_USED_HINTS = (
    "log",
    "sign",
    "unlock",
    "decrypt",
    "get in",
    "got in",
    "in with",
    "authenti",
    "ssh in",
    "sudo",
    "elevate",
)
_AS = re.compile(
    r"(?i) (?:as|for) (?:(?:an?|the|my|our|your|its|his|her|their) )?(?:\w{1,20} )?(?:pass|pw|log[- ]?in|secret|pin\b)"
)
# What has letters and digits too: an algorithm, a program with its version, a file, an address, a name in code.
_NO_PASSWORD = re.compile(
    r"(?i)(?:sha|md|base|utf|aes|pbkdf|python|py|cuda|cu|sm|rsa|ed|x|pkcs|tls|ssl|ipv|oauth|argon|rtx|gtx|krb|ntlm|http|win|ubuntu|v)[-_]?\d[\w.]{0,8}(?![^\W_]|[!#$%&*@^~+?=])"
    r"|https?:|file:|[-/~.$%\\<\[{]|\w+\(|(?-i:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)$|[\w-]{1,60}\.[A-Za-z]{1,5}$|[\w.+-]+@(?:[a-z]|\d[\d.]*\.)[\w.-]*$|\d[\d.,:x-]*[A-Za-z]{0,2}$"
)

_A_PATH = re.compile(r"[\w.-]+/[\w./-]*")
# A person who is told how to log in: "log in as viewer / X", "the credentials are viewer:X"
_LOGIN = re.compile(
    r"(?i)\b(?:log(?:s|ged|ging)?[ -]?(?:in|on)\b|sign(?:s|ed|ing)?[ -]?(?:in|on)\b|credentials\b|creds\b|authenticate\b)|einlogg|anmeld|\bmeld(?:e|et|en|st)? (?:dich|euch|sie|mich) |zugangsdaten|identifiant|connecte[rz]?-|sesi[óo]n\b|credencia|credenzial|acced[ei]|entrar|"
    r"inlogg|aanmeld|logga in|logg inn|log ind|kirjaud|zalog|logowani|přihla|přihlá|prihlás|bejelentk|autentific|conectea|giriş|логин|логін|войди|войти|вход|увійд|登[录入錄]|账号|帳號|ログイン|로그인|تسجيل الدخول|התחבר|đăng nhập|masuk|"
    r"เข้าสู่ระบบ|लॉग|συνδεθ|σύνδεσ|ورود|prijav|logi sisse|piesak|prisijung"
)
_PAIR = re.compile(
    r"(?<![\w./:@-])[^\W\d][\w.-]{1,30}(?: ?/ ?|:| (?:and|with|und|et|y|e|en|og|och|ja|oraz|és|și|ve|и|та|dan|và) )(?P<value>[^\s\"'`«»„“”「」『』<>(){}|,;。、，；]{6,80})"
)
_JOINED = re.compile(
    r"(?i)(?:as|with|using|use|is|are|als|mit|avec|con|com|med|met|jako|с|з|sind|sont|son|são|sono|zijn|är|er|ovat|są|jsou|sú|sunt|to|:|=) {1,2}[\"'`]?$"
)
_OF_PAIRS = (
    " / ",
    ":",
    "/",
    " and ",
    " with ",
    " und ",
    " et ",
    " y ",
    " e ",
    " en ",
    " og ",
    " och ",
    " ja ",
    " oraz ",
    " és ",
    " și ",
    " ve ",
    " и ",
    " та ",
    " dan ",
    " và ",
)
_NEAR = 60  # characters between a word for a login and the pair
# Several words, one of them a number: "with passphrase quiet otter lifts 43 lamps"
_BEFORE_WORDS = re.compile(r"(?i)\b(?:with|using|uses?|enter|type|by|under|the new|and) (?:the |a |my |our )?$")
_TO_WORDS = re.compile(
    r"(?: (?!\d)[\w'-]{1,20}){0,5}?(?: (?:is|was|reads|says|becomes|lautet|ist|est|es|é|è|är|er|on|jest|je|este|là|adalah|это|—|–)(?: now| still)?|[ ]?[:=])? "
)
_WORDS = re.compile(r"[^\W\d_]{2,20}(?![\w'@./-])|\d{1,4}(?![\w.%:/-])")
_NO_PHRASE = frozenset(
    "because since when while for from in on at to of or and but so if until unless after before that which who whose where than then as must should may might can could would will shall has have had be "
    "been is are was were not no only least most minimum maximum min max more less fewer longer shorter between contains contain characters character char chars letters digits length long short days day hours hour "
    "minutes minute seconds second weeks months years times attempts attempt tries retries ago expires expire prompt field file user users version step number numbers policy requires needs need please now still "
    "just currently again it its this these the an my our your their with by too very valid good wrong incorrect invalid missing empty error line code exit status port rounds iterations bits bytes authentication "
    "mindestens zeichen höchstens tage stellen lang caractères jours moins caracteres dígitos días menos mínimo caratteri giorni almeno tekens dagen minstens tecken dagar minst tegn dage merkkiä päivää vähintään "
    "znaków dni najmniej znaků dní karakter nap legalább caractere zile karakter gün en символов символа дней не менее символів днів ký tự ngày ít nhất karakter hari minimal χαρακτήρες ημέρες אותיות ימים".split()
)


def values(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each password that a sentence names."""
    lowered = text.lower()
    yield from _pairs(text)
    yield from _used(text, lowered)
    english = any(hint in lowered for hint in _ENGLISH_HINTS)
    other = any(hint in lowered for hint in password_words.ASCII_HINTS) or (
        not text.isascii() and any(hint in lowered for hint in password_words.OTHER_HINTS)
    )
    if not english and not other:
        return
    kinds = [*([password_words.WORDS] if other else ()), *([_ENGLISH] if english else ())]
    begin = 0
    for ending in (*_ENDS.finditer(text), None):
        end = ending.start() if ending else len(text)
        if end - begin > _SHORTEST:
            for words in kinds:
                for word in words.finditer(text, begin, end):
                    place = max(begin, word.start() - _REACH), min(end, word.end() + _REACH)
                    yield from _beside(text, word, *place)
                    yield from _phrase(text, word, place[1])
        begin = ending.end() if ending else end


def _beside(text: str, word: re.Match[str], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the best value beside a word for a password, in a part of its sentence."""
    other = word.re is password_words.WORDS
    found: list[tuple[int, int, int]] = []
    for match in _QUOTED.finditer(text, begin, end):
        start, stop = match.span(match.lastindex or 0)
        given = other or _is_given(word, begin, *match.span(), _kinds(text[start:stop]))
        if given and _is_near(word, start, stop) and not word.re.search(match[0]):
            found.append((5, start, stop))
    unspaced = other and word[0][0] >= _CJK
    for match in (_ASCII_VALUE if unspaced else _VALUE).finditer(text, begin, end):
        start, stop = match.start(), match.start() + len(match[0].rstrip(".:!?"))
        near = _is_near(word, start, stop) or (unspaced and start == word.end())
        kinds = _kinds(text[start:stop], path=_AS.match(text, stop) is None) if near else 0
        enough = kinds >= (2 if stop - start > 7 else 3) if other else _is_given(word, begin, start, stop, kinds)
        if near and not kinds and _is_odd(text, begin, start, stop):
            kinds, enough = 2, True
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
    text, near = word.string, max(begin, start - 40)
    if start > word.start():
        apart = text[word.end() : start]
        return (
            _GIVES.search(text, near, start) is not None
            or (_TO.search(text, near, start) is not None and _SETS.search(text, begin, start) is not None)
            or password_words.GIVES_BESIDE_ENGLISH.search(text, near, start) is not None
            or (apart.endswith(("? ", " - ", " – ", " — ")) and kinds > 2 and len(apart) < 40)
            or (apart in (", ", " (") and kinds > 2 and text[end : end + 1] in (",", ")"))
        )
    if kinds > 2 and _IS_THE.match(text, end) and text[max(start - 1, 0)] not in "/=":
        return True
    return _GIVES.search(text, near, start) is not None and (kinds > 2 or _AS.match(text, end) is not None)


def _is_odd(text: str, begin: int, start: int, end: int) -> bool:
    """Return whether a value without a digit is given away: it has capitals inside of its parts, and "is" stands before it, in any language."""
    if password_words.ODD.fullmatch(text, start, end) is None:
        return False
    return any(
        one.search(text, max(begin, start - 60), start) is not None
        for one in (password_words.GIVES, password_words.GIVES_BESIDE_ENGLISH)
    )


def _used(text: str, lowered: str) -> Iterator[tuple[int, int]]:
    """Yield each value that a sentence uses to log in, without a word for a password."""
    if not any(hint in lowered for hint in _USED_HINTS):
        return
    for match in _USED.finditer(text):
        start, end = match.span(match.lastgroup or 0)
        value = text[start:end].rstrip(".:!?")
        if _kinds(value) > 2 and any(map(str.isdigit, value)):
            yield start, end if text[end - 1] == "!" else start + len(value)


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the second part of each pair of user and password behind a word for a login."""
    if not any(sign in text for sign in _OF_PAIRS):
        return
    for word in _LOGIN.finditer(text):
        for pair in _PAIR.finditer(text, word.end(), word.end() + _NEAR + 120):
            start = pair.start("value")
            between = text[word.end() : pair.start()]
            joined = "/" in text[pair.start() : start] or _JOINED.search(text, max(pair.start() - 12, 0), pair.start())
            if len(between) > _NEAR or _ENDS.search(between):
                break
            value = pair["value"].rstrip(".:!?")
            if joined and _kinds(value) > 2 and any(map(str.isdigit, value)):
                yield start, start + len(value)


def _phrase(text: str, word: re.Match[str], end: int) -> Iterator[tuple[int, int]]:
    """Yield the password of several words behind a word for it, of which one is a number. It ends before a word that goes on with the sentence."""
    way = _TO_WORDS.match(text, word.end(), end)
    if way is None or (way[0] == " " and not _BEFORE_WORDS.search(text, max(word.start() - 24, 0), word.start())):
        return
    at, number, count = way.end(), False, 0
    stop = at
    while count < 8 and (one := _WORDS.match(text, at, end)) and one[0].lower() not in _NO_PHRASE:
        if not count and one[0].endswith(("ed", "en")):
            return
        number, count, stop = number or one[0].isdigit(), count + 1, one.end()
        at = stop + 1 if text[stop : stop + 1] == " " else end
    if number and count > 2 and not text[way.end() : stop].isupper():
        yield way.end(), stop


def _kinds(value: str, *, path: bool = True) -> int:
    """Return how many kinds of character a value mixes, as a password does: small letters, capitals, digits, signs. 0: it is something else.

    `path`: a text with a slash is a path.
    """
    if _NO_PASSWORD.match(value) or not any(map(str.isalpha, value)) or (path and _A_PATH.fullmatch(value)):
        return 0
    digits = any(map(str.isdigit, value))
    signs = any(one in "!#$%&*@^~+?=" for one in value[1:-1])
    if not digits and not signs:
        return 0
    joined = any(one in "-_./" for one in value[1:-1])
    return digits + (signs or joined) + any(map(str.isupper, value)) + any(map(str.islower, value))
