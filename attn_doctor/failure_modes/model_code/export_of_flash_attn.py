"""A model that calls flash-attn cannot be exported: no other format has the operators of flash-attn.

What it is
    An export (ONNX, TorchScript, TensorRT, OpenVINO) writes the operators of a model into a file. `flash_attn::_flash_attn_forward` is an
    operator that only the package flash-attn has, so no runtime can run it.

How it shows
    "torch.onnx.errors.UnsupportedOperatorError: ONNX export failed on an operator with unrecognized namespace
    flash_attn::_flash_attn_forward", "Exporting the operator 'flash_attn::...' to ONNX opset version 17 is not supported", "No ONNX function
    found for <OpOverload(op='flash_attn._flash_attn_forward'>"; with older releases "Couldn't export Python operator FlashAttnFunc". The
    same errors with "xformers::efficient_attention_forward".

Why it happens
    The model (the yolov12 fork on a CUDA device, a transformer with attn_implementation="flash_attention_2") computes its attention with
    flash-attn, also while the export records its operators.

What to do
    Export with PyTorch's own attention: the result is the same, and the runtime chooses its own kernel. The yolov12 fork: export with
    device=cpu, because on the CPU it does not call flash-attn. transformers: attn_implementation="sdpa" (or "eager"). If the project has
    an option that turns flash-attn or xformers off, use it (DINOv2: XFORMERS_DISABLED=1).

How to reproduce
    `attn-doctor reproduce export-of-flash-attn` exports to ONNX a model that calls an operator with flash-attn's name. Stand-in: the
    operator, which has flash-attn's name and copies its input. It downloads a CPU build of torch (200 MB) where the target has none.

References
    https://github.com/NVlabs/FoundationStereo/issues/34
    https://github.com/NVIDIA/TensorRT-LLM/issues/2369
    https://github.com/onnx/onnx/issues/7513
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Goal, Severity

_OPERATOR = r"(?P<operator>(?:flash_attn\w*|xformers|vllm_flash_attn)(?:::|\.)\w+)"

MODE = FailureMode(
    code="AD606",
    slug="export-of-flash-attn",
    title="An export fails at an operator of flash-attn",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    says="The export failed at {operator}, an operator that only its own package has: export with PyTorch's own attention.",
    signs=(
        Sign(
            pattern=rf"unrecognized namespace '?{_OPERATOR}",
            literal="unrecognized namespace",
            sample="torch.onnx.errors.UnsupportedOperatorError: ONNX export failed on an operator with unrecognized namespace "
            "flash_attn::_flash_attn_forward.",
        ),
        Sign(
            pattern=rf"Exporting the operator '{_OPERATOR}' to ONNX",
            literal="Exporting the operator '",
            sample="Exporting the operator 'flash_attn::_flash_attn_varlen_forward' to ONNX opset version 17 is not supported.",
        ),
        Sign(
            pattern=rf"No (?:ONNX function|decompositions?) (?:found )?(?:registered )?for .{{0,80}}{_OPERATOR}",
            literal="for <OpOverload",
            sample="No ONNX function found for <OpOverload(op='flash_attn._flash_attn_forward', overload='default')>.",
        ),
        Sign(
            pattern=r"export Python operator (?P<operator>FlashAttn\w*)",
            literal="export Python operator FlashAttn",
            sample="RuntimeError: ONNX export failed: Couldn't export Python operator FlashAttnFunc",
        ),
    ),
    recipe=Recipe(
        does="exports to ONNX a model that calls an operator with flash-attn's name",
        of=(
            Torch(versions=">=2.5"),
            File(
                path="export.py",
                text="import torch\n\n\n"
                '@torch.library.custom_op("flash_attn::_flash_attn_forward", mutates_args=())\n'
                "def forward(q: torch.Tensor) -> torch.Tensor:\n    return q.clone()\n\n\n"
                "class Model(torch.nn.Module):\n    def forward(self, q):\n"
                "        return torch.ops.flash_attn._flash_attn_forward(q)\n\n\n"
                'torch.onnx.export(Model(), (torch.ones(2),), "model.onnx", dynamo=False)\n',
            ),
        ),
        run=(("{python}", "export.py"),),
        shows="unrecognized namespace",
        goal=Goal.TRAIN,
        seconds=6,
        stands_in=("the operator, which has flash-attn's name and copies its input",),
    ),
)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    own = commands.by_hand(
        (),
        "let the model compute its attention with PyTorch while it is exported. The yolov12 fork: device=cpu; transformers: "
        'attn_implementation="sdpa"; DINOv2: XFORMERS_DISABLED=1; your own code: torch.nn.functional.scaled_dot_product_attention',
        "how the model is exported; its weights and results stay the same",
        "none",
    )
    return (Fix(title="Export with PyTorch's own attention", steps=(own,), verify=commands.check(facts)),)
