# What ultralytics is told before a study looks at a data set or trains: the same for every arm.
#
# Runs before study_look.py and study_worker.py.


def set_up_ultralytics():
    """Set up ultralytics in the same way for every arm of a study, and return the module.

    albumentations adds no augmentation, no weights are downloaded to check mixed precision, and CONFIG["datasets"] and
    CONFIG["threads"] are used if they are set.
    """
    # albumentations draws from random numbers of its own, and is used only where it happens to be installed.
    sys.modules["albumentations"] = None
    import ultralytics.data.utils
    import ultralytics.utils.torch_utils

    if CONFIG["datasets"] and hasattr(ultralytics.data.utils, "DATASETS_DIR"):
        from pathlib import Path

        ultralytics.data.utils.DATASETS_DIR = Path(CONFIG["datasets"])
    if CONFIG["threads"] and hasattr(ultralytics.utils.torch_utils, "NUM_THREADS"):
        ultralytics.utils.torch_utils.NUM_THREADS = CONFIG["threads"]
    import ultralytics.engine.trainer

    if hasattr(ultralytics.engine.trainer, "check_amp"):
        # It compares two predictions of other weights, which it downloads.
        ultralytics.engine.trainer.check_amp = lambda model: torch.device(CONFIG["device"]).type == "cuda"
    return ultralytics
