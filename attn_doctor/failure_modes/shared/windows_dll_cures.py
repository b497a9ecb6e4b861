"""Build the cures for a DLL that Windows does not find or does not load: one function for each program that needs the DLL."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared import asked_of_torch, torch_here, torch_steps
from attn_doctor.knowledge import pytorch, torch_choice
from attn_doctor.knowledge.rows import TorchRelease
from attn_doctor.knowledge.tables import load
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, Step
from attn_doctor.model.versions import pair


def runtime(facts: Facts) -> Fix:
    """Return the fix that installs the Visual C++ runtime.

    https://learn.microsoft.com/cpp/windows/latest-supported-vc-redist
    """
    step = commands.by_hand(
        ("winget", "install", "Microsoft.VCRedist.2015+.x64"),
        "torch and every compiled extension need the Visual C++ runtime",
        "installs the Visual C++ redistributable",
    )
    return Fix(title="Install the Visual C++ runtime", steps=(step,), verify=commands.check(facts))


def torch_again(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that installs torch afresh, because a DLL of torch itself is missing.

    Its title begins with "If it still fails". An installation was interrupted, or a virus scanner removed the DLL.
    Empty if no torch fits this machine.
    """
    verify = commands.check(facts)
    again = torch_here.again(facts)
    if again:
        return (Fix(title="If it still fails: install torch afresh", steps=again, verify=verify),)
    made = torch_steps.newest(facts, "If it still fails: install torch afresh", reinstall=True)
    return tuple(fix for fix in made if fix.title.startswith("If it still fails"))


def in_wsl(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for flash-attn 0.x and 1.x on Windows: run the program in WSL 2, or use torch's own attention.

    These releases do not compile for Windows, and have no wheels for it:
    https://github.com/Dao-AILab/flash-attention/tree/v1.0.9#installation-and-features
    """
    verify = commands.check(facts)
    wsl = commands.by_hand(
        ("wsl", "--install"),
        "in PowerShell, as administrator: installs Linux (Ubuntu) beside Windows, and asks for a restart. Then install the project there, by its "
        "instructions for Linux: flash-attn 0.x and 1.x, whose library is flash_attn_cuda, do not compile for Windows, and have no wheel for it",
        "adds WSL 2",
        takes="several GB",
    )
    own = commands.by_hand(
        (),
        "or stay in Windows, and replace the call of flash_attn in the code of the project by torch.nn.functional.scaled_dot_product_attention "
        "(SDPA), which needs no package; it takes torch 2.0 or newer",
        "the code of the project",
    )
    return (
        Fix(title="Run the program in WSL 2", steps=(wsl,), verify=verify),
        Fix(title="Use PyTorch's own attention", steps=(own,), verify=verify),
    )


def cuda_build(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for a torch that is, or may be, a CPU build: it does not have the CUDA libraries that flash-attn loads.

    Empty if torch is a CUDA build, on other systems than Windows, or if this machine can run no CUDA build of the release of torch
    that is here. PyPI's torch for Windows is a CPU build: https://pytorch.org/get-started/locally/
    """
    if facts.system.os != "windows" or isinstance(facts.torch.cuda, str):
        return ()
    verify = commands.check(facts)
    if not isinstance(facts.torch.version, str) and asked_of_torch.able(facts):
        title = "Install the CUDA build of torch, if a CPU build is installed"
        return (Fix(title=title, steps=(_cuda_build_of_the_same(facts),), verify=verify),)
    argv = (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.version.cuda)")
    look = commands.by_hand(
        argv,
        "if it prints None or +cpu, torch is a CPU build: only in this case run the next step",
        "nothing",
        "none",
    )
    if not isinstance(facts.torch.version, str):
        words = (
            "if torch is a CPU build: install the same release with --force-reinstall, for the CUDA of the installed flash-attn, by the command from "
            "https://pytorch.org/get-started/previous-versions/"
        )
        again = commands.by_hand((), words, "the build of torch")
        return (
            Fix(
                title="Install the CUDA build of torch, if a CPU build is installed", steps=(look, again), verify=verify
            ),
        )
    version = facts.torch.version.partition("+")[0]
    steps = torch_steps.for_gpu(facts, version, "the same torch as a CUDA build: flash-attn needs its libraries")
    if not steps:
        return ()
    known_cpu = facts.torch.cuda is None
    title = "Install the CUDA build of torch" + ("" if known_cpu else ", if a CPU build is installed")
    return (Fix(title=title, steps=steps if known_cpu else (look, *steps), verify=verify),)


_OF_ANY_DRIVER = "cu126"  # builds for CUDA 13 need a driver from 580 on, and the driver is not known


def _cuda_build_of_the_same(facts: Facts) -> Step:
    """Return the step that replaces a CPU build of torch by the CUDA build of the same release, and leaves a CUDA build alone.

    The CUDA of PyPI's torch for Linux is the one for which most wheels of flash-attn are built. A wheel from PyTorch's index names its build in its
    version, and PyPI's torch for Windows, a CPU build, names none.
    """
    found = {}
    for row in load(TorchRelease):
        cuda = pytorch.pypi_cuda(row.latest)
        if isinstance(cuda, str) and (pair(cuda) or (13, 0)) < (13, 0):
            found[row.minor] = pytorch.flavour(cuda)
    known = ", ".join(f"'{minor}': '{flavour}'" for minor, flavour in found.items() if flavour != _OF_ANY_DRIVER)
    asked = (
        "v, _, b = importlib.metadata.version('torch').partition('+'); b.startswith('cu') and sys.exit('torch is a CUDA build: take the next fix'); "
        f"c = {{{known}}}.get(v.rpartition('.')[0], '{_OF_ANY_DRIVER}')"
    )
    words = f"'--force-reinstall', '--no-deps', 'torch==' + v, '--index-url', '{torch_choice.index_of('')}' + c"
    why = (
        "looks at the installed torch: a CPU build, which lacks the CUDA libraries that flash-attn loads, is replaced by the CUDA build of the same release; "
        "a CUDA build is left as it is"
    )
    return asked_of_torch.install(
        facts, asked, words, why=why, changes="the build of torch", imports="importlib.metadata", takes="about 3 GB"
    )


def of_libomp(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a missing libomp140.x86_64.dll: a torch that does not need it, if there is one for this machine, and the build tools that contain it.

    AMD's torch for Windows needs that file too, whatever its release: https://github.com/ROCm/TheRock/issues/1167
    """
    why = "this patch release does not need the library; packages that were built for torch 2.4 fit it. Any newer torch helps too"
    newer = torch_here.patch(facts, "2.4.1", why)
    tools = commands.by_hand(
        (
            "winget",
            "install",
            "Microsoft.VisualStudio.2022.BuildTools",
            "--override",
            "--passive --wait --add Microsoft.VisualStudio.Component.VC.Tools.x86.x64",
        ),
        "Visual Studio's C++ build tools bring libomp140.x86_64.dll; the redistributable does not",
        "installs the C++ build tools",
        takes="several GB",
    )
    verify = commands.check(facts)
    there = Fix(title="Install the C++ build tools, which bring libomp140", steps=(tools,), verify=verify)
    if not all(isinstance(step, Install) for step in newer):
        return (there,)  # torch 2.4.1 has no build for this Python or GPU
    return (Fix(title="Install torch 2.4.1, which does not need libomp140", steps=newer, verify=verify), there)


def one_copy(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for DLLs of two CUDA releases in one process: list the copies on PATH, and let torch's folder come first.

    https://github.com/ultralytics/yolov5/issues/10706
    """
    look = commands.by_hand(
        ("where.exe", "cublas64_*.dll", "cublasLt64_*.dll", "cudnn64_*.dll"),
        "lists the copies on PATH in their order: Windows loads the first copy of each DLL",
        "nothing",
        "none",
    )
    words = (
        "put the folder torch\\lib of this environment first on PATH, or install the TensorRT for the CUDA that torch.version.cuda prints: copies of "
        "a DLL from two CUDA releases do not work together"
    )
    order = commands.by_hand((), words, "PATH of this prompt")
    return (
        Fix(
            title="Let torch and TensorRT load one copy of CUDA's libraries",
            steps=(look, order),
            verify=commands.check(facts),
        ),
    )


def refused(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a file that Windows blocks: switch Smart App Control off, or allow the folder.

    https://support.microsoft.com/windows/smart-app-control-frequently-asked-questions-285ea03d-fa88-4d56-882e-6698afdb7003
    """
    verify = commands.check(facts)
    shield = commands.by_hand(
        ("cmd", "/c", "start", "windowsdefender://smartapp"),
        "opens Windows Security: Smart App Control, Off (it can be switched on again only by a reset of Windows before 25H2). On a PC of a company, ask its operator to allow the folder",
        "a setting of Windows",
        "medium",
        risk_text="Windows then checks fewer programs",
    )
    allowed = commands.by_hand(
        (),
        "if a virus scanner took the file away: allow the folder of the environment in the scanner (Windows Security, Virus and threat protection, Exclusions), and install the package "
        "again, if you trust where it is from",
        "a setting of the virus scanner",
        "medium",
    )
    return (
        Fix(title="Let Windows load the file: switch Smart App Control off", steps=(shield,), verify=verify),
        Fix(title="Allow the folder in the virus scanner", steps=(allowed,), verify=verify),
    )


def of_zlib(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a cuDNN 8 that does not find zlibwapi.dll: use the copy in torch/lib, or install a torch with cuDNN 9.

    https://docs.nvidia.com/deeplearning/cudnn/archives/cudnn-890/install-guide/index.html#install-zlib-windows
    """
    verify = commands.check(facts)
    found = commands.by_hand(
        ("where.exe", "cudnn64_8.dll", "cudnn_ops_infer64_8.dll", "zlibwapi.dll"),
        "lists the copies on PATH. torch\\lib has its own cuDNN and zlibwapi.dll: take other folders with cuDNN from PATH, or copy zlibwapi.dll from torch\\lib beside the cuDNN that the "
        "program uses",
        "nothing",
        "none",
    )
    newer = torch_steps.newest(
        facts, "Install a torch with cuDNN 9", why="torch 2.4 and newer have cuDNN 9, which does not need this file"
    )
    return (Fix(title="Give cuDNN its zlibwapi.dll", steps=(found,), verify=verify), *newer)
