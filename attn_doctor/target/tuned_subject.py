# The model of `trial --tune`, as Ultralytics trains it and predicts with it, and the check of its numbers against float64.
#
# Runs after prescription/changes/apply.py and the common scripts of a trial, in one namespace with them.
BOXES = 100  # so many boxes, those with the highest scores, are compared


class TunedSubject(ModelSubject):
    """Run a training step or a prediction with any changes.

    `base_dtype`: the dtype in which Ultralytics trains on this device.
    """

    def __init__(self, config):
        super().__init__(config)
        self.base_dtype = "float16" if self.device.type == "cuda" else "float32"
        self.shipped_threads = torch.get_num_threads()
        self.expected = {}
        self.variants = {}

    def settings(self, order):
        """Return (backend, other changes with their values) of an order; the number of threads is always among the changes."""
        given = dict(order["settings"])
        backend = given.pop("attention", "eager")
        given.setdefault("threads", self.shipped_threads)
        return backend, given

    def run(self, what, order):
        """Run one training step or one prediction as ordered."""
        backend, given = self.settings(order)
        with self.using(backend), Applied(given, given), self.deterministic(given):
            if what == "training":
                self.train_step(given)
            else:
                self.predict(given)

    @contextlib.contextmanager
    def deterministic(self, given):
        """Return a context in which cuDNN is deterministic, Ultralytics' default, unless `given` has the change "nondeterministic"."""
        before = torch.backends.cudnn.deterministic
        torch.backends.cudnn.deterministic = not given.get("nondeterministic")
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = before

    def train_step(self, given):
        """Run the forward pass with the model's own loss, and the backward pass. Without the optimiser, as in a trial."""
        self.model.train()
        self.clear()
        batch = dict(self.labels, img=self.images)
        with autocast(self.device, self.base_dtype):
            if given.get("compile"):
                predictions = self._compiled("step", self.model)(self.images)
                loss = self.model.loss(batch, in_float32(predictions))
            else:
                loss = self.model(batch)
        tensors_of(loss)[0].sum().backward()

    def predictor(self, given):
        """Return (model, images) as `predict` has them: the model is in evaluation mode, with batch norms folded into its convolutions."""
        if self.fused is None:
            self.fused = copy.deepcopy(self.model).eval()
            self.fused.fuse(verbose=False)
            for parameter in self.fused.parameters():
                parameter.requires_grad_(False)
        if not given.get("half"):
            return self.fused, self.images
        if "half" not in self.variants:
            self.variants["half"] = copy.deepcopy(self.fused).half()
        return self.variants["half"], self.images.half()

    def predict(self, given):
        model, images = self.predictor(given)
        with torch.inference_mode():
            return model(images)

    def check(self, what, order):
        """Return the errors of one pass with these changes, compared with the same pass in float64, as `judged` reads them."""
        expected = self.expect(what)
        backend, given = self.settings(order)
        with self.using(backend), Applied(given, given), self.deterministic(given):
            if what == "training":
                outputs, gradients = self.probe("compile" if given.get("compile") else "eager", self.base_dtype)
                names = [name for name in expected[1] if name in gradients]
                return {
                    "finite": all(bool(torch.isfinite(t).all()) for t in (*outputs, *gradients.values())),
                    "output_error": total_error(outputs, expected[0]),
                    "gradient_error": total_error([gradients[n] for n in names], [expected[1][n] for n in names]),
                }
            got = tensors_of(self.predict(given))
        report = {
            "finite": all(bool(torch.isfinite(t).all()) for t in got[:1]),
            "output_error": total_error(got[:1], expected[:1]),
        }
        report.update(compared_boxes(got[0], expected[0]))
        return report

    def expect(self, what):
        """Return the result of `in_float64`, which is computed only once."""
        if what not in self.expected:
            self.expected[what] = self.in_float64(what)
        return self.expected[what]

    def in_float64(self, what):
        """Return (outputs, gradients) of training, or the outputs of predicting, in float64.

        The attention is the textbook's, because the installed one can have wrong gradients for one image. A module that a trial
        found wrong in its gradient's layout gets a contiguous gradient.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(max(threads, physical_cores()))
        try:
            with Exchange(eager):
                if what == "predicting":
                    model = copy.deepcopy(self.predictor({})[0]).double()
                    with torch.inference_mode():
                        return tensors_of(model(self.images.double()))
                twin = self.in_double()
                watched = ModuleGradients(twin, contiguous=set(CONFIG["contiguous"]))
                found = self.probe("eager", "float32", twin)
                watched.remove()
                return found
        finally:
            torch.set_num_threads(threads)


def compared_boxes(got, expected):
    """Compare the boxes of the first image that have the highest scores: return {"box_overlap": IoU, "score_error": difference}.

    95 of 100 boxes overlap at least as much as the IoU; no score differs more than the difference. Both arguments are [images, 4
    + classes, places], the output of a head that decodes every place. For any other output the result is empty.
    """
    if got.dim() != 3 or got.shape != expected.shape or got.shape[1] < 5 or got.shape[2] < got.shape[1]:
        return {}
    got, expected = got[0].double().cpu(), expected[0].double().cpu()
    best = expected[4:].max(dim=0).values.topk(min(BOXES, expected.shape[1])).indices
    overlap = overlaps(got[:4, best], expected[:4, best])
    score = (got[4:, best] - expected[4:, best]).abs().max()
    return {"box_overlap": float(overlap.sort().values[len(overlap) // 20]), "score_error": float(score)}


def overlaps(some, others):
    """Return the IoU of boxes given as [centre x, centre y, width, height] by columns."""
    low = torch.maximum(some[:2] - some[2:] / 2, others[:2] - others[2:] / 2)
    high = torch.minimum(some[:2] + some[2:] / 2, others[:2] + others[2:] / 2)
    both = (high - low).clamp(min=0).prod(dim=0)
    return both / (some[2:].prod(dim=0) + others[2:].prod(dim=0) - both).clamp(min=1e-12)


def core_groups():
    """Return the cores that this process is allowed to use, as lists. Each list has the hardware threads of one physical core.

    If the system does not report physical cores, each list has one core.
    """
    mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    groups = {}
    for core in mine:
        try:
            with open("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list".format(core)) as file:
                name = file.read().strip()
        except OSError:
            name = str(core)
        groups.setdefault(name, []).append(core)
    return list(groups.values())


def physical_cores():
    return len(core_groups())


def memory_nodes():
    """Return the cores of each memory node (NUMA) that this process is allowed to use: [[0, 1], [2, 3]]; empty if not known."""
    import glob

    mine = {core for group in core_groups() for core in group}
    nodes = []
    for place in sorted(glob.glob("/sys/devices/system/node/node[0-9]*/cpulist")):
        with open(place) as file:
            cores = [core for core in expanded(file.read().strip()) if core in mine]
        if cores:
            nodes.append(cores)
    return nodes


def expanded(text):
    """Return the numbers in a text such as "0-3,8": [0, 1, 2, 3, 8]."""
    numbers = []
    for part in text.split(",") if text else []:
        low, _, high = part.partition("-")
        numbers.extend(range(int(low), int(high or low) + 1))
    return numbers
