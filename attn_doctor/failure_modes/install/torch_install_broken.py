"""torch is installed, but importing it fails.

What it is
    `import torch` raises an error, exits, hangs or crashes. Or the module that Python imports as torch is not torch.

How it shows
    "cannot import name 'einsum' from 'torch' (unknown location)", "module 'torch' has no attribute 'cuda'", "No module named
    'torch.utils'", "cannot import name 'nn' from partially initialized module 'torch'", "libcudnn.so.9:
    cannot open shared object file" (or libcudart, libcublas, libtorch_cpu) from inside torch/__init__.py, "torch/lib/libtorch_cpu.so:
    undefined symbol: ...", a segmentation fault, or no answer at all.

Why it happens
    An interrupted installation or removal; `--no-deps`, so that the nvidia-* packages are missing; a folder or file
    named torch that Python finds before the real torch; libraries of another CUDA version on LD_LIBRARY_PATH.

What to do
    Remove torch and all files that are left of it, and install it again with its requirements. If a file of your own
    is called torch.py, rename it.

How to reproduce
    `attn-doctor reproduce torch-install-broken` imports torch in an environment with a folder torch that has no code
    in it. It downloads nothing.

References
    https://github.com/oobabooga/text-generation-webui/issues/4344
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import EVERY_BACKEND, FailureMode, Hit, Sign, Variant, known
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.failure_modes.shared import (
    beside_jetpack,
    cut_logs,
    damaged_torch_file,
    distribution_libraries,
    jetson_mounts,
    requirements,
    torch_afresh,
)
from attn_doctor.failure_modes.shared.culprit import culprit, install_missing
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact

# Names that every torch has had since 1.0. A newer name may be missing only because the torch is old.
_ALWAYS = (
    "__version__|_C|arange|autograd|backends|cat|cuda|device|distributed|dtype|empty|float|float16|float32|FloatTensor|from_numpy|"
    "int64|jit|load|long|LongTensor|manual_seed|nn|no_grad|ones|optim|rand|randn|save|set_grad_enabled|set_num_threads|Tensor|tensor|"
    "utils|version|zeros"
)

MODE = FailureMode(
    code="AD213",
    slug="torch-install-broken",
    title="Importing torch fails",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=EVERY_BACKEND,
    explains=(
        "eager-fails",
        "model-not-built",
        "requirements-missing",
        "yolo12-flash-not-used",
        "torchvision-mismatch",
        "abi-mismatch-torch-version",
        "abi-mismatch-cxx11",
        "libcudart-missing",
        "transformers-flash-attn-2-not-installed",
        "build-failed-unspecified",
    ),
    signs=(
        Sign(
            pattern=r"cannot import name '\w+' from '?(?:partially initialized module )?'?torch(?:\._C)?'? \(unknown location\)",
            literal="(unknown location)",
            sample="ImportError: cannot import name 'einsum' from 'torch' (unknown location)",
        ),
        Sign(
            pattern=rf"module 'torch' has no attribute '(?P<name>{_ALWAYS})'",
            literal="module 'torch' has no attribute",
            sample="AttributeError: module 'torch' has no attribute '__version__'",
        ),
        Sign(
            pattern=r"(?:ImportError|OSError): (?P<library>lib(?:cudart|cudnn|cublas|cusparse|cufft|curand|cusolver|nccl|nvrtc|nvToolsExt|"
            r"cupti|cudss|nvshmem|cufile|nvJitLink|torch|c10|mkl|gomp|omp|mpi|openblas)[\w.+-]*): cannot open shared object file",
            literal="cannot open shared object",
            sample="ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory",
            strength="hint",
        ),
        Sign(
            pattern=r"/torch/(?:lib/)?(?P<own>(?:lib|_C\.)[\w.+-]{1,80}\.so[.\d]{0,12}): undefined symbol: (?P<symbol>(?!_?Py[A-Z]|iJIT_)\w+)",
            literal=": undefined symbol: ",
            sample="ImportError: /venv/lib/python3.10/site-packages/torch/lib/libtorch_cpu.so: undefined symbol: cblas_gemm_f16f16f32",
            strength="hint",
        ),
        Sign(
            pattern=r"[\\/]torch[\\/]__init__\.py\", line \d+",
            literal='__init__.py", line',
            sample='  File "/venv/lib/python3.11/site-packages/torch/__init__.py", line 229, in <module>',
            strength="context",
        ),
        Sign(
            pattern=r"from torch\._C import \*",
            literal="from torch._C import",
            sample="    from torch._C import *  # noqa: F403",
            strength="context",
        ),
        Sign(
            pattern=r"(?:site|dist)-packages[\\/](?P<other>tensorflow|onnxruntime|jax|paddle|mxnet|cupy|ctranslate2|tensorrt|llama_cpp|torch_(?:scatter|sparse|cluster|spline_conv))",
            literal="-packages",
            sample='  File "/venv/lib/python3.11/site-packages/tensorflow/__init__.py", line 24, in <module>',
            strength="context",
        ),
        Sign(
            pattern=r"ValueError: lib\w+\.so\.\*\[0-9\] not found in the system path",
            literal="not found in the system path",
            sample="ValueError: libcublas.so.*[0-9] not found in the system path ['', '/usr/lib/python311.zip']",
        ),
        Sign(
            # 126: a file is missing, 127: a function is missing in a file, 193: the file is not a library for this Windows, 1114: its
            # initialisation failed. Other numbers are about the machine (1455: the page file is too small): torch is not broken.
            # https://learn.microsoft.com/windows/win32/debug/system-error-codes
            pattern=r'\[WinError (?:126|127|182|193|1114)\].{0,200}Error loading "?(?P<library>[^"]{0,300}torch[\\/]{1,2}lib[\\/]{1,2}[^"]{1,80}?\.(?:dll|pyd))\b',
            literal="Error loading ",
            sample='OSError: [WinError 126] The specified module could not be found. Error loading "C:\\v\\Lib\\site-packages\\torch\\lib'
            '\\fbgemm.dll" or one of its dependencies.',
        ),
        Sign(
            # Parts of every torch since 1.0. A newer part may be missing only because the torch is old.
            pattern=r"No module named '(?P<part>torch\.(?:utils|_C|nn|cuda|autograd|optim|jit|distributed|version|_utils|multiprocessing)"
            r"(?:\.(?:data|functional|cpp_extension))?)'",
            literal="No module named 'torch.",
            sample="ModuleNotFoundError: No module named 'torch.utils'",
        ),
        Sign(
            pattern=rf"cannot import name '(?P<part>{_ALWAYS})' from partially initialized module 'torch'",
            literal="partially initialized module 'torch'",
            sample="ImportError: cannot import name 'nn' from partially initialized module 'torch' (most likely due to a circular import) "
            "(/home/user/torch.py)",
        ),
        damaged_torch_file.SIGN,
        *jetson_mounts.SIGNS,
        *(
            cut_logs.frame(
                name, name, f'  File "/v/lib/python3.11/site-packages/torch/__init__.py", line 174, in {name}'
            )
            for name in ("_load_global_deps", "_load_dll_libraries", "_preload_cuda_deps")
        ),
        cut_logs.source(
            r"from torch\._C import \*.{0,20}", "from torch._C import", "    from torch._C import *  # noqa: F403"
        ),
    ),
    recipe=Recipe(
        does="imports torch in an environment with a folder torch that has no code in it",
        of=(File(path="{site}/torch/README"),),
        run=(("{python}", "-c", "import torch; torch.__version__"),),
        shows="has no attribute '__version__'",
        seconds=2,
    ),
)


class Remnant(Variant, frozen=True, kw_only=True):
    """Mark the case that Python finds a package named torch that lacks a part which every torch has."""


def detect(facts: Facts) -> Hit | None:
    torch = facts.torch
    if torch.importable is False and torch.fault is not None:
        fault = torch.fault
        if fault.type == "ModuleNotFoundError" and known(torch.version) is None:
            return None  # simply not installed
        how = {
            "signal": f"importing it is killed by {fault.signal}",
            "timeout": f"importing it gives no answer in {fault.seconds or 0:.0f} s",
            "vanished": "importing it hangs, and the process cannot be killed",
            "exited": f"importing it ends the process with exit code {fault.exit_code}",
        }.get(fault.kind, message(fault))
        where = f" (at {fault.where})" if fault.where and fault.where != "torch" else ""
        name = f"torch {torch.version}" if isinstance(torch.version, str) else "torch"
        return Hit(
            message=f"Importing {name} fails: {how}{where}.",
            evidence=(fact(facts, "torch.importable", f"import torch: {message(fault)}"), _place(facts)),
            certainty=Certainty.OBSERVED,
        )
    if isinstance(torch.importable, Unknown) and isinstance(torch.shim, str):
        recorded = f"torch {torch.version} is installed, and " if isinstance(torch.version, str) else ""
        return Hit(
            message=f"{recorded}{torch.shim} is imported in its place, and that is not torch.",
            evidence=(fact(facts, "torch.shim", f"there is no torch/version.py beside {torch.shim}"),),
        )
    if isinstance(torch.version, str) and isinstance(torch.cuda, str) is False and torch.cuda is not None:
        known(torch.cuda)  # torch/version.py is missing: only an import can show the rest
    return _by_its_files(facts)


def _by_its_files(facts: Facts) -> Hit | None:
    """Find a library of torch that the loader would refuse, from its file. Only used if no import of torch was tried."""
    if isinstance(facts.torch.importable, bool):
        return None
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        if binary.module == "torch._C" and binary.verdict == "fails":
            said = "; ".join(binary.because)
            return Hit(
                message=f"Importing torch {facts.torch.version} would fail: {said}.",
                evidence=(fact(facts, f"binaries.{index}.because", said), _place(facts)),
            )
    return None


def _place(facts: Facts) -> Evidence:
    place = facts.torch.location
    return fact(
        facts,
        "torch.location",
        f"Python would import it from {place}" if isinstance(place, str) else "there is no torch package there",
    )


# Other programs need these libraries too: a missing one counts only if torch itself did not find it.
_OTHERS_HAVE_IT = ("libcudart", "libtorch", "libc10", "libmkl", "libgomp", "libomp", "libmpi.")


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        return cut_logs.hit(
            seen,
            "At that place torch loads its own libraries. Probably one of them, or a library of an nvidia-* package, is missing or damaged.",
            "OSError, ImportError or ValueError",
        )
    seen = cut_logs.told(seen)
    # If fbgemm.dll does not find libomp140.x86_64.dll, torch is not broken: windows-dll-missing has the fix.
    proofs = [m for m in seen.matches if m.strength == "proof" and not _FBGEMM.search(m.text)]
    if proofs:
        if "part" in proofs[0].groups:
            name = proofs[0].groups["part"]
            return Hit(
                message=f"Python finds a module named torch, but it has no {name}, which every torch has: it is the rest of an "
                "old installation, or your own folder or file named torch.",
                evidence=evidence,
                variant=Remnant(),
            )
        word = (
            "torch does not load there"
            if "library" in proofs[0].groups
            else "The module that Python imports as torch is not torch, or only a part of torch"
        )
        return Hit(message=f"{word}.", evidence=evidence)
    for match in seen.matches:
        if match.strength != "hint":
            continue
        if damaged_torch_file.is_sign(match):
            if (damaged := damaged_torch_file.hit(seen, match)) is not None:
                return damaged
            continue
        others = _near(seen, match, "other")
        inside = [m for m in _near(seen, match) if "other" not in m.groups]
        if "own" in match.groups:
            if others or re.match(_OF_CUDA, match.groups["symbol"]):
                continue
            message = f"torch's own {match.groups['own']} needs a function that torch's other libraries do not have: files of two torch versions are mixed, or a library of another package is loaded first."
            confidence = Confidence.MEDIUM
        elif inside:
            message, confidence = (
                f"torch itself does not find {match.groups['library']}: the package that contains it is missing or damaged.",
                Confidence.HIGH,
            )
        elif others or _extension(seen, match) or match.groups["library"].startswith(_OTHERS_HAVE_IT):
            continue
        else:
            message, confidence = f"{match.groups['library']}, which torch needs, was not found.", Confidence.MEDIUM
        lines = Evidence(kind="log", file=match.file, line=match.line, text=match.text)
        library = match.groups.get("library", "")
        if (board := jetson_mounts.told(seen, library)) is not None:
            return Hit(message=jetson_mounts.message(board, library), evidence=(lines,), variant=board)
        return Hit(
            message=message,
            evidence=(lines,),
            confidence=confidence,
            variant=beside_jetpack.lacking(facts, library) or distribution_libraries.package_of(library),
        )
    return None


_OF_CUDA = "_{0,2}(?:nvJitLink|cublas|cudnn|cusparse|cusolver|cufft|curand|nccl|nvrtc|cupti|cuda)"
_FBGEMM = re.compile(r"WinError 126\].*fbgemm\.dll")


def _near(seen: Seen, match: Match, group: str | None = None) -> list[Match]:
    """Return the matches in the traceback before this match. `group`: only matches with this named group."""
    around = [
        m for m in seen.matches if m.strength == "context" and m.file == match.file and 0 <= match.line - m.line <= 12
    ]
    return [m for m in around if group in m.groups] if group else around


def _extension(seen: Seen, match: Match) -> bool:
    """Return whether the error came from the import of an extension: one of flash-attn, or one that torch was told to load."""
    marks = [
        m
        for log in seen.logs
        if log.file == match.file
        for m in log.of("libcudart-missing")
        if "flash_attn" in m.text or "loads" in m.groups
    ]
    return any(0 < match.line - m.line <= 8 for m in marks)


# Signs of two causes: a small package that torch imports is too old; or an nvidia-* package has the wrong version.
_OTHERS_NAME = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>\w+)[\w.]*' \(.*(?:site|dist)-packages")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(hit.variant, distribution_libraries.OfDistribution):
        return (distribution_libraries.fix(facts, hit.variant),)
    if isinstance(hit.variant, jetson_mounts.OfBoard):
        return jetson_mounts.fixes(facts, hit.variant)
    if isinstance(hit.variant, beside_jetpack.Lacking):
        return (beside_jetpack.fix(facts, hit.variant),)
    made = list(torch_afresh.without_own_file(facts))
    afresh = torch_afresh.afresh(facts)
    if isinstance(hit.variant, Remnant):
        afresh = tuple(msgspec.structs.replace(fix, steps=(torch_afresh.which(facts), *fix.steps)) for fix in afresh)
    said = message(facts.torch.fault) if facts.torch.fault else ""
    lost = "cannot open shared object" in said or re.search(f"undefined symbol: {_OF_CUDA}", said) is not None
    to_blame = culprit(facts, facts.torch.fault, "torch") if facts.torch.fault else None
    if to_blame is not None and to_blame.is_missing and to_blame.distribution not in (None, "torch"):
        steps, _ = install_missing(facts, to_blame)
        return (*made, Fix(title=f"Install {to_blame.distribution}, which torch needs", steps=steps, verify=verify))
    old = _OTHERS_NAME.search(said)
    if old and old["module"] not in ("torch", "functorch", "torchgen"):
        name = old["module"].replace("_", "-")
        step = commands.install(
            name,
            upgrade=True,
            why=f"torch imports {old['name']} from {name}, and only newer releases of {name} have {old['name']}",
            changes=name,
        )
        made.append(Fix(title=f"Upgrade {name}", steps=(step,), verify=verify))
    elif to_blame is not None and to_blame.distribution not in (None, "torch"):
        steps = requirements.afresh(facts, to_blame.distribution)
        made.append(Fix(title=f"Install {to_blame.distribution} afresh", steps=steps, verify=verify))
    whole = tuple(reversed(afresh) if lost else afresh)
    return (*made, *torch_afresh.or_for_this_python(facts, whole))
