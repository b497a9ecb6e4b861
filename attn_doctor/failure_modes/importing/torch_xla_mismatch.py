"""torch_xla was built for another torch.

What it is
    torch_xla lets torch compute on a TPU. Its compiled part _XLAC is built for one release of torch, which has the same number.

How it shows
    "ImportError: .../_XLAC.cpython-310-x86_64-linux-gnu.so: undefined symbol: _ZNK5torch8autograd4Node4nameEv" at `import torch_xla`, or at the import of a
    package that looks for it (PyTorch Lightning, accelerate).

Why it happens
    One of the two was upgraded alone: Colab upgraded its torch, or pip took the newest torch_xla.

What to do
    Install torch_xla with the number of the installed torch. Without a TPU: remove torch_xla.

How to reproduce
    There is no recipe: it takes two releases that differ, of several hundred MB.

References
    https://github.com/pytorch/xla/issues/2259
    https://github.com/pytorch/xla/issues/8292
    https://github.com/pytorch/xla#installation
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD351",
    slug="torch-xla-mismatch",
    title="torch_xla was built for another torch",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("abi-mismatch-torch-version", "abi-mismatch-cxx11"),
    says="torch_xla was built for another torch than the installed one: both must have the same number.",
    signs=(
        Sign(
            pattern=r"_XLAC(?:_cuda_functions)?\.\S{1,60}\.so: undefined symbol: \w+",
            literal="_XLAC",
            sample="ImportError: /v/dist-packages/_XLAC.cpython-310-x86_64-linux-gnu.so: undefined symbol: _ZNK5torch8autograd4Node4nameEv",
        ),
    ),
)
# There is no `detect`: an import of torch_xla is not tried.


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = (*commands.starting(facts), "-c", "import torch_xla")
    version = facts.torch.version
    if isinstance(version, str):
        number = version.partition("+")[0]
        steps: tuple[Step, ...] = (
            commands.install(
                f"torch-xla=={number}", no_deps=True, why="the release for the installed torch", changes="torch-xla"
            ),
        )
    else:
        look = commands.by_hand(
            (*commands.starting(facts), "-c", "import torch; print(torch.__version__)"),
            "prints the version of torch, for example 2.5.1+cu121: then torch_xla must be 2.5.1",
            "nothing",
            "none",
        )
        get = commands.by_hand(
            (*commands.starting(facts), "-m", "pip", "install", "--no-deps", "torch-xla==2.5.1"),
            "2.5.1 is an example: write the number of torch, without what stands after the +",
            "torch-xla",
        )
        steps = (look, get)
    gone = commands.uninstall("torch-xla", why="without a TPU nothing needs it")
    return (
        Fix(title="Install torch_xla with the number of torch", steps=steps, verify=verify),
        Fix(title="Remove torch_xla, if there is no TPU", steps=(gone,), verify=commands.check(facts)),
    )
