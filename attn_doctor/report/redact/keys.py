"""Find secrets by the name beside them: `password = X`, `"api_key": "X"`, `--token X`, `Authorization: Bearer X`, in any quoting.

The names are those of detect-secrets (https://github.com/Yelp/detect-secrets/blob/master/detect_secrets/plugins/keyword.py) and
of gitleaks (rule generic-api-key), and those of the programs around PyTorch. A name alone is not enough: `tokens_per_second =
24`, `tokenizer: GPT2` and `password required` are kept. So the rest of the name and the value are judged too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attn_doctor.report.redact import line_rules, sentences
from attn_doctor.report.redact.unnamed_tokens import BASE_32_HASH

_LONGEST = 4096  # characters of a value
_AT_ONCE = 400  # without quotes; a longer value is read in parts

# Names that are secrets with anything in front of them: "mypassword", "PGPASSWORD", "wandb_api_key".
_ANYWHERE = (
    r"pass[-_]?(?:word|wd|phrase|code|wort)|passwd|(?:ssh|my|user|db|root|admin|smtp|mail|ftp|ldap|sudo|store|key|trust|new|old)pass(?![a-z])|kennwort|mot[-_ ]de[-_ ]passe|contrase(?:ñ|n)a|senha|has[lł]o|wachtwoord|l[öo]senord|пароль(?: [а-яіїє]{4,20})?|密码|密碼|口令|パスワード|비밀번호|"
    r"[sş]ifre|parola|mật[ _]khẩu|adgangskode|salasana|heslo|jelszó|kata[ _]sandi|كلمة المرور|كلمة السر|סיסמה|รหัสผ่าน|पासवर्ड|κωδικός|رمز عبور|"
    r"令牌|密钥|密鑰|토큰|clave|secret|token|credential|"
    r"(?:api|access|account|auth|private|priv|storage|signing|signature|encryption|encrypt|encoded|master|service|licen[sc]e|product|activation|client|"
    r"subscription|session|deploy|database|shared|ssh|ingest|admin|application|app|consumer|rsa|hmac|webhook|registry|host|user|hub|wandb|comet|"
    r"ngc|kaggle|aes|cipher|crypt|decryption|jwt|root|server|gpg|pgp|tls|ssl|data|ingestion|integration|team|bot)[-_. ]?key(?![-_. ]?padding)|(?:lpass|bw|wallet|vault|keepass)[-_]master(?![a-z])|"
    r"authorization|connection[-_ ]?string|cookie|session[-_ ]?id|sess[-_]?id|csrf|xsrf|refresh[-_]?tok|access[-_]?tok|webhook[-_]?url|recovery[-_ ]?code"
)
# Names that are also parts of other words ("bypass", "author", "design"): only where a name begins.
_WHOLE = r"pwd|pass|pw|psk|auth|otp|pin|sig|signature|sid|jwt|pat|sk|cred|creds|dsn|bearer|apikey|key|passw|nonce|seed[-_]?phrase|mnemonic|2fa|mfa"
_NAME = re.compile(
    rf"(?i)(?:(?P<any>{_ANYWHERE})|(?<![A-Za-z])(?P<whole>{_WHOLE})(?![a-z])|(?<=[a-z])(?-i:(?P<camel>Pwd|Pass|Auth|Key|Pin|Sig)(?![a-z])))"
    r"(?P<rest>(?:(?![是为為は：])[\w.-]){0,40})"
)
_BETWEEN = re.compile(
    r"(?P<close>[\"'`\])]{0,3})"
    r"(?:(?P<xml>>)|(?P<named>[\"']?[\s,]{1,12}[\"']?value[\"']?\s{0,4}[:=]\s{0,4})"
    r"|(?P<prose>(?: (?:[^\W\d_]{1,20}|\([^()\n]{1,12}\))){1,6}? {0,2}(?:: {1,4}|： {0,4}|\b(?:is|was|est|es|é|è|ist|lautet|to|jest|это) {1,4}))|(?P<sign>\s{0,40}(?:=>|:=|===?|!=|->|\|\||[=:：]|(?P<verb>(?:is|was|will be|è|é|es|est|ist|lautet|este|jest|on)(?=\s)|[是为為は]))\s{0,8}(?P<block>[|>][+-]?\d?[ \t]{0,4}(?:#[^\n]{0,120})?\n\s{1,12})?|\s{0,4},\s{0,4}(?=[\"'`]))|(?P<space>[ \t]{1,8}))"
)
_QUOTED = re.compile(
    r"(?:[A-Za-z_.]{1,24}\()?[bBrRfFuU@$]{0,2}(?:\"{3}|'{3})?"
    rf"(?:\"(?P<double>[^\"\n]{{1,{_LONGEST}}})\"|'(?P<single>[^'\n]{{1,{_LONGEST}}})'|`(?P<back>[^`\n]{{1,{_LONGEST}}})`)"
)
# Without quotes: to a space. A sign that can end a value ends it only where another name, or nothing, follows.
_BARE = re.compile(
    rf"[\"'`(«»„“「『]{{0,3}}[ \u00a0\u202f]{{0,1}}((?:[^\s\"'`<>&;,)\]}}»“”」』，。、；]|[&;,)\]}}](?!\s|$|[&;,)\]}}\"']|[\w.-]{{1,40}}\s?[=:])){{1,{_AT_ONCE}}})"
)
_TO_THE_LINE_END = re.compile(rf"([^\s][^\n]{{0,{_LONGEST}}})")
# What reads a value that is elsewhere, and has its name in brackets: os.environ["X"], os.getenv("X").
_READS = re.compile(r"(?:\w{1,20}\.)?(?:environ|getenv|env|getpass|secrets|config|settings)(?:\.get\w{0,10})?[\[(]")
_TO_THE_TAG = re.compile(rf"\s{{0,8}}([^<>\n]{{1,{_LONGEST}}})(?=</|<!|<\w|$|\n)")
_SCHEME = re.compile(
    r"(?i)(?:Bearer|Basic|Token|Digest|Negotiate|NTLM|ApiKey|Api-Key|GoogleLogin|OAuth|AWS4-HMAC-SHA256|SharedKey)[ \t]+(?=\S)"
)
_TO_THE_END = re.compile(rf"([^\n\\]{{2,{_LONGEST}}})")  # of a header
_ENDS = re.compile(r"[ \t]{0,8}(?:[.,;!)\n]|$)")
_TO_THE_QUOTE = {sign: re.compile(rf"([^\n\\{sign}]{{2,{_LONGEST}}})") for sign in "'\""}

# The rest of a name that makes it something else: "token_count", "password_file", "tokenizer", "secret_name".
_OTHER = re.compile(
    r"(?i)s?[-_. ]?(?:per(?![a-z])|count|file|path|dir|folder|name|type|kind|len|length|limit|size|dims?(?![a-z])|ids?(?![a-z])|idx|ind(?:ex|ices)|"
    r"url|uri|env|var|expir|ttl|policy|manager|provider|helper|store|required|enabled|disabled|prompt|mode|class|embed|iz|budget|usage|used|"
    r"rate|max|min|num|total|mask|padding|throughput|latency|sec(?:s|onds?)?(?![a-z])|ms(?![a-z])|s/|drop|mix|wise|level|ary|error|exception|function|method|module|"
    r"handler|auth\b|less|field|column|format|schema|version|position|pos(?![a-z])|sequence|seq|stream|batch|window|shift|cache|scope|endpoint|"
    r"server|host|port|list|set(?![a-z])|map|dict|table|ring|board|word(?:s|_)|point|frame|stone|pair|bits?(?![a-z])|algorithm|alg(?![a-z])|vault)"
)
# Values that are no secret: a placeholder, a variable, a type, a word of a message.
_PLACEHOLDER = re.compile(r"<[^<>]{1,40}>|\$|%\(|%[A-Za-z_]+%|\{|\*{2,}|x{4,}|\.{3}|\[|#|\(")
_OURS = re.compile(r"<(?:home|user|host|credentials|[a-z]{2,11}-\d{1,6})>")
_CODE = re.compile(
    r"(?i)(?:os|self|cls|args?|kwargs|cfg|config|conf|settings|options|opts|env|environ|getenv|getpass|secrets|request|params|typing|torch|"
    r"process|data|user|session|response|headers|ctx|context|app|np)\b[.\[(]|[a-z_][\w.]*\(|(?:Optional|Union|List|Dict|Literal|Callable|Tensor)\b"
)
_WORDS = frozenset(
    "none null nil true false yes no on off str string int float bool bytes object any optional required missing invalid expired empty unset undefined "
    "default unknown incorrect wrong denied failed failure error not set is was are for the and or must cannot can't unexpected redacted hidden "
    "files compat sss db removed masked token password secret key auth credentials basic bearer value changed accepted rejected provided given supplied found needed".split()
)
_DESCRIBED = re.compile(r"[\w-]{1,30}-(?:encoded|encrypted|hashed|protected|based)[.,;]?")
_STRONG = re.compile(
    r"(?i)pass|passwd|pwd|kennwort|contrase|senha|has[lł]o|wachtwoord|senord|пароль|密|口令|パスワード|비밀|pw|psk|pin|otp|phrase|secret|credential|cred|ifre|parola|khẩu|adgangskode|salasana|heslo|jelszó|sandi|كلمة|סיסמה|รหัส|पासवर्ड|κωδικός|رمز"
)
_SMALL = re.compile(r"\d{1,3}|\d*\.\d+(?:e[-+]?\d+)?")
_VERSION = re.compile(r"[vV]?\d+(?:\.\d+)+(?:[-+.]?[a-z]+\d*)*")
_NUMBER = re.compile(r"[-+]?(?:\d{1,9}|0x[0-9a-fA-F]+|\d*\.\d+(?:e[-+]?\d+)?)(?:[a-zA-Z]{1,2})?")
_PATH = re.compile(r"(?:[A-Za-z]:)?[/\\~.][\w./\\~ -]*|[\w.-]+/[\w./-]+\.\w{1,5}")
_OWNER = re.compile(r"([A-Za-z]{2,30})[-_.]?$")
_NO_SERVICE = frozenset(
    "cache sort hash primary foreign dict public partition registry map state group index row lookup the a of this that each layer param metric config attn dispatch"
    " by for query no every missing unexpected column table object sub json yaml field item node first last next dropout prng rng random host_ed25519 known".split()
)
_OF_DIGEST = re.compile(
    r"(?i)\b(?:cache|hash|lookup|kernel|autotun\w{1,4}|compil\w{1,5}|artifact|blob|object|graph|triton|inductor|fx\w{0,6}|binary|ccache|memo\w{0,8})(?:[ _-](?:miss|hit|entry|lookup|load|store|write|read|save|dump|evict\w{0,4}|file|dir|result))?s?[-_. :,]{1,3}(?:for |with |by |under |of )?$"
)
_DIGEST = re.compile(r"[\"']?[a-z0-9_]{16,128}(?![\w-])")
_OPTION = re.compile(
    r"(?:^|[\s'\"\[,(])(?:--?|/|setx |set |export |ENV |ARG |env:)[\w.-]{0,60}$|(?i:\b(?:login|user|account|username)\s+\S{1,80}\s+)$"
)
_IN_LIST = re.compile(r"--?[A-Za-z][\w-]*")

_NAME_HINTS = (
    "pass", "pwd", "secret", "token", "key", "auth", "cred", "cookie", "sess", "sig", "sid", "pin", "otp", "psk", "pw", "jwt", "pat", "dsn",
    "bearer", "master", "kennwort", "contrase", "connection", "csrf", "xsrf", "tok", "webhook", "mot", "code", "phrase", "mnemonic", "nonce", "fa", "sk", "senha", "has", "wachtwoord", "senord",
    "пароль", "密", "口令", "パスワード", "비밀번호", "ifre", "parola", "khẩu", "adgangskode", "salasana", "heslo", "jelszó", "sandi", "كلمة", "סיסמה",
    "รหัสผ่าน", "पासवर्ड", "κωδικός", "رمز", "令牌", "토큰", "clave",
)  # fmt: skip


def secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each value whose name, header or option shows that it is secret."""
    lowered = text.lower()
    if any(hint in lowered for hint in _NAME_HINTS):
        done = 0
        for match in _NAME.finditer(text):
            # "<secret-1>" is a placeholder of a text that was redacted before, and no element of XML
            ours = _OURS.match(text, match.start() - 1) if match.start() else None
            found = _value(text, match) if match.start() >= done and not ours else None
            if found is not None:
                done = found[1]
                yield found
    for start, end in line_rules.values(text):
        if (
            not _PLACEHOLDER.match(text, start, end)
            and text[start:end].lower().rstrip(".,:;!?)") not in _WORDS
            and not _READS.match(text, start)
            and not _DESCRIBED.fullmatch(text, start, end)
        ):
            yield start, end
    yield from sentences.values(text)


def is_secret_name(name: str) -> bool:
    """Return whether everything that has this name is a secret: the name of a field, a variable or an option."""
    match = _NAME.search(name)
    return (
        match is not None
        and match.end() == len(name)
        and _certainty(match) == "name"
        and (match["whole"] or "") not in ("key", "auth", "pass")
    )


def is_secret_option(word: str) -> bool:
    """Return whether a word of a command is an option whose value is a secret: `--password`, `--hf-token`."""
    return _IN_LIST.fullmatch(word) is not None and is_secret_name(word.lstrip("-"))


def _certainty(match: re.Match[str]) -> str:
    """Return "name" if the name alone shows a secret, "maybe" if the value must decide, "no" if the name means something else."""
    rest = match["rest"]
    if not rest or re.fullmatch(
        r"[-_.]?(?:\d{1,3}|value|text|plain|plaintext|base|prod|dev|test|ro|rw|b64|base64|raw|key|id)\d*|s",
        rest,
        re.IGNORECASE,
    ):
        return "name" if rest != "s" else "maybe"
    inner = _NAME.search(rest)
    if inner and inner.end() == len(rest):
        return _certainty(inner)
    return "no" if _OTHER.match(rest) else "maybe"


def _value(text: str, match: re.Match[str]) -> tuple[int, int] | None:
    """Return the place of the value behind a name, if it is a secret."""
    certainty = _certainty(match)
    if certainty == "no":
        return None
    between = _BETWEEN.match(text, match.end())
    if between is None:
        return None
    name = (match["any"] or match["whole"] or match["camel"]).lower()
    if between["prose"]:  # "password of the server: X", and not "password check of conv2d: X"
        if not (match["any"] and _STRONG.search(name)) or _OTHER.match(between["prose"]):
            return None
        certainty = "name" if "code" in name else "maybe"
    before = _OWNER.search(text, max(match.start() - 40, 0), match.start())
    owner = before[1].lower() if before else ""
    at = between.end()
    if name == "key" and BASE_32_HASH.match(text, at):  # "in key c…" of Triton and Inductor
        return None
    if name == "key" and _OF_DIGEST.search(text, max(match.start() - 40, 0), match.start()):
        digest = _DIGEST.match(text, at)  # "cache key 4wrwlz…" of Inductor
        if digest:
            return None
    if name in ("authorization", "cookie", "bearer") and between["sign"]:
        return _header(text, match.start(), at)
    if between["xml"]:
        inside = _TO_THE_TAG.match(text, at)
        return inside.span(1) if inside and not _is_harmless(inside[1].strip(), name, certainty, quoted=True) else None
    if _READS.match(text, at):
        return None
    quoted = _QUOTED.match(text, at)
    if quoted and not (between["space"] and "(" in quoted[0]):
        group = "double" if quoted["double"] else "single" if quoted["single"] else "back"
        loose = between["space"] is not None and not _is_option(text, match)
        harmless = _is_harmless(quoted[group], name, "maybe" if loose else certainty, quoted=True, owner=owner)
        return None if harmless else quoted.span(group)
    bare = (_TO_THE_LINE_END if between["block"] else _BARE).match(text, at)
    if bare is None or ("\n" in between[0] and not between["named"] and not between["block"]):
        return None
    if between["space"] and not _is_option(text, match):
        certainty = "maybe"
    if between["verb"] and bare[1].isalpha() and not _ENDS.match(text, bare.end()):
        certainty = "maybe"  # "psk is short for"
    if name == "pass" and text[max(match.start() - 1, 0)] not in "_-":
        certainty = "maybe"  # "PASS: test_import"
    if name == "pass" and re.match(r"https?://[^@\s]*$", bare[1]):
        return None  # of nginx: "proxy_pass http://localhost:8000"
    if _is_harmless(bare[1], name, certainty, quoted=False, owner=owner) or (
        name == "pwd" and _PATH.fullmatch(bare[1])
    ):
        return None
    start, end = bare.span(1)
    while end - start >= _AT_ONCE and (more := _BARE.match(text, end)) and more.start(1) == end:
        end = more.end(1)
    return start, end


def _header(text: str, start: int, at: int) -> tuple[int, int] | None:
    """Return the place of a header's value: one word after a scheme such as Bearer, else all up to the end of the line or of the quotes."""
    quote = text[at : at + 1] if text[at : at + 1] in ("'", '"') else text[start - 1 : start] if start else ""
    at += text[at : at + 1] == quote and quote in ("'", '"')
    scheme = _SCHEME.match(text, at)
    begin = scheme.end() if scheme else at
    if scheme and not scheme[0].lower().startswith(("digest", "oauth", "aws4")):
        whole = _BARE.match(text, begin)
    else:
        whole = _TO_THE_QUOTE.get(quote, _TO_THE_END).match(text, begin)
    if whole is None or _PLACEHOLDER.match(whole[1]) or whole[1].strip().lower() in _WORDS:
        return None
    start, end = whole.span(1)
    while end - start >= _AT_ONCE and (more := _BARE.match(text, end)) and more.start(1) == end:
        end = more.end(1)
    return start, end


def _is_option(text: str, match: re.Match[str]) -> bool:
    """Return whether a name is an option, a variable that a command sets, or a word of ~/.netrc.

    After such a name, a space separates name and value.
    """
    return _OPTION.search(text, max(match.start() - 160, 0), match.start()) is not None


def _is_harmless(value: str, name: str, certainty: str, *, quoted: bool, owner: str = "") -> bool:
    """Return whether a value is no secret. `owner`: the word before the name, "stripe" in "stripe_key"."""
    if _PLACEHOLDER.match(value) or value.lower().rstrip(".,:;!") in _WORDS:
        return True
    if not quoted and (_CODE.match(value) or _DESCRIBED.fullmatch(value)):
        return True
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    strong = _STRONG.search(name) is not None
    if name == "key" and owner and owner not in _NO_SERVICE:  # "STRIPE_KEY", not "cache_key"
        return not (len(value) >= 10 and mixed and any(map(str.isupper, value))) or _is_plain(value)
    if name in ("key", "nonce", "signature", "sig", "auth", "sid", "pat", "sk"):
        return not (len(value) >= (32 if name in ("key", "signature") else 8) and mixed) or _is_plain(value)
    if certainty == "name" and strong:
        return len(value) < 3 or (not quoted and _SMALL.fullmatch(value) is not None)
    if certainty == "name":
        return len(value) < 6 or _is_plain(value) or (not quoted and not mixed and len(value) < 16 and _is_word(value))
    return len(value) < 8 or not mixed or _is_plain(value)


def _is_word(value: str) -> bool:
    """Return whether a value is a word of a sentence: "set pad_token explicitly."."""
    word = value.rstrip(".,:;!?")
    return word.isalpha() and word.islower()


def _is_plain(value: str) -> bool:
    """Return whether a value is a version, a number or a path."""
    return any(pattern.fullmatch(value) for pattern in (_VERSION, _NUMBER, _PATH))
