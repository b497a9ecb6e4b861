"""List the lines that state the installed torch, its build, or the packages that must fit it."""

from __future__ import annotations

from attn_doctor.logs.stated_facts.sign import VERSION, Sign

_TORCH = rf"(?P<torch>{VERSION})"
_CUDA, _CUDA2 = r"(?P<torch_cuda>(?:9|1[0-9])\.\d)", r"(?P<torch_cuda2>(?:9|1[0-9])\.\d)"
_END = r"(?=$|[\s,;)'\"`\]])"
_PACKAGES = (
    r"torchvision|torchaudio|numpy|triton|triton-windows|pytorch-triton|flash[-_]attn|ultralytics|xformers|transformers|"
    r"bitsandbytes|causal[-_]conv1d|mamba[-_]ssm|opencv-python|opencv-python-headless|setuptools|ninja|packaging"
)
_NAMES = ("torchvision", "torchaudio", "numpy", "triton", "flash-attn", "flash_attn", "ultralytics", "xformers", "transformers", "bitsandbytes", "causal", "mamba", "opencv", "setuptools", "ninja", "packaging")  # fmt: skip

_LINES = tuple(
    name + end
    for name in (*_NAMES, "triton-windows", "causal-conv1d", "mamba-ssm", "opencv-python")
    for end in ("==", " ")
)

_TORCHES = (
    Sign(("torch.__version__",), rf"\btorch\.__version__\s*(?:=+|:|[-=]>|→)\s*['\"]?{_TORCH}"),
    # kohya_ss, in its log: "17:22:49-350014 INFO     Torch 2.0.1+cu118"
    Sign(("Torch ",), r"\bINFO {1,8}Torch (?P<torch>\d\.\d+\.\d+\+(?:cu\d{2,3}|cpu|rocm\d[\d.]*))$", {}, "implied"),
    Sign(("PyTorch ",), r"^PyTorch (?P<torch>\d\.\d+\.\d+\S*\+(?:cu\d{2,3}|cpu|rocm\d[\d.]*))$", {}, "implied"),
    Sign((" torch-",), rf"\bPython-3\.\S+ torch-{_TORCH} "),
    Sign((" torch-",), rf"\bPython-3\.\S+ torch-{_TORCH}{_END}"),
    # The banner of YOLOv5, v7 and v9 checkouts without its Python: "YOLOv5 🚀 v6.0-177-g54 torch 1.10.1+cu113 CUDA:0 (...)", "YOLOR 🚀 2022-7-7 torch 1.12.1 CPU"
    Sign((" torch ",), rf"^[`'\">*]{{0,3}}(?:\w+: )?(?P<checkout>YOLO(?:v\d\w?|R|X)?)\b\W{{1,8}}(?:\S{{1,40}} )?(?:Python-(?P<python>3\.[\d.]+) )?torch {_TORCH} (?:CUDA:|CPU|MPS)"),
    Sign(("YOLO",), r"^[`'\">*]{0,3}(?:\w+: )?(?P<checkout>YOLO(?:v[5-9]|R))\b\W{1,8}\S{1,40} Python-3\S+ torch-"),
    Sign(("/yolov", "\\yolov"), r"File \"[^\"]{0,250}[\\/](?P<checkout>yolov[579])(?:-\w{1,20})?[\\/](?:models|utils|detect|train|val|test|export|hubconf)\b", {}, "implied"),
    Sign(("PyTorch version", "PyTorch Version"), rf"\bPyTorch [Vv]ersion\s{{0,3}}[:=]?\s{{0,3}}{_TORCH}{_END}"),
    Sign(("orch version ", "orch Version "), rf"^[-*•\s]{{0,4}}(?:[Pp]y)?[Tt]orch [Vv]ersion {_TORCH}[.,;]?$"),
    Sign(("torch version", "Torch version"), rf"\b(?:py|Py)?[Tt]orch version\s?(?:[:=]|is)\s?['`]?{_TORCH}{_END}"),
    Sign(("orch: ", "orch : ", "orch  ", "orch：", "orch="), rf"^(?:\S+ ){{0,2}}(?:[Pp]y)?[Tt]orch(?:[ _]?(?:[Vv]ersion|版本))?\s{{0,20}}(?:: |：|= ?)v?{_TORCH}{_END}", {}, "implied"),
    Sign(("orch版本", "orch 版本"), rf"[Tt]orch ?版本\s?[:：]\s?v?{_TORCH}{_END}", {}, "implied"),
    Sign(("CUDA available: True", "cuda available: True", "CUDA is available: True", "is_available(): True", "cuda_available: True"), r"(?:(?:CUDA|cuda)(?: is)?[ _]available|is_available\(\)): True\b", {"available": "yes"}),
    Sign(("already satisfied: torch",), rf"^Requirement already satisfied: torch(?:[=<>!~]\S*)? in .{{1,300}} \({_TORCH}\)$"),
    Sign(("Successfully installed ",), rf"^Successfully installed (?:.{{0,6000}} )?torch-{_TORCH}(?= |$)"),
    Sign(("+ torch==",), rf"^\+ torch=={_TORCH}$"),
    Sign(("torch==",), rf"^torch=={_TORCH}$", {}, "implied"),
    Sign(("torch ",), rf"^torch\s{{1,60}}{_TORCH}(?:\s+(?:pypi_0|\S*cu\S*|/\S*|https\S*))*(?:\s+pypi)?$"),
    # As people write it in a form or a title: "torch+cuda 2.6.0", "(torch 2.6.0/cu124, flash-attn 2.8.2)".
    Sign(("torch+cu", "Torch+CU"), rf"^(?:Py|py)?[Tt]orch ?\+ ?(?:cuda|CUDA|cu\d{{2,3}})\s*[:=]?\s+{_TORCH}$"),
    Sign(("/cu1",), r"\b(?:py|Py)?[Tt]orch[ =]{1,2}(?P<torch>\d\.\d{1,2}\.\d)\s?/\s?(?P<index>cu1\d\d)\b"),
    Sign(("torch ",), r"^torch\s{2,60}✅ (?P<torch>\d+\.\d+\.\d+(?:\+[a-z]+[\d.]*\d)?)[<>=!]"),
    Sign(("pytorch ",), rf"^(?:\+ )?pytorch\s+{_TORCH}\s+(?:py3\.?\d+_cuda(?P<torch_cuda>\d+\.\d+)\w*|cuda(?P<torch_cuda2>\d{{3}})_?\w*|\S+)"),
    Sign(("you have torch ",), rf"\byou have torch {_TORCH} which is incompatible"),
    Sign(("(you have ",), rf"\bPyTorch {VERSION} .{{0,40}}\(you have {_TORCH}\)"),
    Sign(("+cu", "+cpu", "+rocm"), r"^'?(?P<torch>[1-9]\d?\.\d+\.\d+(?:\.dev\d+|a\d+|rc\d+)?\+(?:cu\d{2,3}|cpu|rocm\d[\d.]*))'?$", {}, "implied"),
    Sign(("Guessing wheel URL",), r"Guessing wheel URL:\s+\S{0,200}torch(?P<torch>\d+\.\d+)cxx11abi", {}, "implied"),
    # NVIDIA's wheel for the Jetson, as a person names it.
    Sign((".nv",), r"\btorch-(?P<torch>\d\.\d+\.\d+a\d+\+[0-9a-f]{6,12}\.nv\d\d\.\d{1,2})(?:\.\d+)?-cp3\d+-cp3\d+m?-linux_aarch64\.whl", {}, "implied"),
    Sign(("+rocm",), r"Guessing wheel URL:\s+\S{0,200}\+rocm(?P<torch_hip>\d\d)\d{0,3}torch\d", {}, "implied"),
    # The command that installed torch: typed, in a Dockerfile, or in a notebook.
    Sign(("torch==",), rf"^(?:[^$#>]{{0,80}}[$#>] ?|[!%]|RUN )?(?:uv )?pip3? install (?:\S+ ){{0,6}}torch=={_TORCH}(?:\s.{{0,200}}/whl/(?P<index>cu\d{{2,3}}|cpu|xpu|rocm\d\.\d)\b)?", {}, "implied"),
    Sign(("torch-",), rf"^(?:Downloading|Using cached|Processing)\s\S{{0,200}}?(?<![\w.])torch-{_TORCH}-cp3\S+\.whl", {}, "implied"),
    Sign(("incompatible with torch==",), r"\btorchvision==(?P<torchvision>\d+\.\d+\S*) is incompatible with torch==(?P<torch>\d+\.\d+)(?=\.?$|\.? )", {}, "implied"),
    Sign(("compiled with CUDA enabled",), r"Torch not compiled with CUDA enabled", {"torch_flavour": "cpu"}, "implied"),
    Sign(("HIP error",), r"\bHIP error: ", {"torch_flavour": "rocm"}, "implied"),
    Sign(("torch.version.cuda",), r"\btorch\.version\.cuda\s*[:=]+\s*'?(?P<torch_cuda>\d+\.\d+)"),
    Sign(("torch.version.cuda",), r"\btorch\.version\.cuda\s*[:=]+\s*None", {"torch_cuda": ""}),
    Sign(("torch.version.hip",), r"\btorch\.version\.hip\s*[:=]+\s*'?(?P<torch_hip>\d+\.\d+)"),
    Sign(("CUDA used to build PyTorch",), r"^CUDA used to build PyTorch: (?P<torch_cuda>\d+\.\d+)"),
    # torch.version.cuda is None: "None" where no driver and no toolkit was found, else "Could not collect" (torch/utils/collect_env.py, pretty_str). An XPU build prints
    # it too; its version names XPU, and counts more.
    Sign(("CUDA used to build PyTorch: None", "CUDA used to build PyTorch: Could not collect"), r"^CUDA used to build PyTorch: (?:None|Could not collect)$", {"torch_flavour": "cpu"}, "implied", -1),
    Sign(("ROCM used to build PyTorch",), r"^ROCM used to build PyTorch: (?P<torch_hip>\d+\.\d+)"),
    Sign(("HIP used to build PyTorch",), r"^HIP used to build PyTorch: (?P<torch_hip>\d+\.\d+)"),  # since torch 2.15
    Sign(("used to compile PyTorch",), r"used to compile PyTorch \((?P<torch_cuda>\d+\.\d+)\)"),
    Sign(("CUDA ",), r"^CUDA {8,}(?P<torch_cuda>\d+\.\d+)$"),
    # Forms that people fill in: "CUDA built: 12.4", "PyTorch CUDA: 12.4", "torch 2.5.1 (CUDA 12.4)", "torch cuda version 12.4".
    Sign(("CUDA buil", "cuda buil", "built with CUDA", "built for CUDA", "Built with CUDA", "compiled with CUDA"), rf"\b(?:CUDA|cuda) buil[dt](?: version)?\s?[:=]\s?{_CUDA}|\b(?:[Bb]uilt|compiled) (?:with|for) CUDA:? {_CUDA2}(?=$|[\s,;)|])", {}, "implied"),
    Sign(("orch CUDA", "orch cuda", "orch's CUDA"), rf"\b(?:py|Py)?[Tt]orch(?:'s)?[ _](?:CUDA|cuda)(?: [Vv]ersion| build)?\s?(?:[:：=]|is)?\s?v?{_CUDA}(?=$|[\s,;)|])", {}, "implied"),
    Sign(("orch",), rf"\b(?:[Pp]y)?[Tt]orch(?: version)?\s?[:：=]?\s?v?{_TORCH}\s?(?:,|\(|/|with|built for|for|and|\+|\|)\s?(?:CUDA|cuda)\s?(?:version:? ?)?{_CUDA}(?=$|[\s,;)|])", {}, "implied"),
    # The folder in which torch builds an extension at its first use, _get_build_directory of torch/utils/cpp_extension.py
    Sign(("torch_extensions",), r"torch_extensions[\\/]{1,2}(?:Cache[\\/]{1,2})?py(?P<python>3\d{1,2})_cu(?P<torch_cuda>\d{3})\b", {}, "implied"),
)  # fmt: skip

# A wheel in an installation by its file name, or in pip's own lines ("Processing ./NAME", "Downloading NAME"). {0}: the name of the package.
_WHEEL = (
    r"^(?:.{{0,80}}pip3? install .{{0,400}}?|.{{0,80}}\b[Ii]nstall(?:ed|ing)? .{{0,40}}?[\"'`(]|Processing \S{{0,300}}?|Downloading \S{{0,300}}?)(?<!\w)(?P<name>{0})-"
    r"(?P<version>\d[\w.]*(?:\+|%2B)cu\d+torch[\d.]+cxx11abi(?:TRUE|FALSE))-cp3\S{{1,60}}\.whl(?=[ \"'`)]|$)"
)

_INSTALLED = (
    Sign(("pytorch.version:",), rf"^pytorch\.version:\s+{_TORCH}$"),
    Sign(("Requirement already satisfied: ",), rf"^Requirement already satisfied: (?P<name>{_PACKAGES})(?:[=<>!~]\S*)? in .{{1,300}} \((?P<version>{VERSION})\)$"),
    Sign(_LINES, rf"^(?:\[pip3?\] |\[conda\] )?(?P<name>{_PACKAGES})(?:==|\s{{1,60}})(?P<version>{VERSION})(?:\s+\S+){{0,2}}$"),
    Sign(tuple(f"+ {name}" for name in _NAMES), rf"^\+ (?P<name>{_PACKAGES})==(?P<version>{VERSION})$"),
    Sign(("Your installed torch==",), rf"\bYour installed (?P<name>torch)==(?P<version>{VERSION}) does not include kernels"),
    Sign(("✅",), rf"^(?P<name>{_PACKAGES})\s{{1,60}}✅ (?P<version>\d+\.\d+(?:\.\d+)*(?:\+[a-z]+[\d.]*\d)?)[<>=!]"),
    Sign((", but you have ",), rf"(?:^|\bconflicts\.)(?P<name>torchvision|torchaudio|torchtext|xformers|ultralytics|vllm|sglang|flash[-_]attn) (?P<version>{VERSION}) (?:requires|has requirement) .{{1,300}}, but you have "),
    # A row of `pip freeze` for a wheel that was installed by its address. The name shows its Python and processor: "flash_attn @ https://.../flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl#sha256=..."
    Sign((" @ http", " @ file:"), r"^(?P<name>[A-Za-z][\w.-]*) @ (?:https?|file)://[^\s#?]{0,400}/[A-Za-z]\w*(?:\.\w+)*-(?P<version>\d[\w.]*(?:(?:\+|%2B)[\w.]+)?)-cp(?P<python>3\d{1,2})-(?!abi3)\w+-\w*?(?P<machine>x86_64|aarch64|arm64|amd64)\.whl(?=$|[#?\s])"),
    # The same for a wheel of every Python: "bitsandbytes @ https://.../bitsandbytes-0.49.0-py3-none-win_amd64.whl"
    Sign((" @ http", " @ file:"), r"^(?P<name>[A-Za-z][\w.-]*) @ (?:https?|file)://[^\s#?]{0,400}/[A-Za-z]\w*(?:\.\w+)*-(?P<version>\d[\w.]*(?:(?:\+|%2B)[\w.]+)?)-(?:cp3\d{1,2}-abi3|py3|py2\.py3)-\S{1,80}\.whl(?=$|[#?\s])"),
    # The same row shows the system: "-win_amd64.whl", "-linux_x86_64.whl".
    Sign((" @ http", " @ file:"), r"^[A-Za-z][\w.-]* @ (?:https?|file)://\S{1,500}[-_]win_amd64\.whl(?=$|[#?\s])", {"os": "windows"}, "implied"),
    Sign((" @ http", " @ file:"), r"^[A-Za-z][\w.-]* @ (?:https?|file)://\S{1,500}[-_]linux_(?:x86_64|aarch64)\.whl(?=$|[#?\s])", {"os": "linux"}, "implied"),
    # A wheel that was installed by its file name: "pip install mamba_ssm-2.2.4+cu12torch2.4cxx11abiTRUE-cp310-cp310-linux_x86_64.whl".
    Sign(("mamba_ssm-",), _WHEEL.format("mamba_ssm")),
    Sign(("causal_conv1d-",), _WHEEL.format("causal_conv1d")),
    Sign(("flash_attn-",), _WHEEL.format("flash_attn")),
    # A server of models that works only with one torch, by a frame in its files.
    Sign(("-packages/vllm/", "-packages/sglang/", "-packages/lmdeploy/"), r"/(?:site|dist)-packages/(?P<name>vllm|sglang|lmdeploy)(?P<version>)/", {}, "implied"),
    # Programs whose requirements.txt contains torchaudio, by their folder: a new torch needs a new torchaudio.
    # https://github.com/comfyanonymous/ComfyUI/blob/master/requirements.txt, https://github.com/RVC-Boss/GPT-SoVITS, https://github.com/m-bain/whisperX
    Sign(("ComfyUI", "GPT-SoVITS", "RVC", "so-vits-svc", "fish-speech", "F5-TTS", "CosyVoice", "hisperX", "hisperx", "Applio", "audiocraft"), r"[\\/](?:ComfyUI(?:_windows_portable|[\w.-]{0,20})|GPT-SoVITS[\w.-]{0,30}|(?:Retrieval|RVC)[\w.-]{0,60}|so-vits-svc[\w.-]{0,20}|fish-speech|F5-TTS|CosyVoice\d?|[Ww]hisper[Xx]|Applio|audiocraft)(?P<torchaudio>)[\\/]", {}, "implied"),
    Sign(("import torchaudio", "torchaudio/", "torchaudio\\"), r"(?:^|[\\/ ])(?:import torchaudio\b|-packages[\\/]torchaudio[\\/])(?P<torchaudio>)", {}, "implied"),
    # The names of loggers, and rows of the tables of detectron2 and mmengine.
    Sign((" detectron2]: ",), r"^\[\d\d/\d\d \d\d:\d\d:\d\d (?P<name>detectron2)(?P<version>)\]: ", {}, "implied"),
    Sign(("detectron2  ",), rf"^(?P<name>detectron2)\s{{2,60}}(?P<version>{VERSION})(?= @|$)"),
    # python -m xformers.info
    Sign(("xFormers ",), rf"^(?P<name>xFormers) (?P<version>{VERSION})$"),
    Sign(("MMCV: ",), rf"^(?P<name>MMCV): (?P<version>{VERSION})$"),
    Sign(("/sgl-workspace/",), r"/sgl-workspace/(?P<name>sglang)(?P<version>)/", {}, "implied"),  # SGLang's image
    # vLLM's own log names its file: "ERROR 09-23 18:12:03 [core.py:654] ...", https://github.com/vllm-project/vllm/blob/main/vllm/logger.py
    Sign(("[core.py:", "[multiproc_executor.py:", "[async_llm.py:", "[gpu_worker.py:", "[gpu_model_runner.py:"), r"\b(?:INFO|WARNING|ERROR) \d\d-\d\d \d\d:\d\d:\d\d \[(?:core|multiproc_executor|async_llm|gpu_worker|gpu_model_runner)\.py:\d+\](?P<vllm>)", {}, "implied"),
    Sign(("[pip",), rf"^\[pip3?\] torch=={_TORCH}$"),
    Sign(("[conda]",), rf"^\[conda\] (?:py)?torch\s+{_TORCH}\s"),
    Sign(("Ultralytics ",), r"\bUltralytics (?:YOLOv?)?(?P<ultralytics>\d+\.\d+\.\d+)\b.{0,12} Python-"),
)  # fmt: skip
# One line names many packages: "Successfully installed numpy-2.1.0 torch-2.5.1+cu124".
_LISTED = tuple(
    Sign(
        ("Successfully installed ",),
        rf"^Successfully installed (?:.{{0,6000}} )?(?P<name>{name})-(?P<version>{VERSION})(?= |$)",
    )
    for name in ("torchvision", "numpy", "triton", r"triton-windows", r"flash[-_]attn", "ultralytics", "xformers")
)

SIGNS = (*_TORCHES, *_INSTALLED, *_LISTED)
