"""Find secrets by the line that contains them.

Examples: the command of a program that accepts a password, an address with a signature, a file of passwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LONGEST = 4096  # characters of a value

# Each pattern is tried only on texts that have one of its hints.
_RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    # A web address or a form: ?sig=X, &access_token=X. https://learn.microsoft.com/azure/storage/common/storage-sas-overview
    (
        ("?", "&", ";"),
        (
            r"[?&;](?:[\w-]{0,30}(?:sig|signature|token|key|auth|code|secret|credential|passw?d?|password|pwd|hmac|hash|policy|tkn|key-pair-id|"
            rf"awsaccesskeyid|Signature)(?:-?id)?)=([^&\s'\"#<>]{{4,{_LONGEST}}})"
        ),
    ),
    (
        ("X-",),
        rf"\bX-(?:Amz|Goog|Ms)-(?:Signature|Credential|Security-Token|Copy-Source-Sig)=([^&\s'\"]{{4,{_LONGEST}}})",
    ),
    # curl -u NAME:PASSWORD. https://curl.se/docs/manpage.html#-u
    (
        (" -u", " -U", "user"),
        r"\s(?:-u|-U|--user|--proxy-user)[ =]?[\"']?(?!\d+:\d+\b)([^\s\"':]{1,100}:[^\s\"']{2,200}|[\w.-]{16,400}:(?=[\s\"']))",
    ),
    # The letter behind others: curl -sku NAME:PASSWORD
    (
        ("curl",),
        r"\bcurl\b[^\n]{0,300}?\s-[A-Za-z#]{1,8}u[ =]?[\"']?([^\s\"':/]{1,100}:[^\s\"']{2,200}|[\w.-]{16,400}:(?=[\s\"']))",
    ),
    # A key as a part of an address: https://ifttt.com/maker_webhooks
    (
        ("/key", "/token", "/secret", "/api"),
        r"(?i:://[^\s\"'<>]{0,200}?/(?:api[-_]?)?(?:key|token|secret)s?/)(?=[\w-]{0,60}\d)(?=[\w-]{0,60}[A-Z])([\w-]{16,400})",
    ),
    # Programs that take the password behind a letter.
    (
        (" -p", " -P", " -a"),
        (
            r"\b(?:mysql|mysqldump|mariadb|sshpass|docker login|podman login|twine|redis-cli|smbclient|oc login|plink|pscp|7z|zip|unzip|openssl|"
            r"mongo(?:sh|dump|restore)?|cqlsh|helm|az login|crane|oras|hatch|rdesktop|psexec|useradd|usermod|skopeo|p4)\b"
            r"[^\n]{0,200}?\s-(?:p|P|a|pw|pass)[ =]?[\"']?(?:pass:)?([^\s\"'-][^\s\"']{2,200})"
        ),
    ),
    (
        ("login", "signin"),
        (
            r"\b(?:wandb|hf|huggingface-cli|roboflow|comet|neptune|clearml|ultralytics|yolo|ngc|kaggle|npm|docker|gh|hub)\b[ .](?:hub |auth )?"
            r"(?:login|signin)[( ]\s?(?:--relogin )?[\"']?(?!-)([\w.-]{16,200}|(?=[^\s\"')]{0,40}\d)[^\s\"')]{8,200})"
        ),
    ),
    # `swanlab login -k KEY`: any program with the letter for a key
    (
        ("login",),
        r"\b[\w-]{2,30} (?:[\w-]{1,20} )?login\b[^\n]{0,80}?\s-(?:k|K|-key|-api-key|t)[ =][\"']?([^\s\"'-][^\s\"']{7,200})",
    ),
    # cargo-login(1), `cloudflared service install`, `rclone obscure`, wpa_passphrase(8)
    (
        ("cargo login", "service install", "rclone obscure", "wpa_passphrase"),
        r"\b(?:cargo login|cloudflared service install|rclone obscure|wpa_passphrase [^\s]{1,64}) +[\"']?(?!-)([^\s\"'|;]{8,400})",
    ),
    # htpasswd(1), `openssl enc -k`, unrar(1), schtasks and xfreerdp of Windows' kind: /rp PASSWORD, /p:PASSWORD
    (("htpasswd",), r"\bhtpasswd\s+-\w{0,6}b\w{0,6}\s+\S{1,200}\s+\S{1,100}\s+[\"']?([^\s\"']{4,200})"),
    (("openssl",), r"\bopenssl enc\b[^\n]{0,200}?\s-k[ =]?[\"']?([^\s\"'-][^\s\"']{3,200})"),
    (("rar ",), r"\b(?:un)?rar\b[^\n]{0,200}?\s-(?:hp|p)([^\s\"'-][^\s\"']{3,200})"),
    (("/rp", "/p:"), r"\s/(?:rp\s+|p:)[\"']?([^\s\"'/][^\s\"']{3,200})"),
    # httpie: https://httpie.io/docs/cli/basic-auth
    ((" -a",), r"\bhttps?\s[^\n]{0,200}?-a[ =]?[\"']?[^\s\"':]{1,100}:([^\s\"']{3,200})"),
    # A user, and behind it the letter of most programs for the password. A number is the port or the process.
    (
        (" -p", " -P", " -a"),
        (
            r"\s(?:-u|-U|--user(?:name)?)[ =][\"']?[\w.@\\-]{1,60}[\"']?\s(?:[^\n]{0,100}?\s)?-(?:p|P|a|pw)[ =][\"']?"
            r"(?=[^\s\"']{0,40}[A-Za-z])(?=[^\s\"']{0,40}[\d!$%&*#?^])(?![/.~])([^\s\"'-][^\s\"']{5,200})"
        ),
    ),
    # Standard input of a program that asks for a secret: cryptsetup(8), chpasswd(8), passwd(1), sshfs(1), `docker secret create`.
    (
        ("echo", "printf"),
        (
            r"\b(?:echo|printf)(?: -\w)? [\"']?([^\s\"'|]{4,400})[\"']?\s{0,4}\|\s{0,4}"
            r"[^\n|]{0,60}(?:passwd|password|luks|secret|stdin|login|gpg|token)"
        ),
    ),
    (
        ("<<<",),
        r"\b[^\n<]{0,200}(?:passw|luks|secret|stdin|login|token|auth)[^\n<]{0,200}<<<\s{0,4}[\"']?([^\s\"']{4,400})",
    ),
    # https://cloudinit.readthedocs.io/en/latest/reference/modules.html#set-passwords
    (("chpasswd",), r"\bchpasswd:[\s\w:|\\-]{0,80}\s[\w.-]{1,40}:([^\s\"']{4,200})"),
    # SQL: https://dev.mysql.com/doc/refman/8.4/en/create-user.html
    (("IDENTIFIED", "identified"), r"(?i:\bidentified (?:with \w{1,40} )?by )(?:password )?[\"']?([^\s\"';]{4,200})"),
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
    # https://docs.docker.com/reference/cli/docker/login/
    (("--password-stdin",), r"\becho [\"']?([^\s\"'|]{4,400})[\"']?\s{1,4}\|[^\n|]{1,80}--password-stdin"),
    # Windows: net use Z: \\server\share PASSWORD /user:NAME. https://learn.microsoft.com/windows-server/administration/windows-commands/net-use
    (("/user:",), r"(?i:\bnet use\b)[^\n]{0,120}?\s([^\s/\\:-][^\s\\:]{3,100})\s+/user:"),
    # net user NAME PASSWORD /add. https://learn.microsoft.com/windows-server/administration/windows-commands/net-user
    (("net user",), r"\bnet user\s+[^\s/]{1,60}\s+([^\s/][^\s]{3,100})(?=\s|$)"),
    # sudo reads the password from its standard input. https://www.sudo.ws/docs/man/sudo.man/
    (("sudo",), r"\becho [\"']?([^\s\"'|]{4,400})[\"']?\s{1,4}\|\s{0,4}sudo\s[^\n|]{0,20}-S"),
    (("<<<",), r"\bsudo\s[^\n|]{0,20}-S[^\n]{0,200}?<<<\s{0,4}[\"']?([^\s\"']{4,400})"),
    # Programs whose letter for the password is another one: ssh-keygen(1), ldapsearch(1), lftp(1), smbclient(1), `poetry config`.
    (("ssh-keygen",), r"\bssh-keygen\b[^\n]{0,200}?\s-[NP][ =]?[\"']?([^\s\"'-][^\s\"']{3,200})"),
    (
        ("ldap",),
        r"\bldap(?:search|add|modify|whoami|delete|passwd)\b[^\n]{0,200}?\s-w[ =]?[\"']?([^\s\"'-][^\s\"']{3,200})",
    ),
    (("ftp",), r"\bl?ftp\b[^\n]{0,80}?\s-u[ =]?[\"']?[^\s,\"']{1,60},([^\s\"']{3,200})"),
    (("%",), r"\s(?:-U|--user)[ =]?[\"']?[\w.\\@-]{1,60}%([^\s\"']{3,200})"),
    (("http-basic",), r"\bhttp-basic\.[\w-]{1,60}\s+[\w.@-]{1,60}\s+[\"']?([^\s\"']{4,400})"),
    (("util config",), r"\b(?:obs|oss)util config\b[^\n]{0,200}?\s-(?:k|-access-key-secret)[ =]?([^\s-][^\s]{5,200})"),
    (("SecureString",), r"\bConvertTo-SecureString\s+(?:-String\s+)?[\"']([^\"'\n]{3,400})[\"']"),
    # What git, ssh and expect show: a question, and its answer behind it.
    (("for ",), r"(?i:\bpass(?:word|phrase) for )(?:'[^'\n]{1,200}'|[^\s:]{1,200}):[ \t]{1,4}([^\s]{4,200})"),
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
    (("Basic", "basic"), r"\b[Bb]asic[ \t]+(?=[A-Za-z0-9+/]{0,60}[A-Z0-9+/=])([A-Za-z0-9+/]{8,400}={0,2})(?![\w.])"),
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
    (("assword",), r"(?i:\bpassword (?:is|was|will be|=) )[\"'`]?(?![a-z]{1,20}[ \t]+[a-z])([^\s\"'`]{4,200})"),
)
_COMPILED = tuple((hints, re.compile(pattern)) for hints, pattern in _RULES)


def values(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each value that is secret because of the line that contains it."""
    for hints, pattern in _COMPILED:
        if any(hint in text for hint in hints):
            yield from (match.span(1) for match in pattern.finditer(text))
