"""Arrange a report as the issue form of a project asks for it: its labels, in its order. Pure.

A form is a list of sections; a section has the project's own label and a function that makes its blocks. The labels of the environment in
PyTorch's and Ultralytics' forms are those that their own programs print, so that their maintainers and bots find them where they look.
Projects without a form get the questions that their maintainers ask in threads.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from attn_doctor.failure_modes.areas import BUILD, area_of
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.report import Report
from attn_doctor.report import fact_texts as text
from attn_doctor.report.blocks import Block, Details, Heading, Listing, Notes, Paragraph
from attn_doctor.report.folded_facts import ALLOCATOR, folded

Lines = list[tuple[str, str]]


class Section(NamedTuple):
    """Hold the label of one field of a form, and the function that makes its blocks."""

    label: str
    blocks: Callable[[Report, tuple[Block, ...]], Iterable[Block]]


class Form(NamedTuple):
    """Hold a project's form. `source`: where it stands, or a thread in which its maintainers ask."""

    project: str
    source: str
    sections: tuple[Section, ...]


def filled(form: Form, report: Report, first_screen: Iterable[Block]) -> list[Block]:
    """Return the report in the sections of a form, and behind them all folded parts. `first_screen`: verdict, causes, commands, trials."""
    said = tuple(first_screen)
    blocks: list[Block] = []
    for section in form.sections:
        blocks += [Heading(section.label), *section.blocks(report, said)]
    return [*blocks, *folded(report)]


# Content of sections. All have the same arguments: the report, and its first screen.


def _finding(_: Report, said: tuple[Block, ...]) -> Iterable[Block]:
    return said


def _command(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    subject = report.facts.subject.command
    asked = (subject,) if isinstance(subject, str) else ()
    return (Listing((*asked, " ".join(report.command)) if report.command else asked),)


def _log(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    """Return the last traceback, of the log or of an import; else a line that says that there is none."""
    last: list[Block] = [Listing(log.lines) for log in report.log_ends]
    last += [Listing(tuple(lines)) for _, lines in text.tracebacks(report.facts)]
    return last[:1] or (Paragraph("No import failed, and no log was given (attn-doctor check --log FILE adds one)."),)


def _how_to_see_it(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    """Return the shortest command that shows the fault by itself: the import that fails, or the check."""
    facts = report.facts
    python = facts.interpreter.python if isinstance(facts.interpreter.python, str) else "python"
    failed = ["torch"] if facts.torch.importable is False else []
    if isinstance(facts.imports, tuple):
        failed += [i.failed if isinstance(i.failed, str) else i.module for i in facts.imports if i.ok is False]
    module = next((name.rpartition(":")[2] for name in failed if "/" not in name), None)
    line = f'{shlex.quote(python)} -c "import {module}"' if module else shlex.join(report.command)
    return (Listing((line,)),)


def _environment(lines: Callable[[Facts], Lines]) -> Callable[[Report, tuple[Block, ...]], Iterable[Block]]:
    def made(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
        return (Listing(tuple(_listed(lines(report.facts)))),)

    return made


def _listed(lines: Lines) -> Iterable[str]:
    """Yield "label: value"; a value of several lines begins on the next line, and an empty label is a line as it is."""
    for label, value in lines:
        if not label:
            yield from value.splitlines() or [""]
        elif "\n" in value:
            yield f"{label}:"
            yield from value.splitlines()
        else:
            yield f"{label}: {value}"


_LIBRARIES = r"torch|numpy|triton|pytorch-triton|optree|mypy|flake8|onnx|nvidia-|cuda-|cudnn|flash-attn|xformers|intel-|mkl|dpcpp|opencv|ultralytics"


def _of_collect_env(facts: Facts) -> Lines:
    """Return the lines of torch/utils/collect_env.py, with its labels in its order."""
    torch, graphics = facts.torch, facts.graphics
    conda = facts.packages.conda
    pip = [f"[pip3] {line}" for line in text.relevant(facts, _LIBRARIES)]
    of_conda = [f"[conda] {item}" for item in (conda if isinstance(conda, tuple) else ())]
    return [
        ("PyTorch version", text.said(torch.version, "not installed")),
        ("Is debug build", text.said(torch.debug)),
        ("CUDA used to build PyTorch", text.said(torch.cuda)),
        ("ROCM used to build PyTorch", text.said(torch.hip, "N/A")),
        ("", ""),
        ("OS", text.operating_system(facts)),
        ("GCC version", text.compiler(facts, "gcc", "g++", "c++", "cc")),
        ("Clang version", text.compiler(facts, "clang", "clang++")),
        ("CMake version", text.said(facts.toolchain.cmake, "not found")),
        ("Libc version", text.libc(facts)),
        ("", ""),
        ("Python version", text.python(facts)),
        ("Python platform", text.platform(facts)),
        ("Is CUDA available", text.said(torch.available)),
        ("CUDA runtime version", text.nvcc(facts)),
        ("CUDA_MODULE_LOADING set to", text.one_variable(facts, "CUDA_MODULE_LOADING")),
        ("GPU models and configuration", "\n".join(text.gpus(facts))),
        ("Nvidia driver version", text.said(graphics.driver)),
        ("cuDNN version", text.said(torch.cudnn)),
        ("Is XPU available", text.said(torch.xpu)),
        ("HIP runtime version", text.said(torch.hip_runtime, "N/A")),
        ("MIOpen runtime version", text.said(torch.miopen, "N/A")),
        ("Is XNNPACK available", text.said(torch.xnnpack)),
        ("Caching allocator config", text.one_variable(facts, *ALLOCATOR)),
        ("", ""),
        ("CPU", "\n".join(["", *(f"{label}: {value}" for label, value in text.processor(facts))])),
        ("", ""),
        (
            "Versions of relevant libraries",
            "\n".join(["", *pip, *of_conda]) if pip or of_conda else "none is installed",
        ),
    ]


def _of_yolo_checks(facts: Facts) -> Lines:
    """Return the lines of `yolo checks`, with its labels in its order, and its requirements behind them."""
    torch, graphics, packages = facts.torch, facts.graphics, facts.packages
    gpus = graphics.gpus
    wanted = packages.of_ultralytics
    rows: Lines = [
        (
            "",
            f"Ultralytics {text.said(facts.yolo.version, 'not installed')}, torch {text.said(torch.version, 'not installed')}",
        ),
        ("", ""),
        ("OS", text.platform(facts)),
        ("Environment", text.in_a_notebook(facts) + _in_a_container(facts)),
        ("Python", text.said(facts.interpreter.version)),
        ("Install", text.install_kind(facts)),
        ("Path", text.said(facts.yolo.location)),
        ("RAM", text.memory(facts)),
        ("Disk", text.disk(facts)),
        ("CPU", text.said(facts.cpu.model)),
        ("CPU count", text.processor_count(facts)),
        ("GPU", "; ".join(text.gpus(facts))),
        ("GPU count", text.said(gpus) if isinstance(gpus, Unknown) else str(len(gpus))),
        ("CUDA", text.said(torch.cuda)),
        ("", ""),
    ]
    for one in wanted if isinstance(wanted, tuple) else ():
        rows.append(("", f"{'ok ' if one.met else 'NOT MET '}{one.requires}: {one.found or 'not installed'}"))
    return rows


def _in_a_container(facts: Facts) -> str:
    return f", in {facts.system.container}" if isinstance(facts.system.container, str) else ""


def _of_xformers(facts: Facts) -> Lines:
    build = text.said(facts.subject.command) if isinstance(facts.subject.command, str) else "not known to attn-doctor"
    return [
        ("PyTorch Version", text.said(facts.torch.version, "not installed")),
        ("OS", f"{text.operating_system(facts)}, {text.platform(facts)}"),
        ("How you installed PyTorch", text.installed_by(facts, "torch")),
        ("Build command you used (if compiling from source)", build),
        ("Python version", text.python(facts)),
        (
            "CUDA/cuDNN version",
            f"{text.torch_build(facts)}, cuDNN {text.said(facts.torch.cudnn)}; nvcc {text.nvcc(facts)}",
        ),
        ("GPU models and configuration", "\n".join(text.gpus(facts))),
        ("Any other relevant information", _more_of_xformers(facts)),
    ]


def _more_of_xformers(facts: Facts) -> str:
    return f"xformers {text.version_of(facts, 'xformers')}, installed by {text.installed_by(facts, 'xformers')}; {_imports(facts, 'xformers')}"


def _imports(facts: Facts, *modules: str) -> str:
    """Return how the imports of these modules ended: "import flash_attn fails: ImportError: ..."."""
    found = [i for i in facts.imports if i.module in modules] if isinstance(facts.imports, tuple) else []
    said = []
    for item in found:
        why = f": {item.fault.type or item.fault.kind}: {item.fault.headline}" if item.fault else ""
        said.append(
            f"import {item.module} {'works' if item.ok is True else 'fails' if item.ok is False else 'was not tried'}{why}"
        )
    return "; ".join(said) or "not imported"


_FLASH = ("flash_attn_2_cuda", "flash_attn", "flash_attn.cute", "flash_attn_interface", "flash_attn_3")


def _of_flash_attention(facts: Facts) -> Lines:
    """Return what the maintainers of flash-attention ask for in threads: GPU, torch, CUDA of torch and of nvcc, compiler, ninja, how it was installed."""
    torch, chain = facts.torch, facts.toolchain
    return [
        ("GPU", "\n".join(text.gpus(facts))),
        (
            "driver, and the newest CUDA that it supports",
            f"{text.said(facts.graphics.driver)}, {text.said(facts.graphics.driver_cuda)}",
        ),
        (
            "flash-attn",
            f"{text.version_of(facts, 'flash-attn')}, installed by {text.installed_by(facts, 'flash-attn')}",
        ),
        ("import", _imports(facts, *_FLASH)),
        ("torch", text.said(torch.version, "not installed")),
        ("CUDA of torch (torch.version.cuda)", text.said(torch.cuda)),
        ("C++11 ABI of torch", text.said(torch.cxx11_abi)),
        ("nvcc", text.nvcc(facts)),
        ("CUDA_HOME", text.cuda_home(facts)),
        (
            "gcc / clang / MSVC",
            " / ".join(text.compiler(facts, *names) for names in (("g++", "gcc"), ("clang++", "clang"), ("cl",))),
        ),
        (
            "ninja, cmake, git",
            f"{text.said(chain.ninja, 'not found')}, {text.said(chain.cmake, 'not found')}, {text.said(chain.git, 'not found')}",
        ),
        (
            "ninja, packaging, wheel, setuptools in this Python",
            ", ".join(text.version_of(facts, name) for name in ("ninja", "packaging", "wheel", "setuptools")),
        ),
        ("Python", text.python(facts)),
        ("OS, C library", f"{text.operating_system(facts)}, {text.libc(facts)}"),
        (
            "container",
            text.container(facts) + (f", {facts.subject.image}" if isinstance(facts.subject.image, str) else ""),
        ),
        ("memory, cores", f"{text.memory(facts)}, {text.processor_count(facts)}"),
        ("MAX_JOBS and other settings of the build", text.one_variable(facts, *_BUILD)),
    ]


_BUILD = (
    "MAX_JOBS",
    "NVCC_THREADS",
    "TORCH_CUDA_ARCH_LIST",
    "FLASH_ATTN_CUDA_ARCHS",
    "FLASH_ATTENTION_FORCE_BUILD",
    "FLASH_ATTENTION_SKIP_CUDA_BUILD",
    "FLASH_ATTENTION_FORCE_CXX11_ABI",
    "CC",
    "CXX",
)


def _of_yolov12(facts: Facts) -> Lines:
    """Return what is asked in the fork's threads: the GPU's architecture, CUDA, torch, the wheel of flash-attn, its import, the installed packages."""
    yolo = facts.yolo
    return [
        ("GPU", "\n".join(text.gpus(facts))),
        (
            "CUDA of torch, of the driver, of nvcc",
            f"{text.said(facts.torch.cuda)}, {text.said(facts.graphics.driver_cuda)}, {text.nvcc(facts)}",
        ),
        ("torch", text.said(facts.torch.version, "not installed")),
        (
            "flash_attn",
            f"{text.version_of(facts, 'flash-attn')}, installed by {text.installed_by(facts, 'flash-attn')}",
        ),
        ("does `import flash_attn` work", _imports(facts, *_FLASH)),
        ("the error behind 'FlashAttention is not available on this device'", text.said(yolo.flash_error, "none")),
        (
            "ultralytics",
            f"{text.said(yolo.version, 'not installed')} ({text.said(yolo.kind)}), {text.install_kind(facts)}",
        ),
        (
            "attention of the installed code",
            f"{text.said(yolo.attention)}, calls {text.said(yolo.calls)}, layout {text.said(yolo.layout)}",
        ),
        ("weights", text.weights(facts)),
        ("Python", text.said(facts.interpreter.version)),
        ("environment (conda, venv ...)", text.said(facts.interpreter.kind)),
        ("OS", text.operating_system(facts)),
    ]


def _component(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    """Return the entry of Ultralytics' list of components that the first error belongs to."""
    first = next((f for f in report.findings if f.root_cause), None)
    installs = first is not None and (area_of(first.code) is BUILD or report.facts.torch.importable is not True)
    return (Paragraph("Install" if installs else "Train"),)


def _checkbox(what: str) -> Callable[[Report, tuple[Block, ...]], Iterable[Block]]:
    return lambda _, __: (Notes("", (f"[ ] {what} (for you to tick)",)),)


def _expected(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    wish = "flash-attn imports and runs" if report.goal.value == "flash-attn" else "the model trains"
    return (Paragraph(f"Expected: {wish} in this environment."),)


def _folded_packages(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    """Return the list of all packages; it is asked for in the threads, and longer than the rest."""
    lines = text.packages(report.facts)
    return (Details(f"All {len(lines)} packages", (Listing(tuple(lines)),)),)


FORMS: Mapping[str, Form] = {
    "flash-attn": Form(
        "Dao-AILab/flash-attention",
        # It has no form. Asked for in https://github.com/Dao-AILab/flash-attention/issues/182, /235, /246, /509, /836, /966
        "https://github.com/Dao-AILab/flash-attention/issues",
        (
            Section("What happens", _finding),
            Section("Command", _command),
            Section("Error message", _log),
            Section("Environment", _environment(_of_flash_attention)),
        ),
    ),
    "pytorch": Form(
        "pytorch/pytorch",
        # The lines under "Versions" are those of https://github.com/pytorch/pytorch/blob/main/torch/utils/collect_env.py
        "https://github.com/pytorch/pytorch/blob/main/.github/ISSUE_TEMPLATE/bug-report.yml",
        (
            Section(
                "🐛 Describe the bug", lambda report, said: (*said, *_how_to_see_it(report, said), *_log(report, said))
            ),
            Section("Versions", _environment(_of_collect_env)),
        ),
    ),
    "ultralytics": Form(
        "ultralytics/ultralytics",
        # The lines under "Environment" are those of `yolo checks`
        "https://github.com/ultralytics/ultralytics/blob/main/.github/ISSUE_TEMPLATE/bug-report.yml",
        (
            Section("Search before asking", _checkbox("I searched the issues and found no such report")),
            Section("Ultralytics YOLO Component", _component),
            Section("Bug", lambda report, said: (*said, *_log(report, said))),
            Section("Environment", _environment(_of_yolo_checks)),
            Section("Minimal Reproducible Example", _how_to_see_it),
            Section("Additional", _command),
            Section("Are you willing to submit a PR?", _checkbox("Yes")),
        ),
    ),
    "yolov12": Form(
        "sunsmarterjie/yolov12",
        # It has no form. Asked for in https://github.com/sunsmarterjie/yolov12/issues/1, /33, /66, /89, /94, /96
        "https://github.com/sunsmarterjie/yolov12/issues",
        (
            Section("What happens", _finding),
            Section("Command", _command),
            Section("Error message", _log),
            Section("Environment", _environment(_of_yolov12)),
            Section("pip list", _folded_packages),
        ),
    ),
    "xformers": Form(
        "facebookresearch/xformers",
        "https://github.com/facebookresearch/xformers/blob/main/.github/ISSUE_TEMPLATE/bug-report.md",
        (
            Section("🐛 Bug", _finding),
            Section("Command", _command),
            Section("To Reproduce", lambda report, said: (*_how_to_see_it(report, said), *_log(report, said))),
            Section("Expected behavior", _expected),
            Section("Environment", _environment(_of_xformers)),
            Section("Additional context", _environment(_of_collect_env)),
        ),
    ),
}
