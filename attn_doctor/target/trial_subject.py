# The subject of a trial: the model with its attention exchanged, or, without ultralytics, YOLO12's attention shapes
# alone.
#
# Runs after channel.py and the files of exchange/, in one namespace with them. A subject runs a forward pass and a
# training step as its users do; it measures nothing and judges nothing.
import contextlib
import copy
import re

import torch

HALF_NAMES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class NoAttention(Exception):
    """Report that this model has no attention to try; the text says why."""


_kernels = {}


def kernel_of(backend):
    """Return the kernel of a backend, made once: FlexAttention is compiled for one function."""
    if backend not in _kernels:
        _kernels[backend] = kernel(backend)
    return _kernels[backend]


def autocast(device, dtype):
    """Return the context of mixed precision as ultralytics trains with it; an empty context for float32."""
    if dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype=HALF_NAMES[dtype])


def tensors_of(output):
    """Return the floating-point tensors of a model's output, in order."""
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        return [t for value in output.values() for t in tensors_of(value)]
    if isinstance(output, (list, tuple)):
        return [t for value in output for t in tensors_of(value)]
    return []


def take_training_threads():
    """Let ultralytics set the number of threads as it does at the start of `yolo train` and `yolo predict` on a CPU.

    In 8.4.190 select_device sets one thread less than there are cores, and at most eight: one thread on two cores.
    """
    default = torch.get_num_threads()
    try:
        from ultralytics.utils.torch_utils import select_device

        select_device("cpu", verbose=False)
    except Exception:  # noqa: BLE001 - releases differ: then the threads stay as they are
        return
    tell("threads", {"training": torch.get_num_threads(), "default": default})


class ModelSubject:
    """Run a whole model of ultralytics on synthetic images and labels. Raises NoAttention if it has no attention to exchange."""

    scope = "model"

    def __init__(self, config):
        self.device = torch.device(config["device"])
        self.batch, self.imgsz, self.seed = config["batch"], config["imgsz"], config["seed"]
        self.most_threads = torch.get_num_threads()
        if self.device.type == "cpu":
            take_training_threads()
        self.name, model = build_model(config["model"], self.seed)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        self.model = model.to(self.device)
        classes = tuple(layer_classes())
        self.layers = [m for m in self.model.modules() if type(m) in classes]
        if not self.layers:
            known = ", ".join(c.__name__ for c in classes)
            raise NoAttention("{} has no attention to exchange (none of its layers is {})".format(self.name, known))
        _hold(4 * self.batch * 3 * self.imgsz**2, "the images alone")
        self.images = noise((self.batch, 3, self.imgsz, self.imgsz), self.seed, self.device).sigmoid()
        self.labels = boxes(self.batch, self.seed, self.device)
        if not self.name.endswith(".pt"):
            self._settle()
        self.fused = None
        self.compiled = {}
        self.cotangents = {}

    def _settle(self):
        """Update the statistics of the batch norms with real passes.

        With their initial values, a model in evaluation mode computes with denormal numbers, which are slow.
        """
        norms = [m for m in self.model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        before = [m.momentum for m in norms]
        for norm in norms:
            norm.momentum = 1.0
        self.model.train()
        with torch.no_grad():
            self.model(self.images)
        for norm, momentum in zip(norms, before):
            norm.momentum = momentum

    @contextlib.contextmanager
    def using(self, backend):
        """Return a context with this backend's attention in the model's classes; for `eager` and `compile` an empty context."""
        if not TRAITS[backend].exchanged:
            yield
            return
        with Exchange(kernel_of(backend)):
            yield

    def forward(self, backend, dtype):
        """Run inference as `predict` does it: evaluation mode, batch norms folded into the convolutions, torch.inference_mode."""
        if self.fused is None:
            self.fused = copy.deepcopy(self.model).eval()
            self.fused.fuse(verbose=False)
        run = self._compiled("forward", self.fused) if compiles_model(backend) else self.fused
        with torch.inference_mode(), autocast(self.device, dtype):
            return run(self.images)

    def step(self, backend, dtype):
        """Run a training step without the optimiser: forward pass, the model's own loss, backward pass."""
        self.model.train()
        run = self._compiled("step", self.model) if compiles_model(backend) else self.model
        with autocast(self.device, dtype):
            predictions = run(self.images)
            loss = self.model.loss(dict(self.labels, img=self.images), predictions)
        tensors_of(loss)[0].sum().backward()

    def clear(self):
        self.model.zero_grad(set_to_none=True)

    def probe(self, backend, dtype, model=None, watch=None):
        """Run one pass with a fixed gradient (cotangent) at the raw outputs.

        Returns (outputs, gradients of all parameters).
        """
        model = self.model if model is None else model
        model.train()
        model.zero_grad(set_to_none=True)
        images = self.images.to(next(model.parameters()).dtype)
        run = self._compiled("step", self.model) if compiles_model(backend) else model
        with contextlib.nullcontext() if watch is None else watch:
            with autocast(self.device, dtype):
                outputs = tensors_of(run(images))
            total = 0.0
            for place, out in enumerate(outputs):
                total = (
                    total + (out.to(torch.promote_types(out.dtype, torch.float32)) * self._cotangent(out, place)).sum()
                )
            total.backward()
        gradients = {n: p.grad.detach() for n, p in model.named_parameters() if p.grad is not None}
        outputs = [out.detach() for out in outputs]
        model.zero_grad(set_to_none=True)
        return outputs, gradients

    def _cotangent(self, out, place):
        if place not in self.cotangents:
            self.cotangents[place] = noise(tuple(out.shape), self.seed + 1 + place, out.device) / out.numel() ** 0.5
        return self.cotangents[place].to(torch.promote_types(out.dtype, torch.float32))

    def _compiled(self, what, model):
        if what not in self.compiled:
            self.compiled[what] = torch.compile(model)
        return self.compiled[what]

    @contextlib.contextmanager
    def all_threads(self):
        """Return a context with PyTorch's own number of threads, for what is not timed: one for each core. Training may use fewer."""
        mine = torch.get_num_threads()
        torch.set_num_threads(max(mine, self.most_threads))
        try:
            yield
        finally:
            torch.set_num_threads(mine)

    def in_double(self):
        """Return a copy of the model in float64."""
        twin = copy.deepcopy(self.model)
        twin.criterion = None
        return twin.double()

    def captured(self, dtype):
        """Return the arguments (query, key, value, scale) of each attention call in training, in this dtype.

        Strides are kept.
        """
        calls = []

        def recorder(query, key, value, scale):
            calls.append((query.detach(), key.detach(), value.detach(), scale))
            # No kernel that is on trial computes here: a broken one affects its own row only.
            return eager(query, key, value, scale)

        self.model.train()
        with torch.no_grad(), autocast(self.device, dtype), Exchange(recorder):
            self.model(self.images)
        return calls


class AttentionSubject:
    """Run the attention calls of YOLO12 alone, on random numbers in the layout that the exchange makes."""

    scope = "attention"
    layers = ()
    all_threads = staticmethod(contextlib.nullcontext)  # nothing has changed their number

    def __init__(self, config):
        self.name = None
        self.device = torch.device(config["device"])
        self.batch, self.imgsz, self.seed = config["batch"], config["imgsz"], config["seed"]
        self.inputs = {}
        self.shapes = config["shapes"]

    @contextlib.contextmanager
    def using(self, backend):
        if compiles_model(backend):
            _kernels.setdefault(backend, torch.compile(eager))
        self.kernel = kernel_of(backend)
        with in_force(self.kernel):
            yield

    def captured(self, dtype):
        if dtype not in self.inputs:
            wanted = HALF_NAMES.get(dtype, torch.float32)
            self.inputs[dtype] = calls = []
            for place, (areas, heads, tokens, width) in enumerate(self.shapes):
                shape = (self.batch * areas, tokens, heads, 3 * width)
                _hold(4 * self.batch * areas * tokens * heads * 3 * width, "query, key and value alone")
                packed = noise(shape, self.seed + place, self.device, wanted)
                calls.append((*packed.transpose(1, 2).chunk(3, dim=3), width**-0.5))
        return self.inputs[dtype]

    def forward(self, backend, dtype):
        with torch.no_grad():
            for query, key, value, scale in self.captured(dtype):
                self.kernel(query, key, value, scale)

    def step(self, backend, dtype, watch=None):
        with contextlib.nullcontext() if watch is None else watch:
            for query, key, value, scale in self.captured(dtype):
                query, key, value = (t.detach().requires_grad_() for t in (query, key, value))
                with contextlib.nullcontext() if watch is None else watch.call():
                    out = self.kernel(query, key, value, scale)
                out.sum().backward()

    def clear(self):
        pass


def _hold(count, what):
    """Raise MemoryError if `count` bytes are not free.

    Linux would allocate them anyway, and later end other programs.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return
    if count > free:
        text = "out of memory: {} take {:.1f} GiB, and {:.1f} GiB are free"
        raise MemoryError(text.format(what, count / 2.0**30, free / 2.0**30))


def layer_classes():
    """Return the attention classes of this ultralytics that the exchange knows."""
    found = []
    for cls in classes():
        try:
            recognise(cls)
            found.append(cls)
        except Refused:
            pass
    return found


def build_model(name, seed):
    """Return (name, model), with random weights of a fixed seed, or with those of a weights file.

    Raises FileNotFoundError if this ultralytics does not know the model, NoAttention if the model has no loss.
    """
    from ultralytics.cfg import get_cfg

    torch.manual_seed(seed)
    if name.endswith(".pt"):
        from ultralytics import YOLO

        model = YOLO(name).model.float()
        for parameter in model.parameters():
            parameter.requires_grad_(True)
    else:
        from ultralytics.nn.tasks import DetectionModel

        stem = re.sub(r"\.ya?ml$", "", name)
        # The fork spells it "yolov12", mainline "yolo12".
        other = re.sub(r"^yolo(v?)(?=\d)", lambda m: "yolo" if m[1] else "yolov", stem)
        errors = []
        for candidate in [name] if os.path.isfile(name) else [stem + ".yaml", other + ".yaml"]:
            try:
                model = DetectionModel(candidate, ch=3, verbose=False)
                name = candidate
                break
            except FileNotFoundError as error:
                errors.append(str(error))
        else:
            raise FileNotFoundError("this ultralytics does not know {}: {}".format(name, "; ".join(errors)))
    if not hasattr(model, "loss"):
        raise NoAttention("{} has no loss to train with".format(name))
    model.args = get_cfg()  # the weights of the loss terms, which a trainer would set in the model
    return name, model


def boxes(batch, seed, device):
    """Return two boxes for each image, as a data loader gives them: centre and size, each from 0 to 1 of the image."""
    generator = torch.Generator().manual_seed(seed)
    centre = 0.3 + 0.4 * torch.rand((2 * batch, 2), generator=generator)
    size = 0.1 + 0.3 * torch.rand((2 * batch, 2), generator=generator)
    return {
        "batch_idx": torch.arange(batch).repeat_interleave(2).float().to(device),
        "cls": torch.zeros((2 * batch, 1), device=device),
        "bboxes": torch.cat((centre, size), dim=1).to(device),
    }
