# Saves the model of `trial --tune` in CONFIG["folder"], lets ultralytics itself export it to each format of CONFIG["formats"], and keeps the
# images and the results in float64 beside it. Decides nothing.
#
# Runs last, after tuned_subject.py. Nothing is installed: YOLO_AUTOINSTALL is false, and the folder is thrown away.
import importlib.util
import shutil


def weights():
    """Return the path of a copy of the weights. If the model is a description (.yaml), they are random weights."""
    from ultralytics import YOLO

    place = os.path.join(CONFIG["folder"], "model.pt")
    if CONFIG["model"].endswith(".pt"):
        shutil.copy(CONFIG["model"], place)
        return place
    subject = ModelSubject(dict(CONFIG, batch=1))
    model = YOLO(subject.name)
    model.model = copy.deepcopy(subject.model)
    model.save(place)
    return place


def missing(modules):
    return [name for name in modules if importlib.util.find_spec(name) is None]


def export(place, name):
    from ultralytics import YOLO

    options = {"format": name, "imgsz": CONFIG["imgsz"], "device": CONFIG["device"].replace("cuda:", "")}
    if name in ("onnx", "engine") and missing(("onnxslim",)):
        options["simplify"] = False
    started = time.monotonic()
    made = YOLO(place).export(**options)
    tell("exported", {"format": name, "path": str(made), "seconds": time.monotonic() - started})


def export_all():
    place = weights()
    absent = {name: missing(modules) for name, modules in CONFIG["formats"].items()}
    tell("absent", absent)
    subject = TunedSubject(dict(CONFIG, model=place, batch=1))
    expected = subject.expect("predicting")[0]
    torch.save(
        {"images": subject.images.cpu(), "expected": expected.cpu()}, os.path.join(CONFIG["folder"], "expected.pt")
    )
    tell("saved", {"path": place})
    for name, modules in absent.items():
        if not modules:
            with section("export " + name):
                export(place, name)


with section("export"):
    export_all()
