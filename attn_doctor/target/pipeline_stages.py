# Measures the work of a program outside of the model: the stages of ultralytics' own predictor, and training steps
# with an optimiser.
#
# Runs last, after channel.py, exchange/ and the other scripts of a trial, in one namespace with them. CONFIG["cells"]
# has only backends that a trial has proven, each with the dtypes in which its results are right.
LEAST_ROUNDS = 3
STAGES = ("preprocess", "inference", "postprocess")


class Predictor:
    """Run ultralytics' predictor for the model's task, on copies of one synthetic image."""

    def __init__(self, subject, half):
        from ultralytics import YOLO

        self.model = YOLO(subject.name)
        self.model.model = copy.deepcopy(subject.model)
        generator = torch.Generator().manual_seed(subject.seed)
        image = torch.randint(0, 256, (subject.imgsz, subject.imgsz, 3), generator=generator, dtype=torch.uint8).numpy()
        self.images = [image.copy() for _ in range(subject.batch)]
        # `half` is passed only if it is needed, because newer versions have a new name for it and warn at each call.
        self.options = {"imgsz": subject.imgsz, "device": str(subject.device), "save": False, "verbose": False}
        self.options["batch"] = subject.batch
        if half:
            self.options["half"] = True

    def stages(self):
        """Return the milliseconds of each stage for one image, from one call."""
        speed = self.model.predict(self.images, **self.options)[0].speed
        return [speed[name] for name in STAGES]


def rounds(cells, one_round):
    """Measure the cells in rounds (three cells: A B C, A B C), after a warm-up, and send a record for each cell in each round.

    `one_round`: a function that measures a cell, and returns the fields of the record. CONFIG["rounds"] rounds are measured, or fewer if
    the next round would end after CONFIG["seconds"]; at least three.
    """
    for cell in cells:
        cell.attempt("warm-up", lambda: one_round(cell))
    started = time.monotonic()
    for number in range(CONFIG["rounds"]):
        if number >= LEAST_ROUNDS and (time.monotonic() - started) * (number + 1) / number > CONFIG["seconds"]:
            break
        for cell in cells:
            taken = cell.attempt("measuring", lambda: one_round(cell))
            if taken:
                tell(
                    CONFIG["record"], dict(taken, cell=cell.name, backend=cell.backend, dtype=cell.dtype, round=number)
                )


def predicted(subject, cells):
    """Measure the stages of the predictor in float32, and on a GPU also in float16. In any other dtype nothing is measured.

    `subject`: a ModelSubject. `cells`: the backends to measure, all in one dtype; those that compile the whole model are left out.
    """
    half = cells[0].dtype == "float16"
    if cells[0].dtype == "bfloat16" or (half and subject.device.type != "cuda"):
        return
    predictor = Predictor(subject, half)

    def one_round(cell):
        with subject.using(cell.backend):
            return {"stages": predictor.stages()}

    rounds([cell for cell in cells if not compiles_model(cell.backend)], one_round)


def optimised(subject, cells):
    """Measure a training step twice in each round: without AdamW, and with the update of AdamW after it.

    `subject`: a ModelSubject. `cells`: the backends to measure, all in one dtype. Sends the milliseconds, "step_ms" and "optimised_ms", and
    returns nothing. The learning rate is so small that the weights hardly change.
    """
    optimiser = torch.optim.AdamW([p for p in subject.model.parameters() if p.requires_grad], lr=1e-9)
    clock = Clock(subject.device)

    def one_round(cell):
        with subject.using(cell.backend):
            subject.clear()
            step = clock.time(lambda: subject.step(cell.backend, cell.dtype))
            subject.clear()
            both = clock.time(lambda: (subject.step(cell.backend, cell.dtype), optimiser.step()))
        subject.clear()
        return {"step_ms": step, "optimised_ms": both}

    rounds(cells, one_round)


def pipeline_stages():
    subject = ModelSubject(CONFIG)
    cells = [MeasuredCell(name, backend, dtype, None) for name, backend, dtype in CONFIG["cells"]]
    for dtype in dict.fromkeys(cell.dtype for cell in cells):
        mine = [cell for cell in cells if cell.dtype == dtype]
        with section(CONFIG["stages"] + dtype):
            predicted(subject, mine)
        with section(CONFIG["optimiser"] + dtype):
            optimised(subject, mine)


with section(CONFIG["record"]):
    try:
        pipeline_stages()
    except Poisoned:
        pass
