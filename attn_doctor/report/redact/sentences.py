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
    r"\bhesl[aou]|jelsz[óa]|\bpar[oô]la|\bparole[i]?\b|\bparool|slaptažod|\bgesl[oa]\b|contrasenya|contrasinal|pasahitz|lykilorð|fjalëkalim|kata laluan|nenosiri|wagwoord|cyfrinair|pasvorto|құпиясөз|գաղտնաբառ|პაროლ|পাসওয়ার্ড|கடவுச்சொல்|పాస్‌వర్డ్|پاس ورڈ|گذرواژه|[sş]ifre|mật khẩu|kata sandi|парол|lozink|zaporka|密[码碼]|口令|パスワード|暗証|비밀번호|암호|كلمة (?:المرور|السر)|סיסמ[הת]|รหัสผ่าน|पासवर्ड|κωδικ|رمز عبور"
)
_HINTS = (
    "pass", "pwd", "pw", "kennw", "contras", "senha", "palavra", "has", "wacht", "senord", "adgang", "kodeord", "salas", "tunnuss", "hesl", "jelsz", "par", "ifre", "khẩu",
    "sandi", "slapta", "gesl", "pasahit", "lykil", "fjalë", "laluan", "nenos", "wagw", "cyfrin", "pasvor", "құпия", "գաղտ", "პარო", "পাস", "கடவு", "పాస్", "پاس", "گذر", "парол", "lozink", "zapork", "密", "口令", "パスワ", "暗証", "비밀", "암호", "كلمة", "סיסמ", "รหัส", "पास", "κωδικ", "رمز",
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
    r"(?i)\b(?:is|was|reads?|says|becomes?|are|be|use[ds]?|using|type|typing|enter|entering|give|giving|try|put|say|with)(?:[ :]{1,2}(?:now|still|in|just|currently|simply|again))?[ :]{1,2}$|\b(?:accepts?|takes?|wants|expects|answers? to|(?:set|changed|reset|switched|rotated) to)[ :]{1,2}$"
)
_AS = re.compile(
    r"(?i) (?:as|for) (?:(?:an?|the|my|our|your|its|his|her|their) )?(?:\w{1,20} )?(?:pass|pw|log[- ]?in|secret|pin\b)"
)
# What has letters and digits too: an algorithm, a program with its version, a file, an address, a name in code.
_NO_PASSWORD = re.compile(
    r"(?i)(?:sha|md|base|utf|aes|pbkdf|python|py|cuda|cu|sm|rsa|ed|x|pkcs|tls|ssl|ipv|oauth|argon|rtx|gtx|krb|ntlm|http|win|ubuntu|v)[-_]?\d[\w.]{0,8}(?![^\W_])"
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
                    yield from _phrase(text, word, place[1])
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
        near = _is_near(word, start, stop)
        kinds = _kinds(text[start:stop], path=_AS.match(text, stop) is None) if near else 0
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


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the second part of each pair of user and password behind a word for a login."""
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
