# Splits the memory of one training step at its peak: weights, activations, gradients, optimiser and the rest. Decides nothing.
#
# Runs last, after channel.py, exchange/ and the other scripts of a trial, in one namespace with them. Tensors are counted by
# their storages: two views of one storage are one. A dispatch mode sees the result of every operator, forward and backward,
# and saved-tensor hooks tell what is kept for the backward pass
# (https://docs.pytorch.org/docs/stable/autograd.html#saved-tensors-hooks-doc). What an operator allocates and frees inside of
# itself is seen by no mode: the allocator (GPU) or the resident memory (CPU) of the same step without the mode tells it.
import types

from torch.utils._python_dispatch import TorchDispatchMode

PHASES = ("forward", "backward", "optimiser")
PARTS = ("weights", "averaged", "buffers", "images", "gradients", "optimiser", "activations", "others")
NOMINAL = 64  # ultralytics' `nbs`: it adds up the gradients of so many images before the optimiser's step


class Storages:
    """Count the bytes of all existing storages by part, and store the counts of the moment with the most bytes."""

    def __init__(self):
        self.living = {}  # address -> (number, weak reference, bytes): the reference keeps the address from being used again
        self.parts = {}  # number -> part
        self.total = self.most = self.count = 0
        self.moment, self.phase, self.at = {}, "forward", "forward"

    def add(self, tensor, part=None):
        """Count the storage of a tensor, once only. `part`: the part of memory that it belongs to, unless that is known already."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self.living:
            self.count += 1
            self.living[address] = (self.count, storage._weak_ref(), storage.nbytes())
            self.total += storage.nbytes()
        if part:
            self.parts.setdefault(self.living[address][0], part)

    def sweep(self):
        """Stop counting the storages that were freed."""
        for address, (_, reference, count) in list(self.living.items()):
            if torch.UntypedStorage._expired(reference):
                torch.UntypedStorage._free_weak_ref(reference)
                del self.living[address]
                self.total -= count

    def look(self):
        """Store the counts of this moment if there are more bytes than ever before."""
        if self.total > self.most:
            self.sweep()
        if self.total > self.most:
            self.most, self.at = self.total, self.phase
            self.moment = {number: count for number, _, count in self.living.values()}

    def by_part(self):
        """Return the bytes of each part at the moment with the most bytes."""
        found = dict.fromkeys(PARTS, 0)
        for number, count in self.moment.items():
            found[self.parts.get(number, "others")] += count
        return found

    def end(self):
        for _, reference, _ in self.living.values():
            torch.UntypedStorage._free_weak_ref(reference)
        self.living = {}


class Counting(TorchDispatchMode):
    """Add the result of every operator to `Storages`, and look after each operator whether there are more bytes than ever."""

    def __init__(self, storages):
        super().__init__()
        self.storages = storages

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tensors_in(made):
            self.storages.add(tensor)
        self.storages.look()
        return made


def tensors_in(value):
    """Return every tensor inside a value of tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for item in value for t in tensors_in(item)] if isinstance(value, (list, tuple)) else []


def bytes_of(tensors):
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


def chosen_optimiser(model, iterations):
    """Return the optimiser that ultralytics' trainer makes for optimizer=auto, with a learning rate of 1e-9: weights hardly change.

    `iterations`: the steps of the whole training, by which ultralytics chooses.
    """
    from ultralytics.cfg import get_cfg
    from ultralytics.engine.trainer import BaseTrainer

    trainer = types.SimpleNamespace(args=get_cfg(), data={"nc": 80})
    made = BaseTrainer.build_optimizer(trainer, model, name="auto", iterations=iterations)
    for group in made.param_groups:
        group["lr"] = 1e-9
    return made


class Split:
    """Run training steps of one backend in one dtype, and split their peak memory into parts, once with each optimiser."""

    def __init__(self, subject, averaged, cell):
        self.subject, self.averaged, self.cell = subject, averaged, cell
        self.adds_up = max(round(NOMINAL / subject.batch), 1) > 1

    def held(self, optimiser):
        """Return the tensors that exist between two steps, by part."""
        model = self.subject.model
        return {
            "weights": list(model.parameters()),
            "averaged": [*self.averaged.parameters(), *self.averaged.buffers()],
            "buffers": list(model.buffers()),
            "images": [self.subject.images, *tensors_in(self.subject.labels)],
            "gradients": [p.grad for p in model.parameters() if p.grad is not None],
            "optimiser": tensors_in(list(optimiser.state.values())),
        }

    def begin(self):
        if not self.adds_up:
            self.subject.clear()

    def step(self, optimiser, entered=lambda phase: None):
        subject = self.subject
        entered("forward")
        subject.model.train()
        with autocast(subject.device, self.cell.dtype):
            predictions = subject.model(subject.images)
            loss = subject.model.loss(dict(subject.labels, img=subject.images), predictions)
        entered("backward")
        tensors_of(loss)[0].sum().backward()
        del predictions, loss
        entered("optimiser")
        optimiser.step()
        entered("end")

    def whole(self, optimiser):
        """Run a step without counting its tensors. Return (bytes at the peak, bytes before the step and after each phase).

        The first is {"measured": of the tensors before the step and the growth since, "reserved": by PyTorch's allocator on a GPU,
        "process": resident memory of the process on a CPU}; None: not known. The second is a list; on a CPU it is empty.
        """
        self.begin()
        device, ends = self.subject.device, []
        held = sum(bytes_of(tensors) for tensors in self.held(optimiser).values())
        gauge = Memory(device)
        if device.type == "cuda":
            torch.cuda.empty_cache()

        def entered(phase):
            if device.type == "cuda":
                ends.append(torch.cuda.memory_stats(device)["allocated_bytes.all.current"])

        grown = gauge.peak(lambda: self.step(optimiser, entered))
        found = {"measured": None if grown is None else held + grown, "reserved": None, "process": None}
        if device.type == "cuda":
            found["reserved"] = torch.cuda.max_memory_reserved(device)
        elif grown is not None:
            found["process"] = gauge._status("VmHWM")
        return found, ends

    def counted(self, optimiser):
        """Run a step and count its storages. Return (the storages, the bytes before the step and after each phase)."""
        self.begin()
        storages, ends = Storages(), []
        for part, tensors in self.held(optimiser).items():
            for tensor in tensors:
                storages.add(tensor, part)
        storages.look()

        def entered(phase):
            storages.sweep()
            ends.append(storages.total)
            storages.phase = phase

        def kept(tensor):
            storages.add(tensor, "activations")
            return tensor.detach()  # an output kept as it is would hold its own graph for ever

        try:
            with torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor), Counting(storages):
                self.step(optimiser, entered)
            for tensor in self.held(optimiser)["gradients"]:
                storages.add(tensor, "gradients")
        finally:
            storages.end()
        return storages, ends

    def measure(self):
        subject = self.subject
        subject.clear()
        with subject.using(self.cell.backend):
            subject.step(self.cell.backend, self.cell.dtype)
            for iterations in CONFIG["iterations"]:
                optimiser = chosen_optimiser(subject.model, iterations)
                optimiser.step()  # makes its state
                found, by_allocator = self.whole(optimiser)
                storages, by_storages = self.counted(optimiser)
                tell(
                    "split",
                    {
                        **found,
                        "backend": self.cell.backend,
                        "dtype": self.cell.dtype,
                        "optimiser": type(optimiser).__name__,
                        "imgsz": subject.imgsz,
                        "batch": subject.batch,
                        "parameters": sum(p.numel() for p in subject.model.parameters()),
                        "parts": storages.by_part(),
                        "peak_in": storages.at,
                        "gradients_held": self.adds_up,
                        "ends": dict(zip(PHASES, (by_allocator or by_storages)[1:])),
                    },
                )
                del optimiser
        subject.clear()


def split_all():
    subject = ModelSubject(CONFIG)
    averaged = copy.deepcopy(subject.model)  # ultralytics' trainer holds such a copy, the moving average of the weights
    for cell in [MeasuredCell(name, backend, dtype, None) for name, backend, dtype in CONFIG["cells"]]:
        cell.attempt("memory", Split(subject, averaged, cell).measure)
        gc.collect()


with section("memory split"):
    try:
        split_all()
    except Poisoned:
        pass
