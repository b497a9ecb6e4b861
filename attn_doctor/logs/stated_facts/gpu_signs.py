"""List the lines that state the GPU, its driver, the CUDA toolkit or the host compiler."""

from __future__ import annotations

from attn_doctor.logs.stated_facts.sign import Sign

# A GPU as its driver names it. "A100" or "RTX 3090" alone is in many sentences, and does not count.
_CARD = (
    r"(?:NVIDIA )?GeForce (?:RTX|GTX|MX|GT) ?\d{3,4}(?: ?Ti)?(?: ?(?:SUPER|Super))?(?: ?D)?(?: with Max-Q Design)?(?: Laptop GPU)?|"
    r"Tesla [A-Z]\d{1,4}(?:[-\w]{0,20})|Quadro (?:RTX |GV|GP|[PTKM])\w{3,5}|NVIDIA TITAN \w{1,4}|"
    r"NVIDIA (?:A\d{1,4}[A-Z]?|H[12]00|H800|H20|L\d{1,2}S?|B[123]00|T4|T\d{3,4}|V100S?|RTX|GH200|GB\d{2,3}|DGX|Jetson|Thor|Orin)(?:[-\w. ]{0,40}?)"
)
_AMD = r"AMD Radeon (?:RX|PRO|Pro|VII|Graphics|8\d{3}S|7\d{2}M|8\d{2}M)(?: ?[\w-]{1,10}){0,3}|AMD Instinct MI\w{2,5}|AMD Radeon(?:\(TM\))? Graphics"
_NVIDIA = ("GeForce ", "Tesla ", "Quadro ", "NVIDIA A", "NVIDIA H", "NVIDIA L", "NVIDIA B", "NVIDIA T", "NVIDIA V", "NVIDIA R", "NVIDIA G", "NVIDIA J", "NVIDIA O")  # fmt: skip
_WAY = r"[\\/]"
_RX = tuple(
    f"{digits}{space}{kind}"
    for digits in ("00", "50", "60", "70")
    for space in ("", " ")
    for kind in ("XT", "xt", "GRE", "gre")
)
_NO_LIST = r"^(?!.{0,400}(?:upport|ewer|bove|equire|ecommend|ater\b|such as|e\.g\.))(?:.{0,200}?)"

SIGNS = (
    Sign(("CUDA:",), r"\bCUDA:\d \((?P<gpu>(?!cpu)[^(),|]{3,60}(?:\(TM\)[^(),]{0,30})?), ?\d+Mi?B\)"),
    Sign(("UUID:",), r"\bGPU \d+: (?P<gpu>[^():]{3,60}) \(UUID: (?:GPU|MIG)-"),
    Sign(("GPU ",), rf"^(?:GPU models and configuration: )?GPU \d+: (?P<gpu>{_CARD}|{_AMD})$"),
    Sign(("(nvgpu)",), r"(?P<gpu>(?:NVIDIA )?(?:Orin|Xavier|Thor)) \(nvgpu\)"),
    Sign(("GPU ",), r"^GPU {8,}(?P<gpu>\w[^,]{2,60}), \d+Mi?B$"),
    Sign(_NVIDIA, rf"\|\s+\d+\s+(?P<gpu>{_CARD})\s*(?:\.\.\.)?\s+(?:On|Off|N/A|WDDM|TCC)?\s*\|"),
    Sign(("with CUDA capability",), rf"(?P<gpu>{_CARD}|\w[\w .-]{{3,50}}) with CUDA capability (?P<capability>sm_\d{{2,3}}) is not compatible"),
    Sign(("of compute capability (CC)",), r"Found GPU\d+ (?P<gpu>\w[\w .-]{2,50}) which is of compute capability \(CC\) (?P<capability>\d+\.\d)"),
    Sign(("of cuda capability",), r"Found GPU\d+ (?P<gpu>\w[\w .-]{2,50}) which is of cuda capability (?P<capability>\d+\.\d)"),
    Sign(_NVIDIA, rf"^(?:\"|')?(?:GPU|Device|Using GPU|device|\[\d+\]|Using device|Device 0)?\s?[:=]?\s?(?:\"|')?(?P<gpu>{_CARD})(?:\"|')?$"),
    Sign(("Device: cuda", "Device set to"), rf"Device:? (?:set to )?cuda:\d :? ?(?P<gpu>{_CARD})(?=$| :)"),
    Sign(("AMD ",), rf"^(?:Marketing Name:\s+|Device Name:\s+|GPU:? +|\"|')?(?P<gpu>{_AMD})(?:\"|')?$", {}, "implied"),
    Sign(("vidia RTX ", "VIDIA RTX ", "vidia GTX ", "VIDIA GTX "), r"^(?:GPU:? )?(?:NVIDIA|[Nn]vidia) (?P<gpu>[RG]TX \d{3,4}(?: ?Ti)?(?: ?(?:SUPER|Super))?(?: Laptop GPU)?)$", {}, "implied"),
    Sign(("Radeon", "RX "), r"^(?:[\w ]{1,30}: )?(?:AMD )?(?P<gpu>(?:Radeon (?:RX ?)?|RX ?)\d{4} ?(?:XTX|XT|GRE)?)$", {}, "implied"),
    # In the words of a person, or in quotes: "ubuntu 22.04, 6900xt", "Radeon RX 570 Series". Not in a list of supported GPUs.
    Sign(_RX, rf"{_NO_LIST}(?<![\w.-])(?P<gpu>(?:AMD )?(?:[Rr]adeon(?:\(TM\)|™)? )?(?:[Rr][Xx][ -]?)?[5679]\d{{3}} ?(?:XTX|XT|GRE|xtx|xt|gre))(?![\w-])", {}, "implied"),
    Sign(("RX ", "RX4", "RX5", "RX6", "RX7", "RX9", "rx ", "rx5", "rx6", "rx7"), rf"{_NO_LIST}(?<![\w.-])(?P<gpu>(?:AMD )?(?:[Rr]adeon(?:\(TM\)|™)? )?[Rr][Xx][ -]?(?:4[678]0|5[5-9]0|5[3-7]00|6[3-9][05]0|7[6-9]00|90[67]0)[MmSs]?)(?![\w-]| ?(?:XT|xt|GRE|gre))", {}, "implied"),
    Sign(("evice detected: AMD ", "evice: AMD ", "Name: AMD ", "name: AMD ", "GPU: AMD "), rf"(?:[Dd]evice detected|[Dd]evice(?: [Nn]ame)?|GPU(?: [Nn]ame)?): (?P<gpu>{_AMD})$"),
    Sign(("GPU: ", "GPUs: ", "GPU：", "Graphics card: "), r"^[-*•\s]{0,4}(?:GPUs?(?: [Mm]odel)?|Graphics card)(?:: |：)(?:\d ?x )?(?P<gpu>(?:(?:NVIDIA |GeForce )*(?:RTX|GTX) ?)?(?:\d{4}(?: Ti| SUPER| Super)*|[AHLBV]\d{2,3}S?)(?: Laptop)?)\b.{0,20}$", {}, "implied"),
    Sign(("GeForce ",), r"(?<!\w)(?P<gpu>(?:NVIDIA )?GeForce [RG]TX \d{3,4}(?: ?Ti)?(?: ?SUPER)?(?: Laptop GPU)?)(?= \(| has | is not| detected|, compute)", {}, "implied"),
    Sign(("your GPU has capability", "GPU has capability"), r"your GPU has capability \((?P<capability>\d+, \d)\)"),
    Sign(("get_device_capability",), r"get_device_capability\(\d?\)[^\d]{1,6}\((?P<capability>\d+, \d)\)"),
    Sign(("ompute capability",), r"(?:[Yy]our GPU|[Dd]evice \d?|GPU \d?).{0,60}(?:has|with|is of) (?:CUDA )?[Cc]ompute [Cc]apability:? (?P<capability>\d{1,2}\.\d)\b"),
    Sign(("but running on sm",), r"kernel built for sm\S{2,12}, but running on (?P<capability>sm_?\d{2,3})"),
    Sign(("for option 'gpu-name'",), r"Value '(?P<capability>sm_\d{2,3})[af]?' is not defined for option 'gpu-name'", {}, "implied"),
    Sign(("gfx",), r"(?:^Name:|GPU arch ?:|gcnArchName\W{1,6}|AMD arch:|\barch:|[Aa]rchitecture:?) ?\s*'?(?P<gfx>gfx\d{2}[0-9a-f]{1,2})\b"),
    # A line of `lspci`: only the maker's name is used, https://pci-ids.ucw.cz
    Sign(("VGA compatible controller", "3D controller", "Display controller"), r"^(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.\d (?:VGA compatible|3D|Display) controller(?: \[03\d\d\])?: (?P<pci>NVIDIA Corporation|Intel Corporation|Advanced Micro Devices)"),
    Sign(("NVIDIA Corporation ",), r"NVIDIA Corporation \w{2,8} \[(?P<gpu>(?:GeForce|Quadro|Tesla|TITAN) [\w .-]{2,30}?)(?: \d{1,2} ?GB)?(?: (?:Lite Hash Rate|Max-Q|Mobile))*(?: / [\w /.-]{1,30})?\]", {}, "implied"),
    Sign(("TensileLibrary",), r"TensileLibrary\S* for GPU arch : (?P<gfx>gfx\w{3,4})"),
    # The driver. Its "CUDA Version" is the newest CUDA that it supports, not the version of a toolkit.
    Sign(("Driver Version:",), r"Driver Version:\s*(?P<driver>\d{3}\.\d+(?:\.\d+)?)(?:\s+CUDA (?:UMD )?Version:\s*(?P<driver_cuda>\d+\.\d+))?"),
    Sign(("Driver Version  ",), r"^Driver Version {2,}: (?P<driver>\d{3}\.\d+(?:\.\d+)?)$"),  # nvidia-smi -q
    Sign(("CUDA Version  ",), r"^CUDA Version {2,}: (?P<driver_cuda>\d+\.\d+)$"),
    Sign(("Nvidia driver version", "NVIDIA driver version"), r"(?:Nvidia|NVIDIA) driver version: (?P<driver>\d{3}\.\d+(?:\.\d+)?)"),
    Sign(("NVRM version",), r"NVRM version: NVIDIA UNIX .{0,60}Kernel Module\D{0,40}\s(?P<driver>\d{3}\.\d+(?:\.\d+)?)\s"),
    Sign(("driver on your system is too old",), r"driver on your system is too old \(found version (?P<driver_cuda>\d{4,5})\)"),
    Sign(("Driver: ", "driver: "), r"^(?:NVIDIA )?[Dd]river(?: [Vv]ersion)?: (?P<driver>\d{3}(?:\.\d+){0,2})(?: open)?$", {}, "implied"),
    # In the words of a person: "(driver 570.124.06 from NVIDIA)", "驱动版本：550.54.14"; not "needs driver 525.60.13 or newer".
    Sign(("river ", "river:", "river：", "river=", "驱动", "드라이버", "ドライバ", "драйвер", "Treiber"), r"(?<!eeds )(?<!equires )(?<!inimum )(?<!nstall )(?<![/\w-])(?:[Dd]river(?:[ _][Vv]ersion)?|驱动(?:程序)?(?:版本)?|드라이버(?: 버전)?|ドライバー?(?:バージョン)?|драйвера?|Treiber)\s?[:：=]?\s?v?(?P<driver>[3-9]\d{2}\.\d{2,3}(?:\.\d{2})?)(?!\.?\d| ?(?:or (?:newer|later|higher)|and (?:newer|later|above)|\+|以上))", {}, "implied"),
    # The toolkit
    Sign(("Cuda compilation tools",), r"Cuda compilation tools, release (?P<toolkit>\d+\.\d+)"),
    Sign(("detected CUDA version",), r"detected CUDA version \((?P<toolkit>\d+\.\d+)\)"),
    Sign(("CUDA runtime version",), r"^CUDA runtime version: (?P<toolkit>\d+\.\d+)"),
    Sign(("CUDA Toolkit", "CUDA toolkit", "CUDAToolkit"), r"^(?:-- )?(?:Found )?CUDA ?[Tt]oolkit(?:: |==| version: ?)(?:.{1,120}found (?:suitable )?(?:exact )?version \"?)?(?P<toolkit>\d+\.\d+)", {}, "implied"),
    Sign(("bin/nvcc", "bin\\nvcc"), rf"(?<![\w.])(?P<cuda_home>(?:/usr/local|/opt|/opt/nvidia){_WAY}cuda-(?P<toolkit>\d+\.\d)){_WAY}bin{_WAY}nvcc\b", {}, "implied"),
    Sign(("bin\\nvcc", "bin\\\\nvcc", "bin/nvcc", "include\\crt", "include/crt"), rf"(?P<cuda_home>[A-Z]:{_WAY}{{1,2}}Program Files{_WAY}{{1,2}}NVIDIA GPU Computing Toolkit{_WAY}{{1,2}}CUDA{_WAY}{{1,2}}v(?P<toolkit>\d+\.\d)){_WAY}{{1,2}}(?:bin{_WAY}{{1,2}}nvcc|include{_WAY}{{1,2}}crt)", {}, "implied"),
    Sign(("cuda/bin/nvcc",), r"(?<![\w.])(?P<cuda_home>/usr/local/cuda)/bin/nvcc\b", {}, "implied"),
    Sign(("CUDA_HOME",), r"\busing CUDA_HOME='(?P<cuda_home>[^']{2,200})'"),
    Sign(("CUDA_HOME", "CUDA_PATH"), r"^(?:export |set |\$env:|declare -x )?CUDA_(?:HOME|PATH)\s?=\s?[\"']?(?P<cuda_home>(?:/usr/local/cuda-|[A-Za-z]:\\{1,2}Program Files\\{1,2}NVIDIA GPU Computing Toolkit\\{1,2}CUDA\\{1,2}v)(?P<toolkit>\d{1,2}\.\d))[\\/]?[\"']?$", {}, "implied"),
    Sign(("CUDA_HOME", "CUDA_PATH"), r"^(?:export |set |\$env:|declare -x )?CUDA_(?:HOME|PATH)\s?=\s?[\"']?(?P<cuda_home>(?:/|[A-Za-z]:\\)[^\"'$%:;]{2,150}?)[\"']?$"),
    # The host compiler
    Sign(("gcc (", "g++ (", "GCC version"), r"^(?P<compiler>(?:gcc|g\+\+)(?:-\d+)? \([^()]{2,60}(?:\([^()]{0,40}\))?\) \d+\.\d+\.\d+)"),
    Sign(("GCC version",), r"^GCC version: \([^()]{2,60}(?:\([^()]{0,40}\))?\) (?P<gcc>\d+\.\d+\.\d+)"),
    Sign(("gcc version ",), r"^gcc version (?P<gcc>\d+\.\d+\.\d+) "),
    Sign(("installed version of g++", "current installed version of"), r"current installed version of (?P<compiler>(?:\S*/)?[\w+-]{1,30} \(\d+\.\d+\.\d+\))"),
    Sign(("Compiler Version",), r"C/C\+\+ .{0,30}Compiler Version (?P<cl>19\.\d+\.\d+)"),
    Sign(("MSVC",), r"VC[\\/]{1,2}Tools[\\/]{1,2}MSVC[\\/]{1,2}(?P<cl>14\.\d+)\.\d+", {}, "implied"),
    Sign(("compiler identification is",), r"CXX compiler identification is (?P<compiler>(?:GNU|MSVC|Clang|AppleClang) \d+\.\d+\.\d+)"),
    Sign(("clang version",), r"^(?:\w+ )?clang version (?P<clang>\d+\.\d+\.\d+)"),
)  # fmt: skip
