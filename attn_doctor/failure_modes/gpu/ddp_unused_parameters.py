"""A training on several GPUs has parameters that no loss uses, and DistributedDataParallel waits for their gradients.

What it is
    DistributedDataParallel (DDP) exchanges the gradient of each parameter among the processes. A parameter that took no part in the loss has no
    gradient, so the exchange of one step does not end before the next one begins.

How it shows
    "RuntimeError: Expected to have finished reduction in the prior iteration before starting a new one. This error indicates that your module has
    parameters that were not used in producing loss."

Why it happens
    The model has layers that its forward does not call, or calls only for some inputs: a branch for masks, outputs of a backbone that the neck
    does not read, an image without objects. On one GPU nothing is exchanged, and the same training runs.

What to do
    Set find_unused_parameters to True: then each step looks for such parameters, which costs some time. Or remove the unused layers.

How to reproduce
    There is no recipe, because it takes two processes and a model of one's own.

References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
    https://github.com/open-mmlab/mmdetection/pull/4742
    https://github.com/Megvii-BaseDetection/YOLOX/issues/885
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

MODE = FailureMode(
    code="AD481",
    slug="ddp-unused-parameters",
    title="A training on several GPUs waits for parameters that no loss uses",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("nccl-error", "processes-do-not-meet"),
    says="DistributedDataParallel waits for gradients of parameters that took no part in the loss. The model is the cause; nothing in the log points to the environment.",
    signs=(
        Sign(
            pattern=r"Expected to have finished reduction in the prior iteration before starting a new one",
            literal="Expected to have finished reduction in the prior",
            sample="RuntimeError: Expected to have finished reduction in the prior iteration before starting a new one. This error indicates that your module has parameters",
        ),
    ),
)
# There is no `detect`: no fact says which parameters a loss uses.


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    words = (
        "find_unused_parameters=True as an argument of DistributedDataParallel; OpenMMLab: find_unused_parameters=True as a line of the config; Lightning: "
        "strategy='ddp_find_unused_parameters_true'; accelerate: DistributedDataParallelKwargs(find_unused_parameters=True) in kwargs_handlers; transformers: "
        "ddp_find_unused_parameters=True in TrainingArguments"
    )
    found = commands.by_hand((), words, "the program, or its configuration", "none")
    look = commands.variable(
        "TORCH_DISTRIBUTED_DEBUG",
        "DETAIL",
        "for one run: the error then names the parameters. Remove these layers, or let the loss use their outputs. Unset it afterwards",
    )
    return (
        Fix(title="Let DDP look for unused parameters", steps=(found,), verify=verify),
        Fix(title="Find and remove the unused parameters", steps=(look,), verify=verify),
    )
