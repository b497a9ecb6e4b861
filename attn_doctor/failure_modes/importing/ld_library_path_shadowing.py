"""The loader finds another copy of a library before the one that came with torch.

What it is
    With LD_LIBRARY_PATH or LD_PRELOAD the loader finds other copies first: of CUDA's libraries, of the C++ runtime
    (libstdc++.so.6), of OpenMP (libgomp.so.1) or of torch itself (libc10.so). attn-doctor repeats the import without these
    variables: if the import then works, the variables are the cause.

    torch's wheels bring their own CUDA libraries in the nvidia-* packages. If the loader finds an older copy first, on
    LD_LIBRARY_PATH or in a conda environment, that copy lacks functions that torch's other libraries call.

How it shows
    "ImportError: .../nvidia/cusparse/lib/libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version
    libnvJitLink.so.12" at `import torch`; the same with ncclCommWindowRegister, cublasLt..., cudnn...; "symbol ... not defined
    in file libnvJitLink.so.12 with link time reference". cuDNN prints "Could not load library libcudnn_cnn_train.so.8. Error:
    /usr/local/...: undefined symbol", and torch "cuDNN version incompatibility: PyTorch was compiled against ..." or "cuDNN version mismatch". cuDNN 9 consists of
    several files, which it loads when it needs them: "Unable to load any of {libcudnn_engines_precompiled.so.9...}",
    "CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED", "CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH"; on Windows "Could not locate
    cudnn_ops64_9.dll. Please make sure it is in your library path!".

Why it happens
    A shell profile contains `export LD_LIBRARY_PATH=/usr/local/cuda-12.1/lib64:...`, or a cluster's module or a container image sets
    the variable. torch does not need it: torch finds its own libraries without it.

What to do
    Unset LD_LIBRARY_PATH for this program, or remove the CUDA folders from it. On a cluster: `module unload cudnn cuda`, or load the
    cuDNN module that the torch module was built with. flash-attn is not the cause.

How to reproduce
    `attn-doctor reproduce ld-library-path-shadowing` loads a library under a LD_LIBRARY_PATH that puts an older CUDA in
    front. It downloads nothing.

References
    https://github.com/pytorch/pytorch/issues/111469
    https://github.com/pytorch/pytorch/issues/134929
    https://github.com/pytorch/pytorch/pull/189043
    https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/overview.html
    https://man7.org/linux/man-pages/man8/ld.so.8.html
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant, every, known
from attn_doctor.failure_modes.recipe import Library, Recipe, Variable
from attn_doctor.failure_modes.shared import another_copy, building, cudnn_releases, library_path_set_by, symbols
from attn_doctor.failure_modes.shared.fact_queries import message, text_of, variable
from attn_doctor.failure_modes.shared.in_front import cure, stands_in_front
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Shadow, Unknown
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried
from attn_doctor.model.steps import SetVariable

_CUDA = (
    r"(?:__)?(?:nvJitLink|cublas|cudnn|cusparse|cusolver|cufft|curand|nccl|nvrtc|cupti|cudaGet|cudaGraph|cudaLaunch)\w*"
)

MODE = FailureMode(
    code="AD304",
    slug="ld-library-path-shadowing",
    title="The loader finds another copy of a library first",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(
        "torch-install-broken",
        "torchvision-mismatch",
        "import-hang",
        "segfault",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
    ),
    signs=(
        Sign(
            pattern=rf"(?:(?P<file>lib[\w+.-]+\.so[.\d]*): )?undefined symbol: (?P<symbol>{_CUDA})",
            literal="undefined symbol: ",
            sample="ImportError: /venv/lib/python3.11/site-packages/torch/lib/../../nvidia/cusparse/lib/libcusparse.so.12: undefined "
            "symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12",
        ),
        Sign(
            pattern=rf"(?:(?P<file>lib[\w+.-]+\.so[.\d]*): )?symbol (?P<symbol>{_CUDA}), version \S+ not defined in file (?P<in>\S+)",
            literal=" not defined in file ",
            sample="ImportError: libcusparse.so.12: symbol __nvJitLinkComplete_12_4, version libnvJitLink.so.12 not defined in file "
            "libnvJitLink.so.12 with link time reference",
        ),
        Sign(
            pattern=r"Could not load library (?P<file>libcudnn\w*\.so[.\d]*)\. Error: \S{1,300}: undefined symbol",
            literal="Could not load library libcudnn",
            sample="Could not load library libcudnn_cnn_train.so.8. Error: /usr/local/cuda/lib64/libcudnn_cnn_train.so.8: undefined "
            "symbol: _ZTIN10cask_cudnn14BaseKernelInfoE, version libcudnn_ops_infer.so.8",
        ),
        Sign(
            pattern=r"Unable to load any of \{(?P<file>libcudnn_\w+\.so)",
            literal="Unable to load any of {libcudnn",
            sample="Unable to load any of {libcudnn_engines_precompiled.so.9.1.0, libcudnn_engines_precompiled.so.9}",
        ),
        Sign(
            pattern=rf"cuDNN version (?:incompatibility|mismatch): PyTorch was compiled +against{cudnn_releases.PAIR}",
            literal=": PyTorch was compiled",
            sample="RuntimeError: cuDNN version incompatibility: PyTorch was compiled  against (8, 9, 2) but found runtime version (8, 5, 0).",
        ),
        Sign(
            pattern=r"CUDNN_STATUS_SUBLIBRARY_(?P<parts>LOADING_FAILED|VERSION_MISMATCH)",
            literal="CUDNN_STATUS_SUBLIBRARY_",
            sample="RuntimeError: CUDNN_BACKEND_TENSOR_DESCRIPTOR cudnnFinalize failed cudnn_status: CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED",
        ),
        Sign(
            pattern=r"Unable to load any of \{(?P<parts>libcudnn\w*)",
            literal="Unable to load any of {libcudnn",
            sample="Unable to load any of {libcudnn_engines_precompiled.so.9.1.0, libcudnn_engines_precompiled.so.9.1}",
        ),
        Sign(
            # This name is a mangled C++ name, which does not contain "cudnn"; the file name shows that the library is cuDNN.
            pattern=r"symbol (?P<mangled>_Z\w+), version libcudnn\S+ not defined in file (?P<in>libcudnn\w*)",
            literal=" not defined in file libcudnn",
            sample="libcudnn_ops_train.so.8: symbol _Z20cudnnGenericOpTensor, version libcudnn_ops_infer.so.8 not defined in file "
            "libcudnn_ops_infer.so.8 with link time reference",
        ),
        Sign(
            pattern=r"Could not (?:locate|load library) (?P<parts>cudnn\w*64_\d+)\.dll",
            literal="cudnn",
            sample="Could not locate cudnn_ops64_9.dll. Please make sure it is in your library path!",
        ),
        *library_path_set_by.SIGNS,
        # A torch of conda takes CUDA's libraries from packages of conda.
        Sign(
            pattern=r"\bpytorch-cuda=(?P<conda>1[12]\.\d)\b",
            literal="pytorch-cuda=",
            sample="conda install pytorch torchvision pytorch-cuda=12.1 -c pytorch -c nvidia",
            strength="context",
        ),
        # The modules of a cluster, as they were typed: "module load cuda/11.8 nccl/2.15".
        Sign(
            pattern=r"(?:^|[\s$>#;&])(?:module|ml) (?:load|add) (?P<modules>[\w./+ -]{2,300})",
            literal=" load ",
            sample="$ module load cuda/12.1 nccl/2.18",
            strength="context",
        ),
        # The loader searches these folders without any variable, so no variable is the cause.
        Sign(
            pattern=r"(?<![\w.-])(?P<system>/(?:usr/)?lib(?:64|/x86_64-linux-gnu|/aarch64-linux-gnu)?)/libcudnn\w*\.so",
            literal="/libcudnn",
            sample="      5580:     calling init: /lib/x86_64-linux-gnu/libcudnn_engines_tensor_ir.so.9",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="loads a library under a LD_LIBRARY_PATH that puts an older CUDA in front",
        of=(
            Library(path="torch/libnvJitLink.so.12", exports=("__nvJitLinkComplete_12_4@libnvJitLink.so.12",)),
            Library(
                path="torch/libcusparse.so.12", asks=("__nvJitLinkComplete_12_4",), needs=("torch/libnvJitLink.so.12",)
            ),
            Library(path="old/libnvJitLink.so.12", exports=("__nvJitLinkComplete_12_1@libnvJitLink.so.12",)),
            Variable(name="LD_LIBRARY_PATH", value="{folder}/old"),
        ),
        run=(("{python}", "-c", "import ctypes; ctypes.CDLL('torch/libcusparse.so.12')"),),
        shows="undefined symbol: __nvJitLink",
        seconds=2,
    ),
)

_SYMBOL = re.compile(_CUDA)


class InFront(Variant, frozen=True, kw_only=True):
    """Hold the library of which the loader finds another copy first: cuDNN, or another library of CUDA."""

    of: Literal["cuda", "cudnn"]
    # If conda installed torch: (the CUDA that torch was built for, conda's package of the library), ("12.1", "libcublas").
    conda: tuple[str, str] | None = None
    compiled: str | None = None  # the cuDNN for which torch was compiled, if the error names it: "7.1.2"
    module: str | None = None  # the cluster's module that was loaded and has the name of the library: "nccl"
    # The folder of the other copy, if the loader searches it without a variable: "/lib/x86_64-linux-gnu"
    folder: str | None = None
    # Who sets LD_LIBRARY_PATH where `unset` does not reach it, and the folder of cuDNN that a torch was compiled with
    set_by: tuple[library_path_set_by.SetBy, str] | None = None


BY_THE_LOADER = ("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES")


def detect(facts: Facts) -> Hit | None:
    seen = stands_in_front(facts, BY_THE_LOADER)
    if seen is not None:
        return seen
    faults = [("torch.importable", "torch", facts.torch.fault)] if facts.torch.fault else []
    for index, attempt in enumerate(tried(facts)):
        faults.append((f"imports.{index}.ok", attempt.module, attempt.fault)) if attempt.fault else None
    for path, module, fault in faults:
        symbol = symbols.undefined(text_of(fault))
        if fault is not None and symbol and _SYMBOL.match(symbol):
            library = symbols.explain(symbol).library or "a CUDA library"
            if not _may_be_in_front(facts, symbols.explain(symbol).library or ""):
                continue
            shadow = _shadow(facts, library)
            where = f"; {shadow[1].folder} on LD_LIBRARY_PATH contains a copy" if shadow else ""
            evidence = [fact(facts, path, f"importing {module}: {message(fault)}")]
            if shadow:
                evidence.append(fact(facts, f"toolchain.library_path.{shadow[0]}.folder"))
            return Hit(
                message=f"Importing {module} fails: the loader finds an older {library} before torch's own{where}.",
                evidence=tuple(evidence),
                certainty=Certainty.OBSERVED,
            )
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        said = "; ".join(binary.because)
        if (
            facts.torch.importable is not True
            and binary.module == "torch._C"
            and binary.cause == "library-version"
            and _SYMBOL.search(said)
            and _may_be_in_front(facts, "")
        ):
            return Hit(
                message=f"Importing torch would fail: {said}.",
                evidence=(fact(facts, f"binaries.{index}.because", said),),
            )
    if not every(
        lambda: facts.torch.importable is not True,
        lambda: known(facts.torch.version) is not None,
        lambda: isinstance(known(facts.torch.cuda), str),
    ):
        return None
    if facts.torch.importable is False:
        return None  # it fails for another reason
    try:
        shadow = _shadow(facts, "libnvJitLink")
    except Unsure:
        return None  # a copy on LD_LIBRARY_PATH is only worth a note, so it may stay undetermined
    if shadow is None:
        return None
    return Hit(
        message=f"The loader searches {shadow[1].folder} (on LD_LIBRARY_PATH) before torch's own libnvJitLink. If the copy in that folder is older, "
        "importing torch fails.",
        evidence=(fact(facts, f"toolchain.library_path.{shadow[0]}.folder"),),
        severity=Severity.INFO,  # most such folders do no harm; only an import shows whether this one does
    )


def _may_be_in_front(facts: Facts, library: str) -> bool:
    """Return whether a folder of LD_LIBRARY_PATH may contain this library ("": any library of CUDA).

    False if the variable is not set. Then a package installed the library, for example an nvidia-nvjitlink of another release
    than torch requires.
    """
    entries = facts.toolchain.library_path
    if isinstance(entries, tuple) and entries:
        return any(name.startswith(library) for entry in entries for name in entry.libraries)
    try:
        return bool(variable(facts, "LD_LIBRARY_PATH")) and isinstance(entries, Unknown)
    except Unsure:
        return True


def _shadow(facts: Facts, library: str) -> tuple[int, Shadow] | None:
    path = facts.toolchain.library_path
    entries = path if isinstance(path, tuple) else ()
    return next(((i, e) for i, e in enumerate(entries) if any(name.startswith(library) for name in e.libraries)), None)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    symbol = seen.group("symbol")
    library = (symbols.explain(symbol).library if symbol else "cuDNN") or "a CUDA library"
    user = seen.group("file") or "A library"
    cudnn = library == "cuDNN" or library.startswith("libcudnn")
    message = (
        f"{user} loaded a copy of {library} for which it was not built: the loader found this copy before torch's own."
    )
    if seen.group("parts"):
        message = "cuDNN did not find its own parts, or the parts of another cuDNN were found first."
    if (releases := cudnn_releases.told(seen)) is not None:
        message = f"torch was compiled for cuDNN {releases.compiled}, and the loader found cuDNN {releases.found} before that one."
    built, package = seen.group("conda"), library.lower()
    conda = (built, package) if built in another_copy.LABELS and package in another_copy.OF_CONDA else None
    if conda:
        message = f"{user} loaded a {library} for which it was not built. torch is from conda: probably conda installed {package} of another CUDA than {built}."
    return Hit(
        message=message,
        evidence=building.lines([m for m in seen.matches if m.strength != "context"]),
        variant=InFront(
            of="cudnn" if cudnn else "cuda",
            folder=seen.group("system"),
            set_by=library_path_set_by.of(seen),
            conda=conda,
            compiled=releases.compiled if releases else None,
            module=_module_of(library, seen.group("modules")) or (_cuda_of(seen.group("modules")) if cudnn else None),
        ),
    )


def _module_of(library: str, loaded: str | None) -> str | None:
    """Return the module among the loaded ones that has the name of the library; None: none has, or none is known. Not "cuda" itself."""
    name = library.lower().removeprefix("lib").rstrip("0123456789.so")
    modules = [word.partition("/")[0] for word in (loaded or "").split()]
    return next((word for word in modules if name and name in word.lower() and word.lower() != "cuda"), None)


def _cuda_of(loaded: str | None) -> str | None:
    """Return the module of CUDA among the loaded ones, as it was typed ("cuda/11.8"); None if there is none.

    If no loaded module has cuDNN's name, the CUDA module brings cuDNN. `loaded`: the typed names, "cuda/11.8 nccl/2.15".
    """
    words = (loaded or "").split()
    return next((word for word in words if re.match(r"(?i)(?:cuda|cudatoolkit|nvhpc)(?:/|$)", word)), None)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    in_front = cure(facts, BY_THE_LOADER)
    if in_front is not None:
        return (in_front,)
    if isinstance(hit.variant, InFront) and hit.variant.set_by is not None:
        return library_path_set_by.fixes(facts, *hit.variant.set_by)
    cudnn = isinstance(hit.variant, InFront) and hit.variant.of == "cudnn"
    if facts.system.os == "windows":
        return (another_copy.on_windows(facts),)
    if isinstance(hit.variant, InFront) and hit.variant.folder and hit.variant.of == "cudnn":
        return (another_copy.without_the_systems(facts, hit.variant.folder), another_copy.newer_cudnn(facts))
    made = []
    if isinstance(hit.variant, InFront) and hit.variant.conda is not None:
        made.append(another_copy.of_conda(facts, *hit.variant.conda))
    if isinstance(hit.variant, InFront) and hit.variant.compiled is not None:
        made += cudnn_releases.of_conda(facts, hit.variant.compiled)
    if another_copy.library_path_may_be_set(facts):
        rest = another_copy.library_path_without_cuda(facts)
        why = "torch finds its own CUDA libraries without this variable"
        step = commands.variable("LD_LIBRARY_PATH", rest, why) if rest else commands.without_library_path(facts, why)
        kept = isinstance(step, SetVariable) and step.value is not None
        title = "Remove the CUDA folders from LD_LIBRARY_PATH" if kept else "Unset LD_LIBRARY_PATH"
        made.append(Fix(title=title, steps=(step, *library_path_set_by.in_notebooks(facts)), verify=verify))
    nobodys = facts.system.container is None or isinstance(facts.system.container, Unknown)
    if places.on_cluster(facts) or (hit.variant is not None and nobodys):
        at = (
            0
            if places.on_cluster(facts) and not (made and another_copy.library_path_without_cuda(facts))
            else len(made)
        )
        made.insert(
            at, another_copy.module(facts, cudnn, hit.variant.module if isinstance(hit.variant, InFront) else None)
        )
    if not another_copy.library_path_may_be_set(facts):
        made.append(another_copy.release_of_torch(facts, cudnn))
    elif hit.variant is not None and isinstance(facts.toolchain.library_path, Unknown) and not places.on_cluster(facts):
        made.append(another_copy.one_index(facts, cudnn))
    return tuple(made)
