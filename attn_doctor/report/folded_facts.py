"""Build the folded parts of a report: all facts that a maintainer may ask for, each part under a title. Pure.

The terminal leaves them out; Markdown and HTML fold them. Each field of the issue forms of PyTorch, Ultralytics, xformers and
FlashInfer is in one of these parts: tests/test_issue_forms.py has the table.
"""

from __future__ import annotations

from collections.abc import Sequence

from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.report import Report
from attn_doctor.report import fact_texts as text
from attn_doctor.report.blocks import Block, Cell, Details, Field, Fields, Listing, Notes, Paragraph, Table
from attn_doctor.report.machine_summary import clocks


def folded(report: Report) -> tuple[Details, ...]:
    """Return all folded parts of a report, in the order in which a maintainer needs them."""
    facts = report.facts
    parts = (
        _command(report),
        *(Details(title, (Listing(tuple(lines)),)) for title, lines in text.tracebacks(facts)),
        *(Details(f"The end of {log.file}", (Listing(log.lines),)) for log in report.log_ends),
        _torch(facts),
        _gpus(facts),
        _libraries(facts),
        _toolchain(facts),
        _variables(facts),
        _python(facts),
        _packages(facts),
        _ultralytics(facts),
        _extensions(facts),
        _system(facts),
        _processor(facts),
        _examination(report),
    )
    return tuple(part for part in parts if part.blocks)


def _fields(*items: tuple[str, str]) -> tuple[Block, ...]:
    """Return a block with the fields that have a value. "not recorded" is no value."""
    made = tuple(Field(label, value) for label, value in items if value and value != "not recorded")
    return (Fields(made),) if made else ()


def _command(report: Report) -> Details:
    typed = " ".join(report.command)
    subject = report.facts.subject.command
    before = ((subject,) if isinstance(subject, str) else ()) if subject != typed else ()
    lines = (*(f"$ {line}" for line in before), f"$ {typed}")
    return Details("The command that was typed", (Listing(lines),) if report.command else ())


def _torch(facts: Facts) -> Details:
    torch = facts.torch
    if torch.version is None:
        return Details("PyTorch", _fields(("PyTorch", "not installed")))
    devices = torch.devices
    return Details(
        "PyTorch: its build, cuDNN, and what it sees",
        _fields(
            ("version", text.said(torch.version)),
            ("installed by", text.installed_by(facts, "torch")),
            ("folder", text.said(torch.location)),
            ("built for CUDA", text.said(torch.cuda)),
            ("built for ROCm", text.said(torch.hip)),
            ("debug build", text.said(torch.debug)),
            ("C++11 ABI", text.said(torch.cxx11_abi)),
            ("GPU code for", text.said(torch.archs)),
            ("FlashAttention compiled in", text.said(torch.flash_compiled)),
            ("CUDA is available", text.said(torch.available)),
            ("why not", text.said(torch.cuda_error) if torch.available is False else ""),
            (
                "GPUs that it sees",
                text.said(devices)
                if isinstance(devices, Unknown)
                else ", ".join(f"{d.index}: {d.name} (sm {text.said(d.compute_capability)})" for d in devices)
                or "none",
            ),
            ("cuDNN", text.said(torch.cudnn)),
            ("HIP runtime", text.said(torch.hip_runtime)),
            ("MIOpen", text.said(torch.miopen)),
            ("XPU is available", text.said(torch.xpu)),
            ("MPS is available", text.said(torch.mps)),
            ("XNNPACK", text.said(torch.xnnpack)),
            ("CPU capability", text.said(torch.cpu_capability)),
            ("threads", text.said(torch.threads)),
            ("CUDA_MODULE_LOADING", text.one_variable(facts, "CUDA_MODULE_LOADING")),
            ("settings of the allocator", text.one_variable(facts, *ALLOCATOR)),
            ("arrays of NumPy", text.said(torch.numpy_error, "they work")),
        ),
    )


ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")


def _gpus(facts: Facts) -> Details:
    graphics = facts.graphics
    topology = graphics.topology
    listed = graphics.gpus if isinstance(graphics.gpus, tuple) else ()
    paced = tuple(f"GPU {gpu.index}: {said}" for gpu in listed if (said := clocks(gpu)))
    connected: tuple[Block, ...] = (Listing(topology),) if isinstance(topology, tuple) and topology else ()
    return Details(
        "GPUs, driver, and how they are connected",
        (
            Listing(tuple(text.gpus(facts))),
            *((Paragraph("Clocks and power limits:"), Listing(paced)) if paced else ()),
            *_fields(
                ("NVIDIA driver", text.said(graphics.driver)),
                ("newest CUDA of the driver", text.said(graphics.driver_cuda)),
                ("kernel module", text.said(graphics.kernel_module)),
                ("libcuda", text.said(graphics.libcuda)),
                ("NVML", text.said(graphics.nvml_error, "answers")),
                ("cuInit", text.said(graphics.cuda_error, "works")),
                ("device nodes", text.said(graphics.device_nodes)),
                ("NVSwitch fabric", text.said(graphics.fabric_manager)),
                ("ROCm", text.said(graphics.rocm)),
                ("topology", "" if connected or topology == () else text.said(topology)),
            ),
            *connected,
        ),
    )


def _libraries(facts: Facts) -> Details:
    loaded = facts.torch.loaded
    rows = tuple((Cell(name), Cell(path), Cell(others)) for name, path, others in text.loaded_libraries(facts))
    unknown = _fields(("loaded libraries", text.said(loaded))) if isinstance(loaded, Unknown) else ()
    differ = tuple(text.differing(facts))
    table = Table("", ("library", "loaded from", "also on disk"), rows)
    others = tuple(text.only_on_disk(facts))
    return Details(
        "CUDA libraries that were loaded, and those on disk",
        (
            *((Notes("Loaded from another place than torch's own", differ),) if differ else ()),
            *unknown,
            *((table,) if rows else ()),
            *((Paragraph("On disk, and not loaded:" if rows else "On disk:"), Listing(others)) if others else ()),
        ),
    )


def _toolchain(facts: Facts) -> Details:
    chain = facts.toolchain
    compilers = chain.compilers if isinstance(chain.compilers, tuple) else ()
    return Details(
        "CUDA toolkits and compilers",
        _fields(
            ("nvcc", text.nvcc(facts)),
            ("nvcc on PATH", text.said(chain.nvcc_on_path)),
            ("CUDA_HOME of a build", text.cuda_home(facts)),
            *((c.name, f"{text.said(c.version)} in {c.path}") for c in compilers),
            ("compilers", "" if compilers else text.said(chain.compilers)),
            ("cmake", text.said(chain.cmake, "not found")),
            ("ninja", text.said(chain.ninja, "not found")),
            ("git", text.said(chain.git, "not found")),
        ),
    )


def _variables(facts: Facts) -> Details:
    lines = tuple(text.variables(facts))
    return Details(f"Environment variables ({len(lines)})", (Listing(lines),) if lines else ())


def _python(facts: Facts) -> Details:
    itself = facts.interpreter
    return Details(
        "Python",
        _fields(
            ("version", text.python(facts)),
            ("platform", text.platform(facts)),
            ("interpreter", text.said(itself.python)),
            ("chosen because", text.said(itself.why)),
            ("environment", text.said(itself.kind)),
            ("prefix", text.said(itself.prefix)),
            ("site-packages", text.said(itself.site_packages)),
            ("installers", text.said(itself.installers)),
            ("package indexes", text.said(itself.indexes, "the installer's own")),
            ("user site", text.said(itself.user_site)),
            ("notebook", text.in_a_notebook(facts)),
        ),
    )


def _packages(facts: Facts) -> Details:
    listed = facts.packages.distributions
    lines = text.packages(facts)
    conda = facts.packages.conda
    blocks: list[Block] = [Listing(tuple(lines))]
    if isinstance(conda, tuple) and conda:
        blocks.append(Listing(("conda:", *conda)))
    unmet = facts.packages.conflicts
    if isinstance(unmet, tuple) and unmet:
        said = tuple(f"{c.package} requires {c.requires}: {c.found or 'missing'}" for c in unmet)
        blocks.append(Notes("Requirements that are not met", said))
    if listed == () or (isinstance(listed, Unknown) and listed.why == "not recorded"):
        return Details("Installed distributions", ())
    return Details(f"Installed distributions ({len(lines)})", tuple(blocks))


def _ultralytics(facts: Facts) -> Details:
    yolo = facts.yolo
    if not isinstance(yolo.version, str):
        return Details("ultralytics", ())
    wanted = facts.packages.of_ultralytics
    rows = tuple(
        f"{'met' if w.met else 'NOT met'}: {w.requires} ({w.found or 'not installed'})"
        for w in (wanted if isinstance(wanted, tuple) else ())
    )
    return Details(
        "ultralytics and its requirements",
        (
            *_fields(
                ("version", yolo.version),
                ("installed by", text.install_kind(facts)),
                ("folder", text.said(yolo.location)),
                ("code", text.said(yolo.kind)),
                ("attention", f"{text.said(yolo.attention)}, calls {text.said(yolo.calls)}"),
            ),
            *((Listing(rows),) if rows else ()),
        ),
    )


def _extensions(facts: Facts) -> Details:
    lines = []
    for item in facts.imports if isinstance(facts.imports, tuple) else ():
        state = "imports" if item.ok is True else "fails" if item.ok is False else text.said(item.ok)
        version = f" {item.version}" if isinstance(item.version, str) else ""
        why = f": {item.fault.type or item.fault.kind}: {item.fault.headline}" if item.fault else ""
        lines.append(f"{item.module}{version} {state}{why}")
    for binary in facts.binaries if isinstance(facts.binaries, tuple) else ():
        code = f", GPU code for {text.said(binary.sm)}" if isinstance(binary.sm, tuple) and binary.sm else ""
        because = f": {'; '.join(binary.because)}" if binary.because else ""
        lines.append(f"{binary.path}: {text.said(binary.verdict, 'nothing to load')}{code}{because}")
    return Details("Imports and compiled extensions", (Listing(tuple(lines)),) if lines else ())


def _system(facts: Facts) -> Details:
    system = facts.system
    disks = system.disks if isinstance(system.disks, tuple) else ()
    return Details(
        "System, memory and disks",
        _fields(
            ("system", text.operating_system(facts)),
            ("kernel", text.said(system.kernel)),
            ("C library", text.libc(facts)),
            ("libstdc++", f"{text.said(system.libstdcxx)}, GLIBCXX {text.said(system.glibcxx)}"),
            ("container", text.container(facts)),
            ("WSL", text.said(system.wsl, "no")),
            ("notebook", text.in_a_notebook(facts)),
            ("memory", text.memory(facts)),
            *((f"disk of {d.purpose}", text.disk(facts, d.purpose)) for d in disks),
        ),
    )


def _processor(facts: Facts) -> Details:
    known: Sequence[tuple[str, str]] = text.processor(facts)
    return Details("Processor", _fields(*known))


def _examination(report: Report) -> Details:
    runs = tuple(
        f"{run.name}: {run.seconds:.2f} s" + (f" ({run.note})" if run.note else "") for run in report.facts.probes
    )
    return Details(
        "The examination itself",
        (
            *_fields(
                ("attn-doctor", f"{report.tool.version}, tables of {report.tool.knowledge_date}"),
                ("when", report.created),
                ("how", report.facts.grade),
                ("private data taken out", text.said(tuple(f"{n} {kind}" for kind, n in report.redacted.items()))),
            ),
            *((Listing(runs),) if runs else ()),
        ),
    )
