"""The memory of a GPU had errors that could not be corrected.

What it is
    GPUs for data centres and workstations check their memory (ECC). An error in one bit is corrected. An error in two bits is not: the program
    that used this memory is ended, and the place is taken out of use.

How it shows
    "CUDA error: uncorrectable ECC error encountered"; nvidia-smi -q shows a count above 0 at "Uncorrectable" (volatile: since the driver
    was loaded, aggregate: in the life of the GPU); Xid 48, 63, 94 or 95 in the kernel log.

Why it happens
    A single error is normal over years (radiation, age). Many errors, or errors again and again after a reset, are a fault of the memory.

What to do
    Start the program again from its last checkpoint. Reset the GPU once, so that the place is replaced. If the count rises again, have
    the GPU tested and replaced.

How to reproduce
    There is no recipe: only a faulty memory shows it. `nvidia-smi -q -d ECC,ROW_REMAPPER,PAGE_RETIREMENT` shows the counts of a GPU.

References
    https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/
    https://docs.nvidia.com/deploy/dynamic-page-retirement/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import gpu_health, xids
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD441",
    slug="gpu-ecc-errors",
    title="Memory errors of a GPU",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    explains=("eager-fails", "model-not-built", "backend-fails", "gpu-rows-pending", "gpu-xid"),
    signs=(
        Sign(
            pattern=r"uncorrectable ECC error encountered|cudaErrorECCUncorrectable|CUDA_ERROR_ECC_UNCORRECTABLE",
            literal="ECC",
            sample="RuntimeError: CUDA error: uncorrectable ECC error encountered",
        ),
    ),
)


def detect(facts: Facts) -> Hit | None:
    now = [(i, g) for i, g in gpu_health.judged(facts) if gpu_health.positive(g.health.uncorrected_errors)]
    ever = [(i, g) for i, g in gpu_health.judged(facts) if gpu_health.positive(g.health.uncorrected_errors_ever)]
    if now:
        return Hit(
            message=f"The memory of {gpu_health.names(g for _, g in now)} had errors that could not be corrected since the driver was loaded: "
            "a program that used it was ended, or has wrong numbers.",
            evidence=tuple(
                gpu_health.value(
                    facts,
                    i,
                    "uncorrected_errors",
                    f"GPU {g.index}: {g.health.uncorrected_errors} uncorrected ECC errors",
                )
                for i, g in now
            ),
            certainty=Certainty.OBSERVED,
            explains=_explained(facts),
        )
    if ever:
        return Hit(
            message=f"The memory of {gpu_health.names(g for _, g in ever)} had uncorrected errors earlier in its life, and none since the driver "
            "was loaded.",
            evidence=tuple(
                gpu_health.value(
                    facts,
                    i,
                    "uncorrected_errors_ever",
                    f"GPU {g.index}: {g.health.uncorrected_errors_ever} uncorrected ECC errors in its life",
                )
                for i, g in ever
            ),
            certainty=Certainty.OBSERVED,
            severity=Severity.INFO,
            explains=(),
        )
    return None


def _explained(facts: Facts) -> tuple[str, ...]:
    """Return the slugs of the consequences of the memory errors, from MODE.explains.

    Without gpu-rows-pending if a repair failed, and without gpu-xid if the kernel log also has an error that is not of the memory.
    """
    reported = facts.graphics.xids if isinstance(facts.graphics.xids, tuple) else ()
    failed = any(gpu.health.remap_failed is True for _, gpu in gpu_health.judged(facts))
    others = {"gpu-xid"} if any(xids.kind(x.number) == "gpu" for x in reported) else set()
    return tuple(slug for slug in MODE.explains if slug not in others and not (failed and slug == "gpu-rows-pending"))


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    return Hit(
        message="The memory of the GPU had an error that could not be corrected: CUDA ended the program.",
        evidence=evidence,
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    ill = next((g for _, g in gpu_health.judged(facts) if gpu_health.positive(g.health.uncorrected_errors)), None)
    look = commands.by_hand(
        ("nvidia-smi", "-q", "-d", "ECC,ROW_REMAPPER,PAGE_RETIREMENT"),
        "shows which GPU has errors, and how many",
        "nothing",
        "none",
    )
    again = gpu_health.reset(facts, ill, "takes the bad place of the memory out of use")
    tested = gpu_health.replace(facts, "if the count rises again, the memory fails")
    if ill is None:
        return (Fix(title="Find the GPU, and start it anew", steps=(look, *again.steps), verify=again.verify), tested)
    return (again, tested)
