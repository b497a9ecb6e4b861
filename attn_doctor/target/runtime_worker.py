# One process of the bench that predicts with an exported file, loaded by ultralytics' own AutoBackend.
#
# Runs last, after tuned_subject.py and orders.py.


def in_openvino_float32():
    """Make OpenVINO compute in float32.

    By default it uses bfloat16 on processors that have it, and ultralytics has no argument for that.
    """
    import openvino

    original = openvino.Core.compile_model

    def compile_model(self, *args, **kwargs):
        kwargs["config"] = dict(kwargs.get("config") or {}, INFERENCE_PRECISION_HINT="f32")
        return original(self, *args, **kwargs)

    openvino.Core.compile_model = compile_model


def precision_of(backend):
    """Return the number type in which a runtime computes, "float32"; None if the runtime does not report it."""
    inner = getattr(backend, "backend", backend)
    compiled = getattr(inner, "ov_compiled_model", None)
    if compiled is None:
        return None
    found = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    return next((name for name in ("bfloat16", "float16", "float32") if name in found), found)


class Runtime:
    """Hold a loaded exported file, its input images, and the results of the model in float64."""

    def __init__(self, config):
        from ultralytics.nn.autobackend import AutoBackend

        if config["float32"]:
            in_openvino_float32()
        kept = torch.load(os.path.join(config["folder"], "expected.pt"), weights_only=True)
        self.device = torch.device(config["device"])
        if self.device.type == "cpu":
            take_training_threads()
        started = time.monotonic()
        self.backend = AutoBackend(config["path"], device=self.device, verbose=False)
        self.seconds = time.monotonic() - started
        self.images, self.expected = kept["images"].to(self.device), kept["expected"]

    def predict(self):
        with torch.inference_mode():
            return self.backend(self.images)

    def check(self):
        got = tensors_of(self.predict())[0]
        report = {"finite": bool(torch.isfinite(got).all()), "output_error": None}
        if got.shape == self.expected.shape:
            report["output_error"] = total_error([got], [self.expected])
        report.update(compared_boxes(got, self.expected))
        return report


def runtime_work():
    runtime = Runtime(CONFIG)
    clock = Clock(runtime.device)

    def answer(order):
        if order["do"] == "about":
            return {"load_seconds": runtime.seconds, "precision": precision_of(runtime.backend)}
        if order["do"] == "check":
            return runtime.check()
        return {"ms": clock.time(runtime.predict)}

    serve(answer)


with section("runtime"):
    runtime_work()
