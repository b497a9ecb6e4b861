# The part of attention_speed.py that runs in the target, after the scripts of a trial, in one namespace with them.
# ruff: noqa: ARG005, B023, F821
_MAKERS["nothing"] = lambda: lambda query, key, value, scale: value

if CONFIG["threads"]:
    torch.set_num_threads(CONFIG["threads"])
tell("torch", {"version": str(torch.__version__), "threads": torch.get_num_threads()})


def subject_of(size, batch, layout):
    settings = {"device": "cpu", "model": CONFIG["model"], "imgsz": size, "batch": batch, "seed": CONFIG["seed"]}
    subject = ModelSubject(settings)
    if layout == "channels_last":
        subject.model = subject.model.to(memory_format=torch.channels_last)
        subject.images = subject.images.contiguous(memory_format=torch.channels_last)
    return subject


def count(subject, batch, layout):
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
    tell("fused", {"batch": batch, "layout": layout, "fused": fused, "calls": len(watch.calls)})


def timed(work):
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def race(subject, where):
    for number in range(CONFIG["rounds"] + 1):
        for backend in CONFIG["backends"]:
            with subject.using(backend):
                wall, cpu = timed(lambda: getattr(subject, CONFIG["pass"])(backend, "float32"))
                subject.clear()
            if number:
                tell(
                    "sample", dict(where, backend=backend, what=CONFIG["pass"], wall=round(wall, 2), cpu=round(cpu, 2))
                )
        gc.collect()


def peaks(subject, where):
    for backend in CONFIG["backends"]:
        with subject.using(backend):
            peak = Memory(subject.device).peak(lambda: subject.step(backend, "float32"))
            subject.clear()
        if peak is not None:
            tell("memory", dict(where, backend=backend, bytes=peak))


for size in CONFIG["imgsz"]:
    for layout in CONFIG["layout"]:
        for batch in CONFIG["batch"]:
            where = {"imgsz": size, "batch": batch, "layout": layout, "threads": torch.get_num_threads()}
            with section(f"{size} {layout} {batch}"):
                subject = subject_of(size, batch, layout)
                race(subject, where)
                if CONFIG["pass"] == "step":
                    count(subject, batch, layout)
                    peaks(subject, where)
                subject = None
