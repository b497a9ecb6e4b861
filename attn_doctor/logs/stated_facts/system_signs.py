"""List the lines that state the operating system, its version, its architecture, the board, WSL, containers and notebooks."""

from __future__ import annotations

from attn_doctor.logs.stated_facts.sign import Sign

_MACHINE = r"(?P<machine>x86_64|aarch64|arm64|AMD64|amd64|ARM64)"
_DOCKER = {"os": "linux", "surroundings": "docker"}
_BUILD = {"os": "linux", "surroundings": "docker build"}
_POD = {"os": "linux", "surroundings": "kubernetes"}
_CLUSTER = {"os": "linux", "modules": "yes"}
_JETSON = {"os": "linux", "machine": "aarch64", "board": "jetson"}
_LINUX, _WINDOWS, _MAC = {"os": "linux"}, {"os": "windows"}, {"os": "darwin"}
# Folders in which projects build their releases: messages on every machine contain such paths.
_ELSEWHERE = r"(?:conda/feedstock|runner/|builder/|actions-runner)"
# A placeholder for a folder, as in a help text.
_ANY = r"(?:path|some|your|\.\.\.|<)"
# The label of the field "system" in a form, in the most frequent languages; "Operating System / 操作系统：" has two labels.
_LABEL = (
    r"(?:(?:[Hh]ost |[Ll]inux )?(?:[Oo]perating [Ss]ystem|OS(?: [Vv]ersion| [Nn]ame| Platform and Distribution)?|[Dd]istro|[Dd]istribution)|"
    r"[Ss]ystem(?: [Vv]ersion)?|[Pp]latform|[Ee]nvironment|"
    r"操作系统(?:版本)?|系统(?:版本|环境)?|作業系統(?:版本)?|系統(?:版本|環境)?|运行环境|环境|環境|オペレーティングシステム|システム|"
    r"운영 ?체제(?: 버전)?|시스템|환경|ОС|[Оо]перационная система|[Сс]истема|[Ss]istema [Oo]perativo|[Ss]istema [Oo]peracional|SO|"
    r"[Ss]yst[èe]me d['’]exploitation|[Bb]etriebssystem|[Ii]şletim [Ss]istemi)"
)
# Left out: "works in WSL", "use WSL instead" and the like.
_WSL = r"(?:WSL|wsl|Wsl) ?2?(?![\w.-])(?!.{0,60}\b(?:works|worked|fine|instead|no (?:problem|issue)))"
_FIELD = rf"\W{{0,6}}(?:[\w() ]{{1,24}} ?/ ?)?{_LABEL}(?: ?/ ?{_LABEL})?(?: ?[(（][^)）]{{1,24}}[)）])?\W{{0,3}}?\s?[:：=]\W{{0,4}}"

SIGNS = (
    # Windows
    Sign(
        (":\\",),
        rf"(?<![\w./%])[A-Za-z]:\\{{1,2}}(?!{_ANY}|actions-runner|cb\\|[a-z]\b(?!\\))[^\s\\/:*?\"<>|][^\\/:*?\"<>|\n]{{0,80}}(?:\\|>|\.\w{{2,4}}\b)",
        _WINDOWS,
        "implied",
    ),
    Sign(
        (":/Users/", ":/Program", ":/ProgramData", ":/Python", ":/Windows", ":/Anaconda", ":/anaconda"),
        r"(?<!\w)[A-Za-z]:/(?:Users|Program|Python|Windows|[Aa]naconda)",
        _WINDOWS,
        "implied",
    ),
    Sign(("file:///",), r"\bfile:///[A-Za-z]:/", _WINDOWS, "implied"),
    Sign(("/Lib/site-packages", "/lib/site-packages"), r"(?<!\w)[A-Za-z]:/[^\s:]{0,200}/[Ll]ib/site-packages", _WINDOWS, "implied"),
    Sign(("\\Lib\\", "\\lib\\site-packages", "\\lib\\\\site-packages", "\\Lib\\\\site-packages"), r"\w\\{1,2}[Ll]ib\\{1,2}site-packages\\", _WINDOWS, "implied"),
    # A path without its beginning, in a traceback or in an error of MSVC: "src\\csrc\\nms.cpp(48): error C2065".
    Sign((".py", ".cpp(", ".cu(", ".cuh(", ".h("), r"(?<![\w\\/:])\w[\w.-]*(?:\\{1,2}\w[\w.-]*){1,12}(?:\.(?:cpp|cuh?|h|hpp)\(\d+\): |\.py\", line \d)", _WINDOWS, "implied"),
    Sign(("Microsoft Windows [",), r"Microsoft Windows \[\D{0,12}(?P<os_version>10\.0\.\d{5})", _WINDOWS),
    Sign(("Windows-",), r"\bWindows-(?P<os_version>\d+-10\.0\.\d{5}|\d{4}Server-10\.0\.\d{5})", _WINDOWS),
    Sign(("OS: ", "OS Name"), r"\bOS(?: Name)?\s*:\s+(?:Microsoft )?Windows (?P<os_version>\d+)\b", _WINDOWS),
    Sign(("Environment ",), r"^Environment\s{2,}Windows$", _WINDOWS),
    Sign(("[MSC v",), r"\[MSC v\.\d+ (?:32|64) bit \((?P<machine>AMD64|ARM64|Intel)\)\]", _WINDOWS),
    Sign(("win-amd64",), r"[\\/](?:temp|lib|bdist)\.win-amd64", {**_WINDOWS, "machine": "x86_64"}, "implied"),
    Sign(("[WinError",), r"\[WinError \d+\]", _WINDOWS, "implied"),
    Sign(("You must use Visual Studio",), r"You must use Visual Studio to build a python extension on [Ww]indows", _WINDOWS, "implied"),
    Sign(("DLL load failed",), r"DLL load failed", _WINDOWS, "implied"),
    Sign(("fatal error LNK", "fatal error C1"), r"fatal error (?:LNK|C1)\d{3}", _WINDOWS, "implied"),
    Sign(("PS ",), r"^(?:\([^()\s]{1,60}\) ?)*PS [A-Za-z]:\\", {**_WINDOWS, "shell": "powershell"}),
    Sign((":\\",), r"^(?:\([^()\s]{1,60}\) ?)*[A-Za-z]:\\[^<>:\"|?*]{0,150}>(?!>)", {**_WINDOWS, "shell": "cmd"}),
    # Wheels that an installer really used: "Downloading", not "is not a supported wheel" or "Skipping link".
    Sign(
        ("win_amd",),
        r"(?:Downloading|Using cached|Processing|filename=|Guessing wheel URL:)\s{0,2}\S{0,300}-win_amd64\.whl",
        {**_WINDOWS, "machine": "x86_64"},
        "implied",
    ),
    # Names of files and programs that only Windows has, its codecs, and messages of its shells and its compiler.
    Sign((".dll", ".pyd", ".DLL"), r"(?<![\w*])[A-Za-z][\w.+-]{1,80}\.(?:dll|pyd|DLL)\b", _WINDOWS, "implied"),
    Sign((".exe",), r"(?<![\w/-])(?:pythonw?|nvcc|cl|link|pip|conda|ninja|cmd|uv|py|where)\.exe\b", _WINDOWS, "implied"),
    Sign(("cp125", "charmap", "'gbk' codec", "'cp949' codec", "'cp932' codec"), r"\bencodings[\\/]cp125\d|'(?:cp125\d|charmap|gbk|cp949|cp932)' codec can't", _WINDOWS, "implied"),
    Sign(("Microsoft Visual C++", "vcvarsall"), r"\bMicrosoft Visual C\+\+ (?:14\.\d|installation)|\bvcvarsall\.bat\b", _WINDOWS, "implied"),
    Sign(("is not recognized as",), r"' is not recognized as an internal or external command", {**_WINDOWS, "shell": "cmd"}),
    Sign(("is not recognized as",), r"is not recognized as (?:the|a) name of a cmdlet", {**_WINDOWS, "shell": "powershell"}),
    Sign(("At line:",), r"^At line:\d+ char:\d+", {**_WINDOWS, "shell": "powershell"}),
    # Git Bash and MSYS: a drive has the form of a folder, "/c/Users".
    Sign(("/c/Users/", "/d/", "/cygdrive/"), r"(?<![\w.])(?:/cygdrive)?/[cd]/(?:Users|Program|[Aa]naconda|[\w.-]+/[\w./-]*[Ll]ib/site-packages)", {**_WINDOWS, "shell": "bash"}, "implied"),
    Sign(("_NT-",), r"\b(?:MINGW(?:64|32)|MSYS|CYGWIN)_NT-\d", {**_WINDOWS, "shell": "bash"}),
    # A 32-bit Python, by its own banner. Its pip installs only win32 wheels.
    Sign(("'32bit'", "(`win32`)"), r"\('32bit', 'WindowsPE'\)|on Windows \(`win32`\)", {"os": "windows", "machine": "x86"}),
    Sign((" 32 bit (",), r"\[MSC v\.\d{3,5} 32 bit \((?:Intel|ARM)\)\]", {"os": "windows", "machine": "x86"}),
    Sign(("-win32.whl",), r"(?:Downloading|Using cached|Processing|filename=)\s?\S{0,300}-win32\.whl", {"os": "windows", "machine": "x86"}, "implied"),
    Sign(("linux_armv", "linux_i686", "armv7l ", "armv6l ", "i686 GNU"), r"(?:linux_|-linux-|\bLinux \S+ .{0,200} |^Architecture:\s+)(?P<machine>armv[67]l|i686)(?:\.whl| GNU/Linux|$|[\s/])", {"os": "linux"}, "implied"),
    # macOS
    Sign((".dylib",), r"\w\.dylib\b", _MAC, "implied"),
    # A person's own line: "macOS, Apple Silicon (arm64)", "OS: macOS 14.5 (Apple silicon)".
    Sign(("Apple Silicon", "Apple silicon", "apple silicon"), r"^\W{0,4}(?:[\w ]{2,20}\s?[:：=]\s?)?(?:macOS|MacOS|Mac OS X?|OSX|Mac|MacBook)\b.{0,40}\b[Aa]pple [Ss]ilicon\b.{0,20}$", {**_MAC, "machine": "arm64"}),
    Sign(("Apple M",), r"\bApple M[1-9](?: (?:Pro|Max|Ultra))?\b", {**_MAC, "machine": "arm64"}, "implied"),
    # In the words of a person: "on a MacBook Pro M3", "我在Mac M1上", "M2 Max Mac Studio".
    Sign(("Mac M", "mac M", "MAC M", "mac m", "MacBook", "Macbook", "macbook", "Mac mini", "Mac Mini", "Mac Studio"), r"(?<![A-Za-z0-9./_@-])(?:[Mm]ac|MAC)(?: ?[Bb]ook)?(?: ?(?:Pro|Air|[Mm]ini|Studio|pro|air))?,?(?: \(?(?:with )?(?:an? |the )?(?:Apple )?)?[Mm][1-5](?: ?(?:Pro|Max|Ultra|pro|max))?(?![A-Za-z0-9])|\bM[1-5](?: (?:Pro|Max|Ultra))? Mac(?:Book|book| [Mm]ini| Studio)\b", {**_MAC, "machine": "arm64"}, "implied", -1),
    Sign(("Mac",), r"^(?:\([^()\s]{1,60}\) ?)*[\w-]*(?:MacBook|iMac|Mac-[Mm]ini|Mac-Studio)[\w-]*:\S{1,80} [\w.-]{1,40}[%$] ", _MAC, "implied"),
    Sign(("Mac",), r"^(?:\([^()\s]{1,60}\) ?)*[\w.-]+@[\w-]*(?:MacBook|Mac-?[Mm]ini|Mac-Studio|iMac|Mac)[\w.-]* \S{1,80} [%$] ", _MAC, "implied"),
    Sign(("/Users/",), r"(?<![\w:./\\])/Users/(?!runner/)[\w.-]+/", _MAC, "implied"),
    Sign(("/opt/homebrew/",), r"(?<![\w.])/opt/homebrew/", {**_MAC, "machine": "arm64"}, "implied"),
    Sign(("macOS-",), rf"\bmacOS-(?P<os_version>\d+(?:\.\d+)*)-{_MACHINE}", _MAC),
    Sign(("OS: macOS",), rf"\bOS: macOS (?P<os_version>\d+(?:\.\d+)*)(?: \({_MACHINE}\))?", _MAC),
    Sign(("Darwin ",), rf"\bDarwin \S+ \d+\.\d+\.\d+ Darwin Kernel.{{0,200}}\b{_MACHINE}$", _MAC),
    Sign((" on darwin",), r"\] on darwin$", _MAC),
    # conda names its platform: "Platform: osx-arm64", "Your python: conda-forge/osx-64::python==3.10.4", "conda-forge/win-64  Using cache".
    *(
        Sign((f"{folder}",), rf"^Platform: {folder}$|^Your python: \S{{1,60}}/{folder}::|^\S{{0,120}}/{folder} {{2,60}}(?:No change|Using cache|\d)", {"os": os, "machine": machine})
        for folder, os, machine in (
            ("osx-64", "darwin", "x86_64"), ("osx-arm64", "darwin", "arm64"), ("linux-64", "linux", "x86_64"), ("linux-aarch64", "linux", "aarch64"),
            ("win-64", "windows", "AMD64"),
        )
    ),
    Sign(("macOS ", "MacOS "), rf"^[Mm]acOS {_MACHINE}$", _MAC),
    Sign(("Environment ",), r"^Environment\s{2,}Darwin$", _MAC),
    Sign(("macosx",), rf"(?:Downloading|Using cached|Processing|filename=)\s?\S{{0,300}}-macosx_\d+_\d+_{_MACHINE}\.whl", _MAC, "implied"),
    Sign(("temp.macosx", "lib.macosx"), rf"[\\/](?:temp|lib)\.macosx-[\d.]+-{_MACHINE}", _MAC, "implied"),
    # Linux
    Sign(("/home/",), rf"(?<![\w:./\\@-])/home/(?!{_ELSEWHERE}|{_ANY})[\w.-]+", _LINUX, "implied"),
    Sign(("/root/", "/usr/local/lib/python", "/usr/lib/python", "/pip-", "/opt/conda/lib/", "/opt/conda/envs/"), r"(?<![\w:.\\@-])/(?:root/[\w.]|usr/(?:local/)?lib/python3|tmp/pip-|opt/conda/(?:lib|envs)/)", _LINUX, "implied"),
    Sign(("Linux-",), rf"\bLinux-(?P<kernel>\d+\.\d+[\w.+-]*?)-{_MACHINE}-with-(?:glibc(?P<glibc>\d\.\d+)|\w)", _LINUX),
    Sign(("GNU/Linux",), rf"\bLinux \S+ (?P<kernel>\d+\.\d+\.\S+) #.{{0,200}}?\b{_MACHINE} GNU/Linux", _LINUX),
    Sign(("Linux ",), rf"^Linux \S+ (?P<kernel>\d+\.\d+\.\d+-\S+) #.{{0,120}}\b{_MACHINE}$", _LINUX),
    Sign(("OS: ",), rf"\bOS\s*: (?:Ubuntu|Debian GNU/Linux|CentOS(?: Linux)?|Rocky Linux|AlmaLinux|Red Hat Enterprise Linux|Fedora(?: Linux)?|Arch Linux|Alpine Linux|openSUSE|SUSE)\b.{{0,60}}?(?:\({_MACHINE}\)|$)", _LINUX),
    Sign(("OS: ", "PRETTY_NAME=", "Description:", "Ubuntu "), r"(?:\bOS\s*: |^PRETTY_NAME=\"|^Description:\s+)(?P<distribution>Ubuntu|Debian|CentOS|Rocky|AlmaLinux|Red Hat|Fedora|Alpine|openSUSE|Arch)\b\D{0,40}(?P<distribution_version>\d+(?:\.\d+)?)", _LINUX),
    # Other lines of /etc/os-release, the name of a distribution alone in its line, and kernels that only one distribution has.
    Sign(("ID=",), r"^ID=\"?(?P<distribution>ubuntu|debian|fedora|arch|rocky|almalinux|centos|rhel|opensuse-leap|opensuse-tumbleweed|sles|linuxmint|pop|kali|manjaro|endeavouros|cachyos|amzn|alpine|ol)\"?$", _LINUX),
    Sign(("VERSION_ID=",), r"^VERSION_ID=\"?(?P<distribution_version>\d+(?:\.\d+)?)", {}, "implied"),
    Sign(("Debian GNU/Linux", "Fedora Linux", "Rocky Linux", "Linux Mint", "AlmaLinux", "Arch Linux"), r"^(?:NAME=\")?(?P<distribution>Debian|Fedora|Rocky|AlmaLinux|Linux Mint|Arch)(?: GNU/Linux| Linux)?(?: release)?(?: (?P<distribution_version>\d+(?:\.\d+)?))?(?: \([\w ]+\))?\"?$", _LINUX),
    Sign(("Fedora ",), r"^(?P<distribution>Fedora)(?: Linux)? (?P<distribution_version>[34]\d)(?=[,;.]|$)", _LINUX, "implied"),
    Sign((".fc",), rf"\b\d\.\d+\.\d+-\d+\.fc(?P<distribution_version>\d\d)\.{_MACHINE}", {**_LINUX, "distribution": "fedora"}, "implied"),
    Sign(("-arch",), r"\b\d\.\d+\.\d+-arch\d", {**_LINUX, "distribution": "arch"}, "implied"),
    # A form that a person filled in: "系统版本：Ubuntu 20.04", "OS: Rocky Linux" and in the next line "OS version: 8.7".
    Sign(("Ubuntu", "ubuntu", "Debian", "CentOS", "Rocky", "AlmaLinux", "Fedora", "openSUSE", "Arch"), rf"^\W{{0,4}}{_LABEL}(?: \(e\.g\.[^)]{{0,60}}\))?(?:\s?/\s?{_LABEL})?\*{{0,2}}\s?[:：=|]\*{{0,2}}\s?(?:\[e\.g\.[^\]]{{0,60}}\] ?)?(?P<distribution>[Uu]buntu|Debian|CentOS|Rocky|AlmaLinux|Fedora|openSUSE|Arch)(?:[ -](?:GNU/Linux|Linux|Leap|Stream))?(?:[ -]?v?(?P<distribution_version>\d+(?:\.\d+)?)[^\s|,，;；]*)?(?: LTS)?(?: \(?\w+\)?)?\s?(?:[|,，;；](?!.*(?:Windows|[Mm]ac)).{{0,80}})?$", _LINUX),
    # uv's hint of a wheel that does not fit: "you're on Windows (`win_amd64`)".
    Sign(("you're on Windows", "You're on Windows"), r"[Yy]ou're on Windows \(`win", _WINDOWS),
    Sign(("you're on Linux", "You're on Linux", "you're on manylinux"), r"[Yy]ou're on (?:many)?[Ll]inux \(`", _LINUX),
    Sign(("you're on macOS", "You're on macOS"), r"[Yy]ou're on macOS \(`", _MAC),
    Sign(("Windows", "windows", "Win1", "win1"), rf"^{_FIELD}(?:Microsoft )?(?:Windows ?|[Ww]in(?:dows)? ?)(?P<os_version>1[01])(?!\d)", _WINDOWS),
    Sign(("Windows", "windows"), rf"^{_FIELD}(?:Microsoft )?[Ww]indows(?!\w| ?1[01]| Subsystem)", _WINDOWS),
    Sign(("macOS", "MacOS", "Mac OS"), rf"^{_FIELD}[Mm]ac ?OS(?: [A-Z]\w+)?(?: (?P<os_version>\d+(?:\.\d+)*))?", _MAC),
    Sign(("WSL",), rf"^{_FIELD}.{{0,40}}\bWSL ?-?2?(?!\w)", {**_LINUX, "wsl": "2"}),
    Sign(("OS version: ", "OS Version: "), r"^\W{0,4}OS [Vv]ersion: (?P<distribution_version>\d{1,2}(?:\.\d+)?)$", {}, "implied"),
    Sign(("Ubuntu ",), r"^(?:Jetson \w+, )?(?P<distribution>Ubuntu) (?P<distribution_version>\d\d\.\d\d)(?:\.\d+)?(?: LTS)?$", _LINUX),
    Sign(("(Ubuntu ",), r"\(Ubuntu [\d.]+-[\w.]+~(?P<distribution_version>\d\d\.\d\d)(?:\.\d+)?\)", {**_LINUX, "distribution": "ubuntu"}),
    Sign(("Environment ",), r"^Environment\s{2,}Linux$", _LINUX),
    Sign((" on linux",), r"\] on linux$", _LINUX),
    Sign(("linux_", "linux1_", "linux2014_"), rf"(?:Downloading|Using cached|Processing|filename=|Guessing wheel URL:)\s{{0,2}}\S{{0,300}}linux(?:\d{{0,4}}_\d+_\d+|\d{{1,4}})?_{_MACHINE}\.whl", _LINUX, "implied"),
    Sign(("linux-x", "linux-aarch"), r"[\\/](?:temp|lib)\.linux-(?P<machine>x86_64|aarch64)", _LINUX, "implied"),
    Sign(("-linux-gnu",), r"(?:[/'\"\s]|^)(?P<machine>x86_64|aarch64)-linux-gnu\b", _LINUX, "implied"),
    Sign(("-linux-gnu.so",), r"\.cpython-3\d{1,2}t?-(?P<machine>x86_64|aarch64)-linux-gnu\.so\b", _LINUX, "implied"),
    Sign(("cannot open shared object file", "undefined symbol: "), r"\.so[.\d]*: (?:cannot open shared object file|undefined symbol)", _LINUX, "implied"),
    Sign(("Libc version",), r"^Libc version: glibc-(?P<glibc>\d\.\d+)", _LINUX),
    Sign(("GLIBC ",), r"\bldd \([^)]*GLIBC [^)]*\) (?P<glibc>\d\.\d+)", _LINUX),
    # Among a person's own words about the system: "Ubuntu 20.04, GLIBC version 2.31".
    Sign(("GLIBC", "glibc"), r"(?:^|[,;(] ?)(?:GLIBC|glibc)(?: version)?[ :=]{1,3}(?P<glibc>2\.\d\d)(?=$|[\s,;)])", _LINUX),
    Sign(("Architecture:",), rf"^Architecture:\s+{_MACHINE}$", _LINUX),
    # The answer of `uname -m`, alone in its line.
    Sign(("x86_64", "aarch64", "arm64"), r"^(?P<machine>x86_64|aarch64|arm64)$", {}, "implied"),
    # WSL
    # nvidia-smi of Linux with a driver of Windows: their branches differ, or the driver has no third number. With a driver of Linux both are equal.
    Sign(("NVIDIA-SMI ",), r"NVIDIA-SMI (\d{3})\.\d+(?:\.\d+)? +Driver Version: (?!\1)\d{3}\.\d+ ", {**_LINUX, "wsl": "2"}, "implied"),
    Sign(("NVIDIA-SMI ",), r"NVIDIA-SMI \d{3}\.\d+\.\d+ +Driver Version: \d{3}\.\d+ ", {**_LINUX, "wsl": "2"}, "implied"),
    # Windows gives machines such names, and WSL keeps the name.
    Sign(("@DESKTOP-", "@LAPTOP-"), r"[\w.-]@(?:DESKTOP|LAPTOP)-[A-Z0-9]{6,8}:(?:~|/)", {**_LINUX, "wsl": "2"}, "implied"),
    Sign(("Subsystem for Linux",), r"\bWindows Subsystem for Linux\b", {**_LINUX, "wsl": "2"}, "implied"),
    Sign(("microsoft-standard",), r"-microsoft-standard(?:-WSL2)?\b", {**_LINUX, "wsl": "2"}),
    Sign(("-Microsoft",), r"\b(?P<kernel>4\.4\.0-\d+-Microsoft)\b", {**_LINUX, "wsl": "1"}),
    # In the words of a person: "on my wsl2 machine", "Ubuntu 22.04 (WSL)", "WSL2 Ubuntu".
    Sign(("wsl", "WSL", "Wsl"), rf"\b(?:[Oo]n|[Ii]n|[Uu]nder|[Uu]sing|[Mm]y|[Ii]nside|[Vv]ia|[Tt]hrough|[Ww]ithin) (?:(?:my|a|an|the|[Uu]buntu[ \d.-]*) )?{_WSL}", {**_LINUX, "wsl": "2"}, "implied"),
    Sign(("wsl", "WSL", "Wsl"), rf"\b[Uu]buntu[ -]?[\d.]{{0,8}}(?: LTS)? ?[(（,/@-]? ?{_WSL}|\b(?:WSL|wsl) ?2?[ :(（,/-]{{1,2}}[Uu]buntu\b|{_WSL} ?(?:下|里|中|上|环境|環境|で|에서)", {**_LINUX, "wsl": "2"}, "implied"),
    Sign(("/usr/lib/wsl/",), r"(?<!\w)/usr/lib/wsl/", {**_LINUX, "wsl": "2"}, "implied"),
    Sign(("/mnt/c/", "/mnt/d/", "/mnt/e/", "/mnt/f/"), r"(?<![\w/.])/mnt/[c-f]/", {**_LINUX, "wsl": "2"}, "implied"),
    Sign(("WSL",), r"\bWSL(?: version:? ?|[ -]?v?)(?P<wsl>[12])\b", _LINUX),
    Sign(("Running ", "Stopped "), r"^\*?\s*(?:Ubuntu|Debian)\S*\s+(?:Running|Stopped)\s+(?P<wsl>[12])$", _LINUX),
    # Containers and notebooks
    Sign(("] RUN ", "] FROM ", "] COPY ", "] WORKDIR "), r"^(?:=?> )?(?:ERROR )?\[(?:[\w.-]+ )? ?\d+/\d+\] (?:RUN|FROM|COPY|WORKDIR) ", _BUILD),
    Sign(("[internal] load",), r"\[internal\] load (?:build definition|metadata|build context)", _BUILD),
    Sign((" : RUN ", " : FROM ", " : COPY "), r"^Step \d+/\d+ : (?:RUN|FROM|COPY) ", _BUILD),
    Sign(("STEP ",), r"^STEP \d+/\d+: (?:RUN|FROM|COPY|WORKDIR) ", _BUILD),  # podman, buildah
    Sign(("/bin/sh -c ", "/bin/bash -"), r"failed to solve: process \"/bin/|executor failed running \[/bin/|^The command '/bin/(?:ba)?sh .{1,2000}' returned a non-zero code", _BUILD),
    Sign(("failed to build",), r"^(?:ERROR: )?Service '[\w.-]+' failed to build", _BUILD),
    Sign(("---> Running in",), r"^ ?---> Running in [0-9a-f]{12}$", _BUILD),
    Sign(("Dockerfile:",), r"^Dockerfile:\d+$", _BUILD),
    Sign(("docker run ", "podman run "), r"^(?:[^$#>]{0,80}[$#>] ?)?(?:sudo )?(?:docker|podman) run ", _DOCKER, "implied"),
    Sign(("kubectl ", "kubernetes.io/"), r"^(?:[^$#>]{0,80}[$#>] ?)?kubectl (?:-n \S+ )?(?:logs|exec|describe|get|apply|create|delete|run)\b|/var/run/secrets/kubernetes\.io/", _POD),
    # A person's own words: "kubernetes pod", "in a k8s pod", "Running in a pod of Kubernetes".
    Sign(("pod", "Pod"), r"^\W{0,4}(?:(?:[\w ]{1,30}\b)?(?:[Ii]n|[Ii]nside|[Oo]n) an? )?(?:[Kk]ubernetes|[Kk]8[Ss]|EKS|GKE|AKS|OpenShift) [Pp]ods?\b|\b(?:[Ii]n|[Ii]nside|[Oo]f) (?:a|an|the|my|our) (?:[Kk]ubernetes |[Kk]8[Ss] )?pod (?:of|in|on) (?:[Kk]ubernetes|[Kk]8[Ss]|EKS|GKE|AKS|OpenShift)\b", _POD),
    Sign(("[pod/",), r"^\[pod/[\w./-]{1,200}\] ", _POD, "implied"),
    # Folders in Docker images: of ultralytics' image, and "/app", which many Dockerfiles use. Paths outside of images begin differently.
    Sign(("/usr/src/", 'File "/app/'), r"(?<!\w)/usr/src/(?:ultralytics|app)\b|File \"/app/", _DOCKER, "implied"),
    # conda's folder in images beside a folder that Dockerfiles use: a source there is compiled while an image is built, or in its container.
    Sign(("/usr/src/",), r"^(?=.*(?<![\w.])/opt/conda/)(?:.*?(?<![\w.]))/usr/src/(?!linux|kernels|nvidia)[\w.-]{2,60}/", _DOCKER, "implied"),
    Sign(("rocm/pytorch:",), r"(?<![\w/])rocm/pytorch:\w", _DOCKER, "implied"),
    Sign(("root@", "jovyan@"), r"^(?:\([^()\s]{1,60}\) ?)*(?:root|jovyan)@(?:[0-9a-f]{12}|C\.\d+):", {**_DOCKER, "shell": "bash"}),
    # Folders in which services run containers: a development container, GitLab's and GitHub's jobs, rented GPUs.
    Sign(("/workspaces/", "/__w/", "/builds/"), r"(?<![\w.])/(?:workspaces/[\w.-]+|__w/[\w.-]+/|builds/[\w.-]+/[\w.-]+/)", _DOCKER, "implied"),
    Sign(("/workspace/", "/workspace#"), r"(?<![\w.])/workspace(?:/|#)", _DOCKER, "implied"),
    Sign(("Environment ",), r"^Environment\s{2,}Docker$", _DOCKER),
    Sign(("Environment ",), r"^Environment\s{2,}Colab$", {"os": "linux", "surroundings": "colab"}),
    Sign(("Environment ",), r"^Environment\s{2,}Kaggle$", {"os": "linux", "surroundings": "kaggle"}),
    # Colab in the words of a person; a command in a cell of any notebook.
    Sign(("olab",), r"^(?:[\w /]{1,30}[:：] ?|\W{0,3})(?:(?:I am |I'm )?(?:[Uu]sing|[Rr]unning|[Tt]ried|[Ww]orking|[Oo]n|[Ii]n)(?: on| in)? (?:a |the )?)?(?:Google )?Colab(?:oratory)?(?: (?:Pro\+?|notebook|free|T4|A100|L4|GPU)){0,3}(?=$|[\s,.;(])(?!.{0,60}\b(?:works|fine|no (?:problem|issue)))", {"os": "linux", "surroundings": "colab"}, "implied"),
    Sign(("!pip", "!uv", "!python", "%pip", "%env "), r"^(?:> ?)?(?:In ?\[\d*\]: ?)?(?:!(?:pip3?|uv pip|python3?) |%(?:pip|env) )\w", {"shell": "notebook"}),
    Sign(("/content/",), r"(?:\"|^|[\s'(=])/content/(?:drive/|sample_data|[\w.-]+)", {"os": "linux", "surroundings": "colab"}, "implied"),
    Sign(("google.colab", "google-colab", "google/colab"), r"\bgoogle(?:\.colab\b|-colab \d|/colab/)", {"os": "linux", "surroundings": "colab"}, "implied"),
    # A cell of any notebook; a cell of Colab, by words that only Colab has. read.py also finds Colab by a cell and Debian's Python in /usr/local.
    Sign(("Cell In[", "ipykernel_", "ipython-input-"), r"(?:^|\\n)(?:>? ?)?Cell In ?\[\d+\](?:,|:|$)|\bipykernel_\d+[\\/]|(?:^|[\s(<\"/])ipython-input-\d", {"shell": "notebook"}, "implied"),
    # IPython's own heading of a traceback; Python prints none like it. https://ipython.readthedocs.io/en/stable/interactive/reference.html
    Sign((" Traceback (most recent call last)",), r"^[A-Z]\w{2,60}(?:Error|Exception|Interrupt|Exit)\s{6,70}Traceback \(most recent call last\)$", {"shell": "notebook"}, "implied"),
    Sign(("ipython-input-",), r"ipython-input-\d\S* in <cell line|/tmp/ipython-input-\d", {"os": "linux", "surroundings": "colab"}, "implied"),
    Sign(("/kaggle/",), r"(?<![\w.])/kaggle/(?:working|input|lib)\b", {"os": "linux", "surroundings": "kaggle"}, "implied"),
    Sign(("SageMaker", "sagemaker-user"), r"/home/ec2-user/SageMaker\b|\bsagemaker-user@|/home/sagemaker-user\b", {"os": "linux", "surroundings": "sagemaker"}),
    # Clusters: their modules (Lmod, environment modules), Slurm, and folders for the software of all users
    Sign(("module load", "module avail", "module purge", "module swap", "module add", "module spider"), r"(?:^|[$#>;&] ?)module (?:load|avail|purge|swap|add|spider)\b", _CLUSTER),
    Sign(("Lmod ", "module(s)"), r"^Lmod (?:has detected|Warning|is automatically)|^The following (?:have been reloaded|module\(s\) are unknown)", _CLUSTER),
    Sign(("slurmstepd:", "srun: ", "sbatch: ", "Submitted batch job"), r"^(?:slurmstepd|srun|sbatch): |^Submitted batch job \d", _CLUSTER, "implied"),
    # Slurm's own lists, and its commands as they were typed. Computers with one user have no Slurm.
    Sign(("JOBID ", "PARTITION "), r"^\s*(?:JOBID\s+PARTITION\s+NAME\b|PARTITION\s+(?:AVAIL|GRES|NODES|TIMELIMIT)\b)", _CLUSTER, "implied"),
    Sign(("sinfo", "squeue", "srun ", "sbatch ", "salloc "), r"^(?:\([^()\s]{1,60}\) ?)*\[?[\w.-]+@[\w.-]+[^$#%]{0,80}[$#%] ?(?:sinfo|squeue|srun|sbatch|salloc)\b", _CLUSTER, "implied"),
    Sign(("#SBATCH", "#PBS", "salloc: ", "SLURM_JOB_", "slurm-"), r"^#(?:SBATCH|PBS) -|^salloc: |\bSLURM_JOB_\w+=|\bslurm-\d+\.out\b", _CLUSTER, "implied"),
    Sign(("@login", "@hpc", "@node", "@cn", "@compute", "@slurm", "@gpu", "@head"), r"^(?:\([^()\s]{1,60}\) ?)*\[(?!root@)[\w.-]+@(?:login|hpc|node|cn|compute|slurm|gpu|head)[\w.-]*\d [^\]]{1,80}\] ?\$", _CLUSTER, "implied"),
    Sign(("/gpfs/", "/lustre/", "/beegfs/", "/scratch/", "/nobackup/", "/glade/"), r"(?<![\w.-])/(?:gpfs|lustre|beegfs|glade|nobackup|scratch/(?:users?|[a-z]\w+/\w+))/", _CLUSTER, "implied"),
    Sign(("/cvmfs/", "/sw/", "/cm/shared/", "/opt/ohpc/", "/opt/software/", "/cluster/", "/easybuild/", "/spack/"), r"(?<![\w./-])/(?:cvmfs|sw|cm/shared|opt/ohpc|opt/software|cluster/(?:software|apps|easybuild))/\w|/(?:easybuild|spack)/(?:software|opt)/", _CLUSTER, "implied"),
    # Boards
    Sign(("__linux=",), r"\b__linux=(?P<kernel>\d+\.\d+\.\d+)(?==0)"),  # conda info: a virtual package
    Sign(("-tegra",), r"\b(?P<kernel>\d+\.\d+\.\d+-tegra)\b", _JETSON),
    Sign(("/tegra", "linux-gnu/nvidia"), r"/aarch64-linux-gnu/(?:tegra|nvidia)\b", _JETSON, "implied"),
    Sign(("JetPack", "Jetpack", "jetpack"), r"\b[Jj]et[Pp]ack(?: SDK| version|版本)?\s?[:=：]?\s?(?P<jetpack>[4-7](?:\.\d+){1,2})\b", _JETSON),
    Sign(("L4T",), r"\bL4T(?: version)?\s?[:=]?\s?R?(?P<l4t>3\d(?:\.\d+){1,2})\b", _JETSON),
    Sign((" (release), REVISION",), r"\bR(?P<l4t>3\d \(release\), REVISION: \d+(?:\.\d+)?)", _JETSON),
    Sign(("Jetson ",), r"\b(?:NVIDIA )?Jetson (?:AGX |Orin|Xavier|Nano|TX[12]|Thor)", _JETSON, "implied"),
    Sign(("@jetson", "@nano", "@orin", "@xavier", "@tegra"), r"^(?:\([^()\s]{1,60}\) ?)*[\w.-]+@(?:jetson|nano|orin|xavier|tegra)[\w-]*:", _JETSON, "implied"),
    Sign(("(nvgpu)",), r"\b(?:Orin|Xavier|Thor) \(nvgpu\)", _JETSON),
    # The processor, as ultralytics prints it for a CPU build of torch: the Orin has a Cortex-A78AE, the Xavier has a Carmel.
    Sign(("Cortex-A78AE", "Carmel"), r"\bCPU \((?:Cortex-A78AE|.{0,30}Carmel)", _JETSON, "implied"),
    Sign((".nv",), r"(?:[-+=]|\btorch )\d[\w.+]*\.nv\d\d\.\d\d\b(?:-cp3\d+-cp3\d+m?-linux_aarch64)", _JETSON, "implied"),
    Sign((".nv",), r"torch-\d[\w.+]*\.nv\d\d\.\d{1,2}(?:\.\d+)?-cp3\d+-cp3\d+m?-linux_aarch64\.whl", _JETSON, "implied"),
    # NVIDIA's index for the Jetson; that of CUDA 12.6 belongs to JetPack 6.1 and 6.2.
    Sign(("jetson-ai-lab",), r"\bjetson-ai-lab\.\w{2,3}/jp6/cu126\b", {**_JETSON, "jetpack": "6.2"}, "implied", -1),
    Sign(("jetson-ai-lab", "/redist/jp/"), r"\bjetson-ai-lab\.\w{2,3}/jp\d|/compute/redist/jp/v\d", _JETSON, "implied"),
    # In the words of a person: "on my jetson", "我在jetson上", "Hardware: Jetson".
    Sign(("etson", "etPack", "etpack"), r"(?:\b(?:[Oo]n|[Mm]y|[Uu]sing|[Hh]ardware|[Dd]evice|[Bb]oard|[Pp]latform)(?: (?:is|a|an|my|the|NVIDIA|nvidia)){0,3} ?[:：]? ?|(?:我的?|在|用))[Jj]etson(?![\w/-]*[/-])|^[-*•\s]{0,4}[Jj]et[Pp]ack(?: version)?\s?[:：]\s?[4-7]\b", _JETSON, "implied", -1),
    Sign(("GB10", "DGX Spark"), r"\bNVIDIA GB10\b|\bDGX Spark\b", {"os": "linux", "machine": "aarch64", "board": "dgx-spark"}),
)  # fmt: skip
