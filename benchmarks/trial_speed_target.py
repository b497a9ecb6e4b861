# The part of trial_speed.py that runs in the target, after the scripts of a trial, in one namespace with them.
# ruff: noqa: ARG005, B023, F821
_MAKERS["nothing"] = lambda: lambda query, key, value, scale: value

tell("torch", {"version": str(torch.__version__), "threads": torch.get_num_threads()})


def subject_of(size, batch):
    settings = {"device": "cpu", "model": CONFIG["model"], "imgsz": size, "batch": batch, "seed": CONFIG["seed"]}
    return ModelSubject(settings)


def count(batch, last):
    subject = subject_of(CONFIG["sizes"][0], batch)
    if last:
        subject.model = subject.model.to(memory_format=torch.channels_last)
        subject.images = subject.images.contiguous(memory_format=torch.channels_last)
    watch = Watch()
    with subject.using("sdpa-flash"):
        hooks = watch.hook(subject.layers)
        subject.probe("sdpa-flash", "float32", watch=watch)
        for hook in hooks:
            hook.remove()
    fused = sum(
        all(call[way] and "softmax" not in " ".join(call[way]) for way in ("forward", "backward"))
        for call in watch.calls
    )
    layout = "channels_last" if last else "NCHW"
    tell("fused", {"batch": batch, "layout": layout, "fused": fused, "calls": len(watch.calls)})


def race(size):
    subject = subject_of(size, CONFIG["batch"])
    clock = Clock(subject.device)
    for number in range(CONFIG["rounds"] + 1):
        for backend in CONFIG["backends"]:
            with subject.using(backend):
                forward = clock.time(lambda: subject.forward(backend, "float32"))
                step = clock.time(lambda: subject.step(backend, "float32"))
                subject.clear()
            if number:
                sample = {"imgsz": size, "backend": backend, "forward": forward, "step": step}
                tell("sample", sample)
    for backend in CONFIG["backends"]:
        with subject.using(backend):
            peak = Memory(subject.device).peak(lambda: subject.step(backend, "float32"))
            subject.clear()
        if peak is not None:
            tell("memory", {"imgsz": size, "backend": backend, "bytes": peak})


def by_hand(subject):
    """A training step as anybody would write and time it."""
    batch = dict(subject.labels, img=subject.images)
    subject.model.train()
    started = time.perf_counter()
    loss, _ = subject.model(batch)
    loss.sum().backward()
    taken = 1e3 * (time.perf_counter() - started)
    subject.model.zero_grad(set_to_none=True)
    return taken


def honesty():
    subject = subject_of(CONFIG["sizes"][0], CONFIG["batch"])
    clock = Clock(subject.device)
    for number in range(CONFIG["pairs"] + 1):
        with subject.using("eager"):
            trial = clock.time(lambda: subject.step("eager", "float32"))
            subject.clear()
        hand = by_hand(subject)
        if number:
            tell("pair", {"trial": trial, "hand": hand})


for batch in (1, 2, 4):
    for last in (False, True):
        with section("count"):
            count(batch, last)
for size in CONFIG["sizes"]:
    with section("race"):
        race(size)
with section("honesty"):
    if CONFIG["pairs"]:
        honesty()
