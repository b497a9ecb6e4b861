# The part of trial_speed.py that runs in the target, after the scripts of a trial, in one namespace with them.
# ruff: noqa: F821
if CONFIG["threads"]:
    torch.set_num_threads(CONFIG["threads"])
tell("torch", {"version": str(torch.__version__), "threads": torch.get_num_threads()})


def by_trial(subject, clock):
    """Measure the step as the trial does. Returns (wall, cpu) in milliseconds."""
    with subject.using("eager"):
        started = time.process_time()
        wall = clock.time(lambda: subject.step("eager", "float32"))
        cpu = 1e3 * (time.process_time() - started)
        subject.clear()
    return wall, cpu


def by_hand(subject):
    """Measure the step with a hand-written loop."""
    batch = dict(subject.labels, img=subject.images)
    subject.model.train()
    wall, cpu = time.perf_counter(), time.process_time()
    loss, _ = subject.model(batch)
    loss.sum().backward()
    taken = 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)
    subject.model.zero_grad(set_to_none=True)
    return taken


with section("honesty"):
    settings = {name: CONFIG[name] for name in ("device", "model", "imgsz", "batch", "seed")}
    subject = ModelSubject(settings)
    clock = Clock(subject.device)
    for number in range(CONFIG["pairs"] + 1):
        took = {"trial": by_trial(subject, clock), "hand": by_hand(subject), "again": by_trial(subject, clock)}
        if number:
            pair = {
                what + "_" + name: round(t[i], 2) for what, t in took.items() for i, name in enumerate(("wall", "cpu"))
            }
            tell("pair", pair)
