"""List the words in which a person names the system or the board: "M2 Max, macOS 14.5", "RTX 4060 Laptop on Windows 11", "AGX Orin".

They count less than what a program printed. A line that names several systems, or says what is supported, is left out.
"""

from __future__ import annotations

from attn_doctor.logs.stated_facts.sign import Sign

_MAC, _WINDOWS, _LINUX = {"os": "darwin"}, {"os": "windows"}, {"os": "linux"}
_APPLE = {"os": "darwin", "machine": "arm64"}
_JETSON = {"os": "linux", "machine": "aarch64", "board": "jetson"}
# A line that says what is needed, supported, or true on other machines; and the paths of programs.
_OURS = (
    r"^(?=.{1,240}$)(?!.{0,200}(?:upport|equire|ecommend|ompatib|vailable|work(?:s|ed)\b|\b(?:needs?|must|should|only|unlike|instead of|wheels?|users|fine|"
    r"built for|image|e\.g|download|version of|fixed|tested)\b|\.py\b|://|\.whl|\.so\b))"
)
_NO_WINDOWS = r"(?!.*\b[Ww]in(?:dows|1[01])\b)"
_NO_LINUX = r"(?!.*(?:[Ll]inux|[Uu]buntu|[Dd]ebian|\b(?:WSL|wsl)|[Dd]ocker|[Cc]ontainer))"
_NO_MAC = r"(?!.*(?:\b[Mm]ac ?(?:OS|[Bb]ook)\b|\bApple\b))"
_IS_A_MAC = _OURS + _NO_WINDOWS + _NO_LINUX
_IS_WINDOWS = _OURS + _NO_LINUX + _NO_MAC
# What else stands in such a line: hardware, versions, or a person.
_OF_A_PERSON = r"(?=.*(?:\b(?:RTX|GTX|MX\d|GeForce|GPU|[Ll]aptop|[Nn]otebook|PC|desktop|my|My|I|I'm|we)\b|[Tt]orch|[Pp]ython ?\d|CUDA ?\d|cuda ?\d))"
_RELEASE = r"(?:Catalina|Big Sur|Monterey|Ventura|Sonoma|Sequoia|Tahoe)"
_OSX = r"(?:mac ?OS|macos|MacOS|Mac OS(?: X)?|OS ?X)"

SIGNS = (
    # macOS
    Sign(
        ("macOS ", "macos ", "MacOS ", "Mac OS", "mac OS", "OSX", "OS X", "macOS"),
        rf"{_IS_A_MAC}.{{0,200}}?(?<![\w/.-]){_OSX}(?: {_RELEASE})?,? v?(?P<os_version>1[0-5](?:\.\d+){{0,2}}|26(?:\.\d+){{0,2}})(?![\w-])",
        _MAC,
        "implied",
        -1,
    ),
    Sign(("macOS", "MacOS", "macos"), rf"{_IS_A_MAC}.{{0,200}}?(?<![\w/.-]){_OSX}(?: {_RELEASE}|(?=\W*$))", _MAC, "implied", -1),
    Sign(("pple ",), rf"{_IS_A_MAC}.{{0,200}}?\b[Aa]pple (?:[Ss]ilicon|[Mm][1-5]\b)", _APPLE, "implied", -1),
    Sign(
        tuple(f"M{number}{end}" for number in "12345" for end in (" Pro", " Max", " Ultra", " chip", " Mac", " mac", "-chip")),
        rf"{_IS_A_MAC}.{{0,200}}?(?<![\w/.-])M[1-5](?:[ -](?:Pro|Max|Ultra|chip|[Mm]ac))(?![\w-])",
        _APPLE,
        "implied",
        -1,
    ),
    Sign(("acBook", "acbook", "iMac", "Mac mini", "Mac Mini", "Mac Studio", "Mac Pro"), rf"{_IS_A_MAC}.{{0,200}}?(?<![\w/.@-])(?:[Mm]ac[Bb]ook|iMac|Mac [Mm]ini|Mac Studio|Mac Pro)(?![\w-])", _MAC, "implied", -1),
    # Windows
    Sign(("Windows 1", "windows 1", "Windows1", "Win 1", "win 1", "Win1", "win1"), rf"{_IS_WINDOWS}.{{0,200}}?(?<![\w/.\\-])[Ww]in(?:dows)? ?(?P<os_version>1[01])(?![\w.]*\d)", _WINDOWS, "implied", -1),
    Sign(("indows",), rf"{_IS_WINDOWS}{_OF_A_PERSON}.{{0,200}}?\b(?:[Oo]n|[Uu]nder|[Uu]sing|[Ii]n|[Mm]y|,) (?:(?:a|an|my|the|native|pure) )?[Ww]indows(?= (?:laptop|machine|PC|box|desktop)|\s?(?:$|[,;.()（]))", _WINDOWS, "implied", -1),
    Sign(("Windows", "windows"), rf"{_IS_WINDOWS}{_OF_A_PERSON}[Ww]indows\s?[,;/|]", _WINDOWS, "implied", -1),
    # Linux: a distribution with its version, beside other facts.
    Sign(
        ("Ubuntu 1", "Ubuntu 2", "ubuntu 1", "ubuntu 2", "Ubuntu-2", "Ubuntu2", "ubuntu2", "Debian 1", "Fedora 3", "Fedora 4", "Rocky Linux ", "AlmaLinux ", "CentOS 7", "CentOS 8"),
        rf"{_OURS}{_NO_MAC}{_NO_WINDOWS}.{{0,200}}?(?<![\w/.:-])(?P<distribution>[Uu]buntu|Debian|Fedora|Rocky|AlmaLinux|CentOS)(?: Linux)?[ -]?(?P<distribution_version>[12]\d\.(?:04|10)|[1-4]\d|[789](?:\.\d)?)(?:\.\d+)?(?![\w-])",
        _LINUX,
        "implied",
        -1,
    ),
    Sign(("WSL", "wsl"), rf"{_OURS}{_NO_MAC}.{{0,200}}?(?:^|[,;(/|+] ?|[Ww]indows ?1?[01]? )(?:WSL|wsl)[ -]?2?(?=\s?(?:$|[,;)/|]))", {**_LINUX, "wsl": "2"}, "implied", -1),
    # Boards
    Sign(("AGX ", "Orin N", "Xavier N", "Orin n", "Jetson", "jetson"), rf"{_OURS}.{{0,200}}?(?<![\w/.@-])(?:AGX (?:Orin|Xavier)|Orin (?:NX|[Nn]ano)|Xavier NX|[Jj]etson(?: (?:[Oo]rin|[Nn]ano|AGX|[Xx]avier|[Tt]hor|TX[12]))?(?=$|[\s,;.)]))", _JETSON, "implied", -1),
)  # fmt: skip
