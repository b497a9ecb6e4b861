# Looks at the model and the data set of a study before its first training: what a repetition needs, and whether it can begin at all.
#
# Runs after study_data.py and the common scripts of a trial, in one namespace with them.
import platform

LARGEST_READ = 2 << 30  # bytes of images that are read for their hash: of a larger set, names and sizes count


def versions():
    import cv2
    import numpy
    import ultralytics

    found = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "ultralytics": ultralytics.__version__,
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
    }
    if CONFIG["device"].startswith("cuda") and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(torch.device(CONFIG["device"]))
        found["cuda"] = str(torch.version.hip or torch.version.cuda)
    return found


def digest_of_file(path):
    made = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            made.update(block)
    return made.hexdigest()


def digest_of_files(paths, base):
    """Return the SHA-256 of a list of files, with their names below `base`, their sizes, and their contents.

    The contents are left out if they are more than LARGEST_READ bytes together.
    """
    made = hashlib.sha256()
    sizes = [os.path.getsize(path) for path in paths]
    whole = sum(sizes) <= LARGEST_READ
    for path, size in zip(paths, sizes):
        said = digest_of_file(path) if whole else ""
        made.update("{} {} {}\n".format(os.path.relpath(path, base), size, said).encode("utf-8", "surrogatepass"))
    return made.hexdigest()


def data_set(data, imgsz):
    """Return (path of the YAML file, hashes, number of images of each part): (..., {"train/images": "9f86..."}, {"train": 128}).

    Ultralytics reads the labels here once and writes its cache, so that no two trainings write the cache at the same time.
    """
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset, img2label_paths

    found = check_det_dataset(data, autodownload=False)
    described = str(found.get("yaml_file") or data)
    hashes, counts = {"data": digest_of_file(described)}, {}
    base = str(found["path"])
    for part in ("train", "val"):
        cfg = get_cfg(overrides={"task": "detect", "imgsz": imgsz, "data": data})
        made = build_yolo_dataset(cfg, found[part], 1, found, mode="val")
        images = sorted(made.im_files)
        labels = [path for path in img2label_paths(images) if os.path.isfile(path)]
        hashes[part + "/images"] = digest_of_files(images, base)
        hashes[part + "/labels"] = digest_of_files(labels, base)
        counts[part] = len(images)
    return described, hashes, counts


def look():
    set_up_ultralytics()
    if CONFIG["device"] == "auto":
        CONFIG["device"] = "cuda:0" if torch.cuda.is_available() else "cpu"
    name, model = build_model(CONFIG["model"], 0)
    known = tuple(layer_classes())  # each is recognised by running it: once is enough
    layers = [m for m in model.modules() if type(m) in known]
    if not layers:
        raise NoAttention("{} has no attention to exchange".format(name))
    data = CONFIG["data"]
    if CONFIG["shapes"]:
        data = write_shapes(CONFIG["shapes"], **CONFIG["shapes_of"])
    tell("versions", versions())
    data, hashes, counts = data_set(data, CONFIG["imgsz"])
    if os.path.isfile(name):
        hashes["model"] = digest_of_file(name)
    else:
        hashes["model"] = hashlib.sha256(repr(sorted(model.yaml.items(), key=str)).encode()).hexdigest()
    about = {"model": name, "data": data, "device": CONFIG["device"], "layers": len(layers)}
    tell("look", dict(about, hashes=hashes, counts=counts))


with section("look"):
    look()
