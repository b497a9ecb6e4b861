"""List the lines in which a person names versions and GPUs: "torch 2.6.0/cu124, Python 3.11", "training on 8 A100-SXM4-40GB GPUs".

A version that a line requires, recommends or lists need not be installed: `_NOT_OURS` leaves such lines out. The output of a
program counts more than these lines.
"""

from __future__ import annotations

from attn_doctor.logs.stated_facts.sign import Sign

_NOT_OURS = (
    r"^(?=.{1,400}$)(?!.{0,400}(?:upport|equire|ecommend|inimum|ompatib|eprecat|t least|>=|<=|~=|(?:or|and) (?:newer|later|above|higher|greater|older|up)\b|"
    r"\b(?:needs?|must|should|please|Please|only|instead|expects?|expected|until|since|wheels?|built for|such as|e\.g\.|"
    r"instructions|[Ii]n PyTorch|[Ff]rom PyTorch)\b))(?:.{0,300}?)"
)
_V3 = r"3\.(?:[5-9]|1[0-5])(?:\.\d{1,2})?"
_END = r"(?![\d+*x-]|\.[\dx*]|/[\d\w]|\s?(?:[-–]|to|through)\s?\d|, 3\.|\s?[<>])"
_PYTHON = rf"(?<![\w./\\<>=-])(?:C?[Pp]ython|PYTHON|py)[ =:v-]{{0,3}}(?P<python>{_V3}){_END}"
_TORCH = r"(?<![\w./\\<>=-])(?:[Pp]y)?[Tt]orch[ =:v-]{0,3}(?P<torch>[12]\.\d{1,2}(?:\.\d{1,2})?(?:\+(?:cu\d{2,3}|cpu|rocm\d[\d.]*\d))?)(?![\w.]*\d)"
_BEFORE = (" ", "=", "==", ": ", " v", " = ")  # between a name and its version
_PYTHONS = (
    *(f"{word}{space}3." for word in ("python", "Python", "PYTHON") for space in _BEFORE),
    *("Python3.", "Python-3.", "PYTHON3."),
)
_TORCHES = tuple(f"orch{space}{major}." for major in "12" for space in (*_BEFORE, "", "-"))

# The words before a GPU that the person has: "on my RTX 3090", "8x A100", "GPU: RTX 4090", "Ubuntu 22.04, RTX 4090".
_OWN = (
    r"(?:\b(?:on|using|have|has|got|with|own|use|running|my|[Aa] single|GPUs?|card)(?:\s(?:my|a|an|the|one|two|single|\d{1,2}))?\s(?:\d{1,2} ?[x×] ?)?|"
    r"\b\d{1,2} ?[x×*] ?|\b\d{1,2} (?=[AHV]\d{2,3}\b)|^(?:\W{0,4}(?:GPUs?|[Gg]raphics(?: [Cc]ard)?|[Vv]ideo [Cc]ard|Card|显卡|Hardware|Device|Model)(?: [Nn]ame| [Mm]odel)?"
    r"\s{0,3}[:：=|]\s{0,20}\W{0,4}|[^,;]{2,60}[,;] )?)"
)
_NVIDIA = (
    r"(?:(?:NVIDIA|[Nn]vidia|GeForce|[Gg]eforce|Tesla|Quadro) )*(?:(?:RTX|rtx|GTX|gtx) ?(?:A\d{3,4}|PRO \d{4}(?: Blackwell)?|\d{3,4})"
    r"(?: ?[Tt][Ii])?(?: ?(?:SUPER|Super|super))?(?: Ada)?(?: ?D\b)?(?: [Ll]aptop(?: GPU)?)?|MX ?\d{3}|GT ?\d{3,4}|TITAN \w{1,4}|Titan \w{1,4}|"
    r"(?:A100|A800|H100|H200|H800|H20|V100S?|A10G?|A30|A40|L4|L40S?|L20|T4|P100|P40|P4|M40|M60|K80|K40m?|B200|B300|GB200|GB300|GB10|GH200)(?:[- ](?:SXM\d?|PCIE|PCIe|NVL)\S{0,12})?(?: \d{2,3} ?GB)?)"
)
_QUADRO = (
    r"(?:NVIDIA |Nvidia )?(?:Quadro|Tesla) (?:RTX |GV|GP|[KMPTV])\d{1,4}[a-zA-Z]{0,2}|(?:NVIDIA |Nvidia )?A\d{4} Ada"
)
_AMD = (
    r"(?:AMD )?[Rr]adeon(?: ?\([Tt][Mm]\)|™)? (?:(?:[Pp][Rr][Oo] )?(?:WX|W|V|VII|vii) ?\d{0,4}|RX [Vv]ega ?\d{0,2}|[Vv]ega ?\d{2}|\d{3,4}[MS])(?: Graphics)?|"
    r"(?:AMD )?RX ?[Vv]ega ?\d{2}|[Vv]ega (?:56|64)|(?:AMD )?(?:[Ii]nstinct )?MI ?(?:6|8|25|50|60|100|210|250X?|300[AX]|325X|350X|355X)\b|(?:AMD )?(?:WX ?\d{4}|W[67][5-9]00)|[678][4-9]0M"
)
_NVIDIA_WORDS = (
    *(
        "RTX",
        "rtx",
        "GTX",
        "gtx",
        "TITAN ",
        "Titan ",
        "MX110",
        "MX130",
        "MX150",
        "MX230",
        "MX250",
        "MX330",
        "MX350",
        "MX450",
        "MX550",
        "GB10",
        "GH200",
    ),
    *(
        f"{card}{after}"
        for card in (
            "A100",
            "A800",
            "H100",
            "H200",
            "H800",
            "V100",
            "V100S",
            "B200",
            "A10",
            "A10G",
            "A30",
            "A40",
            "L4",
            "L40",
            "L40S",
            "T4",
            "P100",
            "P40",
        )
        for after in ("-SXM", "-PCI", " GPU", " SXM", " PCI")
    ),
    *(
        f"{sign}{card}"
        for card in ("A100", "A800", "H100", "H200", "V100", "A40", "L40", "T4", "P100")
        for sign in ("x ", "x", "× ")
    ),
    *(f"NVIDIA {card}" for card in ("A100", "H100", "V100", "A10", "A40", "L4", "T4", "P100", "B200")),
)

_CARDS = ("显卡", "顯卡", "идеокарт", "рафический процессор", "그래픽카드", "그래픽 카드", "グラフィックボード", "グラボ", "rafikkarte", "arte graphique",
          "arjeta gráfica", "arjeta de video", "laca de vídeo", "ekran kart", "kran kart", "arta graficzna")  # fmt: skip

SIGNS = (
    Sign(_PYTHONS, f"{_NOT_OURS}{_PYTHON}", {}, "implied", -1),
    # torch's version, only beside a version of Python or CUDA: alone it is in many sentences.
    Sign(_TORCHES, rf"{_NOT_OURS}{_TORCH}\s?(?:/|,|\(|\s)\s?\(?(?P<index>cu\d{{2,3}}|cpu)\b", {}, "implied", -1),
    Sign(_TORCHES, rf"{_NOT_OURS}{_TORCH}(?=.{{1,80}}\b(?:C?[Pp]ython|PYTHON)[ =:]{{0,3}}3\.\d)", {}, "implied", -1),
    Sign(_TORCHES, rf"{_NOT_OURS}(?:\b(?:C?[Pp]ython|PYTHON)[ =:]{{0,3}}3\.\d).{{1,80}}?{_TORCH}", {}, "implied", -1),
    Sign(_TORCHES, rf"{_NOT_OURS}{_TORCH}\s?(?:,|\(|/|with|built for|for|and|\+|\|)\s?(?:CUDA|cuda|cu)\s?(?:version:? ?)?(?P<torch_cuda>\d{{1,2}}\.\d)(?=$|\.?[\s,;)|]|\.$)", {}, "implied", -1),
    # GPUs
    Sign(_NVIDIA_WORDS, rf"{_NOT_OURS}{_OWN}(?<![\w.-])(?P<gpu>{_NVIDIA})(?![\w.-]|/\d| ?(?:series|Series|and|or|vs))", {}, "implied", -1),
    # The word for a graphics card in other languages, often followed by the number alone: "显卡3070ti", "видеокарта 3060", "Grafikkarte: RTX 4070".
    Sign(_CARDS, rf"{_NOT_OURS}(?:{'|'.join(_CARDS)})\w{{0,3}}?(?:是|为|為|用的是|型号|型號|は|が)?[\s:：=,，-]{{0,4}}(?P<gpu>{_NVIDIA}|(?:RTX|rtx|GTX|gtx)? ?(?:[2345]0[5-9]0|10[5-8]0|16[56]0)(?: ?[Tt][Ii])?(?: ?(?:SUPER|Super|super))?)(?![\w.-]|/\d)", {}, "implied", -1),
    Sign(("Quadro ", "Tesla ", " Ada"), rf"{_NOT_OURS}(?<![\w.-])(?P<gpu>{_QUADRO})(?!\w)", {}, "implied", -1),
    Sign(("adeon", "Vega ", "vega ", "nstinct MI", "MI50", "MI60", "MI100", "MI210", "MI250", "MI300", " WX", " 780M", " 680M", " 890M"), rf"{_NOT_OURS}(?<![\w.-])(?P<gpu>{_AMD})(?!\w)", {}, "implied", -1),
    Sign(("Arc A", "Arc B", "Arc Pro", "Arc(TM)", "Arc™"), _NOT_OURS + r"(?<![\w.-])(?:Intel(?:\(R\)|®)? )?(?P<pci>Arc)(?:\(TM\)|™)? (?:A[357]\d0M?|B5[78]0|Pro [AB]\d{2})\b", {}, "implied", -1),
    Sign(("ntel",), _NOT_OURS + r"\b(?:using|have|has|got|with|on|is|my)(?: (?:a|an|the|my|just))*(?: integrated| onboard)? (?P<pci>Intel)(?:\(R\)|®)?(?: (?:integrated|onboard))? (?:GPU|[Gg]raphics|[Ii]ris|IRIS|UHD|HD [Gg]raphics)", {}, "implied", -1),
    Sign(("ntel",), r"^\W{0,4}(?:[Ii]ntegrated|[Oo]nboard) (?P<pci>Intel)(?:\(R\)|®)? (?:GPU|[Gg]raphics|Iris|UHD|HD)(?!.{0,60}(?:NVIDIA|GeForce|RTX|GTX))", {}, "implied", -1),
    Sign(("ntel",), r"^\W{0,4}(?:GPU|[Gg]raphics(?: [Cc]ard)?|[Vv]ideo [Cc]ard|显卡)\s?[:：]\s?(?P<pci>Intel)(?:\(R\)|®)? (?:GPU|[Gg]raphics|Iris|UHD|HD)(?!.{0,60}(?:NVIDIA|GeForce|RTX|GTX))", {}, "implied", -1),
    # "gfx908, ROCm 6.2": a line that begins with the GPU of its writer.
    Sign(("gfx",), r"^\W{0,3}(?P<gfx>gfx(?:[19]\d{1,2}[0-9a-f]{1,2}|803)), (?!.*gfx)", {}, "implied", -1),
    Sign(("gfx",), rf"^(?=.{{1,160}}$)(?!.*gfx.*gfx){_NOT_OURS}(?<![\w;=:/.-])(?P<gfx>gfx[19]\d{{1,2}}[0-9a-f]{{1,2}}|gfx803)(?![\w;,])", {}, "implied", -1),
)  # fmt: skip
