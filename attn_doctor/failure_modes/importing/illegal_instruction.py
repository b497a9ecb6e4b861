"""A package uses an instruction that this CPU does not have.

What it is
    Compiled code uses an instruction that the CPU does not have, or that a virtual machine hides. The system then ends the process without
    a Python exception. Newer packages check the CPU first and raise an error.

How it shows
    "Illegal instruction (core dumped)" and exit code 132 or -4, "Fatal Python error: Illegal instruction"; on Windows 0xC000001D. NumPy
    2.4 and newer print "NumPy was built with baseline optimizations: (X86_V2) but your machine doesn't support: (X86_V2)", polars
    "Missing required CPU features", TensorFlow "was compiled to use AVX instructions, but these aren't available on your machine".

Why it happens
    On a Jetson or another ARM board: the OpenBLAS in NumPy mistakes the CPU for another model (known of NumPy 1.19.5). On x86: the CPU is
    older than 2013 and has no AVX2, or the CPU model of a virtual machine is kvm64 or qemu64. Or a package was compiled with -march=native
    on another machine.

What to do
    ARM: `export OPENBLAS_CORETYPE=ARMV8` before Python starts, or install another NumPy. A virtual machine: set its CPU model to the
    host's ("host", "host-passthrough"). NumPy on an old CPU: install `numpy<2.4`. polars: install `polars[rtcompat]`. A package that was
    compiled on another machine: install its finished wheel.

How to reproduce
    `attn-doctor reproduce illegal-instruction` imports a module of C that ends by this signal. It downloads nothing.

References
    https://github.com/numpy/numpy/issues/18131
    https://numpy.org/devdocs/building/cpu_simd.html
    https://github.com/pola-rs/polars#legacy
    https://github.com/pytorch/pytorch/issues/22338
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import EVERY_BACKEND, FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Extension, Recipe
from attn_doctor.failure_modes.shared import torch_on_old_arm, wheel_fixes
from attn_doctor.failure_modes.shared.crashes import CONTEXT, crash, in_other_languages
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

MODE = FailureMode(
    code="AD321",
    slug="illegal-instruction",
    title="The CPU lacks an instruction",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    explains=(
        "dataloader-worker-ended",
        "torch-install-broken",
        "segfault",
        "numpy-missing-or-old",
        "numpy-abi",
        "ultralytics-broken",
        "torchvision-mismatch",
        "yolo12-flash-not-used",
    ),
    signs=(
        Sign(
            pattern=r"Fatal Python error: Illegal instruction",
            literal="Fatal Python error: Illegal instruction",
            sample="Fatal Python error: Illegal instruction",
        ),
        Sign(
            pattern=r"Windows fatal exception: code 0x[cC]000001[dD]",
            literal="Windows fatal exception: ",
            sample="Windows fatal exception: code 0xc000001d",
        ),
        Sign(
            pattern=r"(?P<numpy>NumPy was built with baseline optimizations)",
            literal="NumPy was built with baseline optimizations",
            sample="RuntimeError: NumPy was built with baseline optimizations: ",
        ),
        Sign(
            pattern=r"(?P<polars>Missing required CPU features)",
            literal="Missing required CPU features",
            sample="polars/_cpu_check.py:258: RuntimeWarning: Missing required CPU features.",
        ),
        Sign(
            pattern=r"was compiled to use \w+ instructions, but these aren't available on your machine",
            literal="was compiled to use ",
            sample="The TensorFlow library was compiled to use AVX instructions, but these aren't available on your machine.",
        ),
        *(
            Sign(pattern=pattern, literal=literal, sample=sample, strength="hint")
            for pattern, literal, sample in (
                (r"Illegal instruction", "Illegal instruction", "Illegal instruction (core dumped)"),
                (
                    r"illegal hardware instruction",
                    "illegal hardware instruction",
                    "zsh: illegal hardware instruction  python train.py",
                ),
                (r"exit(?:ed with)? code 132\b", "code 132", "container exited with code 132"),
                (r"\bSIGILL\b", "SIGILL", "Process finished with exit code 132 (interrupted by signal 4: SIGILL)"),
                (r"exitcode *: *-4\b", "exitcode", "  exitcode  : -4 (pid: 1234)"),
                (
                    r"-1073741795|0xC000001D",
                    "0xC000001D",
                    "Process finished with exit code -1073741795 (0xC000001D)",
                ),
            )
        ),
        *in_other_languages("Illegal instruction"),
        *torch_on_old_arm.SIGNS,
        *CONTEXT,
    ),
    recipe=Recipe(
        does="imports a module of C that ends by this signal",
        of=(Extension(name="flash_attn_2_cuda", body="extern int raise(int); raise(4);"),),
        run=(("{python}", "-X", "faulthandler", "-c", "import flash_attn_2_cuda"),),
        shows="Illegal instruction",
        seconds=2,
    ),
)


class Lacks(Variant, frozen=True, kw_only=True):
    """Hold the package that uses an instruction which the CPU lacks; "another" if it is none of these, or not known."""

    by: Literal["numpy", "polars", "flash-attn", "torch", "another"]


_OF = {
    "numpy": "numpy",
    "cv2": "numpy",
    "polars": "polars",
    "flash_attn": "flash-attn",
    "flash_attn_2_cuda": "flash-attn",
    "torch": "torch",
}


def detect(facts: Facts) -> Hit | None:
    if facts.torch.fault is not None and facts.torch.fault.signal == "SIGILL":
        return _hit(facts, "torch", fact(facts, "torch.importable", "import torch: killed by SIGILL"))
    for attempt in tried(facts):
        if attempt.fault is not None and attempt.fault.signal == "SIGILL":
            return _hit(facts, attempt.module, attempt_evidence(facts, attempt.module))
    return None


def _hit(facts: Facts, module: str, seen: Evidence) -> Hit:
    evidence = (seen, fact(facts, "cpu.model")) if isinstance(facts.cpu.model, str) else (seen,)
    return Hit(
        message=f"Importing {module} ends the process: it uses an instruction that this CPU does not have (SIGILL).",
        evidence=evidence,
        variant=Lacks(by=_OF.get(module, "another")),  # type: ignore[arg-type]
        certainty=Certainty.OBSERVED,
        severity=None if module.startswith("flash_attn") else Severity.ERROR,
        blocks=("flash-attn-2",) if module.startswith("flash_attn") else EVERY_BACKEND if module == "torch" else None,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    found = crash(seen, evidence)
    if found is None:
        return None
    said = {name for m in found.matches for name in m.groups}
    by: Literal["numpy", "polars", "flash-attn", "torch", "another"] = (
        "polars" if "polars" in said else "numpy" if "numpy" in said else "another"
    )
    if by == "another" and torch_on_old_arm.ends_in_torch(seen):
        by = "torch"
    named = {"polars": "polars", "numpy": "NumPy", "torch": "torch"}.get(by, "A package")
    return Hit(
        message=f"{named} uses an instruction that the CPU, or the virtual machine, does not have (illegal instruction).",
        evidence=found.evidence,
        variant=Lacks(by=by),
        confidence=found.confidence,
        # polars prints a warning and continues; it ends later, if it uses the instruction.
        severity=Severity.WARNING if all("polars" in m.groups for m in found.matches) else found.severity,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    by = hit.variant.by if isinstance(hit.variant, Lacks) else "another"
    arm = facts.system.board == "jetson" or facts.system.machine in ("aarch64", "arm64", "armv7l")
    if facts.system.os == "darwin":
        return (_own_python(facts), _where(facts))
    if by == "polars":
        return (_polars(facts), _host_cpu(facts))
    if by == "flash-attn":
        return (*wheel_fixes.fixes(facts, "it was compiled for another processor"), _where(facts))
    if arm and by == "torch" and facts.system.board != "jetson":
        return torch_on_old_arm.fixes(facts)
    if arm:
        return (_coretype(facts), _other_numpy(facts), _where(facts))
    if by == "numpy":
        return (_older_numpy(facts), _host_cpu(facts))
    if isinstance(facts.system.machine, str) or facts.system.os == "windows":
        return (_where(facts), _host_cpu(facts))
    return (_coretype(facts), _where(facts), _host_cpu(facts))


def _coretype(facts: Facts) -> Fix:
    known = isinstance(facts.system.machine, str) or facts.system.board == "jetson"
    where = "" if known else "on an ARM board (Jetson, Raspberry Pi): "
    step = commands.variable(
        "OPENBLAS_CORETYPE",
        "ARMV8",
        f"{where}NumPy's OpenBLAS then uses only instructions that every 64-bit ARM CPU has; write the line into ~/.bashrc too",
    )
    return Fix(title="Set the CPU type for OpenBLAS", steps=(step,), verify=commands.check(facts))


def _other_numpy(facts: Facts) -> Fix:
    step = commands.install(
        "numpy!=1.19.5",
        why="the OpenBLAS in numpy 1.19.5 mistakes a Jetson's CPU for another model; numpy 1.19.4 (Python 3.6) and releases after 1.19.5 do not",
        changes="numpy",
    )
    return Fix(title="Install a NumPy other than 1.19.5", steps=(step,), verify=commands.check(facts))


def _older_numpy(facts: Facts) -> Fix:
    step = commands.install(
        "numpy<2.4",
        why="NumPy 2.4 and newer need a CPU of x86-64-v2 (with SSE4.2, from about 2009 on); NumPy 2.3 needs only SSE3",
        changes="numpy, to 2.3",
    )
    return Fix(title="Install a NumPy for this CPU", steps=(step,), verify=commands.check(facts))


def _polars(facts: Facts) -> Fix:
    step = commands.install(
        "polars[rtcompat]",
        why="the same polars without AVX instructions; before 1.35 this was a separate package, polars-lts-cpu",
        changes="adds polars-runtime-compat",
    )
    return Fix(title="Install polars for an old CPU", steps=(step,), verify=commands.check(facts))


def _host_cpu(facts: Facts) -> Fix:
    step = commands.by_hand(
        (),
        "if this is a virtual machine: set its CPU model to the host's (Proxmox and QEMU: CPU type host; libvirt: host-passthrough), then restart "
        "it. The models kvm64 and qemu64 hide AVX and SSE4",
        "the virtual machine",
        "none",
    )
    return Fix(title="Give the virtual machine the host's CPU", steps=(step,), verify=commands.check(facts))


def _where(facts: Facts) -> Fix:
    step = commands.by_hand(
        (*commands.starting(facts), "-X", "faulthandler", "PROGRAM"),
        "prints where the program ends: the package in its topmost line uses the instruction. Install a release or a build of that package for this "
        "CPU; `lscpu` lists what this CPU has",
        "nothing",
        "none",
    )
    return Fix(title="See which package it is", steps=(step,), verify=commands.check(facts))


def _own_python(facts: Facts) -> Fix:
    step = commands.by_hand(
        (*commands.starting(facts), "-c", "import platform; print(platform.machine())"),
        "if it prints x86_64 on a Mac with Apple silicon, Rosetta translates this Python, and Rosetta has no AVX: make a new environment with a "
        "Python for arm64",
        "nothing",
        "none",
    )
    return Fix(title="Check whether this Python is built for this Mac", steps=(step,), verify=commands.check(facts))
