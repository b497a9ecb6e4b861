"""List lines of files and dialogues in which a secret stands at a fixed place: codes of a log-in, SQL, licences, files of passwords."""

from __future__ import annotations

# A password without a name beside it: a letter, a digit, and a capital or a sign.
_MIXED = r"(?=[^\s\"']{0,60}[A-Za-z])(?=[^\s\"']{0,60}\d)(?=[^\s\"']{0,60}[A-Z!#$%&*@^~+?=-])"
_VALUE = rf"(?:\"([^\"\n]{{4,200}})\"|'([^'\n]{{4,200}})'|({_MIXED}[^\s\"']{{6,200}}))"

RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    # The code of a log-in: https://www.rfc-editor.org/rfc/rfc6749#section-4.1, https://www.rfc-editor.org/rfc/rfc8628
    (
        ("code", "Code", "CODE"),
        r"(?i:\b(?:authorization|authentication|verification|auth|oauth|access|confirmation|device|user|pairing|one[- ]time|login|security|activation|invite)[- ]code\b[^\n:>]{0,60}?(?:[:>]|\bis|\bhere:?|\bbrowser:?)\s{1,3})[\"']?(?=[^\s\"']{0,60}\d)([\w/.~%-]{5,400})",
    ),
    (("code", "Code"), r"(?i:\b(?:enter|use|type|with|copy|confirm)(?: the| this| your)?(?: following)? code:?\s{1,2}|\b(?:one[- ]time|device|user|pairing) code:?\s{1,2})[\"'`]?((?-i:[A-Z0-9]{4}-[A-Z0-9]{4}|(?=[A-Z]{0,9}\d)[A-Z0-9]{8,9}|\d{6,8}))\b"),
    (
        ("one time", "one-time", "One-time", "OTP", "otp", "2FA", "passcode"),
        r"(?i:\b(?:one[- ]time (?:password|passcode|pin)|OTP|2FA(?: code)?|(?:sms|login|access) passcode)\b[^\n\d]{0,50}?(?:\bis|[:=])\s{1,2})[\"']?(\d{6,8})\b",
    ),
    # Encrypted data bases: https://www.zetetic.net/sqlcipher/sqlcipher-api/
    (("PRAGMA", "pragma"), r"(?i:\bpragma\s{1,4}(?:\w{1,30}\.)?(?:hex|text)?(?:re)?key\s{0,4}[=(]\s{0,4}(?:\\?[\"'])?)(?:x'([0-9a-fA-F]{16,200})'|\"([^\"\n]{1,200})\"|([^\s\"'\\();]{4,200}))"),
    (("ATTACH", "attach"), r"(?i:\battach (?:database )?[^\n]{1,200}? key )[\"']([^\"'\n]{3,200})[\"']"),
    (("PASSWORD", "assword"), r"(?i:\bset password (?:for \S{1,100} )?= ?(?:password\()?|\bset password from '[^'\n]{1,100}' to |\bwith password ?= ?N?)[\"']([^\"'\n]{3,200})[\"']"),
    # Licences: FlexLM and RLM, Gurobi
    (("SIGN", "sig=", "AUTH="), r"\b(?:SIGN2?|sig|AUTH)=\s{0,2}[\"']([0-9A-Za-z](?:[0-9A-Za-z \t]|\\?\n){8,600})[\"']"),
    (("FEATURE", "INCREMENT"), r"\b(?:FEATURE|INCREMENT) \S{1,60} \S{1,30} \S{1,20} \S{1,20} (?:\d{1,6}|uncounted) ([0-9A-F]{12,20})\b"),
    (("KEY=", "grbgetkey"), r"(?m)(?:^[ \t]{0,8}KEY=|\bgrbgetkey )([a-z0-9]{8}(?:-[a-z0-9]{4,8}){1,4}(?:-?[a-z0-9]{4,12})?)\b"),
    # davfs2, ppp, ipsec.secrets(5), rsyncd.secrets, sasl_passwd of Postfix, OpenVPN
    (("://",), rf"(?m)^[ \t]{{0,8}}https?://\S{{1,200}}[ \t]{{1,20}}[\w.@\\-]{{1,60}}[ \t]{{1,20}}{_VALUE}[ \t\r]*$"),
    (("/",), rf"(?m)^[ \t]{{0,8}}/[\w./-]{{1,100}}[ \t]{{1,20}}[\w.@\\-]{{1,60}}[ \t]{{1,20}}(?:\"({_MIXED}[^\"\n]{{6,200}})\"|(?=\S{{0,60}}[!#$%&*@^~+?=])({_MIXED}[^\s\"'/=]{{8,100}}))[ \t\r]*$"),
    ((" *", "\t*", "pptp", "l2tp", "ppp"), rf"(?m)^[ \t]{{0,8}}[\"']?[\w.@\\-]{{1,60}}[\"']?[ \t]{{1,20}}(?:\*|pptpd?|x?l2tpd?|pppd?|pppoe[\w-]{{0,10}})[ \t]{{1,20}}{_VALUE}(?:[ \t]{{1,20}}[\d.*/\"-]{{1,30}}){{0,2}}[ \t\r]*$"),
    (("PSK", "XAUTH", "EAP", "NTLM", "RSA"), r":\s{0,4}(?:PSK|XAUTH|EAP|NTLM|(?:RSA|ECDSA|P12|PKCS8|PIN) \S{1,100})\s{1,4}(?:\"([^\"\n]{3,200})\"|'([^'\n]{3,200})'|(0s[A-Za-z0-9+/=]{8,200}))"),
    (("secrets", "sasl_passwd", "passwd-s3fs", "passwd.client"), rf"\b(?:\w{{0,12}}\.secrets|sasl_passwd|passwd-s3fs|passwd\.client)\b[^\n]{{0,80}}\n(?:[^\n]{{0,120}}\n){{0,2}}?(?:[^\s:]{{1,80}}[ \t])?[\w.@*-]{{1,60}}:{_VALUE}"),
    (("@",), rf"(?m)^[ \t]{{0,8}}\[?[\w-]{{1,40}}(?:\.[\w-]{{1,40}}){{1,4}}\]?(?::\d{{2,5}})?[ \t]{{1,20}}[^\s:@]{{1,60}}@[\w.-]{{1,80}}:{_VALUE}[ \t\r]*$"),
    (("smtp", "mail", "imap"), rf"(?m)^[ \t]{{0,8}}\*?(?:smtp|mail|imap|mx\d?)[\w.-]{{1,80}}:[\w.@-]{{1,60}}:{_VALUE}[ \t\r]*$"),
    (("auth-user-pass",), rf"\bauth-user-pass\b[^\n]{{0,60}}\n\S{{1,60}}\n{_VALUE}"),
    (("COMMAND=",), r"\b\w{0,30}PASS(?:WORD_)?COMMAND=[\"']?(?:echo|printf) [\"']?([^\s\"']{3,200})"),
    # Proxies: squid, proxychains
    (("login=",), r"\blogin=[\w.@\\-]{1,60}:([^\s\"'&]{4,200})"),
    (("http", "socks", "raw "), rf"(?m)^[ \t]{{0,8}}(?:https?|socks[45]|raw)[ \t]{{1,20}}\d{{1,3}}(?:\.\d{{1,3}}){{3}}[ \t]{{1,20}}\d{{2,5}}[ \t]{{1,20}}\S{{1,60}}[ \t]{{1,20}}{_VALUE}"),
    # Installers and automatic log-ons: Windows, kickstart, LDIF
    (("DefaultPassword",), r"\b(?:Alt)?DefaultPassword[\"']?[ \t]{1,40}REG_SZ[ \t]{1,40}([^\s][^\n]{2,200})"),
    (("assword>",), r"(?i:<(?:\w{0,20})password>\s{0,20}<value>)([^<>\n]{3,400})(?i:</value>)"),
    (("rootpw",), r"(?m)^[ \t]{0,8}rootpw[ \t]{1,8}(?:--(?:plaintext|iscrypted|lock|allow-ssh)[ \t]{1,8}){0,3}([^\s-][^\s]{3,200})"),
    (("assword::", "krbPrincipalKey::", "unicodePwd::"), r"(?i:\b(?:userPassword|sambaNTPassword|krbPrincipalKey|unicodePwd)::\s{1,4})([A-Za-z0-9+/=]{8,400})"),
    # Dialogues of chat and mail: IRC, IMAP
    (("IDENTIFY ", "identify "), r"(?i:\b(?:nickserv|ns)[ :]{1,3}identify (?:\S{1,40} )?)(\S{4,200})[ \t\r]*(?:$|\n)"),
    (("LOGIN ",), rf"(?m)^(?:[CS]: )?\w{{1,8}} LOGIN [\"']?[\w.@-]{{1,80}}[\"']? {_VALUE}"),
    (("send ",), r"(?:assword|assphrase|asscode)[^\n]{0,80}\n[ \t]{0,20}(?:exp_)?send (?:-- )?[\"']([^\"'\\\n]{4,200})\\{1,2}[rn]"),
    # Settings of programs that take "user:password": curl, wget, Bundler; and Db2's log-in by words
    (("user", "proxy"), rf"(?m)^[ \t]{{0,8}}-{{0,2}}(?:proxy-)?user[ \t]{{0,4}}[=: ][ \t]{{0,4}}[\"']?[\w.@-]{{1,60}}:{_VALUE}"),
    (("bundle config",), r"\bbundle config (?:set )?(?:--\w{2,10} ){0,2}\S{1,100} [\w.@-]{1,60}:[\"']?([^\s\"']{6,200})"),
    (("connect to ", "CONNECT TO "), r"(?i:\bconnect to \w{1,40} user \S{1,60} using )[\"']?([^\s\"';]{4,200})"),
    (("send ",), r"\bsend (?:-- )?\"([^\"\\\n]{4,200})\\{1,2}[rn]\"[^\n]{0,20}(?i:password|passphrase)"),
    # A variable in a debugger, and the key that opens an encrypted disk of macOS
    (("getenv(",), r"(?i:getenv\(\\?\"\w{0,40}(?:token|key|secret|passw(?:or)?d)\\?\"\))[^\n]{0,40}\n?[^\"\n]{0,40}\"([^\"\n]{6,400})\""),
    (("ecovery key", "ecovery Key"), r"(?i:\brecovery key\b[^\n]{0,30}?[=:]\s{0,4})[\"']?([A-Z0-9]{4}(?:-[A-Z0-9]{4}){5})\b"),
    # A name in an element, and its value in the next one: property lists, Hadoop, templates of clouds, the registry of Windows
    (("</key>", "</name>"), r"(?i:<(key|name)>[^<>\n]{0,80}(?:token|password|passwd|secret|api[-_.]?key|access[-_.]?key|credential)s?</\1>\s{0,40}<(?:string|value)>)([^<>\n]{4,400})(?i:</(?:string|value)>)"),
    (("REG_SZ",), r"(?i:(?:token|passw(?:or)?d|secret|api_?key|credential)s?[\"']?\s{1,40}(?:/t )?REG_SZ\s{1,40}(?:/d )?)[\"']?([^\s\"']{4,400})"),
    (("ParameterValue=",), r"\bParameterKey=\w{0,40}(?:[pP]assword|[sS]ecret|[tT]oken|[kK]ey)\w{0,10},ParameterValue=[\"']?([^\s\"',]{4,400})"),
    (('"value"',), r"\"\w{0,40}(?:[pP]assword|[sS]ecret|[tT]oken|[aA]piKey|[aA]ccessKey)\"\s{0,4}:\s{0,4}\{\s{0,20}\"value\"\s{0,4}:\s{0,4}\"([^\"\n]{4,400})\""),
    (("String",), r"(?i:(?:token|password|secret|api_?key)): ?String\?? ?= ?\"([^\"\n]{6,400})\""),
    # Addresses that whoever has them can post to
    (("day.app/", "zapier.com/hooks", "ntfy.sh/"), r"(?:\bapi\.day\.app/|\bhooks\.zapier\.com/hooks/catch/\d{2,12}/|\bntfy\.sh/(?=[\w-]{0,60}\d))([\w-]{6,64})"),
    (("]=>",), r"(?i:\[\"[\w-]{0,30}(?:token|passw(?:or)?d|secret|api_?key)\"\]=>)\s{0,12}string\(\d{1,4}\) \"([^\"\n]{4,400})\""),
    # "I set HF_TOKEN to X"
    (("TOKEN", "KEY", "SECRET", "PASSWORD"), r"\b[A-Z][A-Z0-9_]{1,40}_(?:TOKEN|API_KEY|KEY|SECRET|PASSWORD) (?:to|as|with|was|is) [\"'`]?(?=[^\s\"'`]{0,60}\d)([\w.+/=-]{10,400})"),
)  # fmt: skip
