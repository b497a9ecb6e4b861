"""Find secrets by the line that contains them.

Examples: an address with a signature, the answer to a question. `command_lines` and `command_words` have the commands, `client_calls` the
calls of code, `secret_files` files and dialogues in which a secret stands at a fixed place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attn_doctor.report.redact import client_calls, command_lines, command_words, secret_files
from attn_doctor.report.redact.hinted import Hinted

_LONGEST = 4096  # characters of a value

# A part of an address that is no word: both cases and a digit, or letters and digits in a row
_BY_CHANCE = r"(?=[\w~-]{0,80}\d)(?=[\w~-]{0,80}[A-Z])(?=[\w~-]{0,80}[a-z])[\w~-]{12,400}|(?=[a-z]{0,80}\d)(?=\d{0,80}[a-z])[0-9a-z]{20,400}"

# Each pattern is tried only on texts that have one of its hints.
_RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    *command_lines.RULES,
    *command_words.RULES,
    *client_calls.RULES,
    *secret_files.RULES,
    # A web address or a form: ?sig=X, &access_token=X. https://learn.microsoft.com/azure/storage/common/storage-sas-overview
    (
        ("?", "&", ";"),
        (
            r"[?&;](?:[\w-]{0,30}(?:sig|signature|token|key|auth|code|secret|credential|passw?d?|password|pwd|hmac|hash|policy|tkn|key-pair-id|"
            rf"awsaccesskeyid|Signature)(?:-?id)?|(?:oob|auth|invite|reset|access|verification|login|one[-_]?time)[-_]?Code|[a-z]{1, 20}(?:Token|ApiKey|Secret|Password|Ticket)|ticket|SAMLResponse|SAMLRequest|assertion|rlkey)=([^&\s'\"#<>]{{4,{_LONGEST}}})"
        ),
    ),
    (
        ("X-",),
        rf"\bX-(?:Amz|Goog|Ms)-(?:Signature|Credential|Security-Token|Copy-Source-Sig)=([^&\s'\"]{{4,{_LONGEST}}})",
    ),
    # A link that opens something for whoever has it: "/auth/magic/X", "/invite/X", "sign-in link: https://…?ml=X", a share of Nextcloud
    (
        ("://",),
        (
            r"(?i:://[^\s\"'<>]{1,200}?/(?:magic(?:-?links?)?|reset(?:[-_]?password)?|password/(?:reset|edit)|invit(?:e|ation)s?|verify(?:[-_]?email)?|confirm(?:ation)?|activat(?:e|ion)|unsubscribe|join|one-?time|claim|accept|onboard(?:ing)?|sso|callback|s)/)"
            rf"({_BY_CHANCE})(?=[\s\"'?&#/)>]|$)"
        ),
    ),
    (
        ("link", "Link", "url", "URL"),
        (
            r"(?i:\b(?:sign[- ]?in|log[- ]?in|magic|(?:password[- ])?reset|invite|invitation|verification|confirmation|activation|unsubscribe|one[- ]time|access|share|sharing|join|recovery|passwordless|onboarding|private|secret)[- ](?:link|url)\b)[^\n]{0,60}?"
            rf"https?://[^\s\"'<>]{{1,200}}?[/=]({_BY_CHANCE})(?=[\s\"'?&#/)>]|$)"
        ),
    ),
    (
        ("1drv.ms", "dropbox.com/s", "we.tl/", "sharepoint.com/:"),
        r"(?:1drv\.ms/\w/(?:[cs]/|s!)|dropbox\.com/(?:scl/f[io]/|sh?/)|we\.tl/t-|\.sharepoint\.com/:\w:/[\w/.-]{1,120}/)([\w!-]{8,200})",
    ),
    # A key as a part of an address: https://ifttt.com/maker_webhooks
    (
        ("/key", "/token", "/secret", "/api"),
        r"(?i:://[^\s\"'<>]{0,200}?/(?:api[-_]?)?(?:key|token|secret)s?/)(?=[\w-]{0,60}\d)(?=[\w-]{0,60}[A-Z])([\w-]{16,400})",
    ),
    # https://cloudinit.readthedocs.io/en/latest/reference/modules.html#set-passwords
    (("chpasswd",), r"\bchpasswd:[\s\w:|\\-]{0,80}\s[\w.-]{1,40}:([^\s\"']{4,200})"),
    # SQL: https://dev.mysql.com/doc/refman/8.4/en/create-user.html
    (
        ("IDENTIFIED", "identified"),
        r"(?i:\bidentified (?:with \w{1,40} )?by )(?i:password )?(?:[\"']([^\"'\n]{4,200})[\"']|(?=[^\s\"';]{0,60}\d)([^\s\"';]{4,200}))",
    ),
    # https://docs.python.org/3/library/smtplib.html#smtplib.SMTP.login
    (("login(",), r"\.login\(\s?[\"'][^\"'\n]{1,100}[\"']\s?,\s?[\"']([^\"'\n]{3,400})[\"']"),
    # https://developer.hashicorp.com/vault/docs/commands/operator/init
    (("nseal",), r"(?i:\bunseal key(?: \d{1,2})?\s?[:=]\s?)[\"']?([^\s\"']{8,200})"),
    (("login(",), r"\blogin\(\s?(?:\w{1,20}\s?=\s?)?[\"']([^\"'\n]{8,200})[\"']"),
    # https://requests.readthedocs.io/en/latest/user/authentication/
    (
        ("auth", "Auth"),
        r"(?:\bauth\s{0,2}=\s{0,2}|(?:HTTP)?(?:Basic|Digest|Proxy)Auth)\(\s?[\"'][^\"'\n]{1,100}[\"']\s?,\s?[\"']([^\"'\n]{1,400})[\"']",
    ),
    # What git, ssh and expect show: a question, and its answer behind it.
    (
        ("for ",),
        r"(?i:\bpass(?:word|phrase) for )(?:'[^'\n]{1,200}'|[^\s:]{1,200}):[ \t]{1,4}((?=[^\s]{0,60}[\d!@#$%^&*_])[^\s]{4,200}|[^\s]{4,200}(?=[ \t\r]*(?:\n|$)))",
    ),
    (("assword", "assphrase"), r"(?:assword|assphrase)[^\n]{0,80}?\bsend (?:-- )?[\"']([^\"'\\\n]{4,200})\\{1,2}[rn]"),
    # https://docs.pydantic.dev/latest/api/types/#pydantic.types.SecretStr
    (("Secret",), r"\b(?:SecretStr|SecretBytes|Secret)\(b?[\"']([^\"'\n]{1,400})[\"']"),
    # https://github.com/Yelp/detect-secrets/blob/master/detect_secrets/plugins/aws.py
    (
        ("aws", "AWS", "Aws", "awS", "aWs", "aWS", "AwS", "AWs"),
        r"(?i:aws.{0,20}?(?:key|pwd|pw|pass\w{0,8}|token).{0,20}?)[\"']([0-9a-zA-Z/+]{40})[\"']",
    ),
    # A header without its name: https://www.rfc-editor.org/rfc/rfc6750, https://www.rfc-editor.org/rfc/rfc7617
    (("Bearer", "bearer", "BEARER"), r"\b(?:Bearer|bearer|BEARER)[ \t]+(?=[\w.~+/=-]{0,60}\d)([\w.~+/=-]{8,4096})"),
    (("Basic", "basic"), r"\b[Bb]asic[ \t]+(?=[A-Za-z0-9+/]{1,60}[A-Z0-9+=])([A-Za-z0-9+/]{8,400}={0,2})(?![\w.])"),
    # ~/.docker/config.json
    (('"auth"', 'token"'), r"\"(?:auth|identitytoken|registrytoken)\"\s{0,4}:\s{0,4}\"([^\"\n]{4,4096})\""),
    # Oracle: NAME/PASSWORD@HOST. https://docs.oracle.com/en/database/oracle/oracle-database/23/sqpug/starting-SQL-Plus.html
    (("sqlplus",), r"\bsqlplus\s+(?:-\w+\s+)?([^\s/@]{1,60}/[^\s@]{1,100})@"),
    (("thin:", "oci:"), r"\b(?:thin|oci):([^\s/@]{1,60}/[^\s@]{1,100})@"),
    # ~/.pgpass. https://www.postgresql.org/docs/current/libpq-pgpass.html
    (
        (":5432", ":*", ":6432", ":543"),
        r"(?<![\w.*-])[\w.*-]{1,100}:(?:\d{4,5}|\*):[\w*-]{1,60}:[\w*.-]{1,60}:([^\s:\"'<>)]{6,200})",
    ),
    # A connection string has a value with signs in braces: https://learn.microsoft.com/sql/odbc/reference/syntax/sqldriverconnect-function
    (("{",), r"(?i:\b(?:pwd|password)=)\{((?![\w.]{1,60}\})[^{}\n]{3,200})\}"),
    # The state of Terraform: https://registry.terraform.io/providers/hashicorp/random/latest/docs/resources/password
    (
        ("random_",),
        r"\brandom_(?:password|bytes)\b[\s\S]{0,1000}?\"(?:result|base64|hex)\"\s{0,4}:\s{0,4}\"([^\"\n]{4,400})\"",
    ),
    # Seeds of one-time codes, in base 32: https://github.com/google/google-authenticator/wiki/Key-Uri-Format
    (("eed",), r"(?i:seed[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?=[A-Z]{0,60}[2-7])([A-Z2-7]{16,128})(?![A-Za-z0-9])"),
    # 32 bytes behind a word for a private key
    (
        ("PK", "pk", "riv", "RIV", "igner", "eploy"),
        r"\b(?:PK|pk|(?i:priv(?:ate)?[-_ ]?key|signer|deployer)(?:[-_ ](?:pk|key))?)[\"']?[\s:=\"']{1,6}((?:0x)?[0-9a-fA-F]{64})(?![0-9A-Za-z])",
    ),
    # A passphrase of several words in a file of settings: https://networkmanager.dev/docs/api/latest/nm-settings-keyfile.html
    (
        ("psk", "PSK", "pass"),
        r"(?m)^[ \t]{0,8}(?:[\w.-]{0,40}(?i:psk)[ \t]?[:=][ \t]?|[\w.-]{0,40}pass(?:phrase|word)=)([^\s\"'<>#=$]{1,60}(?: [^\s\"'<>#=:$]{1,40}){1,9})[ \t\r]{0,8}$",
    ),
    # The name of a wireless network: iwconfig(8), `netsh wlan show interfaces`
    (
        ("SSID", "ssid"),
        r"(?<![A-Za-z])(?:ESSID|SSID|ssid)[\"']?[ \t]{0,30}[:=][ \t]{0,4}[\"']?(?!off/any|any\b|hidden\b)((?<=[\"'])[^\"'\n]{1,64}|[^\s\"',;<$]{2,64})",
    ),
    # A chat or a mail: "the password is X".
    (("assword",), r"(?i:\bpassword (?:is|was|will be) )[\"'`]?(?![a-z]{1,20}[ \t]+[a-z])([^\s\"'`]{4,200})"),
)
_COMPILED = Hinted((hints, re.compile(pattern)) for hints, pattern in _RULES)


def values(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each value that is secret because of the line that contains it."""
    for pattern in _COMPILED.of(text):
        yield from (match.span(match.lastindex or 0) for match in pattern.finditer(text))
