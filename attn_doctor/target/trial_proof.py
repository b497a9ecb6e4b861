# The proofs of a trial: which operator served every attention call, whether its numbers are right, and whether the
# reference gradients are right themselves. Sends observations; the doctor decides.
#
# Runs after trial_subject.py, in one namespace with it.
import re
import warnings

from torch.utils._python_dispatch import TorchDispatchMode

INTERESTING = re.compile(r"softmax|attention|attn|flash|fmha", re.IGNORECASE)
# sunsmarterjie's fork computes its softmax by hand: no other part of an attention uses exponentials.
BY_HAND = ("aten::exp", "aten::exp_")
KINK = 1e-2  # difference of the slopes on either side, relative to the gradient


class Watch(TorchDispatchMode):
    """Record each operator that computes attention, forward and backward, call by call.

    A fused kernel is one operator. The math kernel and hand-written attention are decomposed before they get here, so only their
    softmax is visible. In the forward pass, an operator belongs to the open call. In the backward pass, it belongs to the call
    whose forward operator made one of its arguments: the softmax, the output or the logsumexp. These tensors are saved until
    then, so their addresses identify the call. A softmax of a loss belongs to no call.
    """

    def __init__(self):
        super().__init__()
        self.calls = []
        self._is_open = False
        self._made_by = {}

    def call(self):
        return _Call(self)

    def each(self, compute):
        """Return this attention function with each of its calls counted as a call."""

        def counted(*given):
            with self.call():
                return compute(*given)

        return counted

    def hook(self, layers):
        """Count each forward pass of these modules as a call of attention. Return the hooks, to be removed afterwards."""
        hooks = []
        for layer in layers:
            hooks.append(layer.register_forward_pre_hook(lambda *_: self.begin()))
            hooks.append(layer.register_forward_hook(lambda *_: self.end()))
        return hooks

    def begin(self):
        self.calls.append({"forward": [], "backward": []})
        self._is_open = True

    def end(self):
        self._is_open = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        name = function._schema.name if hasattr(function, "_schema") else str(function)
        if INTERESTING.search(name) or (self._is_open and name in BY_HAND):
            if "backward" in name:
                owner = next((self._made_by[a] for a in addresses(args) if a in self._made_by), None)
                if owner is not None:
                    self.calls[owner]["backward"].append(name)
                    # Its memory is free from now on, and another tensor may use it.
                    self._made_by = {a: call for a, call in self._made_by.items() if call != owner}
            elif self._is_open:
                self.calls[-1]["forward"].append(name)
                self._made_by.update(dict.fromkeys(addresses(out), len(self.calls) - 1))
        return out


class _Call:
    def __init__(self, watch):
        self.watch = watch

    def __enter__(self):
        self.watch.begin()

    def __exit__(self, *error):
        self.watch.end()


def addresses(values):
    if isinstance(values, torch.Tensor):
        return [values.data_ptr()] if values.numel() > 1 else []
    if isinstance(values, (list, tuple)):
        return [address for value in values for address in addresses(value)]
    return []


def pytorch_says(backend, calls):
    """Return PyTorch's reasons why it refuses this kernel for these calls, each once; empty if it gives none.

    PyTorch prints the reason only if all other kernels are forbidden.
    """
    names = TRAITS[backend].sdp_kernels
    if not names or not calls:
        return []
    if backend == "sdpa" and calls[0][0].device.type == "cpu":
        names = names[:1]  # the CPU has no other kernel
    forced = equal_widths(sdpa) if backend == "sdpa-flash" else sdpa
    said = []
    for name, call in ((name, call) for call in calls for name in names):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with torch.no_grad(), allowed((name,)):
                    forced(*call)
                continue
            except RuntimeError as error:
                last = str(error).strip()
        texts = [re.sub(r" \(Triggered internally at [^)]*\)", "", str(w.message)).strip() for w in caught or ()]
        said.extend([t for t in texts if t and not t.endswith("because:")] or [last])
    return list(dict.fromkeys(said))


def total_error(got, expected):
    """Return the length of the difference relative to the length of the expected values, over all tensors together."""
    difference = length = 0.0
    for a, b in zip(got, expected):
        b = b.double()
        difference += float(((a.to(b.device).double() - b) ** 2).sum())
        length += float((b**2).sum())
    return (difference / max(length, 1e-300)) ** 0.5


def kinked(function, inputs, gradients):
    """Return whether the function has no gradient at this point, for example at a maximum of equal values."""
    return any(abs(bend) > KINK for _, _, bend in slopes(function, inputs, gradients))


class ModuleGradients:
    """Check the input gradients of a model's modules by finite differences, with the memory layouts of a real pass.

    Each kind of module is checked once for each layout of its input and of its incoming gradient, in the middle of the backward pass,
    when it gets such a gradient. If its result is wrong, and right for the same gradient made contiguous, it gets contiguous
    ones in that layout: so the gradients of the whole pass are right. A wrong gradient comes from a kernel that misreads a layout, and not
    from rounding, so one example of a layout is enough.
    """

    def __init__(self, model, contiguous=None):
        """Watch the modules of `model`. `contiguous`: kinds of module that always get contiguous gradients; then none is checked."""
        self.contiguous = contiguous
        self.checked = {}  # (kind, layout of the input, layout of the gradient) -> (error or None, curable, description)
        self.hooks = [m.register_forward_hook(self._forward) for m in model.modules() if not list(m.children())]

    def _forward(self, module, inputs, output):
        x = inputs[0] if len(inputs) == 1 else None
        if not isinstance(x, torch.Tensor) or not isinstance(output, torch.Tensor) or output is x:
            return
        if not (x.requires_grad and output.requires_grad) or getattr(module, "inplace", False):
            return
        kept = x.detach()

        def backward(gradient):
            kind = type(module).__name__
            if self.contiguous is not None:
                return gradient.contiguous() if kind in self.contiguous else None
            layout = (kind, pattern(kept), pattern(gradient))
            if layout not in self.checked:
                shape, strides = tuple(gradient.shape), tuple(gradient.stride())
                described = "a gradient of shape {} with strides {}".format(shape, strides)
                with torch.enable_grad():
                    self.checked[layout] = (*self._error(module, kept, gradient), described)
            error, curable, _ = self.checked[layout]
            return gradient.contiguous() if curable and error is not None and error > TOLERANCE else None

        output.register_hook(backward)

    def remove(self):
        for hook in self.hooks:
            hook.remove()

    def wrong(self):
        """Return the wrong gradients, the largest error first, and the number of checked examples.

        Each wrong gradient is (kind of module, relative error, description of the gradient, whether a contiguous gradient gives a
        right result).
        """
        found = [
            (kind, error, described, curable)
            for (kind, _, _), (error, curable, described) in self.checked.items()
            if error is not None and error > TOLERANCE
        ]
        return sorted(found, key=lambda f: -f[1]), len(self.checked)

    def _error(self, module, x, gradient):
        """Return (relative error, None if it is not known; whether the same gradient made contiguous gives a right result)."""

        def alone():
            # Without the hooks of this class: the copy is no part of the watched pass.
            twin = copy.deepcopy(module, {id(self): self})
            twin._forward_hooks.clear()
            return twin

        def replay(z):
            return (alone()(z) * gradient).sum()

        def autograd(cotangent):
            leaf = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device).copy_(x).requires_grad_()
            out = alone()(leaf)
            # As a backward pass passes it on: through a node, with its strides; a sum would have a dense gradient.
            out.register_hook(lambda _: cotangent)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.autograd.grad(out.sum(), leaf)[0]

        try:
            got = autograd(gradient)
            error = directional(replay, [x], [got])
            if error <= TOLERANCE:
                return error, True
            if kinked(replay, [x], [got]):
                return None, True
            dense = autograd(gradient.contiguous())
            if directional(replay, [x], [dense]) <= TOLERANCE:
                return total_error([got], [dense]), True  # the exact error
            return error, False
        except RuntimeError:
            return None, True  # a module that cannot be run twice alone is not checked


def pattern(tensor):
    """Return the memory layout of a tensor without its size: the order of the dimensions, and whether it is dense."""
    if tensor.is_contiguous():
        exact = torch.empty(tensor.shape, device="meta").stride() == tensor.stride()
        return "contiguous" if exact else "contiguous, odd"
    order = tuple(sorted(range(tensor.dim()), key=lambda d: (-tensor.stride(d), d)))
    return (
        order,
        tensor.stride(order[-1]),
        tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last),
    )
