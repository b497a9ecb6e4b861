"""Run all probes at once, with deadlines, and build the Facts from their answers.

A probe that fails gives an Unknown with the reason. Only a target that does not answer at all ends the collection.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from attn_doctor import child
from attn_doctor.knowledge.modules import MODULE_OF, TRAINING
from attn_doctor.model import foreign_text
from attn_doctor.model.facts import (
    Binary,
    Cpu,
    Facts,
    Fault,
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
from attn_doctor.probes import torch as torch_probe
from attn_doctor.probes.answer import NoAnswer as NoAnswer  # noqa: PLC0414 - documented as of here
from attn_doctor.probes.answer import told
from attn_doctor.probes.choose import Choice
from attn_doctor.probes.second_look import look_again, ways
from attn_doctor.system import current_folder

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Section = tuple[R, dict[str, str]]

# Top-level modules that a file or folder of the same name elsewhere can hide.
WATCHED = (
    "torch torchvision torchaudio numpy flash_attn flash_attn_2_cuda flash_attn_interface flash_attn_3 xformers triton "
    "ultralytics cv2 einops transformers packaging setuptools wheel psutil ninja"
).split()
# Variables that change how something is built, found or run. No others are recorded.
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
    "COLAB_RELEASE_TAG KAGGLE_KERNEL_RUN_TYPE"
).split()


# -I is not passed: Python 2.7 has no -I, and could not print its version. The channel removes the current folder
# itself.
_ALONE = ("-E", "-s", "-S")


class GatherRequest(NamedTuple):
    choice: Choice
    static: bool = False  # run nothing of the target: its Python is started once, without site
    tools: bool = True  # run tools and ask the driver; otherwise only files are read
    timeout: float = 120.0
    on_slow: Callable[[str], None] | None = None
    environ: Mapping[str, str] = os.environ
    root: Path = Path("/")


def gather(request: GatherRequest) -> Facts:
    """Collect all facts.

    Raises NoTarget for a target that is no usable Python, NoAnswer for one that does not answer.
    """
    with ThreadPoolExecutor(max_workers=12, thread_name_prefix="probe") as pool:
        try:
            return _gather(request, pool)
        except BaseException:
            child.end_all()  # Ctrl-C, or no such target: the pool waits for its threads, and they wait for children
            raise


def _gather(request: GatherRequest, pool: ThreadPoolExecutor) -> Facts:
    runner = _Runner(pool)
    imports = None if request.static else pool.submit(_import_everything, request)
    inventory = pool.submit(_inventory, request)
    isolated = None if request.static else pool.submit(_isolated, request)
    machine = _machine(request, runner)
    told = inventory.result()
    target = _target(request, told, isolated.result() if isolated else told.get("isolated", []), runner)
    outcome = imports.result() if imports else None
    return _assemble(request, {**machine, **target}, outcome, told, runner)


class _Runner:
    """Starts probes and records how they ended.

    One of the two places that catch every exception: a probe may have a bug.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.runs: list[ProbeRun] = []

    def start(self, name: str, kind: type[R], probe: Callable[[], Section[R]]) -> Future[Section[R]]:
        return self.pool.submit(self.run, name, kind, probe)

    def run(self, name: str, kind: type[R], probe: Callable[[], Section[R]]) -> Section[R]:
        return self.attempt(name, probe, lambda why: (all_unknown(kind, why), {}))

    def attempt(self, name: str, probe: Callable[[], T], otherwise: Callable[[str], T]) -> T:
        """Return the result of a probe, or that of `otherwise(reason)` where the probe fails."""
        started = time.monotonic()
        note = None
        try:
            found = probe()
        except Exception as error:  # noqa: BLE001 - what it was is recorded, and asks to be reported
            note = f"the probe itself failed ({type(error).__name__}: {error}); please report this"
            found = otherwise(note)
        self.runs.append(ProbeRun(name=name, seconds=round(time.monotonic() - started, 3), note=note))
        return found


def _machine(request: GatherRequest, runner: _Runner) -> dict[str, Future[Section[Any]]]:
    """Start the probes that do not need the target."""
    from attn_doctor.probes import cpu, graphics, project, system, toolchain

    environ, root, ask = request.environ, request.root, request.tools
    prefix = str(Path(request.choice.python).parent.parent)
    # PATH as if the target were activated: a build in it would find its ninja and its compilers first.
    inside = {**environ, "PATH": os.pathsep.join([f"{prefix}/bin", environ.get("PATH", os.defpath)])}
    return {
        "system": runner.start("system", System, lambda: system.system(root, environ, {"prefix": prefix}, ask=ask)),
        "graphics": runner.start(
            "graphics", Graphics, lambda: graphics.graphics(root, environ, on_slow=request.on_slow, ask=ask)
        ),
        "toolchain": runner.start("toolchain", Toolchain, lambda: toolchain.toolchain(root, inside, prefix, ask=ask)),
        "cpu": runner.start("cpu", Cpu, lambda: cpu.cpu(root, ask=ask)),
        "project": runner.start("project", Project, project.here),
    }


def _inventory(request: GatherRequest) -> dict[str, Any]:
    """Return the raw records of target/inventory.py by name."""
    config = {
        "watched": WATCHED,
        "module_of": MODULE_OF,
        "training": TRAINING,
        "here": current_folder.where(),
        "python": request.choice.python,
    }
    return told(
        [request.choice.python, *(_ALONE if request.static else ())],
        config,
        before=("target/search_path.py",) if request.static else (),
        deadline=request.timeout,
        on_slow=request.on_slow,
    )


def _isolated(request: GatherRequest) -> list[Any] | Unknown:
    """Return the origins of the same modules without PYTHONPATH and the user site."""
    try:
        outcome = child.run(
            [request.choice.python, "-I"],
            ["target/channel.py", "target/inventory.py"],
            config={"watched": WATCHED, "modules_only": True},
            deadline=request.timeout,
        )
    except OSError as error:
        return Unknown(f"a second run with -I did not start: {error.strerror or error}")
    modules = outcome.facts("modules")
    return modules[0] if modules else Unknown("a second run with -I did not answer")


def _import_everything(request: GatherRequest) -> child.Outcome:
    try:
        outcome = _imports(request)
        for message in [m for m in outcome.messages if m.at == "later"]:  # without fork (Windows)
            alone = _imports(request, only=[message.section])
            outcome.messages.extend(m for m in alone.messages if m.section == message.section)
            if alone.fault and alone.open_section == message.section:
                lost = {"module": message.section, "ok": False, "fault": msgspec.to_builtins(alone.fault)}
                outcome.messages.append(child.Message("fact", message.section, lost))
    except OSError:  # the inventory meets the same error and reports it
        return child.Outcome([], None, "", None, 0.0, None)
    return outcome


def _imports(
    request: GatherRequest,
    environment: Mapping[str, str | None] | None = None,
    only: Sequence[str] | None = None,
    deadline: float | None = None,
    stop: threading.Event | None = None,
) -> child.Outcome:
    """Import everything, or only the modules in `only`, in a child.

    Raises OSError where the interpreter does not start.
    """
    quiet = min(request.timeout, deadline or request.timeout)
    with tempfile.TemporaryDirectory(prefix="attn-doctor-") as folder:
        return child.run(
            [request.choice.python],
            ["target/channel.py", "target/forks.py", "target/imports.py"],
            config={
                "each": quiet * 0.9,  # less than the deadline of the whole child
                "only": list(only) if only else None,
                "ultralytics_environment": child.harmless(folder),
            },
            deadline=deadline or request.timeout * 4,
            quiet=quiet,
            environment=environment,
            on_slow=None if only else request.on_slow,
            stop=stop,
        )


def _look_again(
    request: GatherRequest, torch: Torch, imports: tuple[Import, ...], *, user_site: bool
) -> dict[str, str | None]:
    """Return what must be left out so that a failed module imports. Nothing is started where all modules imported."""
    lost = [i.module for i in imports if i.ok is False]
    if torch.importable is False:
        lost = ["torch"]  # the other modules need torch, so they cannot be judged without it
    good = [i.seconds for i in imports if i.ok is True and isinstance(i.seconds, (int, float))]
    return look_again(
        lost,
        ways(request.environ, user_site=user_site),
        lambda environment, only, deadline, stop: _imports(request, environment, only, deadline, stop),
        good_seconds=max(good, default=None),
    )


def _target(
    request: GatherRequest, told: dict[str, Any], isolated: list[Any] | Unknown, runner: _Runner
) -> dict[str, Section[Any]]:
    """Return the sections that come from the target's own files."""
    from attn_doctor.probes import extensions, flash_attention, interpreter, packages, yolo

    modules = {m["name"]: m for m in told.get("modules", ())}
    empty: dict[str, Any] = {"found": [], "remnants": [], "broken": []}
    raw = told.get("distributions", empty)
    installed = runner.run("packages", Packages, lambda: packages.packages(raw, told.get("markers", {})))
    listed = installed[0].distributions
    distributions = () if isinstance(listed, Unknown) else listed
    path = [p for p in told.get("path", ()) if p]
    ultralytics = modules.get("ultralytics", {}).get("origin")
    itself = runner.run(
        "interpreter",
        Interpreter,
        lambda: interpreter.interpreter(request.choice, told, isolated, distributions, request.environ),
    )
    torch = runner.run(
        "torch",
        Torch,
        lambda: (
            torch_probe.from_files(modules.get("torch", {}), distributions),
            {"": "torch/version.py, headers, libraries and metadata"},
        ),
    )
    compiled: tuple[Binary, ...] | Unknown = runner.attempt(
        "binaries", lambda: extensions.extensions(itself[0], torch[0], path, request.environ), Unknown
    )
    return {
        "packages": installed,
        "interpreter": itself,
        "torch": torch,
        "binaries": (compiled, {"": "the files of the extensions and of torch's libraries"}),
        "flash_attention": runner.run(
            "flash-attention",
            FlashAttention,
            lambda: flash_attention.flash_attention(distributions, modules, path),
        ),
        "yolo": runner.run("yolo", Yolo, lambda: yolo.yolo(Path(ultralytics).parent if ultralytics else None))
        if ultralytics or not _behind_a_hook("ultralytics", told)
        else (all_unknown(Yolo, "an import hook finds it, and --static runs none"), {}),
    }


def _behind_a_hook(name: str, told: dict[str, Any]) -> bool:
    """Return whether an installed distribution has modules that only an unexecuted line of a .pth file would find."""
    installed = told.get("distributions", {}).get("found", ())
    return bool(told.get("not-run")) and any(d["name"].lower() == name for d in installed)


def _assemble(
    request: GatherRequest,
    found: dict[str, Any],
    outcome: child.Outcome | None,
    told: dict[str, Any],
    runner: _Runner,
) -> Facts:
    sections: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, value in found.items():
        record, origin = value.result() if isinstance(value, Future) else value
        sections[name] = record
        sources.update({f"{name}.{path}" if path else name: text for path, text in origin.items()})
    imports: tuple[Import, ...] | Unknown = Unknown("nothing was imported (--static)")
    if outcome is not None:
        sections["torch"] = torch_probe.from_import(sections["torch"], outcome)
        imports = imported(outcome)
        itself: Interpreter = sections["interpreter"]
        again = _look_again(request, sections["torch"], imports, user_site=itself.user_site is True)
        if "torch" in again:
            sections["torch"] = msgspec.structs.replace(sections["torch"], works_without=again["torch"])
        imports = tuple(
            msgspec.structs.replace(i, works_without=again[i.module]) if i.module in again else i for i in imports
        )
        sections["interpreter"] = msgspec.structs.replace(itself, shadows_loaded=_shadows_loaded(itself, outcome))
        sections["yolo"] = _behind_the_fork(sections["yolo"], imports)
        sources["torch"] = "the target, importing torch in a child"
        sources["imports"] = "the target, importing each module in a process of its own"
        runner.runs.append(ProbeRun(name="imports", seconds=round(outcome.seconds, 3)))
    left = dict.fromkeys(told.get("not-run", ()))
    note = (
        f"not run, so what they make importable is not known: the import lines of {', '.join(left)}" if left else None
    )
    runner.runs.append(ProbeRun(name="inventory", seconds=round(told["seconds"], 3), note=note))
    sources["environment"] = "the environment of attn-doctor"
    facts = Facts(
        grade="static" if outcome is None else "dynamic",
        environment=tuple(Variable(name=n, value=request.environ[n]) for n in VARIABLES if n in request.environ),
        imports=imports,
        sources=sources,
        probes=tuple(sorted(runner.runs, key=lambda r: r.name)),
        **sections,
    )
    return foreign_text.record(facts)


def _shadows_loaded(interpreter: Interpreter, outcome: child.Outcome) -> tuple[str, ...] | Unknown:
    """Return the files of the current folder that hide a module of torch or ultralytics: "queue.py", "torch/".

    Only modules that torch or ultralytics really loads count.
    """
    if isinstance(interpreter.shadowed_here, Unknown):
        return interpreter.shadowed_here
    loaded = {name for names in outcome.facts("loaded") for name in names}
    for message in outcome.messages:
        if message.at == "fact" and isinstance(message.data, dict):
            loaded.update(message.data.get("loaded") or ())
    if not loaded:
        return Unknown("torch did not import, so the modules that it loads are not known")
    return tuple(name for name in interpreter.shadowed_here if name.rstrip("/").partition(".")[0] in loaded)


def imported(outcome: child.Outcome) -> tuple[Import, ...]:
    """Return the import records, including one for a section that was open when the child ended."""
    records = [
        _import_record(m.data)
        for m in outcome.messages
        if m.at == "fact" and isinstance(m.data, dict) and isinstance(m.data.get("module"), str)
    ]
    open_section = outcome.open_section
    if outcome.fault and open_section and open_section not in ("torch", "torch facts", "cuda"):
        records.append(Import(module=open_section, ok=False, fault=outcome.fault))
    return tuple(records)


def _import_record(data: dict[str, Any]) -> Import:
    try:
        return msgspec.convert(data, Import)
    except msgspec.ValidationError as error:
        message = f"the target's record of the import cannot be understood ({error})"
        return Import(module=data["module"], ok=False, fault=Fault(kind="raised", type="BadRecord", message=message))


def _behind_the_fork(yolo: Yolo, imports: tuple[Import, ...]) -> Yolo:
    """Add the exception that the YOLOv12 fork catches when flash_attn does not import, from our own import of it."""
    if yolo.kind != "fork":
        return yolo
    attempt = next((i for i in imports if i.module == "flash_attn"), None)
    if attempt is None:
        return msgspec.structs.replace(yolo, flash_error="ModuleNotFoundError: No module named 'flash_attn'")
    error = torch_probe.describe(attempt.fault) if attempt.fault else None
    return msgspec.structs.replace(yolo, flash_error=error)
