# One process of the bench: it builds the model, then does what the numbered files in CONFIG["orders"] say, one after the other.
#
# Runs last, after tuned_subject.py.
import platform

PAUSE = 0.004  # seconds between two looks for the next order
SIGN_OF_LIFE = 2.0  # seconds: a process that waits for its turn is no process that hangs


def next_order(number):
    place = os.path.join(CONFIG["orders"], "{}.json".format(number))
    told = time.monotonic()
    while not os.path.exists(place):
        if time.monotonic() - told > SIGN_OF_LIFE:
            told = time.monotonic()
            tell("waiting", number)
            _watch()
        time.sleep(PAUSE)
    with open(place, encoding="utf-8") as file:
        return json.loads(file.read())


def about(subject):
    gpu = None
    if subject.device.type == "cuda":
        gpu = torch.cuda.get_device_name(subject.device)
    return {
        "model": subject.name,
        "structure": structure_of(subject.model),
        "torch": str(torch.__version__),
        "torch_file": torch.__file__,
        "python": platform.python_version(),
        "gpu": gpu,
        "threads": subject.shipped_threads,
        "cores": core_groups(),
        "nodes": memory_nodes(),
        "compiler": has_compiler(),
    }


def has_compiler():
    import shutil

    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "c++", "clang++", "cl"))


def answer(subject, order, clock):
    what = order["what"]
    if order["do"] == "about":
        return about(subject)
    started = time.monotonic()
    if order["do"] == "check":
        if what not in subject.expected:
            subject.expected[what] = subject.in_float64(what)
        found = {"reference_seconds": time.monotonic() - started}
        began = time.perf_counter()
        found.update(subject.check(what, order))
        return dict(found, first_ms=1e3 * (time.perf_counter() - began))
    return {"ms": clock.time(lambda: subject.run(what, order))}


def work():
    subject = TunedSubject(CONFIG)
    clock = Clock(subject.device)
    gc.collect()
    gc.freeze()
    gc.disable()
    number = 0
    while True:
        number += 1
        order = next_order(number)
        _watch()
        try:
            found = answer(subject, order, clock)
        except Exception as error:  # noqa: BLE001 - what a change raises is its row
            text = "".join(traceback.format_exception_only(type(error), error)).strip()
            found = {"failed": text[:1000], "poisoned": is_poison(error), "memory": is_out_of_memory(error)}
            error = None
        subject.clear()
        gc.collect()
        tell("answer", dict(found, number=number))


with section("tuning"):
    work()
