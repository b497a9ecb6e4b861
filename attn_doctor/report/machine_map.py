"""Draw the map of the machine: the chain from the system and the driver to the model, and the state of each link. Pure.

A link has three texts: its name, what it needs from the links before it, and what it gives to the links after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.knowledge.cuda import driver_needed
from attn_doctor.model.facts import Facts, Import, Unknown
from attn_doctor.model.findings import Finding, Goal, Severity
from attn_doctor.model.machine import NAMELESS, amd_gpus, flash_attn, nvidia_present, tried
from attn_doctor.model.report import Report
from attn_doctor.model.trials import Trial
from attn_doctor.report.map_places import Place, package_place, place_of
from attn_doctor.report.pictures import Chain, Link, State

_ORDER: tuple[Place, ...] = ("system", "gpu", "cuda", "torch", "extensions", "ultralytics", "model")


def machine_map(report: Report) -> Chain:
    """Return the map of a report's machine: a chain of seven links, from the system to the model, each with its state."""
    facts = report.facts
    links = {
        "system": _system(facts),
        "gpu": _gpu(facts),
        "cuda": _cuda(facts),
        "torch": _torch(facts),
        "extensions": _extensions(facts, report.goal),
        "ultralytics": _ultralytics(facts),
        "model": _model(report),
    }
    errors = _errors(report.findings, facts)
    marked = [_marked(links[place], errors.get(place, ())) for place in _ORDER]
    return Chain(_caption(marked), tuple(marked))


def _caption(links: Iterable[Link]) -> str:
    names: dict[State, list[str]] = {}
    for link in links:
        names.setdefault(link.state, []).append(link.name)
    if "broken" in names:
        return f"The chain breaks at: {', '.join(names['broken'])}"
    unseen = [*names.get("stopped", ()), *names.get("unknown", ())]
    return f"No link is known to be broken; not seen to work: {', '.join(unseen)}" if unseen else "Every link holds"


def _errors(findings: Iterable[Finding], facts: Facts) -> Mapping[Place, list[Finding]]:
    """Return the errors that are root causes, by their link."""
    found: dict[Place, list[Finding]] = {}
    for finding in findings:
        if finding.severity is Severity.ERROR and finding.root_cause:
            found.setdefault(place_of(finding, facts), []).append(finding)
    return found


def _marked(link: Link, errors: Iterable[Finding]) -> Link:
    """Return a link with its errors.

    Only an error breaks a link. Any other failure on a link is the effect of an error on another link, so it breaks nothing.
    """
    names = ", ".join(f"{finding.slug} ({finding.code})" for finding in errors)
    return link._replace(state="broken", because=names) if names else link


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _system(facts: Facts) -> Link:
    system, python = facts.system, facts.interpreter.version
    name = _text(system.distribution_name) or " ".join(
        filter(None, (_text(system.distribution) or _text(system.os), _text(system.distribution_version)))
    )
    glibc = f"glibc {system.glibc}" if isinstance(system.glibc, str) else ""
    musl = f"musl {system.musl}" if isinstance(system.musl, str) else ""
    wsl = f"WSL{system.wsl}" if isinstance(system.wsl, int) else ""
    container = f"in {system.container}" if isinstance(system.container, str) else ""
    return Link(
        "System and Python",
        "good" if isinstance(python, str) else "unknown",
        _listed(name, _text(system.machine), wsl, container),
        offers=tuple(filter(None, (f"Python {python}" if isinstance(python, str) else "", glibc or musl))),
        because="" if isinstance(python, str) else _why(python, "no Python is known"),
    )


def _why(value: object, otherwise: str) -> str:
    return value.why if isinstance(value, Unknown) else otherwise


def _gpu(facts: Facts) -> Link:
    graphics, name = facts.graphics, "GPU and driver"
    if graphics.apple is True:
        state: State = "good" if facts.torch.mps is True else "unknown"
        return Link(name, state, "Apple silicon; its driver is part of macOS", offers=("Metal (MPS)",))
    gpus = graphics.gpus if isinstance(graphics.gpus, tuple) else ()
    if graphics.stated is True and gpus:
        stated = _text(gpus[0].name) or NAMELESS
        return Link(name, "unknown", stated, because="stated by --gpu: it is in another machine")
    amd = amd_gpus(facts)
    if amd:
        names = _listed(*(_text(gpu.name) or _text(gpu.gfx) or "AMD GPU" for gpu in amd))
        offers = (f"ROCm {graphics.rocm}",) if isinstance(graphics.rocm, str) else ()
        return Link(name, _seen_by_torch(facts), names, offers=offers)
    present = nvidia_present(facts)
    if present is False:
        return Link(name, "not needed", "no GPU here", because="torch computes on the CPU")
    if isinstance(present, Unknown) and not gpus:
        return Link(name, "unknown", "", because=present.why)
    capabilities = dict.fromkeys(f"compute capability {c}" for g in gpus if (c := _text(g.compute_capability)))
    names = _listed(*dict.fromkeys(_text(gpu.name) for gpu in gpus)) or "NVIDIA GPU"
    driver = f"driver {graphics.driver}" if isinstance(graphics.driver, str) else ""
    driver = driver or ("no driver" if graphics.driver is None else "")
    newest = (f"CUDA up to {graphics.driver_cuda}",) if isinstance(graphics.driver_cuda, str) else ()
    works = facts.torch.available is True or graphics.cuda_error is None or graphics.nvml_error is None
    state = "good" if works else "unknown"
    return Link(name, state, _listed(names, driver), offers=(*newest, *capabilities))


def _seen_by_torch(facts: Facts) -> State:
    return "good" if facts.torch.available is True else "unknown"


def _cuda(facts: Facts) -> Link:
    torch = facts.torch
    has_gpu = nvidia_present(facts) is True
    if torch.version is None:
        return Link(
            "CUDA", "unknown" if has_gpu else "not needed", "", because="it comes with torch, which is not here"
        )
    if isinstance(torch.hip, str):
        return Link("ROCm", _seen_by_torch(facts), f"{torch.hip}, inside torch", needs=("an AMD GPU",))
    if facts.system.os == "darwin" and torch.cuda is None:
        return Link("CUDA", "not needed", "", because="Macs compute with Metal (MPS)")
    if torch.cuda is None and torch.hip is None:
        reason = "this torch is built for the CPU"
        return Link("CUDA", "unknown" if has_gpu else "not needed", "", because=reason)
    if not isinstance(torch.cuda, str):
        return Link("CUDA", "unknown", "", because=_why(torch.cuda, "its version is not known"))
    windows = facts.system.os == "windows" or isinstance(facts.system.wsl, int)
    driver = driver_needed(torch.cuda, "windows" if windows else "linux")
    needs = (f"driver {driver} or newer",) if isinstance(driver, str) else ()
    archs = [arch for arch in torch.archs if isinstance(arch, str)] if isinstance(torch.archs, tuple) else []
    code = _range(archs)
    link = Link("CUDA", "good", f"{torch.cuda}, inside torch", needs, (code,) if code else ())
    if torch.available is True:
        return link
    if nvidia_present(facts) is False:
        return link._replace(state="not needed", because="no NVIDIA GPU here: this torch computes on the CPU")
    if torch.available is False and has_gpu:
        return link._replace(state="stopped", because=_first_line(_text(torch.cuda_error)) or "torch sees no GPU")
    said = _first_line(_text(torch.cuda_error))
    return link._replace(state="unknown", because=said or _why(torch.available, "it was not tried"))


def _range(archs: list[str]) -> str:
    """Return the GPUs for which a torch has code: "code for sm_75 to sm_120"."""
    names = [arch for arch in archs if arch.startswith("sm_")] or archs
    if len(names) < 3:
        return f"code for {' and '.join(names)}" if names else ""
    return f"code for {names[0]} to {names[-1]}"


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 120 else line[:119] + "…"


def _torch(facts: Facts) -> Link:
    torch = facts.torch
    if torch.version is None:
        return Link("torch", "stopped", "not installed")
    if isinstance(torch.version, Unknown):
        return Link("torch", "unknown", "", because=torch.version.why)
    compiled = next(
        (b for b in (facts.binaries if isinstance(facts.binaries, tuple) else ()) if b.module == "torch._C"), None
    )
    glibc = (f"glibc {compiled.glibc} or newer",) if compiled and isinstance(compiled.glibc, str) else ()
    abi = ("C++11 ABI",) if torch.cxx11_abi is True else ("old C++ ABI",) if torch.cxx11_abi is False else ()
    link = Link("torch", "good", torch.version, glibc, (f"torch {torch.version.partition('+')[0]}", *abi))
    if torch.importable is False:
        return link._replace(
            state="stopped", because=_first_line(message(torch.fault)) if torch.fault else "it does not import"
        )
    if torch.importable is True:
        return link
    return link._replace(state="unknown", because=_why(torch.importable, "its import was not tried"))


def _extensions(facts: Facts, goal: Goal) -> Link:
    """Return the link of compiled packages other than torch: torchvision, flash-attn and others that were imported."""
    attempts, name = _of_place(facts, "extensions"), "Extensions"
    whole = [
        a for a in attempts if "." not in a.module and not a.module.endswith("_cuda")
    ]  # no part of another package
    absent = flash_attn(facts) == "absent" and facts.flash_attention.fa3 is None and facts.flash_attention.fa4 is None
    has = _listed(*(" ".join(filter(None, (a.module, _version(facts, a)))) for a in whole))
    if not has and isinstance(facts.flash_attention.version, str):
        has = f"flash-attn {facts.flash_attention.version}"
    because = "flash-attn is not installed" if absent and goal is Goal.FLASH_ATTN else ""
    link = Link(name, "good", has, tuple(_built_for(facts)), ("operators for images and attention",), because)
    failed = next((a for a in attempts if a.ok is False), None)
    if failed:
        return link._replace(state="stopped", because=_failure(failed))
    if any(a.ok is True for a in attempts):
        return link
    if isinstance(facts.imports, Unknown):
        return link._replace(state="unknown", because=because or facts.imports.why)
    if not has and absent and goal is Goal.TRAIN:
        return link._replace(state="not needed", has="none", offers=())
    return link._replace(state="unknown", because=because or "their import was not tried")


def _built_for(facts: Facts) -> Iterator[str]:
    """Yield the torch for which an extension was built, if its name or its file shows it."""
    flash = facts.flash_attention
    if isinstance(flash.wheel_torch, str):
        cuda = f", CUDA {flash.wheel_cuda}" if isinstance(flash.wheel_cuda, str) else ""
        yield f"flash-attn: torch {flash.wheel_torch}{cuda}"
    for binary in facts.binaries if isinstance(facts.binaries, tuple) else ():
        if isinstance(binary.built_for_torch, str) and binary.module.startswith("torchvision"):
            yield f"torchvision: {binary.built_for_torch}"


def _failure(attempt: Import) -> str:
    """Return the failure of an import in one short line: "cv2: ImportError: libGL.so.1 ..."."""
    said = message(attempt.fault) if attempt.fault else "it does not import"
    return _first_line(f"{attempt.module}: {said}")


def _of_place(facts: Facts, place: Place) -> tuple[Import, ...]:
    return tuple(attempt for attempt in tried(facts) if package_place(attempt.module) == place)


def _version(facts: Facts, attempt: Import) -> str:
    """Return the version of a module: its own, else that of its distribution."""
    if isinstance(attempt.version, str):
        return attempt.version
    installed = facts.packages.distributions
    wanted = attempt.module.replace("_", "-")
    return next((_text(d.version) for d in (installed if isinstance(installed, tuple) else ()) if d.name == wanted), "")


def _ultralytics(facts: Facts) -> Link:
    yolo, name = facts.yolo, "ultralytics"
    if yolo.version is None:
        return Link(name, "not needed", "not installed", because="only YOLO models need it")
    if isinstance(yolo.version, Unknown):
        return Link(name, "unknown", "", because=yolo.version.why)
    kind = " (fork)" if yolo.kind == "fork" else ""
    calls = f"YOLO12 with {' and '.join(yolo.calls)} attention" if isinstance(yolo.calls, tuple) and yolo.calls else ""
    calls = calls or ("no YOLO12 attention" if yolo.attention is None else "")
    link = Link(name, "good", f"{yolo.version}{kind}", ("torch, torchvision, OpenCV",), (calls,) if calls else ())
    attempts = _of_place(facts, "ultralytics")
    failed = next((a for a in attempts if a.ok is False), None)
    if failed:
        return link._replace(state="stopped", because=_failure(failed))
    if any(a.module == "ultralytics" and a.ok is True for a in attempts):
        return link
    return link._replace(state="unknown", because=_why(facts.imports, "its import was not tried"))


def _model(report: Report) -> Link:
    facts, name = report.facts, "Model"
    files = [file for file in (facts.models if isinstance(facts.models, tuple) else ()) if file.asked]
    row = next((t for t in report.trials if t.scope == "model" and t.model), None) or next(iter(report.trials), None)
    has = files[0].path if files else _tried(row) if row else ""
    needs = ("ultralytics with YOLO12",) if row is None or row.scope == "model" else ()
    if "eager trained" in report.seen and row:
        return Link(name, "good", has, needs, (f"training on {row.device}",))
    run = report.trial_run
    fault = run and (run.model_fault or run.forward_fault or run.fault)
    if fault:
        return Link(name, "stopped", has, needs, because=_first_line(message(fault)))
    if any(row.status in ("failed", "timeout", "out-of-memory") and row.backend == "eager" for row in report.trials):
        return Link(name, "stopped", has, needs, because="it does not train with eager")
    return Link(name, "unknown", has, needs, because=report.trials_skipped or "it was not tried")


def _tried(row: Trial) -> str:
    return row.model or "YOLO12's attention alone"
