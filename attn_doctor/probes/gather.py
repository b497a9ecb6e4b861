"""Run all probes at once, with deadlines, and build the Facts from their answers.

A probe that fails gives an Unknown with the reason. The collection ends early only if the target does not answer at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from attn_doctor import child
from attn_doctor.errors import NoAnswer
from attn_doctor.model import foreign_text
from attn_doctor.model.facts import (
    Binary,
    ChosenPython,
    Cpu,
    Facts,
    FlashAttention,
    Graphics,
    Import,
    Interpreter,
    Packages,
    ProbeRun,
    Project,
    Record,
    System,
    Toolchain,
    Torch,
    Unknown,
    Variable,
    Yolo,
    all_unknown,
)
from attn_doctor.probes import imports as importing
from attn_doctor.probes import torch as torch_probe
from attn_doctor.probes.ask import EVERYTHING, Answer, Module, ask
from attn_doctor.probes.prefixes import prefix_of, programs_of
from attn_doctor.system import current_folder, failure, threads
from attn_doctor.system.threads import Task

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Section = tuple[R, dict[str, str]]

# Top-level modules. A file or folder of the same name in another place can hide each of them.
WATCHED = (
    "torch torchvision torchaudio numpy flash_attn flash_attn_2_cuda flash_attn_interface flash_attn_3 xformers triton "
    "ultralytics cv2 einops transformers packaging setuptools wheel psutil ninja"
).split()
# Variables that change how something is built, found or run. Only these are recorded.
VARIABLES = (
    "CUDA_HOME CUDA_PATH CUDACXX CC CXX CUDAHOSTCXX NVCC_PREPEND_FLAGS NVCC_APPEND_FLAGS LD_LIBRARY_PATH LD_PRELOAD "
    "CUDA_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES "
    "HSA_OVERRIDE_GFX_VERSION MAX_JOBS NVCC_THREADS TORCH_CUDA_ARCH_LIST FLASH_ATTENTION_FORCE_BUILD "
    "FLASH_ATTENTION_SKIP_CUDA_BUILD FLASH_ATTENTION_FORCE_CXX11_ABI FLASH_ATTN_CUDA_ARCHS FLASH_ATTN_LOCAL_VERSION "
    "FLASH_ATTENTION_TRITON_AMD_ENABLE FLASH_ATTENTION_DISABLE_BACKWARD PYTHONPATH PYTHONHOME PYTHONNOUSERSITE VIRTUAL_ENV "
    "CONDA_PREFIX CONDA_DEFAULT_ENV TMPDIR TEMP TMP PIP_CACHE_DIR PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS "
    "PIP_NO_BUILD_ISOLATION PIP_CONSTRAINT PIP_NO_CACHE_DIR PIP_TARGET PIP_USER UV_CACHE_DIR UV_INDEX_URL "
    "UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy no_proxy "
    "SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE OMP_NUM_THREADS MKL_NUM_THREADS TORCH_CUDNN_SDPA_DEPRIORITIZED "
    "TORCH_ROCM_AOTRITON_ENABLE_EXPERIMENTAL TORCH_ROCM_FA_PREFER_CK PYTORCH_CUDA_ALLOC_CONF PYTORCH_NVML_BASED_CUDA_CHECK "
    "TORCH_EXTENSIONS_DIR CUDA_LAUNCH_BLOCKING XFORMERS_IGNORE_FLASH_VERSION_CHECK DISTUTILS_USE_SDK SLURM_JOB_ID "
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD KMP_DUPLICATE_LIB_OK COLAB_RELEASE_TAG KAGGLE_KERNEL_RUN_TYPE PYTORCH_ENABLE_MPS_FALLBACK "
    "PYTORCH_MPS_HIGH_WATERMARK_RATIO DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH"
).split()


# What the issue forms of PyTorch, Ultralytics and FlashInfer ask for: every variable of these programs. Secrets among them are taken out
# of every file by report/redact.
PREFIXES = (
    "CUDA_",
    "CUDNN_",
    "NVIDIA_",
    "NCCL_",
    "NVSHMEM_",
    "TORCH_",
    "TORCHINDUCTOR_",
    "PYTORCH_",
    "TRITON_",
    "YOLO_",
    "OMP_",
    "MKL_",
    "KMP_",
    "GOMP_",
    "HIP_",
    "ROCM_",
    "ROCR_",
    "HSA_",
    "MIOPEN_",
    "FLASH_ATT",
    "FLASHINFER_",
    "XFORMERS_",
)
_MOST_VARIABLES = 200


class GatherRequest(NamedTuple):
    """Hold the options of an examination: the target, what may be run, the time limit, the root folder."""

    choice: ChosenPython  # the target
    environ: Mapping[str, str]  # the variables with which the target and the tools are started
    static: bool = False  # run nothing of the target: its Python is started once, without site
    tools: bool = True  # run tools and ask the driver; otherwise only files are read
    timeout: float = 120.0  # seconds, for each probe and for each answer of the target
    on_slow: Callable[[str], None] | None = None  # gets the name of a step that takes long
    root: Path = Path("/")  # the root folder of the machine, or a folder with the files of a simulated one
    weights: str | None = None  # a file of model weights that the user names; those of the current folder are read too


def gather(request: GatherRequest) -> Facts:
    """Collect all facts. Raises NoAnswer if the target does not answer, or is not a Python that can be examined."""
    try:
        return _gather(request)
    except BaseException:
        child.end_all()  # no such target: what else was started is not needed
        raise


def _gather(request: GatherRequest) -> Facts:
    runner = _Runner(request.timeout)
    imports = None if request.static else threads.start(lambda: importing.import_everything(_importer(request)))
    asked = threads.start(lambda: _answer(request))
    isolated = None if request.static else threads.start(lambda: _isolated(request))
    machine = _machine(request, runner)
    answer = asked.result()
    target = _target(request, answer, isolated.result() if isolated else answer.isolated, runner)
    outcome = imports.result() if imports else None
    return _assemble(request, {**machine, **target}, outcome, answer, runner)


class _Runner:
    """Start probes and record how each one ended. attn-doctor waits at most `deadline` seconds for a probe.

    Every exception of a probe is caught here, because a probe can have a bug. The runner of the rules does the same with theirs.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.runs: list[ProbeRun] = []

    def start(self, name: str, kind: type[R], probe: Callable[[], Section[R]]) -> Task[Section[R]]:
        return threads.start(lambda: self.run(name, kind, probe))

    def run(self, name: str, kind: type[R], probe: Callable[[], Section[R]]) -> Section[R]:
        return self.attempt(name, probe, lambda why: (all_unknown(kind, why), {}))

    def attempt(self, name: str, probe: Callable[[], T], otherwise: Callable[[str], T]) -> T:
        """Return the result of a probe, or `otherwise(reason)` if the probe fails."""
        started = time.monotonic()
        note = None
        try:
            found = threads.within(self.deadline, probe)
        except TimeoutError:
            note = f"no answer in {self.deadline:.0f} s: a tool or a file did not answer, such as one on a network drive that is gone"
            found = otherwise(note)
        except Exception as error:  # noqa: BLE001 - what it was is recorded, and asks to be reported
            reached = failure.limit(error)
            note = reached or f"the probe itself failed ({type(error).__name__}: {error}); please report this"
            found = otherwise(note)
        self.runs.append(ProbeRun(name=name, seconds=round(time.monotonic() - started, 3), note=note))
        return found


def _machine(request: GatherRequest, runner: _Runner) -> dict[str, Task[Section[Any]]]:
    """Start the probes that do not need the target."""
    from attn_doctor.probes import cpu, graphics, models, project, system, toolchain

    environ, root, ask = request.environ, request.root, request.tools
    prefix = prefix_of(request.choice.python)
    # PATH as if the target were activated, because a build in the target finds the ninja and the compilers of the target first.
    inside = {
        **environ,
        "PATH": os.pathsep.join([*programs_of(request.choice.python), environ.get("PATH", os.defpath)]),
    }
    return {
        "system": runner.start("system", System, lambda: system.system(root, environ, {"prefix": prefix}, ask=ask)),
        "graphics": runner.start(
            "graphics", Graphics, lambda: graphics.graphics(root, environ, on_slow=request.on_slow, ask=ask)
        ),
        "toolchain": runner.start("toolchain", Toolchain, lambda: toolchain.toolchain(root, inside, prefix, ask=ask)),
        "cpu": runner.start("cpu", Cpu, lambda: cpu.cpu(root, ask=ask)),
        "project": runner.start("project", Project, lambda: project.here(prefix, environ)),
        "models": threads.start(
            lambda: (runner.attempt("models", lambda: models.here(request.weights), Unknown), _WEIGHTS)
        ),
    }


_WEIGHTS = {"": "the pickles of .pt files, read and not loaded"}


def _importer(request: GatherRequest) -> importing.Target:
    return importing.Target(request.choice.python, request.environ, request.timeout, request.on_slow)


def _answer(request: GatherRequest) -> Answer:
    return ask(
        request.choice.python,
        EVERYTHING,
        request.environ,
        request.timeout,
        modules=WATCHED,
        static=request.static,
        on_slow=request.on_slow,
    )


def _isolated(request: GatherRequest) -> tuple[Module, ...] | Unknown:
    """Return the places of the modules without PYTHONPATH and the user site (`python -I`)."""
    try:
        return ask(
            request.choice.python, ("modules",), request.environ, request.timeout, modules=WATCHED, options=["-I"]
        ).modules
    except NoAnswer as error:
        return Unknown(f"a second run with -I gave no answer: {error}")


def _target(
    request: GatherRequest, answer: Answer, isolated: tuple[Module, ...] | Unknown, runner: _Runner
) -> dict[str, Section[Any]]:
    """Return the facts that come from the target's own files, by section."""
    from attn_doctor.probes import extensions, flash_attention, interpreter, packages

    raw, modules = answer.distributions, answer.modules
    installed: Section[Packages] = (
        (all_unknown(Packages, raw.why), {})
        if isinstance(raw, Unknown)
        else runner.run("packages", Packages, lambda: packages.packages(raw, answer.markers))
    )
    listed = installed[0].distributions
    distributions = () if isinstance(listed, Unknown) else listed
    itself = runner.run(
        "interpreter",
        Interpreter,
        lambda: interpreter.interpreter(request.choice, answer, isolated, distributions, request.environ),
    )
    record, origin = itself
    itself = (
        msgspec.structs.replace(
            record, **runner.attempt("settings", lambda: _settings(request, record), _unknown_settings)
        ),
        origin,
    )
    sections: dict[str, Section[Any]] = {"packages": installed, "interpreter": itself}
    if isinstance(modules, Unknown):
        why = modules.why
        sections |= {
            "torch": (all_unknown(Torch, why), {}),
            "flash_attention": (all_unknown(FlashAttention, why), {}),
            "yolo": (all_unknown(Yolo, why), {}),
        }
        return {**sections, "binaries": (modules, {})}
    torch = runner.run(
        "torch",
        Torch,
        lambda: (
            torch_probe.from_files(answer.module("torch"), distributions),
            {"": "torch/version.py, headers, libraries and metadata"},
        ),
    )
    path = [p for p in answer.path if p]
    compiled: tuple[Binary, ...] | Unknown = runner.attempt(
        "binaries", lambda: extensions.extensions(itself[0], torch[0], path, request.environ), Unknown
    )
    ultralytics = answer.module("ultralytics").origin
    return {
        **sections,
        "torch": torch,
        "binaries": (compiled, {"": "the files of the extensions and of torch's libraries"}),
        "flash_attention": runner.run(
            "flash-attention", FlashAttention, lambda: flash_attention.flash_attention(distributions, answer)
        ),
        "yolo": runner.run("yolo", Yolo, lambda: _yolo(request, Path(ultralytics).parent if ultralytics else None))
        if ultralytics or not _behind_a_hook("ultralytics", answer)
        else (all_unknown(Yolo, "an import hook finds it, and --static runs none"), {}),
    }


def _yolo(request: GatherRequest, location: Path | None) -> Section[Yolo]:
    from attn_doctor.probes import yolo
    from attn_doctor.probes.root import Root

    record, sources = yolo.yolo(location)
    started = yolo.program(Root(request.root), request.choice.python, request.environ.get("PATH", ""))
    return msgspec.structs.replace(record, program=None if location is None else started), sources


def _unknown_settings(why: str) -> dict[str, Any]:
    return dict.fromkeys(("indexes", "settings"), Unknown(why))


def _settings(request: GatherRequest, itself: Interpreter) -> dict[str, Any]:
    """Return the fields about the configuration of pip and uv, which includes that of the project in the current folder."""
    from attn_doctor.probes.indexes import indexes
    from attn_doctor.probes.installer_settings import installer_settings

    prefix = itself.prefix if isinstance(itself.prefix, str) else ""
    where = current_folder.where()
    asked = (request.root, request.environ, prefix, Path(where) if where else None)
    return {"indexes": indexes(*asked), "settings": installer_settings(*asked)}


def _behind_a_hook(name: str, answer: Answer) -> bool:
    """Return whether an installed distribution has modules that only a line of a .pth file can find. --static runs no such line."""
    installed = answer.distributions
    found = () if isinstance(installed, Unknown) else installed.found
    return bool(answer.not_run) and any(d.name.lower() == name for d in found)


def _recorded(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the variables to record."""
    of_programs = sorted(name for name in environ if name.startswith(PREFIXES))
    return [name for name in dict.fromkeys((*VARIABLES, *of_programs)) if name in environ][:_MOST_VARIABLES]


def _assemble(
    request: GatherRequest,
    found: dict[str, Any],
    outcome: child.Outcome | None,
    answer: Answer,
    runner: _Runner,
) -> Facts:
    sections: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, value in found.items():
        record, origin = value.result() if isinstance(value, Task) else value
        sections[name] = record
        sources.update({f"{name}.{path}" if path else name: text for path, text in origin.items()})
    from attn_doctor.probes import models

    weights = sections["models"]
    sections["models"] = runner.attempt("weights", lambda: models.against(weights, sections["yolo"]), Unknown)
    imports: tuple[Import, ...] | Unknown = Unknown("nothing was imported (--static)")
    if outcome is not None:
        sections["torch"] = torch_probe.from_import(sections["torch"], outcome)
        imports = importing.imported(outcome)
        itself: Interpreter = sections["interpreter"]
        again = importing.look_again(_importer(request), sections["torch"], imports, user_site=itself.user_site is True)
        if "torch" in again:
            sections["torch"] = msgspec.structs.replace(sections["torch"], works_without=again["torch"])
        imports = tuple(
            msgspec.structs.replace(i, works_without=again[i.module]) if i.module in again else i for i in imports
        )
        sections["interpreter"] = msgspec.structs.replace(
            itself, shadows_loaded=importing.shadows_loaded(itself, outcome)
        )
        sections["yolo"] = importing.behind_the_fork(sections["yolo"], imports)
        sources["torch"] = "the target, importing torch in a child"
        sources["imports"] = "the target, importing each module in a process of its own"
        runner.runs.append(ProbeRun(name="imports", seconds=round(outcome.seconds, 3)))
    left = dict.fromkeys(answer.not_run)
    note = (
        f"not run, so what they make importable is not known: the import lines of {', '.join(left)}" if left else None
    )
    runner.runs.append(ProbeRun(name="inventory", seconds=round(answer.seconds, 3), note=note))
    sources["environment"] = "the environment of attn-doctor"
    facts = Facts(
        grade="static" if outcome is None else "dynamic",
        environment=tuple(Variable(name=n, value=request.environ[n]) for n in _recorded(request.environ)),
        imports=imports,
        sources=sources,
        probes=tuple(sorted(runner.runs, key=lambda r: r.name)),
        **sections,
    )
    return foreign_text.record(facts)
