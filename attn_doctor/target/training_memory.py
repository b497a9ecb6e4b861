# Runs training steps at growing batches, optimiser included, and records memory and time of each. Decides nothing.
#
# Runs last, after channel.py, exchange/ and the other scripts of a trial, in one namespace with them.


def step_of(subject, optimiser, backend, clock):
    with subject.using(backend):
        taken = clock.time(lambda: (subject.step(backend, CONFIG["dtype"]), optimiser.step()))
    subject.clear()
    return taken


def point(backend, batch):
    """Measure memory and time of one training step with this backend and batch, after a warm-up.

    Returns the bytes; None: not known.
    """
    subject = ModelSubject(dict(CONFIG, batch=batch))
    optimiser = torch.optim.AdamW([p for p in subject.model.parameters() if p.requires_grad], lr=1e-9)
    clock, gauge = Clock(subject.device), Memory(subject.device)
    step_of(subject, optimiser, backend, clock)
    taken = []
    if subject.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(subject.device)
        taken = [step_of(subject, optimiser, backend, clock) for _ in range(3)]
        needed = torch.cuda.max_memory_reserved(subject.device)
    else:
        needed = gauge.peak(lambda: taken.append(step_of(subject, optimiser, backend, clock)))
        taken.append(step_of(subject, optimiser, backend, clock))
    tell("point", {"backend": backend, "batch": batch, "bytes": needed, "ms": round(min(taken), 2)})
    return needed


def shared_memory():
    try:
        free = os.statvfs("/dev/shm")
        return free.f_bavail * free.f_frsize
    except (OSError, AttributeError):
        return None


def measure_memory():
    device = torch.device(CONFIG["device"])
    room = CONFIG["room"]
    if device.type == "cuda":
        room = torch.cuda.mem_get_info(device)[0]
    tell("about", {"memory_bytes": room if device.type == "cuda" else None, "shared_bytes": shared_memory()})
    began = time.perf_counter()
    for number, backend in enumerate(CONFIG["backends"]):
        needed = taken = None
        for done, batch in enumerate(CONFIG["batches"]):
            # The next batch is twice as large: it needs at most twice as much memory and time.
            if needed and room and 2 * needed > CONFIG["share"] * room:
                tell("stopped", "batch {} would need more than {:.0%} of memory".format(batch, CONFIG["share"]))
                break
            # Two batches give the line through both. The first backend, the one that is advised, always gets them.
            certain = number == 0 and done < 2
            if not certain and time.perf_counter() - began + 2 * (taken or 0.0) > CONFIG["seconds"]:
                tell("stopped", "no time was left for batch {} with {}".format(batch, backend))
                break
            with section("batch {} with {}".format(batch, backend)):
                start = time.perf_counter()
                try:
                    needed = point(backend, batch)
                except Exception as error:  # noqa: BLE001 - only memory that runs out is an answer
                    if not is_out_of_memory(error):
                        raise
                    tell("stopped", "memory ran out at batch {}".format(batch))
                    break
                taken = time.perf_counter() - start
            gc.collect()


with section("training memory"):
    measure_memory()
