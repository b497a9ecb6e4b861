# Trains one cell of a study: one attention with one seed. Runs last, after study_trainer.py.


def alone():
    """Take the lock of this training's folder, until the returned file is closed. None on Windows, which needs no lock.

    Raises RuntimeError if another process does not release the folder within ALONE seconds.
    """
    try:
        import fcntl
    except ImportError:  # Windows: attn-doctor ends its trainings with itself
        return None
    file = open(os.path.join(CONFIG["folder"], "lock"), "ab")
    told = time.monotonic()
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.monotonic() - told > ALONE:
                raise RuntimeError("another process trains in {}".format(CONFIG["folder"])) from None
            time.sleep(0.1)


def check_versions(ultralytics):
    """Raise RuntimeError if this machine of a cluster has another torch or ultralytics than the start of the study."""
    for name, found in (("torch", torch.__version__), ("ultralytics", ultralytics.__version__)):
        wanted = CONFIG["versions"].get(name)
        if wanted and wanted != str(found):
            raise RuntimeError("this machine has {} {}, the study began with {}".format(name, found, wanted))


def train():
    held = alone()
    ultralytics = set_up_ultralytics()
    check_versions(ultralytics)
    run = Run()
    run.layer_types = tuple(layer_classes())
    tell("begin", {"told": run.told})
    model = ultralytics.YOLO(CONFIG["model"])
    base = model.task_map[model.task]["trainer"]
    for name, callback in run.callbacks().items():
        model.add_callback(name, callback)
    seen = [m for m in model.model.modules() if type(m) in run.layer_types]
    exchanged = TRAITS[CONFIG["attention"]].exchanged if CONFIG["attention"] in TRAITS else False
    tell("layers", len(seen) if exchanged else 0)
    with Exchange(kernel_of(CONFIG["attention"])) if exchanged else contextlib.nullcontext():
        try:
            model.train(
                **CONFIG["settings"],
                trainer=trainer_class(base, run),
                data=CONFIG["data"],
                epochs=CONFIG["epochs"],
                imgsz=CONFIG["imgsz"],
                batch=CONFIG["batch"],
                device=CONFIG["device"].replace("cuda:", "").replace("cuda", "0"),
                seed=CONFIG["seed"],
                project=os.path.dirname(CONFIG["folder"]),
                name=os.path.basename(CONFIG["folder"]),
                exist_ok=True,
                workers=0,
                deterministic=True,
                patience=0,
                plots=False,
                pretrained=CONFIG["model"].endswith(".pt"),
            )
        except Stopped as reason:
            tell("stopped", str(reason))
        except Finished:
            pass
    del held


with section("training"):
    train()
