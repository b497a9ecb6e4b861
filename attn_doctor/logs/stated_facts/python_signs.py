"""List the lines that state the Python, its environment, or the installer that ran."""

from __future__ import annotations

from attn_doctor.logs.stated_facts.sign import Sign

# An environment is the folder before lib/python3.11/site-packages. Left out: folders in which pip builds, or in which PyTorch's releases were built, and the
# environments of programs that make the program's environment: their Python is not the program's.
_MAKERS = r"(?:poetry|pdm|hatch|tox|nox)"
_ELSEWHERE = rf"(?!\S{{0,300}}(?:pip-build-env-|conda-bld/|/build-env|/uv/builds-v|/uv/\.tmp|/pypoetry/venv/|/pipx/venvs/{_MAKERS}/|/uv/tools/{_MAKERS}/|/tmp/tmp))"
_POSIX = rf"(?:(?<![\w.\-/\\:}}])|(?<=-I)|(?<=-L))(?=/){_ELSEWHERE}"
_WINDOWS = (
    r"(?<!\w)(?=[A-Za-z]:)(?!\S{0,300}(?:pip-build-env-|\\builds-v|\\uv\\cache\\\.tmp|\\pypoetry\\venv\\|\\pipx\\venvs\\"
    rf"{_MAKERS}\\|\\Temp\\tmp))"
)
_SITE = r"lib(?:64)?/python(?P<python>3\.\d{1,2})t?/site-packages\b"
_PATH = r"/(?:[^/\s'\":]+/){1,12}?"  # a folder, with the folders above it
_DRIVE = r"[A-Za-z]:[\\/]{1,2}(?:[^\\/:*?\"<>|\r\n]{1,80}[\\/]{1,2}){0,12}?"
_V3 = r"3\.\d{1,2}(?:\.\d{1,2})?(?:(?:a|b|rc)\d+)?"

_POSIX_ENVIRONMENT = ("/lib/python", "/lib64/python")
_WINDOWS_ENVIRONMENT = ("\\site-packages", "/Lib/site-packages", "/lib/site-packages")

_ENVIRONMENTS = (
    Sign((".pixi/envs/",), rf"{_POSIX}(?P<environment>{_PATH}\.pixi/envs/[\w.-]+)/{_SITE}", {"environment_kind": "pixi"}, "implied"),
    Sign(("/envs/",), rf"{_POSIX}(?P<environment>{_PATH}(?<!\.pixi/)envs/[\w.-]+)/{_SITE}", {"environment_kind": "conda"}, "implied"),
    Sign(("conda/lib/python", "conda3/lib/python", "forge/lib/python", "forge3/lib/python", "mamba/lib/python"), rf"{_POSIX}(?P<environment>/(?:[^/\s'\":]+/){{0,8}}(?:ana|mini|mamba|micromamba|miniforge|mambaforge|)(?:conda|forge|mamba)[\w.]{{0,8}})/{_SITE}", {"environment_kind": "conda"}, "implied"),
    Sign(("env/lib/python", "envs/", "venv"), rf"{_POSIX}(?P<environment>(?:{_PATH}|/)(?:\.?virtualenvs/[\w.-]+|[\w.-]*v?env[\w.-]*|pypoetry/virtualenvs/[\w.-]+|pipx/venvs/[\w.-]+))/{_SITE}", {"environment_kind": "venv"}, "implied"),
    # A frame in the standard library: every environment that was made from this Python has the same minor version.
    Sign(("/usr/lib/python", "/usr/lib64/python"), r"^File \"/usr/lib(?:64)?/python(?P<python>3\.\d{1,2})/(?!site-packages|dist-packages)[\w/]+\.py\", line \d", {}, "implied"),
    # conda's own library; an environment of another tool may be made from this Python.
    Sign(("conda/lib/python", "conda3/lib/python"), r"^File \"(?P<environment>/(?:[^/\s\":]+/){0,8}(?:ana|mini|)conda3?)/lib/python(?P<python>3\.\d{1,2})/(?!site-packages)[\w/]+\.py\", line \d", {"environment_kind": "conda"}, "implied", -1),
    Sign(("/dist-packages",), r"(?<![\w.])/usr/(?:local/)?lib/python(?P<python>3\.\d{1,2})/dist-packages", {"environment_kind": "system", "environment": "/usr"}, "implied"),
    Sign(_WINDOWS_ENVIRONMENT, rf"{_WINDOWS}(?P<environment>{_DRIVE}\.pixi[\\/]{{1,2}}envs[\\/]{{1,2}}[\w.-]+)[\\/]{{1,2}}[Ll]ib[\\/]{{1,2}}site-packages", {"environment_kind": "pixi"}, "implied"),
    Sign(_WINDOWS_ENVIRONMENT, rf"{_WINDOWS}(?P<environment>{_DRIVE}envs[\\/]{{1,2}}[\w .-]{{1,60}}?)[\\/]{{1,2}}[Ll]ib[\\/]{{1,2}}site-packages", {"environment_kind": "conda"}, "implied"),
    Sign(_WINDOWS_ENVIRONMENT, rf"{_WINDOWS}(?P<environment>{_DRIVE}(?:[Aa]na|[Mm]ini)(?:[Cc]onda|forge)\d?)[\\/]{{1,2}}[Ll]ib[\\/]{{1,2}}site-packages", {"environment_kind": "conda"}, "implied"),
    Sign(_WINDOWS_ENVIRONMENT, rf"{_WINDOWS}(?!\S{{0,200}}[\\/]envs[\\/])(?!\S{{0,200}}(?:(?:installer_files|Applio[\w.-]*|alltalk_environment)[\\/]{{1,2}}env|[\\/](?:workenv|python_env))[\\/])(?P<environment>{_DRIVE}(?:(?:\.virtualenvs|uv[\\/]{{1,2}}tools)[\\/]{{1,2}}[\w.-]+|[\w.-]*v?env[\w.-]*))[\\/]{{1,2}}[Ll]ib[\\/]{{1,2}}site-packages", {"environment_kind": "venv"}, "implied"),
    Sign(("packages in environment at",), r"^# packages in environment at (?P<environment>\S{1,200}?):?$", {"environment_kind": "conda", "installer": "conda"}),
    Sign(("environment location:",), r"^environment location: (?P<environment>\S{1,200})$", {"environment_kind": "conda", "installer": "conda"}),
    Sign(("environment at:",), rf"(?:^|: )Using Python (?P<python>{_V3}) environment at:? (?P<environment>\S{{1,200}})$", {"installer": "uv", "environment_kind": "venv"}),
    Sign(("Creating virtual environment at:",), r"^Creating virtual environment at: (?P<environment>\S{1,200})$", {"installer": "uv", "environment_kind": "venv"}),
    # The path of the interpreter: "venv "C:\\webui\\venv\\Scripts\\Python.exe"", or as pip and subprocess print their commands.
    Sign((".exe",), rf"{_WINDOWS}(?P<environment>{_DRIVE}envs[\\/]{{1,2}}[\w .-]{{1,60}}?)[\\/]{{1,2}}(?:Scripts[\\/]{{1,2}}\w{{1,40}}|[Pp]ython)\.exe\b", {"environment_kind": "conda"}, "implied"),
    Sign(("\\Scripts\\", "/Scripts/"), rf"{_WINDOWS}(?!\S{{0,200}}[\\/]envs[\\/])(?P<environment>{_DRIVE}(?!Python3|(?:[Aa]na|[Mm]ini)(?:[Cc]onda|forge))[\w .-]{{1,60}}?)[\\/]{{1,2}}Scripts[\\/]{{1,2}}(?:[Pp]ython|pip|yolo)[\d.]*\.exe\b", {"environment_kind": "venv"}, "implied"),
    Sign(("/bin/python", "/bin/yolo", "/bin/pip"), rf"{_POSIX}(?!/tmp/)(?P<environment>{_PATH}[\w.-]*v?env[\w.-]*)/bin/(?:python|pip|yolo)[\d.]*\b", {"environment_kind": "venv"}, "implied"),
    Sign(("/envs/",), rf"{_POSIX}(?!/tmp/)(?P<environment>{_PATH}(?<!\.pixi/)envs/[\w.-]+)/bin/(?:python|pip|yolo)[\d.]*\b", {"environment_kind": "conda"}, "implied"),
    # pip prints a path inside the current folder as a relative path: "in ./venv/lib/python3.11/site-packages".
    Sign((" in ./",), rf"^Requirement already satisfied: .{{1,200}} in (?P<environment>\./(?:[\w.-]+/){{0,4}}?[\w.-]+)/{_SITE}", {"environment_kind": "venv"}, "implied"),
    Sign((" in .\\",), r"^Requirement already satisfied: .{1,200} in (?P<environment>\.\\(?:[\w.-]+\\){0,4}?[\w.-]+)\\[Ll]ib\\site-packages", {"environment_kind": "venv", "os": "windows"}, "implied"),
    Sign(("uv/tools/", "uv\\tools\\"), rf"(?:{_POSIX}(?P<environment>{_PATH}uv/tools/[\w.-]+)/{_SITE})", {"environment_kind": "venv"}, "implied"),
    Sign(("pipx/venvs/",), rf"{_POSIX}(?P<environment>{_PATH}pipx/venvs/[\w.-]+)/{_SITE}", {"environment_kind": "pipx"}, "implied"),
    Sign(("pipx\\venvs\\",), rf"{_WINDOWS}(?P<environment>{_DRIVE}pipx[\\/]{{1,2}}venvs[\\/]{{1,2}}[\w.-]+)[\\/]{{1,2}}[Ll]ib[\\/]{{1,2}}site-packages", {"environment_kind": "pipx"}, "implied"),
    # A folder with any other name: the kind of the environment is unknown, the version of its Python is known.
    Sign(_POSIX_ENVIRONMENT, rf"{_POSIX}(?!/usr/|/opt/homebrew/(?!Caskroom/)|/Library/|/cvmfs/)(?P<environment>{_PATH}(?!\.local/)[\w.-]+)/{_SITE}", {}, "implied"),
    Sign(_POSIX_ENVIRONMENT, rf"File \"(?P<environment>/[^\":]{{1,200}}? [^\":]{{0,200}}?)/{_SITE}", {}, "implied"),
    # A path without its beginning: "miniconda3/envs/seg/lib/python3.10/site-packages/torch".
    Sign(("conda3/envs/", "forge3/envs/"), rf"^(?:ana|mini|mamba)(?:conda|forge)3/envs/[\w.-]+/{_SITE}", {"environment_kind": "conda", "os": "linux"}, "implied"),
    Sign(("(/",), r"^\((?P<environment>/\S{1,200}?/envs/[\w.-]+)\) \S{0,80}[$#] ", {"environment_kind": "conda"}),
)  # fmt: skip

# Folders of a Python on Windows: of pyenv-win, of a GitHub runner, and of programs: "webui_forge\\system\\python", oobabooga's
# "installer_files\\env", the voice programs' "runtime", "python" of many others; WinPython's "WPy64-3950\\python-3.9.5.amd64", https://winpython.github.io/
_OWN = (
    r"(?:pyenv-win[\\/]{1,2}versions[\\/]{1,2}3[\w.-]+|Python[\\/]{1,2}3[\d.]+[\\/]{1,2}x64|system[\\/]{1,2}python|installer_files[\\/]{1,2}env|"
    r"WPy(?:32|64)-\w+[\\/]{1,2}python(?:-3[\w.]+)?|runtime|workenv|(?:Applio[\w.-]*|alltalk_environment)[\\/]{1,2}env|[Pp]ython|py3\d{1,2}|"
    r"[Pp]ython[-_](?:miniconda|portable|env|dist|runtime)|[Pp]ython[-_.]?3[\d.]*|\.ext)"
)
# A Python that is not a virtual environment: of the system, of the user's own packages, of pyenv, of python.org.
_SYSTEMS = (
    Sign(("/.local/lib/python",), rf"{_POSIX}(?:{_PATH}|/)\.local/{_SITE}", {"environment_kind": "user", "os": "linux"}, "implied"),
    Sign(("~/.local/lib/python",), rf"(?<!\S)~/\.local/{_SITE}", {"environment_kind": "user", "os": "linux"}, "implied"),
    Sign(("/Library/Python/",), r"/Users/[^/\s]+/Library/Python/(?P<python>3\.\d{1,2})/lib/python/site-packages", {"environment_kind": "user", "os": "darwin"}, "implied"),
    Sign(("\\Roaming\\Python\\",), r"\\{1,2}Roaming\\{1,2}Python\\{1,2}Python(?P<python>3\d{1,2})\\{1,2}site-packages", {"environment_kind": "user", "os": "windows"}, "implied"),
    Sign(("\\LocalCache\\local-packages\\",), r"\\PythonSoftwareFoundation\.Python\.\S{1,60}\\local-packages\\Python(?P<python>3\d{1,2})\\site-packages", {"environment_kind": "user", "os": "windows"}, "implied"),
    Sign(("/usr/lib/python", "/usr/lib64/python", "/usr/local/lib/python", "/usr/local/lib64/python"), rf"(?<![\w.])(?P<environment>/usr(?:/local)?)/{_SITE}", {"environment_kind": "system"}, "implied"),
    Sign(("/opt/homebrew/", "/usr/local/Cellar/"), rf"(?<![\w.])(?P<environment>/opt/homebrew)/(?:(?!Caskroom/)\S{{1,80}}/)?{_SITE}", {"environment_kind": "system", "os": "darwin"}, "implied"),
    Sign(("/Python.framework/",), rf"/Library/Frameworks/Python\.framework/Versions/3\.\d+/{_SITE}", {"environment_kind": "system", "os": "darwin"}, "implied"),
    Sign(("/.pyenv/versions/",), rf"{_POSIX}(?P<environment>{_PATH}\.pyenv/versions/3[\w.-]+)/{_SITE}", {"environment_kind": "standalone"}, "implied"),
    Sign(_WINDOWS_ENVIRONMENT, rf"{_WINDOWS}(?P<environment>{_DRIVE}(?:[Pp]ython3\d{{1,2}}|{_OWN}))[\\/]{{1,2}}[Ll]ib[\\/]{{1,2}}site-packages", {"environment_kind": "standalone"}, "implied"),
)  # fmt: skip

# A Python in its own folder, which no installer registered: python.org's embeddable package, or the Python of a program.
# "python_embeded" is how ComfyUI's portable package spells it, https://github.com/comfyanonymous/ComfyUI#installing
_BESIDE = r"(?:python_embed+ed|python_standalone|python[-_]?\d[\d.]*-embed-\w+|python[-_]portable)"
_PORTABLE = (
    Sign(("ython_embed", "ython_standalone", "-embed-", "ython_portable", "ython-portable"), rf"(?:^|[\s>\"'(])(?P<portable>\.[\\/](?:[\w.-]+[\\/])?{_BESIDE})[\\/]python\.exe\b", {"os": "windows"}, "implied", 1),
    Sign(("ython_embed", "ython_standalone", "-embed-", "ython_portable", "ython-portable"), rf"{_WINDOWS}(?P<portable>{_DRIVE}{_BESIDE})(?=[\\/]{{1,2}}(?:[Ll]ib[\\/]|python\.exe))", {"os": "windows"}, "implied"),
)  # fmt: skip

_PYTHONS = (
    Sign(("/python3.",), r"(?<!lib)(?<!lib64)/python(?P<python>3\.\d{1,2})/site-packages\b", {}, "implied", -1),
    Sign(_POSIX_ENVIRONMENT, rf"(?<!/venvs/poetry)(?<!/venvs/pdm)(?<!/venvs/hatch)(?<!/venvs/tox)(?<!/venvs/nox)(?<!/pypoetry/venv)/{_SITE}", {}, "implied"),
    # A file of Python's own library: "/usr/lib/python3.8/subprocess.py".
    Sign(_POSIX_ENVIRONMENT, r"/lib(?:64)?/python(?P<python>3\.\d{1,2})t?/(?!site-packages|dist-packages)[a-z_]\w*(?:/\w+){0,4}\.py\b", {}, "implied"),
    Sign(("\\Python3", "/Python3"), r"[\\/](?:Python[\\/]{1,2})?[Pp]ython_?(?P<python>3(?:1[0-5]|[6-9]))\d{0,2}[\\/]{1,2}(?:[Ll]ib|python\.exe|Scripts)\b", {}, "implied"),
    Sign((" torch-",), rf"\bPython-(?P<python>{_V3}) torch-"),
    Sign(("Python 3",), rf"^Python (?P<python>{_V3}) \((?:default|main|tags|heads|v3|\w{{3}} \d|[\w ]+, )"),
    Sign(("Python 3",), rf"^Python (?P<python>{_V3})(?: \|.{{0,80}}\|.{{0,80}})?$"),
    Sign(("Python 3",), rf"^Python (?P<python>{_V3}) \| packaged by"),
    Sign(("Python version",), rf"^(?:\[\w+\] )?(?:\*\* )?Python version ?(?:[:=]|is) ?(?P<python>{_V3})\b"),
    Sign(("Python ",), rf"^Python {{4,}}(?P<python>{_V3})$"),
    Sign(("Python: ", "python: ", "python=="), rf"^(?:conda )?[Pp]ython(?:: |==)(?P<python>{_V3})$", {}, "implied"),
    Sign(("-cp3",), r"(?:Downloading|Using cached|Processing|filename=|Guessing wheel URL:)\s{0,2}\S{0,300}-cp(?P<python>3\d{1,2})-cp3\d{1,2}[mt]?-\S{1,120}\.whl", {}, "implied"),
    Sign(("-cpython-3",), r"[\\/](?:temp|lib|bdist)\.[\w.-]{3,40}-cpython-(?P<python>3\d{1,2})\b", {}, "implied"),
    Sign(("\\python-3",), r"[\\/]python-(?P<python>3\.\d{1,2}\.\d{1,2})(?:\.amd64)?[\\/]{1,2}(?:[Ll]ib|python\.exe|Scripts)\b", {}, "implied"),
    Sign((".cpython-3",), r"\.cpython-(?P<python>3\d{1,2})m?-(?:x86_64|aarch64|darwin)", {}, "implied"),
    Sign(("ou're using CPython",), r"[Yy]ou're using CPython (?P<python>3\.\d{1,2})(?!\d)"),
    Sign(("Using CPython", "Using Python"), rf"^Using C?Python (?P<python>{_V3})(?: interpreter at|$| environment)", {"installer": "uv"}),
    Sign(("(you have 3",), rf"^Python\s+{_V3} \(you have (?P<python>{_V3})\)"),
    Sign(("python ",), rf"^python\s+(?P<python>{_V3})\s+\w+_\w+(?:\s+\S+)?$"),
    Sign(("python=3",), rf"^(?:[^$#>]{{0,80}}[$#>] ?)?(?:conda|mamba|micromamba) (?:create|install) .{{0,200}}\bpython==?(?P<python>{_V3})\b"),
)  # fmt: skip


_PROMPT = r"(?:\([^()\s]{1,80}\) ?){0,2}(?:PS [A-Za-z]:\\|[A-Za-z]:\\[^<>|:\n]{0,150}>|\[?[\w.-]+@[\w.-]+[: ]|[$#%❯➜] )"
_ACTIVE = (
    Sign((") PS ", ":\\", "$ ", "# ", "% ", "❯ ", "➜ "), rf"^\((?P<prompt>[\w.-]{{1,60}})\) ?{_PROMPT}"),
    # Git Bash prints the environment in a separate line, before this prompt.
    Sign((" MINGW64 ", " MSYS "), r"^(?:\([^()\s]{1,60}\) ?)?[\w.-]+@[\w.-]+ (?:MINGW64|MSYS) ", {"os": "windows", "shell": "bash"}, weight=1),
)  # fmt: skip

# The folder of micromamba is ~/.local/share/mamba; before version 2 it was ~/micromamba,
# https://mamba.readthedocs.io/en/latest/user_guide/concepts.html#root-prefix
_CONDAS = (
    Sign(("share/mamba/", "share\\mamba\\", "micromamba"), r"[\\/]share[\\/]{1,2}mamba[\\/]|\bmicromamba\b", {"conda_tool": "micromamba"}, "implied"),
    Sign(("mamba ",), r"(?:^|[$#>;&] ?)mamba (?:install|create|activate|env|run|update|list)\b", {"conda_tool": "mamba"}),
    Sign(("conda ",), r"(?:^|[$#>;&!] ?)conda (?:install|create|activate|env|run|update|list)\b", {"conda_tool": "conda"}),
)  # fmt: skip


def _ran(installer: str, literals: tuple[str, ...], pattern: str) -> Sign:
    """Return the sign of a line that only this installer prints."""
    return Sign(literals, pattern, {"installer": installer})


_INSTALLERS = (
    _ran("pip", ("Collecting ",), r"^Collecting [A-Za-z0-9][\w.-]*(?=[=<>!~@\[;]|$| \(from| @)"),
    _ran("pip", ("Requirement already satisfied",), r"^Requirement already satisfied: "),
    _ran("pip", ("Successfully installed ", "Installing collected packages:"), r"^(?:Successfully installed \S+-\d|Installing collected packages: )"),
    _ran("pip", ("Failed building wheel for", "Could not build wheels for"), r"Failed building wheel for |Could not build wheels for "),
    _ran("pip", ("not a problem with pip",), r"is likely not a problem with pip\b"),
    _ran("pip", ("satisfies the requirement",), r"Could not find a version that satisfies the requirement "),
    _ran("pip", ("pip-install-", "pip-req-build-"), r"[\\/]pip-(?:install|req-build)-\w{8}[\\/]"),
    _ran("pip", ("ing wheel for",), r"^Building wheel for [\w.-]+ \((?:setup\.py|pyproject\.toml)\)"),
    _ran("pip", ("dependency resolver does not",), r"pip's dependency resolver does not"),
    _ran("uv", ("Resolved ", "Prepared ", "Audited ", "Installed "), r"^(?:Resolved|Prepared|Audited) \d+ packages? in \d|^Installed \d+ packages? in \d"),
    # pip, and uv
    Sign(("externally-managed-environment", " is externally managed"), r"^(?:error: )?externally-managed-environment$|^error: The interpreter at \S{1,200} is externally managed", {"managed": "yes"}),
    Sign(("Resolved ",), r"^Resolved \d+ packages? in \d", {"locked": "yes"}),
    Sign(("problem with poetry but with", "Installing "), r"(?:problem with poetry but with|^\s*[•-] Installing) [\w.-]+ \((?P<asked>\d[\w.+]*)\)(?:: Failed| not supporting)"),
    _ran("uv", ("Failed to build `", "Failed to download and build `"), r"Failed to (?:download and )?build `"),
    _ran("uv", ("uv/environments-v", "uv\\environments-v"), r"[\\/]uv[\\/](?:cache[\\/])?environments-v\d+[\\/]"),
    _ran("uv", ("Failed to download and build: `", "Failed to build: `"), r"Failed to (?:download and )?build: `"),
    _ran("uv", ("[stderr]", "[stdout]"), r"^\[std(?:err|out)\]$"),
    _ran("uv", ("likely indicates that `",), r"This error likely indicates that `[\w.-]+@"),
    _ran("uv", ("The build backend returned an error",), r"The build backend returned an error"),
    _ran("uv", ("No solution found when resolving",), r"No solution found when resolving"),
    _ran("uv", ("/uv/", "\\uv\\cache"), r"[\\/]\.?(?:cache[\\/])?uv[\\/](?:cache[\\/])?(?:builds|sdists|archive)-v\d+[\\/]"),
    _ran("conda", ("PackagesNotFoundError", "UnsatisfiableError", "LibMambaUnsatisfiableError", "CondaHTTPError", "EnvironmentNameNotFound"), r"^(?:PackagesNotFoundError|UnsatisfiableError|LibMambaUnsatisfiableError|CondaHTTPError|EnvironmentNameNotFound)\b"),
    _ran("conda", ("Collecting package metadata", "Solving environment"), r"^(?:Collecting package metadata \(|Solving environment: )"),
    _ran("micromamba", ("critical libmamba", "error    libmamba"), r"^(?:critical|error +) ?libmamba "),
    _ran("poetry", ("problem with poetry",), r"is likely not a problem with poetry"),
    _ran("poetry", ("Package operations:", "Installing dependencies from lock file"), r"^(?:Package operations: \d+ install|Installing dependencies from lock file)"),
    _ran("poetry", (" • Installing ", " - Installing "), r"^\s*[•-] Installing [\w.-]+ \(\d[\w.+]*\)"),
    _ran("poetry", ("Unable to find installation candidates",), r"Unable to find installation candidates for [\w.-]+"),
    _ran("poetry", ("403 Client Error: Forbidden for url: https://download.pytorch",), r"^403 Client Error: Forbidden for url: https://download\.pytorch\.org/whl/"),
    _ran("poetry", ("version solving failed",), r"\bversion solving failed"),
    _ran("pdm", ("[pdm.", "pdm.termui"), r"\[pdm\.|\bpdm\.termui\b"),
    _ran("pdm", ("Install ", "Lock successful"), r"^(?:[✔✖] (?:Install|Update) \S+ \d\S*(?: successful| failed)?|🔒 Lock successful)"),
    _ran("pixi", (".pixi/envs", ".pixi\\envs", "pixi::"), r"\.pixi[\\/]envs[\\/]|\bpixi::"),
    _ran("pixi", ("failed to solve the pypi requirements",), r"failed to solve the (?:pypi|conda) requirements of"),
    Sign(("uv/python/", "uv\\python\\"), r"[\\/]uv[\\/]{1,2}python[\\/]{1,2}cpython-3", {"installer": "uv"}, "implied"),
    Sign(("uv/tools/", "uv\\tools\\"), r"[\\/]uv[\\/]{1,2}tools[\\/]{1,2}\w", {"installer": "uv"}, "implied"),
    Sign(("pypoetry",), r"pypoetry[\\/]{1,2}(?:Cache[\\/]{1,2})?virtualenvs[\\/]", {"installer": "poetry"}, "implied"),
    _ran("pipx", ("pipx/venvs/", "pipx\\venvs\\"), rf"pipx[\\/]venvs[\\/](?!{_MAKERS}[\\/])"),
)  # fmt: skip

SIGNS = (*_ENVIRONMENTS, *_SYSTEMS, *_PORTABLE, *_ACTIVE, *_CONDAS, *_PYTHONS, *_INSTALLERS)
