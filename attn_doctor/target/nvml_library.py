# Loads NVML through nvidia-ml-py. Runs in the doctor's own interpreter, in a child, because NVML is code of the driver:
# it may hang in the kernel, and it may crash.
import importlib.util

NOT_SUPPORTED = 3  # NVML_ERROR_NOT_SUPPORTED: this GPU does not have the feature


def bindings():
    """Return the module `pynvml` of nvidia-ml-py, and its path.

    The old distribution "pynvml" contains a package of the same name, and Python imports a package before a module in the
    same folder.
    """
    spec = importlib.util.find_spec("pynvml")
    if spec is not None and os.path.basename(spec.origin or "") != "pynvml.py":
        beside = [os.path.join(folder, "pynvml.py") for folder in sys.path]
        hidden = [path for path in beside if os.path.isfile(path)]
        if hidden:
            spec = importlib.util.spec_from_file_location("pynvml", hidden[0])
    if spec is None:
        raise ImportError("nvidia-ml-py is not installed beside attn-doctor")
    module = importlib.util.module_from_spec(spec)
    sys.modules["pynvml"] = module
    spec.loader.exec_module(module)
    return module, spec.origin


def ask(name, *arguments):
    """Return the answer of one NVML call: None if this GPU lacks the feature, {"unknown": why} for every other error."""
    try:
        answer = getattr(nvml, name)(*arguments)
        return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer  # bytes: the old "pynvml"
    except nvml.NVMLError as error:
        return None if error.value == NOT_SUPPORTED else unknown("NVML: {}".format(error))
    except (AttributeError, TypeError) as error:
        return unknown("nvidia-ml-py is too old to ask ({})".format(error))
