"""List calls in source code whose arguments are secrets because of their place: clients of services, connections, signatures, ciphers.

An argument with a telling name, as `api_key="X"`, is found by `keys`.
"""

from __future__ import annotations

# A token: hexadecimal digits, letters of both cases with a digit, or small letters with two digits. A name of a model has hyphens or a slash.
_RANDOM = (
    r"((?=[a-f]{0,40}\d)[0-9a-f]{24,128}|(?=[^\"'\n]{0,60}\d)(?=[^\"'\n]{0,60}[A-Z])(?=[^\"'\n]{0,60}[a-z])[A-Za-z0-9_]{16,400}={0,2}|(?=[a-z]{0,30}\d[a-z]{0,30}\d)[a-z0-9]{20,64}|"
    r"(?=[^\"'\n]{0,80}\d)(?=[^\"'\n]{0,80}[A-Z])[A-Za-z0-9_+/-]{40,400}={1,2}|[A-Z0-9]{20,64}(?<=\d)|\d{6,12}:[\w-]{30,60})"
)
# A password: a digit, a letter, and a capital or a sign.
_MIXED = r"(?=[^\"'\n]{0,60}\d)(?=[^\"'\n]{0,60}[A-Za-z])(?=[^\"'\n]{0,60}[A-Z!#$%&*@^~+?=])([^\"'\s]{6,100})"
_BEFORE = r"(?:(?:\w{1,20}\s?=\s?)?(?:b?[\"'][^\"'\n]{0,120}[\"']|\d{1,5}|None),\s{0,3})"
_CLIENTS = (
    r"\w{0,40}(?:[Cc]lient|Manager|API|Api|Session|Bot|S[Dd][Kk]|Service|Hub|Provider|Connector|Account)|[Gg]it(?:hub|[Ll]ab|ea)|Roboflow|Stripe|OpenAI|Anthropic|Replicate|Cohere|Mistral\w{0,10}|Zenodo|Dropbox|Notion|Airtable|Figma\w{0,6}|"
    r"Experiment|Pinecone|Together|Groq|Jira|Minio|S3Connection|Pushover|Todoist\w{0,6}|Trello\w{0,6}|TeleBot|Updater|Telegraph|Linode\w{0,8}|Vultr\w{0,6}|Hetzner\w{0,8}|Redmine|Asana|Miro|Sentry|Raven|Mixpanel|Algolia\w{0,8}|ElevenLabs|AssemblyAI|Deepgram|SerpApi\w{0,8}|"
    r"run|init_run|init_project|Comet\w{0,12}|login|signin|authenticate|authorize"
)

RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    # LinodeClient("X"), Github('X'), gitlab.Gitlab('https://x', 'X')
    (('("', "('", "(b'", '(b"'), rf"\b(?:{_CLIENTS})\(\s?{_BEFORE}{{0,4}}b?[\"']{_RANDOM}[\"']"),
    (
        ("onnect", "Pool(", "FTP", "SMTP", "IMAP", "POP3", "auth", "Auth", "bind", "WebDAV", "ogin", "edis(", "MySQL"),
        (
            r"\b(?:\w{0,20}[cC]onnect(?:ion(?:Pool)?)?|\w{0,20}Pool|FTP(?:_TLS)?|SMTP(?:_SSL)?|IMAP4(?:_SSL)?|POP3(?:_SSL)?|\w{0,12}[aA]uth(?:enticate|enticator)?|(?:simple_)?bind(?:_s)?|WebDAV|log[io]n|sign_?in|(?:Strict)?Redis|MySQLdb)"
            rf"\({{1,2}}\s?{_BEFORE}{{1,4}}b?[\"']{_MIXED}[\"']"
        ),
    ),
    # client.setApiKey('X'), hub.from_token('X'), ZipFile.setpassword(b'X')
    (
        ("oken(", "ey(", "assword(", "ecret(", "redentials("),
        rf"(?i:\b(?:set|with|use|from|add|update|register|store)_?(?:api|access|auth|secret|client|bearer|service|hub|hf)?_?(?:key|token|password|secret|credentials))\(\s?{_BEFORE}{{0,2}}b?[\"'](?=[^\"'\n]{{0,60}}\d)([^\"'\s]{{8,400}})[\"']",
    ),
    # Signatures and ciphers: hmac, PyJWT, itsdangerous, cryptography, crypto-js
    (
        ("hmac", "Hmac", "HMAC"),
        r"\b(?:hmac\.(?:new|digest|HMAC)|HMAC\.new)\(\s?b?[\"']([^\"'\n]{4,400})[\"']|\bcreateHmac\(\s?[\"'][\w-]{2,20}[\"'],\s?[\"']([^\"'\n]{4,400})[\"']",
    ),
    (("jwt.", "JWT."), r"\b(?:jwt|JWT)\.(?:encode|decode|sign|verify)\([^\n]{1,300}?,\s?b?[\"'](?!HS\d|RS\d|ES\d)([^\"'\s]{6,400})[\"']"),
    (
        ("Serializer(", "Signer(", "Fernet(", "SecretBox(", "scrypt(", "AESGCM(", "Cipher(", "AES.new(", "derive("),
        r"\b(?:(?:URLSafe|Timed|JSONWeb){0,3}Serializer|(?:Timestamp)?Signer|Fernet|SecretBox|AESGCM|scrypt|AES\.new|derive)\(\s?b?[\"'](?=[^\"'\n]{0,60}\d)([^\"'\s]{8,400})[\"']",
    ),
    (
        ("pgp_sym", "_ENCRYPT(", "_DECRYPT(", "_encrypt(", "_decrypt(", "PASSPHRASE("),
        r"(?i:\b(?:pgp_sym_(?:en|de)crypt\w{0,6}|aes_(?:en|de)crypt|des_(?:en|de)crypt)\([^\n]{1,200}?,\s?)[\"']([^\"'\n]{4,200})[\"']|(?i:\b(?:en|de)cryptbypassphrase\(\s?N?)[\"']([^\"'\n]{4,200})[\"']",
    ),
)  # fmt: skip
