# One trial process: every backend on one subject, in the target. Sends records, and decides only how long it measures.
#
# Runs last, after channel.py, exchange/, trials/paired_rounds.py and the other scripts of the trial, in one namespace with
# them. A step that may end the whole process runs in a section with its cell's name; the doctor then starts again without that cell.
import platform
import traceback

STEADY = 1.1  # a warm-up pass is steady when it takes at most this many times the fastest pass before it
WARM_UPS = 3  # at most so many warm-up passes are run
# The share of the seconds for a dtype; a training step needs about four times as long as a forward pass.
SHARES = {"forward": 0.4, "step": 1.0}


def make_subject():
    """Make the model. If that fails, report the reason, and return a subject with the attention calls alone.

    None if nothing can be tried: the model has no attention, the memory is too small, or the CUDA context is broken. When the proofs
    are done and only times are measured, the error is raised instead.
    """
    if CONFIG["scope"] == "model":
        try:
            return ModelSubject(CONFIG)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raised is the reason, and the shapes still work
            if CONFIG["phase"] == "measure":
                raise  # the proofs used the model: attention alone cannot be compared with them
            fault = fault_of(error)
            fault["ran"] = any(f.name == "_call_impl" for f in traceback.extract_tb(error.__traceback__))
            fault["kind"] = "out-of-memory" if is_out_of_memory(error) else fault["kind"]
            fault["poisoned"] = fault["kind"] != "out-of-memory" and is_poison(error)
            tell("no-model", fault)
            if isinstance(error, NoAttention) or fault["kind"] == "out-of-memory" or fault["poisoned"]:
                return None
    return AttentionSubject(CONFIG)


def check_reference(subject):
    """Check the gradients of the reference by finite differences, and report the result.

    Return (outputs, gradients) of the model in float64. If gradients were wrong, they are computed again with the memory layout
    in which they are right; None if there is none. None also for the attention alone, and on an Apple GPU.
    """
    expected = None
    report = {"ok": True, "error": 0.0, "module": None, "note": None}
    call = subject.captured("float32")[-1]
    device = torch.device("cpu") if subject.device.type == "mps" else subject.device
    inputs = list(in_double(call, device)[:3])
    cotangent = noise((*call[0].shape[:-1], call[2].shape[-1]), CONFIG["seed"], device, torch.float64)
    gradients = passes(eager, (*inputs, call[3]), cotangent)[1:]

    def loss(query, key, value):
        return (eager(query, key, value, call[3]) * cotangent).sum()

    report["error"] = directional(loss, inputs, list(gradients))
    if report["error"] > TOLERANCE:
        report.update(ok=False, module="attention", note="of textbook attention in float64")
        REFUTED["attention"] = (inputs, call[3], cotangent)
    if subject.scope == "model" and device == subject.device:
        twin = subject.in_double()
        watched = ModuleGradients(twin)
        expected = subject.probe("eager", "float32", twin)
        watched.remove()
        wrong, count = watched.wrong()
        report["examined"] = count
        if wrong:
            kind, error, note, _ = wrong[0]
            report.update(ok=False, module=kind, error=error, note=note)
            REFUTED["eager"] = {"module": kind, "error": error, "note": note}
            if not all(curable for *_, curable in wrong):
                expected = None  # the pass itself used a wrong gradient
    tell("reference", report)
    return expected


# Results of finite differences in this process: backend -> the fault in the gradients of training (None: no fault).
# "attention": the call for which textbook attention in float64 is itself wrong.
REFUTED = {}
SUSPICIOUS = 0.01  # error of a whole model's gradients in float32 above which its modules are checked one by one


def refuted(subject, cell, error):
    """Return the fault in the gradients of a training step with this backend; None if none was found, or if nothing was checked.

    Each module is checked with the memory layout and the batch of the step. That is done only if the gradients of the whole model in
    float32 (`error`: relative) are suspicious, or if the modules were checked with another backend before.
    """
    if (
        subject.scope != "model"
        or not CONFIG["reference"]
        or subject.device.type == "mps"
        or compiles_model(cell.backend)
    ):
        return None
    if cell.dtype == "float32" and error is not None and error <= TOLERANCE:
        return None  # the gradients of the whole model are those of float64: a second look would take longer than all other proofs
    suspicious = cell.dtype == "float32" and error is not None and not error <= SUSPICIOUS
    if cell.backend not in REFUTED and (suspicious or REFUTED):
        twin = subject.in_double()
        watched = ModuleGradients(twin)
        with subject.using(cell.backend), subject.all_threads():
            subject.probe(cell.backend, "float32", twin)
        wrong = watched.wrong()[0]
        watched.remove()
        REFUTED[cell.backend] = {"module": wrong[0][0], "error": wrong[0][1], "note": wrong[0][2]} if wrong else None
    return REFUTED.get(cell.backend)


def slope_error(compute):
    """Return the error of this kernel by finite differences in float64; None if it does not run in float64.

    Used if textbook attention itself is wrong on this device.
    """
    inputs, scale, cotangent = REFUTED["attention"]
    try:
        gradients = passes(compute, (*inputs, scale), cotangent)[1:]
        return directional(lambda q, k, v: (compute(q, k, v, scale) * cotangent).sum(), inputs, list(gradients))
    except (RuntimeError, NotImplementedError):
        return None


def flat(made):
    """Return the tensors of all calls of a run as one list."""
    return [tensor for tensors in made for tensor in tensors]


def prove(subject, cell, reference, expected, eagers):
    """Compare the numbers of a cell with float64, record the operators of each attention call, and send the proof.

    `reference`: textbook attention in float64, for the calls of this dtype. `expected`: see `check_reference`. `eagers`: what
    `reference.run` gave for eager.
    """
    call = reference.calls[0]
    compute = kernel_of("eager" if compiles_model(cell.backend) else cell.backend)
    clock = Clock(subject.device)
    with autocast(subject.device, cell.dtype), in_force(compute):
        made = [eagers] if cell.backend == "eager" else []
        core = [clock.time(lambda: made.append(reference.run(compute))) for _ in range(2 - len(made))]
        errors = reference.errors(made[0])
    cell.made = flat(made[0])
    report = {"cell": cell.name, "errors": errors, "core_ms": min(core), "calls": None}
    report["deterministic"] = identical(*map(flat, made))
    report["tokens"] = max(given[1].shape[2] for given in reference.calls)
    report["eps"] = torch.finfo(call[0].dtype).eps
    # Compiled code does not run under a dispatch mode.
    watch = None if TRAITS[cell.backend].family == "compiled" else Watch()
    passed = []

    with subject.using(cell.backend):
        hooks = watch.hook(subject.layers) if watch else []
        try:
            if subject.scope == "model":
                with subject.all_threads():  # not timed; the attention itself was proven above with training's threads
                    passed.extend(subject.probe(cell.backend, cell.dtype, watch=watch))
            else:
                subject.step(cell.backend, cell.dtype, watch=watch)
            clock.wait()
        finally:
            for hook in hooks:
                hook.remove()
        subject.clear()
        wanted_names = CONFIG["profile"] or subject.device.type == "cuda" or not watch
        report["kernels"] = kernels_seen(subject, cell, clock) if wanted_names else None
    if passed:
        report["finite"] = all(bool(torch.isfinite(t).all()) for t in passed[0])
    if passed and expected is not None:
        report["model_output_error"] = total_error(passed[0], expected[0])
        names = [name for name in expected[1] if name in passed[1]]
        report["model_gradient_error"] = total_error([passed[1][n] for n in names], [expected[1][n] for n in names])
    report["refuted"] = refuted(subject, cell, report.get("model_gradient_error"))
    if "attention" in REFUTED:
        report["slope_error"] = slope_error(compute)
    if watch:
        report["calls"] = watch.calls
        unfused = [given for given, seen in zip(reference.calls, watch.calls) if "softmax" in " ".join(seen["forward"])]
        report["reasons"] = pytorch_says(cell.backend, unfused) if cell.backend.startswith("sdpa") else []
        cell.served = served_by(watch)
    subject.clear()
    cell.proof = report
    tell("proof", report)


def twin_of(subject, cell, reference, others):
    """Return the cell that runs the same operators on the model's own calls, with the same bits as this one; None if there is none.

    Its proof holds for this cell too. Example: on the CPU, `sdpa` and the kernel that it chooses.
    """
    others = [other for other in others if other.alive and other.served]
    if not others or subject.device.type != "cpu" or TRAITS[cell.backend].family == "compiled":
        return None
    compute, watch = kernel_of(cell.backend), Watch()
    with autocast(subject.device, cell.dtype), in_force(compute), watch:
        made = reference.run(watch.each(compute))
    ran = served_by(watch)
    return next((other for other in others if other.served == ran and identical(other.made, flat(made))), None)


def served_by(watch):
    """Return the operators of each watched call, forward and backward; None unless all are PyTorch's own fused ones."""
    if not all("scaled_dot_product" in name for seen in watch.calls for name in seen["forward"]):
        return None
    return [seen["forward"] + seen["backward"] for seen in watch.calls if seen["forward"]] or None


def prove_or_share(subject, cell, reference, expected, eagers, others):
    """Prove a cell. If another cell is the same, its proof is shared."""
    twin = twin_of(subject, cell, reference, others)
    if twin is None:
        prove(subject, cell, reference, expected, eagers)
        return
    tell("proof", dict(twin.proof, cell=cell.name))
    tell("together", {"cell": cell.name, "with": twin.name})


def kernels_seen(subject, cell, clock):
    """Return [[name, share of the time, 0..1]] of those kernels of one step that can belong to attention, by torch.profiler.

    On a CPU the names are of operators. At most 40, the one with the largest share first.
    """
    from torch.profiler import ProfilerActivity, profile

    on_gpu = subject.device.type == "cuda"
    subject.step(cell.backend, cell.dtype)  # compiles first, so that compilation is not profiled
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as seen:
        subject.step(cell.backend, cell.dtype)
        clock.wait()
    spent = {}
    for event in seen.key_averages():
        own = getattr(event, "self_device_time_total", getattr(event, "self_cuda_time_total", 0.0))
        own = own if on_gpu else event.self_cpu_time_total
        if own:
            spent[event.key] = spent.get(event.key, 0.0) + own
    total = sum(spent.values()) or 1.0
    ranked = sorted(spent.items(), key=lambda item: -item[1])
    return [[name[:300], own / total] for name, own in ranked if INTERESTING.search(name)][:40]


def measure(subject, cells, clock, what, lost=()):
    """Measure forward passes or steps in rounds A B C A B C, so that a drift of the machine affects all backends alike.

    `lost`: the cells that were dropped in inference. Returns the cells that were dropped.
    """
    budget = CONFIG["seconds"] * SHARES[what]
    started = time.monotonic()
    for _ in range(WARM_UPS):
        steady = True
        for cell in cells:
            taken = cell.attempt("warm-up", lambda: warm_up(subject, cell, clock, what))
            if taken:
                best = cell.fastest.get(what)
                steady = steady and best is not None and taken <= STEADY * best
                cell.fastest[what] = taken if best is None else min(taken, best)
        if steady or time.monotonic() - started > budget / 2:
            break
    tell("steady", {"what": what, "steady": steady})
    if what == "step":
        tell("peaks", {cell.name: cell.peak for cell in cells if cell.alive})
    started = time.monotonic()
    gc.collect()
    gc.freeze()  # keeps existing objects out of garbage collection: scanning them takes a tenth of a second a round
    gc.disable()
    running = {cell.name: cell for cell in cells if cell.alive}
    base = next((name for name, cell in running.items() if cell.backend == "eager"), None)
    wrong = CONFIG["wrong"] if what == "step" else ()  # what is wrong are the gradients
    race = Race(list(running), base, CONFIG["rounds"], budget, fixed=CONFIG["fixed"], wrong=wrong, lost=lost)
    number, another = 0, bool(running)
    while another:
        for name in list(race.left):
            cell = running[name]
            taken = cell.attempt("measuring", lambda: one_pass(subject, cell, clock, what))
            if taken:
                race.add(name, taken)
                tell("sample", {"cell": name, "round": number, "what": what, "ms": taken})
            else:
                race.failed(name)
        gc.collect()
        another = race.end_round(time.monotonic() - started)
        number += 1
    ended = {"cells": list(running), "what": what, "level": race.level, "dropped": race.dropped}
    tell("race", dict(ended, settled=race.settled, rounds=number))
    gc.enable()
    gc.unfreeze()
    return race.dropped


def measure_all(subject, cells):
    """Measure the inference of every dtype, then training steps. Returns the seconds that this took.

    Inference comes first, because training leaves memory behind that saves eager the page faults of its attention matrix. A
    program that only predicts has no such memory.
    """
    started = time.monotonic()
    lost = {}
    for what in ("forward", "step"):
        for dtype in dict.fromkeys(cell.dtype for cell in cells):
            mine = [cell for cell in cells if cell.dtype == dtype]
            lost[dtype] = measure(subject, mine, Clock(subject.device), what, lost.get(dtype, ()))
    return time.monotonic() - started


def one_pass(subject, cell, clock, what):
    with subject.using(cell.backend):
        taken = clock.time(lambda: getattr(subject, what)(cell.backend, cell.dtype))
        subject.clear()
    return taken


def warm_up(subject, cell, clock, what):
    """Run one pass and return its milliseconds. Of a training step also store the memory peak, in `cell.peak`.

    The peak of the last warm-up stays: by then the memory that is allocated only once is allocated.
    """
    if what == "forward":
        return one_pass(subject, cell, clock, what)
    taken = []
    cell.peak = Memory(subject.device).peak(lambda: taken.append(one_pass(subject, cell, clock, what)))
    return taken[0]


def prove_all(subject, cells, expected):
    """Prove every cell against float64 in its own dtype, and record the operators that ran."""
    for dtype in dict.fromkeys(cell.dtype for cell in cells):
        mine = [cell for cell in cells if cell.dtype == dtype]
        reference = None
        with section("reference " + mine[0].name.partition(" ")[2]):
            calls = subject.captured(dtype)
            with subject.all_threads():
                reference = Reference(eager, calls, CONFIG["seed"])
            with autocast(subject.device, dtype):
                eagers = reference.run(eager)
                tell("eager-errors", {"cells": [cell.name for cell in mine], "errors": reference.errors(eagers)})
        if reference is None:
            continue
        for place, cell in enumerate(mine):
            cell.attempt("proof", lambda: prove_or_share(subject, cell, reference, expected, eagers, mine[:place]))
        for cell in mine:
            cell.made = cell.proof = None


def trial():
    """Run one half of a trial: the proofs, or the measuring. Each half runs in a process of its own."""
    began = time.monotonic()
    measured = 0.0
    measuring = CONFIG["phase"] == "measure"
    if CONFIG["device"].startswith("cuda"):
        torch.cuda.set_device(CONFIG["device"])  # events are recorded on the current device, whatever device they time
    cells = [MeasuredCell(*entry) for entry in CONFIG["cells"]]
    for place, (batch, heads, tokens, width) in enumerate(CONFIG["grid"]):
        subject = AttentionSubject(dict(CONFIG, batch=batch, shapes=[[1, heads, tokens, width]]))
        mine = [cell for cell in cells if cell.place == place]
        if not place:
            tell_subject(subject)
        if measuring:
            measured += measure_all(subject, mine)
        else:
            prove_from(subject, mine, first=not place)
    if not CONFIG["grid"]:
        subject = None
        with section("model"):
            subject = make_subject()
        if subject is None:
            return
        tell_subject(subject)
        if measuring:
            measured = measure_all(subject, cells)
        else:
            prove_from(subject, cells, first=True)
    tell("seconds", {"fixed": time.monotonic() - began - measured, "measured": measured})


def tell_subject(subject):
    """Report what is tried, and the GPU that tries it."""
    gpu = torch.cuda.get_device_name(subject.device) if subject.device.type == "cuda" else None
    tell("subject", {"scope": subject.scope, "model": subject.name, "gpu": gpu})


def prove_from(subject, cells, first):
    """Run the proofs of one subject. `first`: also check the reference itself."""
    expected = None
    if first:
        with section("reference"):
            if CONFIG["reference"]:
                with subject.all_threads():
                    expected = check_reference(subject)
    prove_all(subject, cells, expected)


with section("torch"):
    tell(
        "torch",
        {"version": str(torch.__version__), "threads": torch.get_num_threads(), "python": platform.python_version()},
    )
with section("trial"):
    try:
        trial()
    except Poisoned:
        pass
