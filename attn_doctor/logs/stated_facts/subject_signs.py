"""List the lines that name the package that was built, installed or imported, or the command that was typed."""

from __future__ import annotations

import re

from attn_doctor.logs.stated_facts.sign import Sign

_NAME = r"(?P<package>[A-Za-z][\w.-]*?)"
_AFTER = r"(?=[=<>!~@\[\s;,'`)]|$)"
_BUILDING, _INSTALLING = {"doing": "building"}, {"doing": "installing"}
_IMPORTING, _RUNNING = {"doing": "importing"}, {"doing": "running"}
# Tools that build other packages: they are not the package that failed.
_TOOLS = r"(?:pip|setuptools|wheel|pkg_resources|_distutils_hack|pyproject_hooks|build|uv|poetry|pdm|importlib|_virtualenv|numpy\.distutils|ninja)\b"

_SO = r"(?:\.cpython-\S{3,40}?|\.abi3)?\.so(?:\]\(\S{1,200}\))?: "  # a forum turns the name into a link: "[x.so](http://x.so/): undefined"
_EXTENSIONS = r"flash_attn_2_cuda|flash_attn\w*|selective_scan_cuda|causal_conv1d\w*|xformers|mamba_ssm|sageattention\w*|natten|mmcv|detectron2|awq_ext"

# Folders in which a package keeps copies of other packages' sources, and the folder of the package above them. torch itself is left out:
# pip would fetch its finished wheel, and would not repeat the build.
_COPY_FOLDERS = ("third_party", "third-party", "thirdparty", "3rdparty", "3rd_party", "vendor", "vendored", "submodules", "extern", "external", "deps", ".deps", "_deps")  # fmt: skip
_COPIES = rf"(?:{'|'.join(map(re.escape, _COPY_FOLDERS))})"
_NO_COPY = "".join(rf"(?<!{re.escape(folder)}/)" for folder in _COPY_FOLDERS)
_OWNER = (
    r"(?:^|[\\/\s=\"'])(?!(?:[Pp]y[Tt]orch|build|src|source|sources|repo|repos|app|code|work|workspace|tmp|temp|opt|home|root|git|project|projects|lib|xfrm\d?)[\\/])"
    r"(?P<package>[A-Za-z][\w.-]*?)(?:[-_.]v?\d[\w.+-]*|_[0-9a-f]{32}|-src|-main|-master)?"
)

# Weights of a package: it failed; it was built or imported; a frame of a traceback is in it.
FAILED, TRIED, FRAME = 3, 2, 1

_SUBJECTS = (
    Sign(("Failed building wheel for",), rf"Failed building wheel for {_NAME}{_AFTER}", _BUILDING, weight=FAILED),
    Sign(("Failed to build ",), r"^(?:ERROR: )?Failed to build (?!installable|one or|'|wheel|`)(?P<package>[A-Za-z][\w.-]*)(?: [\w.-]+){0,6}$", _BUILDING, weight=FAILED),
    Sign(("Failed to build '",), rf"Failed to build '{_NAME}' when ", _BUILDING, weight=FAILED),
    Sign(("build `",), rf"Failed to (?:download and )?build `{_NAME}{_AFTER}", _BUILDING, weight=FAILED),
    Sign(("Failed to prepare distributions", "Failed to fetch wheel:", "Failed to build:", "Failed to download distributions", "Failed to download and build:"), rf"Failed to (?:fetch wheel|build|download and build): {_NAME}{_AFTER}", _BUILDING, weight=FAILED),
    Sign(("build: `",), rf"Failed to (?:download and )?build: `{_NAME}{_AFTER}", _BUILDING, weight=FAILED),
    Sign(("This error likely indicates that",), r"indicates that `(?P<package>[\w.-]+?)@\S{1,40}` depends(?: on `|$)", _BUILDING, weight=FAILED),
    Sign(("Could not build wheels for",), rf"Could not build wheels for {_NAME}{_AFTER}", _BUILDING, weight=FAILED),
    Sign(("Running setup.py clean for",), rf"Running setup\.py clean for {_NAME}$", _BUILDING, weight=FAILED),
    Sign(("not a problem with poetry but with",), rf"not a problem with poetry but with {_NAME}{_AFTER}", _BUILDING, weight=FAILED),
    Sign(("✖ Install ", "✖ Update "), rf"^\s*✖ (?:Install|Update) {_NAME} (?P<asked>\d\S*) failed", _BUILDING, weight=FAILED),
    Sign(("No matching distribution found for",), rf"No matching distribution found for {_NAME}{_AFTER}", _INSTALLING, weight=FAILED),
    Sign(("requires a different Python",), rf"Package '{_NAME}' requires a different Python", _INSTALLING, weight=FAILED),
    Sign(("satisfies the requirement",), rf"Could not find a version that satisfies the requirement {_NAME}{_AFTER}", _INSTALLING, weight=FAILED),
    Sign(("was not found in the package registry", "has no wheels with"), r"\bBecause (?P<package>[A-Za-z][\w.-]*)(?:[=<>]\S+)? (?:was not found in the package registry|has no wheels with)", _INSTALLING, weight=FAILED),
    Sign(("is not a supported wheel",), r"^(?:ERROR: )?(?:\S{0,200}[\\/])?(?P<package>[A-Za-z]\w*(?:\.\w+)*)-\d[^-\s]*-\S{1,120}\.whl is not a supported wheel on this platform", _INSTALLING, weight=FAILED),
    Sign(("is incompatible with the current platform",), r"dependency is incompatible with the current platform: \S{0,300}?(?P<package>[A-Za-z]\w*(?:\.\w+)*)-\d[^-/\s]*-\S{1,120}\.whl", _INSTALLING, weight=FAILED),
    # An older pip prints its whole command after the error: ".../pip-install-ab12cd34/NAME_<hash>/setup.py", before 21.0 "/NAME/setup.py".
    Sign(("Command errored out with exit status",), r"Command errored out with exit status \d+:.{0,600}?[\\/]+pip-install-\w{8}[\\/]+(?P<package>[A-Za-z][\w.-]*?)(?:_[0-9a-f]{32})?[\\/]+setup\.py", _BUILDING, weight=FAILED),
    Sign(("pip-install-",), r"[\\/]pip-install-\w{8}[\\/]+(?P<package>[A-Za-z][\w.-]*?)_[0-9a-f]{32}\b", _BUILDING, weight=TRIED),
    Sign(("ing wheel for",), rf"^Building wheel for {_NAME} \((?:setup\.py|pyproject\.toml)\)", _BUILDING, "implied", TRIED),
    Sign(("Building ",), r"^(?:[^\w\s]\s)?Building (?P<package>[a-z][\w.-]{1,60})==\d\S{0,40}$", _BUILDING, "implied", TRIED),
    # A pinned version (==), in the command or in a file of requirements.
    Sign(("Collecting ",), rf"^`?Collecting {_NAME}==(?P<asked>\d[\w.]*)(?=$|[;\s])", _INSTALLING, "implied"),
    Sign(("Building wheels for collected packages:",), rf"^Building wheels for collected packages: {_NAME}$", _BUILDING, "implied", TRIED),
    Sign(("Collecting ",), rf"^`?Collecting {_NAME}(?=[=<>!~@\[;]|$| \(from| @)", _INSTALLING, "implied"),
    Sign(("' extension",), r"^building '(?P<package>[A-Za-z]\w*(?=\.)|flash_attn_2_cuda|causal_conv1d_cuda|selective_scan_cuda|amp_C|MultiScaleDeformableAttention)(?:\.[\w.]+)?' extension$", _BUILDING, "implied", TRIED),
    # The command alone in a line, without a prompt, as people write what they did.
    Sign(("pip install ", "pip3 install "), r"^[`!%]?(?:pip3?|uv pip|python3? -m pip) install (?:--?[a-z-]+ )*(?P<package>flash[-_]attn|xformers|mamba[-_]ssm|causal[-_]conv1d|natten|apex|pytorch3d|detectron2)(?:==\d[\w.]*)?(?: --?[a-z-]+){0,4}[`.]?$", _BUILDING, "implied"),
    # The command inside a sentence, with a version: "error: 'pip install causal-conv1d==1.1.1' fails".
    Sign(("pip install ", "pip3 install "), r"(?:pip3?|uv pip|python3? -m pip) install (?:--?[a-z-]+ )*(?P<package>flash[-_]attn|xformers|mamba[-_]ssm|causal[-_]conv1d|natten|bitsandbytes|deepspeed|auto[-_]gptq|mmcv|mmcv-full)==(?P<asked>\d[\w.]*)(?=$|[\s`'\"’”」])", _BUILDING, "implied"),
    # An extension that does not load, or a frame of the traceback.
    Sign((".so: ", ".so](http"), rf"(?:^|[\s('\"])\S{{0,250}}[\\/](?:site|dist)-packages[\\/]\[?(?P<package>\w+?){_SO}", _IMPORTING, weight=TRIED),
    Sign(("undefined symbol",), rf"(?<![\w.])(?P<package>{_EXTENSIONS})(?:\.so)?[`'\"]{{0,2}}[:,]? (?:with |has |had |- )?(?:an )?undefined symbols?\b", _IMPORTING, weight=TRIED),
    # The library that the dynamic loader names after the missing version; some programs leave out the words "required by".
    Sign(("GLIBC_2.",), r"version [`'\"]?GLIBC_2\.\d+[`'\"]? not found \( ?(?:required by )?\S{0,250}?[\\/](?:site|dist)-packages[\\/](?!torch[\\/]|nvidia[\\/])(?P<package>[A-Za-z]\w*)", _IMPORTING, weight=TRIED),
    Sign(("GLIBC_2.",), rf"version [`'\"]?GLIBC_2\.\d+[`'\"]? not found \( ?(?:required by )?\S{{0,250}}?(?<![\w.])(?P<package>{_EXTENSIONS})\.(?:cpython|abi3|so)", _IMPORTING, weight=TRIED),
    # A person's own words: "... when installing flash_attn: ModuleNotFoundError: No module named 'torch'".
    Sign(("No module named",), r"(?:安装|安裝|install(?:ing)?|build(?:ing)?|インストール)\s?[`'\"]?(?P<package>[A-Za-z][\w.-]*?)[`'\"]?\s?(?:处|时|時|失败|失敗|报错|fails?|failed|:|,|：|，).{0,60}No module named", _BUILDING, weight=TRIED),
    Sign((".so: ",), rf"[\\/](?:site|dist)-packages[\\/](?!torch[\\/]|nvidia[\\/])(?P<package>[A-Za-z]\w*?)(?:-\d[^\s\\/]{{1,80}}\.egg)?[\\/]\S{{1,150}}?{_SO}", _IMPORTING, weight=TRIED),
    Sign((".so: ",), rf"[\\/](?!torch[\\/])(?P<package>[A-Za-z]\w*)[\\/]_(?:C|ext|_C|cuda)\w*{_SO}", _IMPORTING, "implied", TRIED),
    Sign((".so: ",), r"(?:^|[\s('\"])(?!lib)(?P<package>\w+_(?:cuda|kernels|ext))(?:\.cpython-\S{3,40}|\.abi3)\.so: ", _IMPORTING, "implied", TRIED),
    Sign(("HTTP error 404 while getting", "Guessing wheel URL"), r"(?:HTTP error 404 while getting|Guessing wheel URL:) {0,3}\S{1,250}/(?P<package>[A-Za-z]\w*?)-\d[^/\s]{3,200}\.whl", _BUILDING, weight=TRIED),
    # An extension in the folder of its sources, which was installed with -e: "/home/me/vllm/vllm/_C.abi3.so".
    Sign((".so: undefined symbol",), r"(?<![\w.])(?P<folder>/(?!usr/|opt/|tmp/)(?:(?!(?:site|dist)-packages/)[^/\s:'\"]+/){1,12}?(?!(?:site|dist)-packages/)[^/\s:'\"]+)/(?!torch/)(?P<package>[A-Za-z]\w*)/_\w*(?:\.abi3|\.cpython-[\w-]+)?\.so: ", _IMPORTING, "implied", TRIED),
    # A compiled module that is missing.
    Sign(("No module named '",), r"Error: No module named '(?P<package>(?!torch)[A-Za-z]\w*)\.(?:[\w.]+\.)?(?:_C\w*|_ext\w*|_cuda|_fused|_qattn_\w+)'", _IMPORTING, weight=TRIED),
    Sign(("No module named '",), r"Error: No module named '(?P<package>selective_scan_cuda|causal_conv1d_cuda|amp_C|apex_C|fused_layer_norm_cuda|fused_weight_gradient_mlp_cuda|MultiScaleDeformableAttention|exllama_kernels|exllamav2_kernels|exllamav2_ext|autogptq_cuda_\d+|awq_ext|tinycudann_bindings|libnatten)'", _IMPORTING, weight=TRIED),
    Sign(("cannot import name '_",), r"cannot import name '_(?:C|ext)' from (?:partially initialized module )?'(?P<package>(?!torch)[A-Za-z]\w*)'", _IMPORTING, weight=TRIED),
    Sign(("ms_deform_attn.py",), r"[\\/](?P<package>groundingdino)[\\/]models[\\/]\w+[\\/]ms_deform_attn\.py", _IMPORTING, weight=TRIED),
    # A message in which a package names itself: of its setup.py, of its import, or of a call.
    Sign(("is not supported because:", "memory_efficient_attention"), r"^`\w{2,20}[FB](?:-\w{1,10})?(?:@\S{1,20})?` is not supported because|No operator found for `memory_efficient_attention", {"package": "xformers", "doing": "running"}, weight=TRIED),
    Sign(("was requested, but nvcc", "was requested, but hipcc"), r"(?<![\w-])(?P<package>[a-z]\w+) was requested, but (?:nvcc|hipcc) was not found", _BUILDING, weight=TRIED),
    Sign(("Could not run '",), r"Could not run '(?P<package>xformers|flash_attn|mamba_ssm|causal_conv1d|mmcv|detectron2|torchvision)::\w+' with arguments", _RUNNING, weight=TRIED),
    Sign(("is only supported on CUDA",), r"(?<![\w-])(?P<package>[A-Za-z]\w+)(?:-\d)? is only supported on CUDA \d", _BUILDING, weight=TRIED),
    Sign((": No CUDA toolkit found",), r"(?<![\w-])(?P<package>[A-Za-z]\w+): No CUDA toolkit found", _IMPORTING, weight=TRIED),
    # Only xFormers prints these three lines. People also post them without "WARNING[XFORMERS]", or post only the last line.
    Sign(("xFormers can't load", "xFormers wasn't build", "xFormers was built for"), r"xFormers (?:can't load C\+\+|wasn't build with CUDA|was built for)", {"package": "xformers", "doing": "importing"}, weight=TRIED),
    Sign(("(you have ",), r"^PyTorch +\d[\w.+]* (?:with CUDA \S+ )?\(you have \d", {"package": "xformers", "doing": "importing"}, weight=TRIED),
    Sign(("libtorchcodec",), r"Could not load libtorchcodec\b", {"package": "torchcodec", "doing": "importing"}, weight=TRIED),
    Sign(("DLL load failed while importing",), r"DLL load failed while importing (?P<package>\w+)", _IMPORTING, weight=TRIED),
    Sign(("Can't import ",), r"Can't import (?P<package>\w+): No module named", _IMPORTING, weight=TRIED),
    Sign(('Error loading "',), r"Error loading \"[^\"]{0,250}[\\/]+site-packages[\\/]+(?P<package>\w+)[\\/]", _IMPORTING, weight=TRIED),
    Sign(('File "',), rf"^File \"[^\"]{{0,250}}[\\/](?:site|dist)-packages[\\/](?!{_TOOLS}|torch[\\/]utils[\\/]cpp_extension)(?P<package>\w+)[\\/.][^\"]{{1,250}}\", line \d+(?!\d)(?!, in <module>)", _RUNNING, "implied", FRAME),
    Sign(('File "',), rf"^File \"[^\"]{{0,250}}[\\/](?:site|dist)-packages[\\/](?!{_TOOLS}|torch[\\/]utils[\\/]cpp_extension)(?P<package>\w+)[\\/.][^\"]{{1,250}}\", line \d+, in <module>", _IMPORTING, "implied", FRAME),
    # The error of a GPU kernel, with the path of its source, which contains the name of the package: ".../flashinfer-0.1.4+cu121/include/x.cuh: line 169".
    Sign((".cuh", ".cu:", ".cu(", ".cpp:"), r"/(?P<package>[a-z]\w+(?:-\w+)?)-\d+\.\d+[\w.+]*/(?:include|csrc|src)/[\w/.-]+\.(?:cuh?|cpp|h)\b", _RUNNING, "implied", FRAME),
    # A source file of a package, before an error of MSVC, or of nvcc on Windows.
    Sign(("error C", " error: "), r"(?:^|[\\/])(?P<package>detectron2|pytorch3d|mmcv|xformers|deepspeed|groundingdino|apex|natten|spconv|sageattention|bitsandbytes|gsplat|nvdiffrast|exllamav2|causal[-_]conv1d|mamba[-_]ssm|diff-gaussian-rasterization|simple-knn|tiny-cuda-nn)[\\/][\w\\/.-]{1,150}\(\d+\)\s?: (?:fatal )?error(?: C\d{4})?:", _BUILDING, "implied", TRIED),
    # bitsandbytes prints the place in its source before it ends the process: ".../bitsandbytes/csrc/ops.cu".
    Sign(("csrc/ops.", "csrc\\ops."), r"\bError .{5,80} at line \d+ in file \S{0,200}?(?P<package>bitsandbytes)[\\/]csrc[\\/]ops\.", _RUNNING, "implied", TRIED),
    Sign(("Unable to pre-compile",), r"Unable to pre-compile \w+", {"package": "deepspeed", "doing": "building"}, weight=TRIED),
    # A copy of flash-attention inside the sources of another package belongs to that package: ".../xformers/third_party/flash-attention/csrc/".
    Sign(("flash-att", "flash_att"), rf"{_OWNER}[\\/]+{_COPIES}[\\/]+(?:[\w.-]+[\\/]+){{0,2}}?(?:\w+-)?flash[-_]att\w*(?:-src)?[\\/]", _BUILDING, "implied", TRIED),
    Sign(("flash-attention/csrc/",), rf"(?:^|[/\s]){_NO_COPY}(?P<package>flash-attention)/csrc/", _BUILDING, "implied", FRAME),
    Sign(("Collecting git+",), r"^Collecting (?P<address>git\+https://[\w.-]+/(?:[\w.~-]+/){1,4}(?P<package>[A-Za-z][\w.-]*?)(?:\.git)?(?:@[\w./-]+)?)(?=$|[\s#])", _BUILDING, "implied", FRAME),
    Sign((">>> import ",), r"^>>> import (?P<package>[A-Za-z]\w*)", _IMPORTING, "implied", FRAME),
    Sign((">>> from ",), r"^>>> from (?P<package>[A-Za-z]\w{0,60})(?:\.[\w.]{0,80})? import ", _IMPORTING, "implied", FRAME),
)  # fmt: skip

_TOOL = r"(?:python[\d.]*(?:\.exe)? -m )?(?:pip[\d.]*|uv|conda|mamba|micromamba|pixi|poetry|pdm|pipx)"
_VERBS = r"(?:install|sync|add|pip|run|create|lock|update|tool|env|wheel|download|remove)"
_TYPED = (
    rf"(?:sudo |time )?(?:[A-Z_]+=\S+ ){{0,6}}(?:{_TOOL} {_VERBS}\b|python[\d.]* setup\.py|yolo (?:\w+ ){{0,2}}\w+=)"
)
_ANY = r"\S+"  # the first word of the command: read.py takes the rest from the line, which may be wrongly joined with the next line
_ENVIRONMENT = r"(?:\([^()\s]{1,80}\) ?){0,3}"
_COMMANDS = ("pip install", "pip3 install", "uv pip", "uv sync", "uv add", "uv run", "uv lock", "uv tool", "conda install", "conda create", "conda env", "mamba install", "mamba create", "pixi add", "pixi install", "pixi run", "poetry add", "poetry install", "poetry lock", "pdm add", "pdm install", "pdm sync", "pipx install", "setup.py ", "yolo ")  # fmt: skip

_COMMAND = (
    Sign(("$ ", "# "), rf"^{_ENVIRONMENT}(?:\[[\w.-]+@[\w.-]+ [^\]$#]{{1,80}}\]|[\w.-]+@[\w.-]+:[^$#\n]{{0,120}}?) ?[$#] (?P<command>{_ANY})"),
    Sign(("$ ",), rf"^{_ENVIRONMENT}\$ (?P<command>{_ANY})"),
    Sign(("❯ ", "➜ "), rf"^\s*{_ENVIRONMENT}(?:➜ {{1,3}}\S+ )?[❯➜] +(?P<command>{_TYPED})"),
    Sign(("% ",), rf"^{_ENVIRONMENT}[\w.-]+@[\w.-]+ [^%\s]{{1,80}} % (?P<command>{_ANY})", {"os": "darwin"}, "implied"),
    Sign(("PS ",), rf"^{_ENVIRONMENT}PS [A-Za-z]:\\[^>\n]{{0,150}}> ?(?P<command>{_ANY})", {"os": "windows"}),
    Sign((":\\",), rf"^{_ENVIRONMENT}[A-Za-z]:\\[^<>|:\n]{{0,150}}>(?P<command>{_ANY})", {"os": "windows"}),
    Sign(("!pip", "%pip", "!uv", "!python", "!yolo", "%conda", "!conda"), r"^[!%](?P<command>(?:pip|uv|python|yolo|conda)\d?) "),
    Sign(_COMMANDS, rf"^[#>] (?P<command>{_TYPED})", {}, "implied"),
    Sign(_COMMANDS, rf"\A(?P<command>{_TYPED})", {}, "implied"),
    Sign(("] RUN ", " : RUN ", "RUN "), rf"^(?:=?> )?(?:ERROR )?(?:\[(?:[\w.-]+ )?\d+/\d+\] |Step \d+/\d+ : |>>> |\d+ \| >>> )?RUN (?P<command>(?!--mount){_ANY})"),
)  # fmt: skip

_OF_YOLO = Sign(
    ("ultralytics",),
    r"(?:File \"|on <module 'ultralytics[\w.]{0,60}' from ')(?P<yolo_location>(?:[^\"'\n]{1,250}[\\/])?ultralytics)[\\/]{1,2}(?:nn|engine|utils|models|cfg|data|trackers|hub|solutions)[\\/][^\"'\n]{1,120}(?:\", line \d|'>)",
    {},
    "implied",
)

# Sources that are built in the user's own folder, not in a folder into which an installer unpacked them.
_UNPACKED = r"(?![^\"]{0,250}(?:pip-install-|pip-req-build-|pip-build-|pip-modern-|builds-v\d|sdists-v\d|(?:site|dist)-packages|[\\/](?:tmp|Temp|TEMP)[\\/]))"
_PATH = r"(?:/|[A-Za-z]:[\\/])"
_FOLDER = (
    Sign(("setup.py", ), rf"^File \"{_UNPACKED}(?P<folder>{_PATH}[^\"]{{1,250}}?)[\\/]setup\.py\", line \d", {}, "implied"),
    # uv names the package and its folder: "Failed to build `detectron2 @ file:///app/src/detectron2`".
    Sign((" @ file:///",), r"`(?P<package>[A-Za-z][\w.-]*) @ file://(?:/(?=[A-Za-z]:))?(?P<folder>/[^\s`]{1,250}|[A-Za-z]:[\\/][^\s`]{1,250})`", _BUILDING, weight=FAILED),
    Sign(("Obtaining file://",), rf"^Obtaining file://(?:/(?=[A-Za-z]:))?(?P<folder>{_PATH}\S{{0,250}}[^\s/])"),
    Sign(("Processing ",), rf"^Processing (?P<folder>{_PATH}(?!\S*\.(?:whl|zip|gz|bz2)\b)\S{{0,250}}[^\s/])(?: \(from |$)"),
    Sign(("ninja: Entering directory",), rf"^ninja: Entering directory [`']{_UNPACKED}(?P<folder>{_PATH}[^`']{{1,250}}?)[\\/]build[\\/]temp\.", {}, "implied"),
)  # fmt: skip

# An image with its tag, without its digest. The first stage of a Dockerfile may be another image: the last one counts.
_NAME_OF_IMAGE = (
    r"(?:docker\.io/)?(?P<image>(?:[a-z0-9][\w.-]*(?::\d+)?/)*[a-z0-9][\w.-]*:[A-Za-z0-9][\w.-]*)(?:@sha256:\w+)?"
)
_IMAGE = (
    Sign(("FROM ",), rf"^(?:=?> )?(?:CACHED )?(?:\[(?:[\w.-]+ )? ?\d+/\d+\] |Step \d+/\d+ : |STEP \d+/\d+: |\s*\d+ \| (?:>>> )?)?FROM (?:--platform=\S+ )?{_NAME_OF_IMAGE}(?=$|\s)", {"os": "linux", "surroundings": "docker build"}, "implied"),
    Sign(("load metadata for ",), rf"\[internal\] load metadata for {_NAME_OF_IMAGE}(?=$|\s)"),
    Sign(("docker run ", "podman run "), rf"\b(?:docker|podman) run (?:-\S+(?:[ =](?!-)[^\s]+)? ){{0,14}}?{_NAME_OF_IMAGE}(?=$|\s)"),
)  # fmt: skip

# The whole command that started the container: no pipe and no second command follows it.
_STARTED = Sign(
    ("docker run ", "podman run "),
    r"^(?:[^$#>]{0,80}[$#>] ?)?(?P<started>(?:sudo )?(?:docker|podman) run [^<>|;&]{3,600}?)\s*$",
    {},
    "implied",
)

SIGNS = (*_SUBJECTS, *_FOLDER, *_COMMAND, *_IMAGE, _STARTED, _OF_YOLO)
