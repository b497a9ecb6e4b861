# One process of the bench: it builds the model, then does what the numbered files in CONFIG["orders"] say, one after the other.
#
# Runs last, after tuned_subject.py and orders.py.
import importlib.util
import platform

RUNTIME_MODULES = ("onnx", "onnxruntime", "openvino", "tensorrt", "coremltools")


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
        "modules": [name for name in RUNTIME_MODULES if importlib.util.find_spec(name)],
    }


def has_compiler():
    import shutil

    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "c++", "clang++", "cl"))


def work():
    subject = TunedSubject(CONFIG)
    clock = Clock(subject.device)

    def answer(order):
        what = order["what"]
        if order["do"] == "about":
            return about(subject)
        if order["do"] == "check":
            subject.expect(what)
            began = time.perf_counter()
            found = subject.check(what, order)
            return dict(found, first_ms=1e3 * (time.perf_counter() - began))
        taken = clock.time(lambda: subject.run(what, order))
        subject.clear()
        return {"ms": taken}

    serve(answer)


with section("tuning"):
    work()
