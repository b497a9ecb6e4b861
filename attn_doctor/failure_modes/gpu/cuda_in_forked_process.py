"""A forked process uses CUDA, which its parent had started.

What it is
    Linux starts processes by fork: the child is a copy of the parent. A copy of a started CUDA does not work, and torch refuses it.

How it shows
    "RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start
    method".

Why it happens
    A dataset puts tensors on the GPU in its __getitem__ or collate_fn, and workers of a DataLoader run it; or the program starts
    processes after it has used CUDA (also torch.cuda.is_available() in old releases); or a server such as vLLM forks after a
    library has started CUDA.

What to do
    Workers of a DataLoader: leave the tensors on the CPU, and move the batch to the GPU in the training loop; or num_workers=0.
    Processes of your own: torch.multiprocessing.set_start_method("spawn"). vLLM: VLLM_WORKER_MULTIPROCESSING_METHOD=spawn.

How to reproduce
    There is no recipe: it needs a GPU. A DataLoader with workers over a dataset that calls .cuda() shows it.

References
    https://docs.pytorch.org/docs/stable/notes/multiprocessing.html#cuda-in-multiprocessing
    https://docs.vllm.ai/en/latest/design/multiprocessing.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD457",
    slug="cuda-in-forked-process",
    title="A forked process uses CUDA",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dataloader-worker-ended",),
    signs=(
        Sign(
            pattern=r"Cannot re-initialize (?:CUDA|XPU|HIP) in forked subprocess",
            literal=" in forked subprocess",
            sample="RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method",
        ),
        *(
            Sign(pattern=rf"(?P<{group}>{words})", literal=words, sample=sample, strength="context")
            for group, words, sample in (
                (
                    "vllm",
                    "vllm",
                    '  File "/v/lib/python3.12/site-packages/vllm/worker/worker.py", line 166, in init_device',
                ),
                (
                    "loader",
                    "_utils/worker.py",
                    '  File "/v/site-packages/torch/utils/data/_utils/worker.py", line 309, in _worker_loop',
                ),
                ("loader", "DataLoader worker", "RuntimeError: Caught RuntimeError in DataLoader worker process 0."),
            )
        ),
    ),
)
# There is no `detect`: how a program starts its processes is seen when it runs.


class Forked(Variant, frozen=True, kw_only=True):
    """Hold whether workers of a DataLoader, or a server of vLLM, were forked."""

    loader: bool
    vllm: bool


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    if not told:
        return None
    said = seen.captured()
    loader = "loader" in said
    who = "A worker of the DataLoader" if loader else "A process that was started by fork"
    return Hit(
        message=f"{who} uses CUDA, and CUDA was started before in its parent: a copy of a started CUDA does not work.",
        evidence=building.lines(told[:2]),
        variant=Forked(loader=loader, vllm="vllm" in said),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    forked = hit.variant if isinstance(hit.variant, Forked) else Forked(loader=False, vllm=False)
    server = commands.variable(
        "VLLM_WORKER_MULTIPROCESSING_METHOD", "spawn", "vLLM then starts its processes afresh, and not as copies"
    )
    spawn = commands.by_hand(
        (),
        'write  torch.multiprocessing.set_start_method("spawn", force=True)  as the first line below  if __name__ == "__main__":  and do not use CUDA above it',
        "your program",
        "none",
    )
    started = Fix(title="Start the processes afresh (spawn)", steps=(spawn,), verify=verify)
    if forked.vllm and not forked.loader:
        return (Fix(title="Let vLLM start its processes afresh", steps=(server,), verify=verify), started)
    batch = commands.by_hand(
        (),
        'in the dataset and its collate_fn, leave out .cuda(), .to("cuda") and models on the GPU; in the training loop, move the batch: '
        'batch = batch.to("cuda", non_blocking=True). At once, and slower: num_workers=0 (ultralytics: workers=0)',
        "your program",
        "none",
    )
    moved = Fix(
        title="Move the batch to the GPU in the training loop, not in the workers", steps=(batch,), verify=verify
    )
    return (moved, started) if forked.loader else (started, moved)
