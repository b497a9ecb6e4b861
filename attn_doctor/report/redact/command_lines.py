"""List the commands that take a secret: as the value of an option that has no telling name, as a word at a fixed place, or on standard input.

An option with a telling name, as `--password`, is found by `keys`.
"""

from __future__ import annotations

# A value: in quotes, with spaces, or a word. A list of words in code has a comma before it: ['sshpass', '-p', 'a b']
VALUE = r"(?:\"([^\"\n]{3,200})\"|'([^'\n]{3,200})'|([^\s\"'-][^\s\"']{2,200}))"
_WORD = r"(?:[\"'][^\"'\n]{1,100}[\"']|[^\s\"'-][^\s\"']{0,100})"


def option(programs: str, letters: str, value: str = VALUE) -> str:
    """Return the pattern of a program with one of these options and its secret."""
    return rf"\b(?:{programs})\b[^\n]{{0,200}}?\s[\"']?-(?:{letters})(?:[\"'],\s?|[ =])?{value}"


def place(begin: str, before: int = 0, value: str = VALUE) -> str:
    """Return the pattern of a command with a secret behind this many other words. Options may stand before them."""
    return rf"\b(?:{begin})(?:\s--?[\w=.-]{{1,60}}){{0,4}}(?:\s{{1,4}}{_WORD}){{{before}}}\s{{1,4}}{value}"


_PIPED = (
    r"passwd|password|luks|secret|stdin|login|gpg|token|keepass|kinit|unlock|cryptsetup|veracrypt|vault|encrypt|decrypt|keyring|keyctl|"
    r"\bpass (?:insert|add)|gopass|\bage\b|ssh-add|smbclient|\bsu -|mount|vnc|\bauth\b|\bbw\b|openssl|ansible|gocryptfs|cryfs|encfs|\bzfs\b|\brealm\b|adcli|kadmin|restic|\bborg\b|rclone|clevis|\btomb\b"
)

# Each pattern is tried only on texts that have one of its hints. The last group that matched is the secret.
RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    # curl -u NAME:PASSWORD. https://curl.se/docs/manpage.html#-u
    (
        (" -u", " -U", "user"),
        (
            r"\s(?:-u|-U|--user|--proxy-user)[ =]?(?!\d+:\d+\b)(?:\"(?!\d+:\d+\")([^\s\"':]{1,100}:[^\"\n]{2,200})\"|'(?!\d+:\d+')([^\s\"':]{1,100}:[^'\n]{2,200})'"
            r"|[\"']?(?!\d+:\d+\b)([^\s\"':]{1,100}:[^\s\"']{2,200}|[\w.-]{16,400}:(?=[\s\"'])))"
        ),
    ),
    # The letter behind others: curl -sku NAME:PASSWORD
    (
        ("curl",),
        (
            r"\bcurl\b[^\n]{0,300}?\s-[A-Za-z#]{1,8}u[ =]?(?:\"([^\s\"':/]{1,100}:[^\"\n]{2,200})\"|'([^\s\"':/]{1,100}:[^'\n]{2,200})'"
            r"|[\"']?([^\s\"':/]{1,100}:[^\s\"']{2,200}|[\w.-]{16,400}:(?=[\s\"'])))"
        ),
    ),
    # Programs that take the password behind a letter: of data bases, registries, archives, remote desktops, baseboards, Apple and Windows
    (
        ("-p", "-P", "-a"),
        option(
            r"mysql\w{0,12}|mariadb(?:-\w{1,12})?|sshpass|(?:docker|podman|buildah|nerdctl|cosign|oc|az|regctl|helm|helm registry|apptainer remote|singularity remote) login|twine|smbclient|7z[ar]?|zip|unzip|"
            r"mongo(?:sh|dump|restore|export|import|files)?|cqlsh|helm|crane|oras|hatch|rdesktop|psexec|useradd|usermod|skopeo|p4|altool|notarytool|iTMSTransporter|"
            r"cypher-shell|redfishtool|racadm|idracadm7|ipmitool|ipmi-\w{2,12}|rabbitmqadmin|fence_\w{2,20}|beeline|impala-shell|couchbase-cli|cbq|cb(?:import|export|backupmgr)|arangosh|influx|"
            r"sqlcmd|bcp|tsql|osql|isql|mosquitto_(?:pub|sub|rr)|ncftp(?:get|put)?|vncdo(?:tool)?|security (?:unlock-keychain|import|set-key-partition-list)|certutil|tower-cli|awx|solr|nifi",
            "p|P|pass",
        ),
    ),
    (("-pw",), option(r"plink|pscp|psftp|putty|kitty|nodetool|jmxterm|vmrun", "pw")),
    (("-a",), option(r"(?:redis|valkey|keydb)-cli", "a|-pass")),
    (("pass:",), r"(?<=[\"'])pass:([^\"'\n]{3,200})|(?<![\w\"'])pass:([^\s\"']{3,200})"),
    # https://www.postgresql.org, macOS: security(1), OpenLDAP: ldapsearch(1), ldappasswd(1), MIT Kerberos: kadmin(1)
    (("ldap", "kadmin", "security "), option(r"ldap(?:search|add|modify|whoami|delete|passwd|compare|modrdn)|kadmin|security (?:add|find)-\w{2,10}-password", r"w|pw|a|s(?= ?[\"']?[^\s\"':/]{3,200}(?:[\"'\s]|$))")),
    (("slappasswd",), option("slappasswd", "s")),
    # SNMP: https://net-snmp.sourceforge.io/docs/man/snmpcmd.html. "public" and "private" are the names that every device has.
    *(
        (
            ("snmp", "onesixtyone"),
            option(
                r"(?:check_)?snmp(?:get(?:next)?|walk|bulk(?:walk|get)|set|table|status|df|delta|test|trap|inform|usm|vacm|netstat|ping)?|onesixtyone",
                letters,
            ),
        )
        for letters in (r"[cC](?![ =]?[\"']?(?:public|private)\b)", "A", "X")
    ),
    (
        ("community", "com2sec", "trapsink", "trap2sink", "informsink", "snmp-server"),
        (
            r"(?im)(?:^[ \t]{0,8}r[ow]community6?[ \t]{1,8}|^[ \t]{0,8}com2sec6?[ \t]{1,8}(?:-Cn \S{1,60} )?\S{1,60}[ \t]{1,8}\S{1,60}[ \t]{1,8}|^[ \t]{0,8}(?:trap2?|inform)sink6?[ \t]{1,8}\S{1,100}[ \t]{1,8}|\bsnmp-server community |"
            r"\bsnmp-server host \S{1,100} (?:(?:version|traps|informs|[123]c?) ){0,4}|\bcommunity(?:[-_ ]?(?:string|name))[\"']?\s?[:=]?\s|\bcommunity[\"']?\s?[:=]\s?(?=[\"']?\S{0,40}\d))[\"']?(?!public\b|private\b)([^\s\"',;]{3,100})"
        ),
    ),
    (("createUser",), rf"\bcreateUser (?:-e \S{{1,60}} )?\S{{1,60}} (?:MD5|SHA[\w-]{{0,6}}) {VALUE}"),
    (("createUser",), rf"\bcreateUser [^\n]{{1,200}} (?:DES|AES[\w-]{{0,6}}) {VALUE}"),
    # Codes of registration: SUSE, Ubuntu, Red Hat
    (("SUSEConnect", "suseconnect", "registercloudguest"), option("SUSEConnect|suseconnect|registercloudguest", "r|-regcode")),
    (("attach",), place(r"(?:pro|ua) attach")),
    (("activationkey",), r"--activationkeys?[ =][\"']?([^\s\"']{4,200})"),
    # Seeds of one-time codes, in base 32 or as hexadecimal digits: oathtool(1), `ykman oath`, pyotp
    (
        ("oathtool", "oath ", "otp", "2fa", "authenticator"),
        (
            r"\b(?:oathtool|ykman oath accounts (?:add|uri)|totp-cli|otp-?cli|gauth|2fa|google-authenticator)\b[^\n]{0,200}?\s[\"']?((?:[A-Z2-7]{4} ){3,15}[A-Z2-7]{1,8}|[A-Z2-7]{16,128}=*|(?=[a-z]{0,30}[2-7])[a-z2-7]{16,128}|[0-9a-fA-F]{20,128})(?![\w])"
        ),
    ),
    (("OTP(", "otp("), r"(?i:\b[TH]?OTP)\(\s?(?:\w{1,10}\s?=\s?)?[\"']((?=[A-Za-z2-7 ]{12,130})[A-Za-z2-7= ]{12,130})[\"']"),
    (("Your new secret", "verification code"), r"\b(?:Your new secret key is|Your verification code is|Your verification code)[: ]{1,3}([A-Z2-7]{16,64}|\d{6,8})\b"),
    # A password of Apple or Google for one program: four groups of four letters
    (("pp", "-p"), r"(?i:\bapp(?:lication)?[- ](?:specific[- ])?pass(?:word|code)s?\b[^\n]{0,60}?|\s-(?:p|-password)[ =]?)[\"']?(?-i:\b([a-z]{4}(?:[ -][a-z]{4}){3}))(?![\w-])"),
    # Redis: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
    (
        ("SETUSER", "setuser", "user "),
        r"(?im)(?:\bACL SETUSER |^[ \t]{0,8}user )\S{1,80}(?=[^\n]{0,200}\s(?:on|off|[+~&]\S))[^\n]{0,120}?\s[><]([^\s\"']{3,200})",
    ),
    (("SETUSER", "setuser", "user "), r"(?im)(?:\bACL SETUSER |^[ \t]{0,8}user )\S{1,80}[^\n]{0,120}?\s[#!]([0-9a-f]{64})(?![0-9a-f])"),
    (("AUTH ", "auth "), r"(?im)(?:^[ \t]{0,8}|^[\w.:\[\]-]{1,80}> ?|\bHELLO [23] )AUTH (?:[\w.@-]{1,60} )?(?=\S{0,60}[\d!@#$%^&*])(\S{4,200})[ \t\r]*(?:$|SETNAME)"),
    (("requirepass", "masterauth", "auth-pass"), rf"(?im)(?:^[ \t]{{0,8}}|\bconfig set |--)(?:requirepass|masterauth|sentinel auth-pass \S{{1,60}})[ \t]{{1,8}}{VALUE}"),
    # Users of servers: RabbitMQ, Mosquitto, Samba, MinIO, etcd
    (("add_user", "change_password", "authenticate_user"), place("rabbitmqctl (?:add_user|change_password|authenticate_user)", 1)),
    (("mosquitto_passwd",), r"\bmosquitto_passwd\s+-\w{0,6}b\w{0,6}\s+\S{1,200}\s+\S{1,100}\s+[\"']?([^\s\"']{3,200})"),
    (("samba-tool",), place("samba-tool user (?:create|add|setpassword)", 1)),
    (("mc ",), place(r"mc(?:li)? (?:alias set|config host add)", 3)),
    (("etcdctl user",), r"\betcdctl\b[^\n]{0,80}? user add [\"']?[\w.-]{1,60}:([^\s\"']{3,200})"),
    (("keyctl add",), place(r"keyctl add (?:user|logon)", 1)),
    # Stores of secrets: the clouds, Kubernetes, GitHub, Vault, Pulumi
    (("keyvault", "parameter", "secretsmanager"), r"\b(?:az keyvault secret set|aws ssm put-parameter(?=[^\n]{0,300}SecureString))\b[^\n]{0,300}?\s--value[ =](?:\"([^\"\n]{1,400})\"|'([^'\n]{1,400})'|([^\s\"'-]\S{2,400}))"),
    (("literal",), r"\bcreate secret\b[^\n]{0,300}?--from-literal[ =][\"']?[\w.-]{1,80}=(?:\"([^\"\n]{1,400})\"|'([^'\n]{1,400})'|([^\s\"']{2,400}))"),
    (("secret", "variable"), r"\b(?:gh secret set|glab variable set)\b[^\n]{0,120}?\s(?:-b|--body|-v|--value)[ =](?:\"([^\"\n]{1,400})\"|'([^'\n]{1,400})'|([^\s\"'-]\S{2,400}))"),
    (("vault kv put", "vault write", "secrets set", "config set --secret", "credstash put", "chamber write"), r"\b(?:vault (?:kv put|write) \S{1,120}|fly(?:ctl)? secrets set|doppler secrets set|pulumi config set --secret(?: --\w{1,20})?|credstash put|chamber write \S{1,80}) [\"']?[\w.:/-]{1,80}[= ](?!@|-)(?:\"([^\"\n]{1,400})\"|'([^'\n]{1,400})'|([^\s\"']{2,400}))"),
    (("encrypt_string",), r"\bencrypt_string\b(?:\s--?[\w-]{1,40}(?:[= ][\w./@-]{1,80})?){0,4}\s(?:\"([^\"\n]{3,400})\"|'([^'\n]{3,400})')"),
    (("bw login", "bw unlock"), r"\bbw (?:login \S{1,100}|unlock) (?:\"([^\"\n]{3,400})\"|'([^'\n]{3,400})'|([^\s\"'-]\S{2,400}))"),
    (("cmdkey", "runas"), r"(?i:\bcmdkey\b)[^\n]{0,120}?/pass:[\"']?([^\s\"']{3,200})"),
    # The words `login` and `signin`
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
    (("/rp", "/p:"), r"\s/(?:rp\s{1,4}|p:)(?:\"([^\"\n]{3,200})\"|'([^'\n]{3,200})'|([^\s\"'/][^\s\"']{3,200}))"),
    # httpie: https://httpie.io/docs/cli/basic-auth
    ((" -a",), r"\bhttps?\s[^\n]{0,200}?-a[ =]?[\"']?[^\s\"':]{1,100}:([^\s\"']{3,200})"),
    # A user, and behind it the letter of most programs for the password. A number is the port or the process.
    (
        (" -p", " -P", " -a"),
        (
            r"\s(?:-u|-U|--user(?:name)?)[ =][\"']?[\w.@\\-]{1,60}[\"']?\s(?:[^\n]{0,100}?\s)?-(?:p|P|a|pw)[ =](?:(?=[\"'][^\n\"']{0,40}[\d!$%&*#?^])(?:\"([^\"\n]{4,200})\"|'([^'\n]{4,200})')|"
            r"[\"']?(?=[^\s\"']{0,40}[A-Za-z])(?=[^\s\"']{0,40}[\d!$%&*#?^])(?![/.~])([^\s\"'-][^\s\"']{5,200}))"
        ),
    ),
    # Standard input of a program that asks for a secret: cryptsetup(8), chpasswd(8), passwd(1), sshfs(1), `docker secret create`, keepassxc-cli(1)
    (
        ("echo", "printf"),
        rf"\b(?:echo|printf)(?: -\w{{1,3}}){{0,2}}(?: ['\"]%s(?:\\n)?['\"])? (?:\"([^\"\n]{{4,400}})\"|'([^'\n]{{4,400}})'|[\"']?([^\s\"'|]{{4,400}})[\"']?)\s{{0,4}}\|\s{{0,4}}[^\n|]{{0,80}}(?:{_PIPED})",
    ),
    (
        ("<<<",),
        rf"(?:^|[\n;|&$#>])[^\n<]{{0,200}}(?:{_PIPED})[^\n<]{{0,200}}<<<\s{{0,4}}(?:\"([^\"\n]{{4,400}})\"|'([^'\n]{{4,400}})'|([^\s\"']{{4,400}}))",
    ),
    # Windows: net use Z: \\server\share PASSWORD /user:NAME. https://learn.microsoft.com/windows-server/administration/windows-commands/net-use
    (("/user:",), r"(?i:\bnet use\b)[^\n]{0,120}?\s([^\s/\\:-][^\s\\:]{3,100})\s+/user:"),
    # net user NAME PASSWORD /add. https://learn.microsoft.com/windows-server/administration/windows-commands/net-user
    (("net user",), r"\bnet user\s+[^\s/]{1,60}\s+([^\s/][^\s]{3,100})(?=\s|$)"),
    # sudo reads the password from its standard input. https://www.sudo.ws/docs/man/sudo.man/
    (("sudo",), r"\becho (?:\"([^\"\n]{4,400})\"|'([^'\n]{4,400})'|([^\s\"'|]{4,400}))\s{0,4}\|\s{0,4}sudo\s[^\n|]{0,20}-S"),
    (("<<<",), r"\bsudo\s[^\n|]{0,20}-S[^\n]{0,200}?<<<\s{0,4}[\"']?([^\s\"']{4,400})"),
    # Programs whose letter for the password is another one: ssh-keygen(1), ldapsearch(1), lftp(1), smbclient(1), `poetry config`.
    (("ssh-keygen",), r"\bssh-keygen\b[^\n]{0,200}?\s-[NP][ =]?[\"']?([^\s\"'-][^\s\"']{3,200})"),
    (("ftp",), r"\bl?ftp\b[^\n]{0,80}?\s-u[ =]?[\"']?[^\s,\"']{1,60},([^\s\"']{3,200})"),
    (("%",), r"\s(?:-U|--user)[ =]?(?:\"[\w.\\@-]{1,60}%([^\"\n]{3,200})\"|'[\w.\\@-]{1,60}%([^'\n]{3,200})'|[\w.\\@-]{1,60}%([^\s\"']{3,200}))"),
    (("http-basic",), r"\bhttp-basic\.[\w-]{1,60}\s+[\w.@-]{1,60}\s+[\"']?([^\s\"']{4,400})"),
    (("util config",), r"\b(?:obs|oss)util config\b[^\n]{0,200}?\s-(?:k|-access-key-secret)[ =]?([^\s-][^\s]{5,200})"),
    (("SecureString",), r"\bConvertTo-SecureString\s+(?:-String\s+)?[\"']([^\"'\n]{3,400})[\"']"),
)  # fmt: skip
