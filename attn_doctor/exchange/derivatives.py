"""Give every kernel the derivatives that textbook attention has.

A fused kernel has only the first derivative. The second derivative, as for a gradient penalty (`create_graph=True`), raises
"derivative for aten::_scaled_dot_product_flash_attention_for_cpu_backward is not implemented". With some kernels, gradients of
many outputs at once (`is_grads_batched=True`) fail too. Only the backward pass shows which of these the program requests. In both
cases the backward pass computes the gradient by textbook formulas, which can be differentiated again. Any other training runs the
kernel's own backward pass.

Uses torch and the standard library only, and nothing else of attn_doctor: this file also runs inside a target without
attn_doctor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:  # for type checkers only: a target may have Python 3.8, which cannot subscript these names
    from collections.abc import Callable

    Kernel = Callable[[Any, Any, Any, float], Any]


def transformed() -> bool:
    """Return whether a transform of torch.func (vmap, grad, jvp) or forward-mode differentiation is active.

    Fused kernels have no rule for some of these.
    """
    functorch = getattr(torch._C, "_functorch", None)  # noqa: SLF001 - torch has no public name for it
    peek = getattr(functorch, "peek_interpreter_stack", None)
    forward_mode = getattr(torch.autograd.forward_ad, "_current_level", -1)
    return bool(forward_mode >= 0 or (peek is not None and peek() is not None))


def differentiable(kernel: Kernel) -> Kernel:
    """Return a kernel that computes as the given one, and also has second derivatives and batched gradients.

    For those it uses the formulas of textbook attention; any other training runs the kernel's own backward pass.
    """

    def computed(query: Any, key: Any, value: Any, scale: float) -> Any:
        out = kernel(query, key, value, scale)
        return _OtherWay.apply(out, scale, query, key, value) if out.requires_grad else out

    return computed


class _OtherWay(torch.autograd.Function):  # type: ignore[misc]
    """Return the output unchanged, and choose the gradients in the backward pass: those of the kernel, or of textbook attention.

    It stores only tensors that the kernel stores too, so it needs no more memory.
    """

    @staticmethod
    def forward(ctx: Any, out: Any, scale: float, *inputs: Any) -> Any:
        ctx.save_for_backward(*inputs)
        ctx.scale = scale
        return out.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        if not torch.is_grad_enabled() and not transformed():
            return gradient, None, None, None, None
        query, key, value = ctx.saved_tensors
        weights = ((query * ctx.scale) @ key.transpose(-2, -1)).softmax(dim=-1)
        of_weights = gradient @ value.transpose(-2, -1)
        of_scores = weights * (of_weights - (of_weights * weights).sum(dim=-1, keepdim=True))
        of_query = ctx.scale * (of_scores @ key)
        of_key = ctx.scale * (of_scores.transpose(-2, -1) @ query)
        return None, None, of_query, of_key, weights.transpose(-2, -1) @ gradient
