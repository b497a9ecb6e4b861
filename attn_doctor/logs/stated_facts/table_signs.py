"""List the lines of tables in which programs describe an environment: collect_env of detectron2, mmcv and mmengine, ds_report, the `env` commands.

Their lines are "Python                  3.8.0 (default, ...)", "- Python version: 3.10.13", "nvcc version ..................... 11.8".
https://github.com/facebookresearch/detectron2/blob/main/detectron2/utils/collect_env.py
https://github.com/open-mmlab/mmengine/blob/main/mmengine/utils/dl_utils/collect_env.py
https://github.com/deepspeedai/DeepSpeed/blob/master/deepspeed/env_report.py
https://github.com/huggingface/transformers/blob/main/src/transformers/commands/env.py
"""

from __future__ import annotations

from attn_doctor.logs.stated_facts.sign import VERSION, Sign

_V3 = r"3\.\d{1,2}(?:\.\d{1,2})?(?:(?:a|b|rc)\d+)?"
_BULLET = r"[\W_]{0,6}"  # "- ", "* ", "| ", "**", of a list or a table of Markdown
_IS = r"[*`]{0,2}\s{0,3}(?:[:：=|]|\.{3,}|\s{2,})\s{0,40}[*`']{0,2}"  # between the name of a field and its value
_FIELD_END = r"(?=$|[\s,;|)*`'(])"
_CARD = r"[A-Z][\w .()/-]{3,60}?"
_TORCH = rf"v?(?P<torch>{VERSION})"
_OF_TORCH = r"(?:Py)?[Tt]orch(?:[ _]?[Vv]ersion)?(?: \((?:GPU|accelerator)\?\))?"

SIGNS = (
    Sign(("sys.platform",), r"^sys\.platform(?:: |\s{2,60})linux$", {"os": "linux"}),
    Sign(("sys.platform",), r"^sys\.platform(?:: |\s{2,60})win32$", {"os": "windows"}),
    Sign(("sys.platform",), r"^sys\.platform(?:: |\s{2,60})darwin$", {"os": "darwin"}),
    Sign(("Python  ", "Python\t"), rf"^Python\s{{2,60}}(?P<python>{_V3})(?= \(| \||$)"),
    Sign(("Python: 3", "Python : 3", "Python**", "Python |", "Python：", "python：", "Python=3"), rf"^{_BULLET}[Pp]ython{_IS}(?P<python>{_V3}){_FIELD_END}"),
    Sign(("ython version", "ython Version", "ython_version", "ython 版本", "ython版本"), rf"^{_BULLET}(?:sys\.)?[Pp]ython[ _]?(?:[Vv]ersion|版本){_IS}(?P<python>{_V3}){_FIELD_END}"),
    Sign(("sys.version: 3", "sys.version  "), rf"^{_BULLET}sys\.version(?:: |\s{{2,60}})(?P<python>{_V3}) "),  # pip debug
    Sign((" (python 3",), rf"^(?:[-\w ]{{1,20}}: )?pip \d[\w.]{{0,12}} from .{{1,300}} \(python (?P<python>{_V3})\)$"),  # pip --version
    Sign(("requires a different Python",), rf"requires a different Python: (?P<python>{_V3}) not in "),
    Sign(("but the running Python is",), rf"but the running Python is (?P<python>{_V3})"),  # pip before 19
    Sign(("current Python version (",), rf"ecause the current Python version \((?P<python>{_V3})\) does not satisfy"),
    # conda's torch names its Python too: "pytorch 1.13.1 py3.10_cuda11.7_cudnn8.5.0_0"; other packages of conda have "py39h2bbff1b_0".
    Sign(("_cuda",), r"^(?:\+ )?pytorch\s+\d\S*\s+py(?P<python>3\.?\d{1,2})_cuda"),
    Sign((" py3",), r"^[\w.-]{2,60}\s{1,60}\d\S{0,40}\s{1,60}py(?P<python>3\d{1,2})(?:_|h[0-9a-f]{6,8}_)\d{1,3}(?=\s|$)", {}, "implied"),
    Sign(("__cuda=",), r"\b__cuda=(?P<driver_cuda>1\d\.\d)=0"),  # conda info: a virtual package of the driver
    # torch
    Sign(("torch version (", "Torch version ("), rf"^{_BULLET}{_OF_TORCH}{_IS}{_TORCH}{_FIELD_END}"),
    Sign(("torch version ...",), rf"^torch version \.{{3,}} {_TORCH}$"),
    Sign(("torch cuda version ...",), r"^torch cuda version \.{3,} (?P<torch_cuda>\d+\.\d+)$"),
    Sign(("torch hip version ...",), r"^torch hip version \.{3,} (?P<torch_hip>\d+\.\d+)"),
    Sign(("PyTorch  ",), rf"^PyTorch\s{{2,60}}{_TORCH}(?= @|$)"),
    Sign(("PyTorch: ",), rf"^{_BULLET}PyTorch: {_TORCH}$"),
    Sign(("torchvision  ", "TorchVision: "), rf"^(?:torch|Torch)[vV]ision(?:\s{{2,60}}|: )(?P<torchvision>{VERSION})(?= @|$)"),
    # GPU, driver and toolkit
    Sign(("GPU 0",), rf"^GPU 0(?:,\d){{0,15}}(?:\s{{2,60}}|: )(?P<gpu>{_CARD}) \(arch=(?P<capability>\d+\.\d)\)$"),
    Sign(("GPU 0",), rf"^GPU 0(?:,\d){{1,15}}: (?P<gpu>NVIDIA {_CARD})$"),
    Sign(("GPU type: ",), rf"^{_BULLET}GPU type: (?P<gpu>(?:NVIDIA|Tesla|GeForce|Quadro|AMD) {_CARD})$"),
    Sign(("Accelerator: ",), rf"^{_BULLET}Accelerator: (?P<gpu>(?:NVIDIA|Tesla|AMD) {_CARD}), \d+ MiB"),
    Sign(("Driver version  ",), r"^Driver version\s{2,60}(?P<driver>\d{3}\.\d+(?:\.\d+)?)$"),
    Sign(("CUDA compiler  ",), r"^CUDA compiler\s{2,60}CUDA (?P<toolkit>\d+\.\d+)$"),
    # As people fill in a form: "- nvcc: 11.7", "nvcc version: 12.1", "NVCC：V12.4.131".
    Sign(("nvcc", "NVCC", "Nvcc"), rf"^{_BULLET}(?:nvcc|NVCC|Nvcc)(?: [Vv]ersion| ?版本)?{_IS}[Vv]?(?P<toolkit>(?:9|1[0-3])\.\d)(?:\.\d{{1,3}})?{_FIELD_END}"),
    Sign(("nvcc version ...",), r"^nvcc version \.{3,} (?P<toolkit>\d+\.\d+)$"),
    Sign(("CUDA_HOME  ", "CUDA_HOME: "), r"^CUDA_HOME(?:\s{2,60}|: )(?P<cuda_home>/[^\s'\"]{2,150})$"),
)  # fmt: skip
