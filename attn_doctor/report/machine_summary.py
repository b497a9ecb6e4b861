"""Summarise the machine in a few lines of text, from facts. Unknown facts are named. No finding is decided here."""

from __future__ import annotations

from collections import Counter

from attn_doctor.model.facts import Facts, Gpu, Graphics, ModelFile, Number, Unknown
from attn_doctor.model.machine import AMD, NAMELESS, NVIDIA, amd_gpus, failed_flash_attn, flash_attn
from attn_doctor.model.trials import GpuWatch, Range
from attn_doctor.report.blocks import Field, Tone


def at_a_glance(facts: Facts) -> tuple[Field, ...]:
    """Return the fields at the top of a report: machine, GPU, toolkit, torch, flash-attn, YOLO12, and the weights that the user named."""
    return (
        Field("machine", _machine(facts)),
        Field("GPU", *_gpu(facts)),
        Field("toolkit", _toolkit(facts)),
        Field("torch", *_torch(facts)),
        Field("flash-attn", *_flash_attn(facts)),
        Field("YOLO12", *_yolo(facts)),
        *(Field("weights", *_weights(file)) for file in _asked(facts)),
    )


def _known(*values: object) -> list[str]:
    return [str(v) for v in values if v is not None and not isinstance(v, Unknown)]


def size(count: float) -> str:
    """Return bytes as text, in PyTorch's units: "7.6 GiB"."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit in ("B", "KiB") or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _machine(facts: Facts) -> str:
    system = facts.system
    name = _known(system.distribution_name) or [" ".join(_known(system.distribution, system.distribution_version))]
    parts = [p for p in name if p] or _known(system.os)
    parts += _known(system.machine)
    if isinstance(system.wsl, int):
        parts.append(f"WSL{system.wsl}")
    if isinstance(system.container, str):
        parts.append(f"in {system.container}")
    if isinstance(system.cores_allowed, int):
        parts.append(f"{system.cores_allowed} cores")
    memory = [m for m in (system.cgroup_memory_bytes, system.memory_bytes) if isinstance(m, int)]
    if memory:
        parts.append(size(min(memory)))
    if isinstance(system.glibc, str):
        parts.append(f"glibc {system.glibc}")
    elif isinstance(system.musl, str):
        parts.append(f"musl {system.musl}")
    return ", ".join(parts) or "unknown"


def _gpu(facts: Facts) -> tuple[str, Tone]:
    graphics = facts.graphics
    if graphics.stated is True and isinstance(graphics.gpus, tuple) and graphics.gpus:
        return _stated(graphics, graphics.gpus[0]), ""
    if graphics.apple is True:
        return "Apple silicon (MPS)", ""
    amd = amd_gpus(facts)
    if amd:
        return ", ".join(" ".join(_known(g.name, g.gfx)) or "AMD GPU" for g in amd), ""
    if isinstance(graphics.gpus, tuple) and graphics.gpus:
        kinds = Counter(
            " ".join(_known(g.name))
            + (f" (sm {g.compute_capability})" if isinstance(g.compute_capability, str) else "")
            for g in graphics.gpus
        )
        text = ", ".join(f"{n}× {kind}" if n > 1 else kind for kind, n in kinds.items())
        driver = _known(graphics.driver)
        text += f", driver {driver[0]}" if driver else ""
        text += f" (up to CUDA {graphics.driver_cuda})" if isinstance(graphics.driver_cuda, str) else ""
        hidden = sum(g.visible is False for g in graphics.gpus)
        return text + (f", {hidden} hidden by CUDA_VISIBLE_DEVICES" if hidden else ""), ""
    if isinstance(graphics.pci, tuple):
        cards = [device for device in graphics.pci if device.vendor == NVIDIA]
        if cards:
            return f"{len(cards)} NVIDIA on the PCI bus, but no driver answers", "warn"
        if graphics.nvml_error is not None or graphics.driver is None:
            return "none", "dim"
    if isinstance(graphics.gpus, Unknown):
        return f"unknown: {graphics.gpus.why}", "dim"
    return "none", "dim"


def _stated(graphics: Graphics, gpu: Gpu) -> str:
    """Describe a GPU that the user named with --gpu, and whether this machine has a GPU too."""
    capability = f"compute capability {gpu.compute_capability}"
    said = capability if gpu.name == NAMELESS else f"{gpu.name} ({capability})"
    cards = isinstance(graphics.pci, tuple) and any(d.vendor in (NVIDIA, AMD) for d in graphics.pci)
    own = "this machine's own is not judged" if cards else "there is none in this machine"
    return f"{said}, stated by --gpu; {own if isinstance(graphics.pci, tuple) else 'the GPUs of this machine are not known'}"


def _toolkit(facts: Facts) -> str:
    toolkits, home = facts.toolchain.toolkits, _cuda_home(facts)
    if isinstance(toolkits, Unknown):
        return f"unknown: {toolkits.why}{home}"
    if not toolkits:
        return f"no CUDA toolkit (nvcc); only building needs one{home}"
    names = [
        f"CUDA {t.version} in {t.root}" if isinstance(t.version, str) else f"{t.root} (no version)" for t in toolkits
    ]
    return "; ".join(names) + home


def _cuda_home(facts: Facts) -> str:
    """Return the value of CUDA_HOME or CUDA_PATH with its problem, if one of them is set."""
    chain = facts.toolchain
    if chain.cuda_home_by not in ("CUDA_HOME", "CUDA_PATH") or not isinstance(chain.cuda_home, str):
        return ""
    problem = f", which {chain.cuda_home_problem}" if isinstance(chain.cuda_home_problem, str) else ""
    return f"; {chain.cuda_home_by} is {chain.cuda_home or 'empty'}{problem}"


def _torch(facts: Facts) -> tuple[str, Tone]:
    torch = facts.torch
    if torch.version is None:
        return "not installed", "warn"
    if isinstance(torch.version, Unknown):
        return f"unknown: {torch.version.why}", "dim"
    if isinstance(torch.shim, str):
        return f"{torch.version} is installed, and {torch.shim} hides it", "bad"
    parts = [torch.version, _build(facts)]
    if torch.importable is False:
        return ", ".join(p for p in (*parts, "cannot be imported") if p), "bad"
    if torch.available is True and isinstance(torch.devices, tuple):
        parts.append(f"sees {len(torch.devices)} GPU" + ("s" if len(torch.devices) != 1 else ""))
    elif torch.available is False and torch.cuda is not None:
        parts.append("sees no GPU")
    if torch.cxx11_abi in (True, False):
        parts.append("C++11 ABI" if torch.cxx11_abi else "old C++ ABI")
    return ", ".join(p for p in parts if p), ""


def _build(facts: Facts) -> str:
    torch = facts.torch
    if facts.system.os == "darwin" and torch.cuda is None:
        return "macOS build" + (", with MPS" if torch.mps is True else "")
    if isinstance(torch.cuda, str):
        return f"built for CUDA {torch.cuda}"
    if isinstance(torch.hip, str):
        return f"built for ROCm {torch.hip}"
    return "CPU build" if torch.cuda is None and torch.hip is None else ""


def _flash_attn(facts: Facts) -> tuple[str, Tone]:
    flash = facts.flash_attention
    parts = []
    if isinstance(flash.version, str):
        parts.append(flash.version)
    if isinstance(flash.fa3, str):
        parts.append(f"flash-attn-3 {flash.fa3}")
    if isinstance(flash.fa4, str):
        parts.append(f"flash-attn-4 {flash.fa4}")
    if not parts:
        if isinstance(flash.version, Unknown):
            return f"unknown: {flash.version.why}", "dim"
        failed = failed_flash_attn(facts)
        there = [(failed.module, "cannot be imported")] if failed else []
        if not there and isinstance(flash.modules, tuple):
            there = [(name, "was not imported") for name in flash.modules]
        if there:
            return f"no package of that name; a module {there[0][0]} is there, and {there[0][1]}", "bad"
        if flash.namespace_only is True:
            return "not installed: a folder flash_attn without code is there", "dim"
        return "not installed", "dim"
    state = flash_attn(facts)
    if state == "works":
        parts.append("imports")
    elif state == "fails":
        parts.append("cannot be imported" if failed_flash_attn(facts) else "cannot be loaded (judged by its file)")
    return ", ".join(parts), "bad" if state == "fails" else ""


def _yolo(facts: Facts) -> tuple[str, Tone]:
    yolo = facts.yolo
    if yolo.version is None:
        return "ultralytics is not installed", "dim"
    if isinstance(yolo.version, Unknown):
        return f"unknown: {yolo.version.why}", "dim"
    text = f"ultralytics {yolo.version}" + (" (fork)" if yolo.kind == "fork" else "")
    if yolo.attention is None:
        return f"{text} has no YOLO12 attention", "dim"
    if not isinstance(yolo.calls, tuple):
        return text, ""
    if yolo.calls == ("eager",):
        return f"{text}: its attention is eager; it calls neither SDPA nor flash-attn", ""
    if "flash-attn" in yolo.calls and isinstance(yolo.flash_error, str):
        return f"{text}: wants flash-attn, but runs eager ({yolo.flash_error})", "warn"
    return f"{text}: its attention calls {', '.join(yolo.calls)}", ""


def _asked(facts: Facts) -> tuple[ModelFile, ...]:
    """Return the weights that the user named. Other weights of the folder are not in the summary."""
    return tuple(file for file in facts.models if file.asked) if isinstance(facts.models, tuple) else ()


def _weights(file: ModelFile) -> tuple[str, Tone]:
    if isinstance(file.problem, str):
        return f"{file.path} was not read: {file.problem}", "warn"
    if isinstance(file.layout, str):
        wrote = f", written by ultralytics {file.written_by}" if isinstance(file.written_by, str) else ""
        return f"{file.path}: YOLO12 with {file.layout}{wrote}", ""
    if file.layout is None and file.classes:
        return f"{file.path}: a model without YOLO12's attention", ""
    return f"{file.path}: no class of ultralytics in it", ""


def clocks(gpu: Gpu) -> str:
    """Return the clocks of a GPU and its power limit: "SM 210 MHz now, 1410 MHz at most, application clock 1095 MHz (default 1275); …".

    Empty: none of them is known.
    """
    told = gpu.clocks
    parts = [
        _clock("SM", told.sm_megahertz, told.sm_megahertz_most, told.application_megahertz, told.application_megahertz_default),
        _clock("memory", told.memory_megahertz, told.memory_megahertz_most, told.application_memory_megahertz,
               told.application_memory_megahertz_default),
    ]  # fmt: skip
    if isinstance(gpu.power_limit_watts, (int, float)):
        usual = gpu.power_limit_watts_default
        other = isinstance(usual, (int, float)) and usual != gpu.power_limit_watts
        parts.append(f"power limit {gpu.power_limit_watts:g} W" + (f" (default {usual:g})" if other else ""))
    if isinstance(told.lowered_by, tuple) and told.lowered_by:
        parts.append(f"clocks lowered now by: {', '.join(told.lowered_by)}")
    return "; ".join(filter(None, parts))


def _clock(of: str, now: Number, most: Number, under_load: Number, usual: Number) -> str:
    parts = [f"{now} MHz now"] if isinstance(now, int) else []
    parts += [f"{most} MHz at most"] if isinstance(most, int) else []
    if isinstance(under_load, int):
        other = isinstance(usual, int) and usual != under_load
        parts.append(f"application clock {under_load} MHz" + (f" (default {usual})" if other else ""))
    return f"{of} {', '.join(parts)}" if parts else ""


def watched(gpu: GpuWatch) -> str:
    """Return one line with NVML's values during the measured rounds."""
    parts = []
    if gpu.sm_megahertz:
        parts.append(f"clocks {_range(gpu.sm_megahertz)} MHz")
    if gpu.celsius:
        parts.append(f"{_range(gpu.celsius)} °C")
    if gpu.watts is not None:
        parts.append(f"{gpu.watts:.0f} W")
    if gpu.joules_an_image is not None:
        parts.append(f"{gpu.joules_an_image:.2g} J for a training step of an image, all backends together")
    if gpu.most_used_bytes is not None:
        parts.append(f"{size(gpu.most_used_bytes)} of its memory in use by all programs at most")
    if gpu.slowed_by:
        parts.append(f"{', '.join(gpu.slowed_by)} seen")
        hot = any("thermal" in r or "hardware" in r or "brake" in r for r in gpu.slowed_by)
        return "the GPU: " + ", ".join(parts) + (": the times are not reliable" if hot else "")
    return "the GPU: " + ", ".join(parts)


def _range(found: Range) -> str:
    return f"{found.low}" if found.low == found.high else f"{found.low}–{found.high}"
