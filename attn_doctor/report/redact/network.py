"""Find network and mail addresses, identifiers and serial numbers: they name a machine, a part of it or a person."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_Found = tuple[int, int, str]

_UUID = re.compile(
    r"(?i)(?<![0-9a-z])(?:GPU-|MIG-(?:GPU-)?)?(?:[0-9a-f]{8}([-_])[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}(?:/\d{1,3}/\d{1,3})?(?![0-9a-z]))"
)
# CUDA_VISIBLE_DEVICES takes the beginning of a UUID: https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables
_GPU = re.compile(
    r"(?<![A-Za-z0-9])(?:GPU|MIG|MIG-GPU)-(?=[0-9a-f-]{0,36}\d)[0-9a-f]{4,12}(?:-[0-9a-f]{1,12}){0,4}(?![\w.])",
    re.IGNORECASE,
)
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
_AMAZON = re.compile(
    r"(?<![\w-])(?:i|vol|vpc|subnet|sg|eni|snap|ami|eipalloc|rtb|fs|mi)-(?:[0-9a-f]{17}|(?=[a-f]{0,7}\d)[0-9a-f]{8})(?![\w-])"
)
_BARE_UUID = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-f]{32}|[0-9A-F]{32})(?![0-9A-Za-z])")
_OF_PIP = re.compile(r"pip-[a-z-]{1,20}\w{4,10}[/\\]{1,4}[\w.-]{1,40}_$")  # a folder in which pip builds a package
_HASH_BEFORE = re.compile(
    r"(?i)(?:md5|hash|digest|checksum|etag|sha\d*|crc|blake\w*|fingerprint|commit|rev(?:ision)?|build[-_ ]?id)[\w-]{0,8}[\"']?\s?[:=(#]?[\s\"']{0,3}$|\.(?:conda|bz2|gz|xz|zip|whl|zst)#$"
)

_MAC = re.compile(
    r"(?i)(?<![0-9a-z])(?<![0-9a-z][:.-])(?:"
    r"[0-9a-f]{2}(?:([:_-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4,30}"  # 6 bytes, 8 (EUI-64), 16 and more (fingerprints), 20 (InfiniBand)
    r"|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}"
    r"|(?=[0-9:]{0,17}[a-f])[0-9a-f]{1,2}(?::[0-9a-f]{1,2}){5}"
    r")(?![0-9a-z])(?![:-][0-9a-f]{1,2}\b)"
)
_BARE_MAC = re.compile(
    r"(?i)(?:(?<![a-z])(?:hw|hard|ether|mac|lladdr|bssid|wwn|wwpn|wwid|eui|n?guid|portguid|nodeguid|caguid|switchguid)\w{0,12}(?:[ _-]?addr(?:ess)?)?[\"']?\s{0,20}[=:> ]\s{0,8}[\"']?(?:0x|naa\.|eui\.)?"
    r"|(?<![a-z])(?:en|wl|ww)x|(?<![0-9a-z])(?:wwn-0x|eui\.|nvme-eui\.|naa\.|(?<=[\"'])[HSR]-))([0-9a-f]{12}|[0-9a-f]{16}|[0-9a-f]{32})(?![0-9a-z])"
)
_OF_UNIT = re.compile(r"WWN Device Id:\s{0,20}([0-9a-f] [0-9a-f]{6} [0-9a-f]{9})")  # as smartctl writes it
_DATE = re.compile(r"\d\d[-_](?:0\d|1[0-2])[-_](?:[0-2]\d|3[01])[-_](?:[01]\d|2[0-3])[-_][0-5]\d[-_][0-5]\d")
_GUID = re.compile(
    r"(?i)(?<![0-9a-z:])(?=[0-9:]{0,18}[a-f])[0-9a-f]{4}(?::[0-9a-f]{4}){3}(?![0-9a-z:])"
)  # of an InfiniBand node

_IPV6 = re.compile(
    r"(?i)(?:(?<![0-9a-z:.])|(?<=[g-z]:)|(?<=addr:))(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?:%[\w.-]{1,20})?(?!\w|:[\w:])"
)
# NCCL: "[0]eno1:fe80::b8bb:2bff:fea4:d85f%eno1<0>"
_IPV6_OF_CARD = re.compile(
    r"(?i)(?<![a-z0-9])(?:en|eth|ib|wl|bond|br|hsn|team|vlan)[\w.-]{0,14}?:((?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%[\w.-]{1,20})?)(?![\w:])"
)
_IPV6_NAME = re.compile(
    r"(?i)(?<![0-9a-z])(?:[0-9a-f]{0,4}-){2,7}[0-9a-f]{0,4}(?:s\w{1,16})?(?=\.ipv6-literal)|(?<![\w.])(?:[0-9a-f]\.){8,32}(?=ip6\.arpa)"
)

_EMAIL_BEFORE = re.compile(r"[\w.+%'!#$&*/=?^{|}~-]{1,64}$")
_EMAIL_AFTER = re.compile(r"(?:[\w-]{1,63}\.){0,8}[\w-]{1,63}")
_OBFUSCATED = re.compile(
    r"(?i)(?<![\w.+-])[\w.+-]{1,64} ?[\[({]at[\])}] ?[\w-]{1,63}(?: ?(?:[\[({]dot[\])}]|\.) ?[\w-]{1,63}){0,4}"
)
_NO_PERSON = frozenset("git hg svn".split())
# Roles at the domains that are reserved for documentation: https://www.rfc-editor.org/rfc/rfc2606#section-3
_OF_DOCUMENTATION = re.compile(
    r"(?i)(?:admin|contact|hello|help|info|mail|me|name|no-?reply|security|someone|support|test|user(?:name)?|webmaster|you(?:r[._-]?name)?)@example\.(?:com|net|org)"
)
_VERSION_AFTER = re.compile(
    r"(?i)v?\d+(?:\.\d+)*(?:[.-]?[a-z]\w*)*$|@|(?:GLIBC|GLIBCXX|CXXABI|GCC|OPENMP|LIB|VERS|NVIDIA|CUDA|libcu)\w*[_.]|main$|master$|latest$|nightly$|next$|stable$|HEAD$|sha(?:256|384|512)$"
)
_CODE_AFTER = re.compile(r"(?:self|torch|np|numpy|F|math|cls|this)\.|\w+(?:\.\w+)*[(\[]|[A-Z]$|\w{1,2}\b(?![.-]\w)")
_DOMAIN = re.compile(
    r"\.(?!(?:mT|transpose|permute|view|reshape|contiguous|float|half|bfloat\d+|cuda|cpu|data|weight|bias|shape|to|type|size)$)[a-z]{2,24}$"
)
_TENSORS = frozenset(
    "q k v x y w a b qk kv qkv attn query key value weight input output mat mat1 mat2 lhs rhs left right out grad scores probs bias mask".split()
)
_MAIL_CONTEXT = re.compile(
    r"(?i)(?:mail\w*|from|to|cc|bcc|author|maintainer|contact|committer|signed-off-by|user|login|ssh|scp|rsync|sftp|account|owner|principal|reply|sender|recipient|name|id|by)[\"'>]?\s{0,3}[:=<(>]?\s{0,3}[\"'<(]?$"
)

_SERIAL = re.compile(
    r"(?i)(?:(?<![a-z])(?:(?:board|product|chassis|system|gpu|disk|drive|device|module|unit|hardware|hw|baseboard|bios|pci|usb|ioplatform|i)[-_ ]?)?serial(?:[-_ ]?(?:number|num|no|nr|nbr|id|short)\.?|_short)?(?: \((?:system|processor tray|board|logic board)\))?|"
    r"(?<![a-z])s/n|(?<![A-Za-z])SN|service[-_ ]?tag|asset[-_ ]?(?:tag|no|number|id)|express[-_ ]?service[-_ ]?code|imei|imsi|iccid|meid|machine[-_ ]?id|host[-_ ]?id|"
    r"boot[-_ ]?id|chip[-_ ]?id|dongle[-_ ]?id|hwid|seriennummer|teamviewer id|anydesk id)"
    r"(?:[\"'`\])]{0,3})[^\S\n]{0,60}(?:#[:=]|[:=#>,\t]|=>|is\b|value\s?=|[^\S\n])(?:\s{0,8}|[ \t]{0,40})(?:\d{1,3}[ \t]{1,4}(?=[A-Z0-9]{5}))?[\"'`(]{0,2}((?=[A-Za-z._/-]{0,40}\d)[A-Za-z0-9][\w./:-]{3,60})"
)
_SERIAL_HINTS = (
    "serial s/n sn tag asset express imei imsi iccid meid machine host boot dongle hwid serien viewer anydesk".split()
)
# NVIDIA's serial number of a board has 13 digits; of Unix times in milliseconds those from 2017 on begin with 15 to 18.
_BOARD = re.compile(r"(?<![\w.])(?:0\d{12}|1[0-6]\d{11})(?![\w.])")
_DISK = re.compile(r"(?<=/by-id/)[\w.:+-]{6,120}")

_DASHED = re.compile(
    r"(?i)(?:(?<![a-z0-9])ip-|(?<![a-z0-9])ec2-|(?<![0-9.])(?<![0-9][-_])(?=(?:10|192[-_]168|172[-_](?:1[6-9]|2\d|3[01])|100[-_](?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))[-_]))"
    r"(\d{1,3})([-_])(\d{1,3})\2(\d{1,3})\2(\d{1,3})(?![0-9]|[-_.]\d)"
)
_INNER_HOST = re.compile(
    r"(?i)(?<![\w.@/-])(?:[a-z0-9](?:[\w-]{0,62}[a-z0-9])?\.){1,6}(?:internal|lan|corp|intranet|intra|localdomain|home\.arpa|cluster\.local|ts\.net|fritz\.box|private)(?![\w.(-])"
    r"|(?<=://)(?:[a-z0-9][a-z0-9-]{0,62}\.){1,6}(?:internal|lan|corp|intranet|intra|localdomain|home\.arpa|local|ts\.net|fritz\.box|private)(?=[:/?\s\"',;)]|$)"
    r"|(?<![\w.@/-])(?=[a-z0-9-]{0,62}[-0-9])[a-z][a-z0-9-]{2,62}\.local(?![\w.(/-])"
    r"|(?<![\w.@-])(?:[\w-]{1,63}\.){1,4}(?:compute(?:-1)?|rds|elb|eks|ec2)\.(?:[\w-]{1,63}\.)?(?:amazonaws\.com|internal)(?![\w-])"
)
# Who has the name of a link to a shared page can open the page: https://www.gradio.app/guides/sharing-your-app
_SHARED_LINK = re.compile(
    r"(?i)(?<![\w.-])(?=[a-z0-9.-]{0,60}[0-9-])[a-z0-9][a-z0-9-]{5,62}(?:\.[a-z]{2,8})?\.(?:gradio\.live|trycloudflare\.com|loca\.lt|lhr\.life|ngrok\.io|ngrok(?:-free)?\.(?:app|dev)|serveo\.net|"
    r"share\.zrok\.io|devtunnels\.ms|pinggy\.link|proxy\.runpod\.net|app\.github\.dev|modal\.run)(?![\w-])"
)


# UUIDs that are the same everywhere: of namespaces (https://www.rfc-editor.org/rfc/rfc9562#section-6.6), of Bluetooth, EFI, classes of devices of
# Windows and its plans for power, and of kinds of partitions (https://uapi-group.org/specifications/specs/discoverable_partitions_specification/).
_OF_ALL = re.compile(
    r"(?i)\{?(?:6ba7b81[0-4]-9dad-11d1-80b4-00c04fd430c8|[0-9a-f]{8}-0000-1000-8000-00805f9b34fb|4d36e9[67][0-9a-f]-e325-11ce-bfc1-08002be10318|8be4df61-93ca-11d2-aa0d-00e098032b8c|"
    r"258eafa5-e914-47da-95ca-c5ab0dc85b11|381b4222-f694-41f0-9685-ff5bb260df2e|8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c|a1841308-3541-4fab-bc81-f71556f20b4a|e9a42b02-d5df-448d-aa00-03f14749eb61|"
    r"c12a7328-f81f-11d2-ba4b-00a0c93ec93b|0fc63daf-8483-4772-8e79-3d69d8477de4|ebd0a0a2-b9e5-4433-87c0-68b6b72699c7|e6d6d379-f507-44c2-a23c-238f2a3df928|21686148-6449-6e6f-744e-656564454649|"
    r"0657fd6d-a4ab-43c4-84e5-0933c84b4f4f|4f68bce3-e8cd-4db1-96e7-fbcaf984b709|b921b045-1df0-41c3-af44-4c6f280d3fae|a19d880f-05fc-4d3b-a006-743f0f84911e|933ac7e1-2eb4-4f13-b844-0e14e2aef915|"
    r"e3c9e316-0b5c-4db8-817d-f92df00215ae|de94bba4-06d1-4d40-a16a-bfd50179d6ac|bc13c2ff-59e6-4262-a352-b275fd6f7172|([0f])\1{7}(?:-\1{4}){3}-\1{12})"
)


def identities(text: str) -> Iterator[_Found]:
    """Yield (start, end, kind) of each identifier. The kinds are uuid, mac, ip, email, serial and host.

    IPv4 addresses with dashes (ip-10-0-0-1) are among them. Those with dots look like versions: `addresses` finds them.
    """
    yield from _uuids(text)
    yield from _macs(text)
    if ":" in text or "-" in text or "ip6" in text:
        yield from _ipv6(text)
    if "@" in text or " at" in text or "(at" in text or "[at" in text:
        yield from _mails(text)
    yield from _serials(text)
    if "." in text:
        yield from ((*match.span(), "host") for match in _INNER_HOST.finditer(text))
        yield from ((*match.span(), "host") for match in _SHARED_LINK.finditer(text))
    if "-" in text or "_" in text:
        for match in _DASHED.finditer(text):
            if all(int(match[part]) <= 255 for part in (1, 3, 4, 5)):
                yield match.start(1), match.end(5), "ip"


def _uuids(text: str) -> Iterator[_Found]:
    for pattern in (_UUID, _GPU, _AMAZON):
        yield from ((*match.span(), "uuid") for match in pattern.finditer(text) if not _OF_ALL.fullmatch(match[0]))
    for match in _BARE_UUID.finditer(text):
        before = text[max(match.start() - 60, 0) : match.start()]
        if not _HASH_BEFORE.search(before[-40:]) and not _OF_PIP.search(before) and len(set(match[0])) > 4:
            yield *match.span(), "uuid"


def _macs(text: str) -> Iterator[_Found]:
    for match in _MAC.finditer(text):
        if not _DATE.fullmatch(match[0]) and len(set(match[0])) > 2:
            yield *match.span(), "mac"
    for match in _BARE_MAC.finditer(text):
        yield *match.span(1), "mac"
    for match in _OF_UNIT.finditer(text) if "WWN" in text else ():
        yield *match.span(1), "mac"
    for match in _GUID.finditer(text):
        yield *match.span(), "mac"


def _ipv6(text: str) -> Iterator[_Found]:
    for match in _IPV6.finditer(text):
        sentence = match[0].endswith(":") and not match[0].endswith("::")  # "no route to fd00::7: refused"
        if _is_ipv6(match[0].partition("%")[0].removesuffix(":" if sentence else "")):
            yield match.start(), match.end() - sentence, "ip"
    for match in _IPV6_OF_CARD.finditer(text):
        if _is_ipv6(match[1].partition("%")[0]):
            yield *match.span(1), "ip"
    for match in _IPV6_NAME.finditer(text):
        yield *match.span(), "ip"


def _is_ipv6(text: str) -> bool:
    """Return whether a text is a machine's IPv6 address: neither loopback, nor a C++ name (c10::d), nor a slice ([0:10::2])."""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    if address.ipv4_mapped is not None or "." in text:
        return True
    first = int(address) >> 112
    real = 0x2000 <= first <= 0x3FFF or first & 0xFE00 == 0xFC00 or first & 0xFF80 == 0xFE80 or first in (0x64, 0x100)
    return text.count(":") == 7 or "::" not in text or (real and (any(map(str.isdigit, text)) or text.count(":") > 3))


def _mails(text: str) -> Iterator[_Found]:
    at = text.find("@")
    while at >= 0:
        before = _EMAIL_BEFORE.search(text, max(at - 64, 0), at)
        after = _EMAIL_AFTER.match(text, at + 1)
        if before and after and (found := _mail(text, before, after)):
            yield found
        at = text.find("@", at + 1)
    for match in _OBFUSCATED.finditer(text):
        yield *match.span(), "email"


def _mail(text: str, before: re.Match[str], after: re.Match[str]) -> _Found | None:
    name = re.split(r"[=/&?|*!{}'#$^%]", before[0])[-1]
    host = after[0].rstrip("-")
    start, end = before.end() - len(name), after.start() + len(host)
    if not name or not name[0].isalnum() or name.lower() in _NO_PERSON:
        return None
    if _OF_DOCUMENTATION.fullmatch(text, start, end):
        return None
    if "@@" in _word_around(text, start, end):  # a name of MSVC: "?forward@@YA?AVTensor@at@@AEBV12@0_N@Z"
        return None
    if re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){3}", host):
        return start, end, "email"
    if _VERSION_AFTER.match(text[after.start() : end]):
        return None
    known = _MAIL_CONTEXT.search(text, max(start - 24, 0), start) is not None
    if not known and (
        _CODE_AFTER.match(text[after.start() : end + 1]) or (name.lower() in _TENSORS and not _DOMAIN.search(host))
    ):
        return None
    return start, end, "email"


def _word_around(text: str, start: int, end: int) -> str:
    before = re.search(r"\S{0,200}$", text[max(start - 200, 0) : start])
    after = re.match(r"\S{0,200}", text[end : end + 200])
    return (before[0] if before else "") + text[start:end] + (after[0] if after else "")


def _serials(text: str) -> Iterator[_Found]:
    named = any(hint in text.lower() for hint in _SERIAL_HINTS)
    for match in _SERIAL.finditer(text) if named else ():
        if not re.fullmatch(r"\d{1,5}|0x0+|\d*\.[\d.]*%?|/dev/\S*", match[1]):
            yield *match.span(1), "serial"
    for match in _BOARD.finditer(text):
        if "," in text[max(match.start() - 3, 0) : match.end() + 2]:
            yield *match.span(), "serial"
    if "/by-id/" in text:
        yield from ((*match.span(), "serial") for match in _DISK.finditer(text))
