# The proofs of a trial: which operator served every attention call, whether its numbers are right, and whether the gradients
# that everything is held to are right themselves. It sends what it saw; what that means is decided by the doctor.
#
# Runs after trial_subject.py, in one namespace with it.
import re
import warnings

from torch.utils._python_dispatch import TorchDispatchMode

INTERESTING = re.compile(r"softmax|attention|attn|flash|fmha", re.IGNORECASE)
BY_HAND = (
    "aten::exp",
    "aten::exp_",
)  # sunsmarterjie's fork writes its softmax out: nothing else in an attention takes exponentials
KINK = 1e-2  # difference of the slopes on either side, relative to the gradient


class Watch(TorchDispatchMode):
    """Notes each operator that computes attention, forward and backward, call by call.

    A fused kernel is an operator of its own; the math kernel and hand-written attention are taken apart before they get
    here, and what is left of them to see is their softmax. Forward, an operator belongs to the call that is open. Backward, it
    belongs to the call whose forward operator made one of its arguments: the softmax, the output or the logsumexp that was
    saved lives on until then, so its address names it, once, and the softmax of a loss is nobody's.
    """

    def __init__(self):
        super().__init__()
        self.calls = []
        self._is_open = False
        self._made_by = {}

    def call(self):
        return _Call(self)

    def hook(self, layers):
        """Open a call around each forward pass of these modules. Returns what removes the hooks."""
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
                    # Its memory is free from here on, and may be another tensor's tomorrow.
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
    """Why PyTorch would not use this kernel for these tensors, in its own words: it only warns when the others are forbidden."""
    names = {
        "sdpa-flash": ("FLASH_ATTENTION",),
        "sdpa-efficient": ("EFFICIENT_ATTENTION",),
        "sdpa-cudnn": ("CUDNN_ATTENTION",),
        "sdpa": ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"),
    }.get(backend)
    if names is None or not calls:
        return []
    if backend == "sdpa" and calls[0][0].device.type == "cpu":
        names = names[:1]  # the CPU has no other
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


def total_error(got, wanted):
    """The length of the difference relative to the length of what is wanted, over all tensors together."""
    difference = length = 0.0
    for a, b in zip(got, wanted):
        b = b.double()
        difference += float(((a.to(b.device).double() - b) ** 2).sum())
        length += float((b**2).sum())
    return (difference / max(length, 1e-300)) ** 0.5


def kinked(function, inputs, gradients):
    """Whether the function has no gradient there to be right or wrong about: a maximum of equal values, for one."""
    return any(abs(bend) > KINK for _, _, bend in slopes(function, inputs, gradients))


class ModuleGradients:
    """Checks the input gradients of a model's modules by finite differences, as they are met: strides and all.

    One example of each kind of module for each layout of its input and of the gradient that came back to it. A wrong
    gradient is not a matter of rounding here but of a kernel that misreads a layout, so one example stands for its kind.
    """

    def __init__(self, model):
        self.examples = {}
        self.contiguous = set()  # kinds of module whose incoming gradient is to be made contiguous
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
            if kind in self.contiguous:
                return gradient.contiguous()
            self.examples.setdefault((kind, pattern(kept), pattern(gradient)), (module, kept, gradient))
            return None

        output.register_hook(backward)

    def remove(self):
        for hook in self.hooks:
            hook.remove()

    def wrong(self):
        """[(kind of module, relative error, what of the gradient, whether a contiguous one is right)], the worst first, and how
        many examples were looked at.
        """
        found = []
        for (kind, _, _), (module, x, gradient) in self.examples.items():
            error, curable = self._error(module, x, gradient)
            if error is not None and error > TOLERANCE:
                shape, strides = tuple(gradient.shape), tuple(gradient.stride())
                found.append((kind, error, "a gradient of shape {} with strides {}".format(shape, strides), curable))
        return sorted(found, key=lambda f: -f[1]), len(self.examples)

    def _error(self, module, x, gradient):
        def replay(z):
            return (copy.deepcopy(module)(z) * gradient).sum()

        def autograd(cotangent):
            leaf = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device).copy_(x).requires_grad_()
            out = copy.deepcopy(module)(leaf)
            # As a backward pass hands it on: through a node, with its strides, not as a sum whose gradient is dense.
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
                return total_error([got], [dense]), True  # how wrong it is, exactly
            return error, False
        except RuntimeError:
            return None, True  # a module that cannot be run twice alone is not what this looks for


def pattern(tensor):
    """The layout of a tensor without its size: which dimension is the innermost, and whether it is dense that way."""
    if tensor.is_contiguous():
        exact = torch.empty(tensor.shape, device="meta").stride() == tensor.stride()
        return "contiguous" if exact else "contiguous, odd"
    order = tuple(sorted(range(tensor.dim()), key=lambda d: (-tensor.stride(d), d)))
    return (
        order,
        tensor.stride(order[-1]),
        tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last),
    )
