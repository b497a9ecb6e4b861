# What NVML says of the driver and its GPUs, through nvidia-ml-py. Runs in the doctor's own interpreter, in a child,
# because NVML is the driver's code: it may hang in the kernel, and it may crash.
import importlib.util

NOT_SUPPORTED = 3  # NVML_ERROR_NOT_SUPPORTED: the thing does not exist on this GPU
FABRIC_STATES = {1: "not started", 2: "in progress", 3: "completed"}  # NVML_GPU_FABRIC_STATE_*; 0 is not supported


def bindings():
    """The module `pynvml` of nvidia-ml-py, and where it lies.

    The old distribution "pynvml" holds a package of the same name, and a package wins over a module beside it.
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
    """The answer of one NVML call; None where this GPU has no such thing; unknown for every other error."""
    try:
        answer = getattr(nvml, name)(*arguments)
        return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer  # bytes: the old "pynvml"
    except nvml.NVMLError as error:
        return None if error.value == NOT_SUPPORTED else unknown("NVML: {}".format(error))
    except (AttributeError, TypeError) as error:
        return unknown("nvidia-ml-py is too old to ask ({})".format(error))


def known(answer, value):
    """`value` of an answer, where there was one."""
    return answer if answer is None or isinstance(answer, dict) else value(answer)


def mig_uuids(handle):
    """UUIDs of the MIG devices of a GPU, or None where it knows no MIG."""
    most = ask("nvmlDeviceGetMaxMigDeviceCount", handle)
    if not isinstance(most, int):
        return most
    found = []
    for number in range(most):
        try:
            found.append(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)))
        except nvml.NVMLError:
            continue  # no device at this place
    return found


def fabric_state(handle):
    """Since Hopper each GPU knows whether the NVLink fabric has been set up for it. None: it has no part in one."""
    try:
        info = nvml.c_nvmlGpuFabricInfoV_t()
        nvml.nvmlDeviceGetGpuFabricInfoV(handle, nvml.byref(info))
        return FABRIC_STATES.get(info.state)
    except (nvml.NVMLError, AttributeError):
        return None


def gpu(index):
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return {"index": index, "error": str(error), "code": error.value}
    memory = ask("nvmlDeviceGetMemoryInfo", handle)
    if memory is None:
        memory = unknown("NVML: this GPU shares the memory of the machine")
    return {
        "index": index,
        "name": ask("nvmlDeviceGetName", handle),
        "uuid": ask("nvmlDeviceGetUUID", handle),
        "compute_capability": known(ask("nvmlDeviceGetCudaComputeCapability", handle), "{0[0]}.{0[1]}".format),
        "memory_bytes": known(memory, lambda m: m.total),
        "free_bytes": known(memory, lambda m: m.free),
        "mig": known(ask("nvmlDeviceGetMigMode", handle), lambda m: bool(m[0])),
        "mig_uuids": mig_uuids(handle),
        "ecc": known(ask("nvmlDeviceGetEccMode", handle), lambda m: bool(m[0])),
        "power_limit_watts": known(ask("nvmlDeviceGetEnforcedPowerLimit", handle), lambda m: m / 1000.0),
        "fabric": fabric_state(handle),
    }


with section("bindings"):
    nvml, place = bindings()
    tell("bindings", {"path": place, "own": os.path.basename(place) == "pynvml.py"})
    with section("start"):
        try:
            nvml.nvmlInit()
            tell("start", {"error": None, "code": None})
        except nvml.NVMLError as refusal:
            tell("start", {"error": str(refusal), "code": refusal.value})
        else:
            with section("driver"):
                version = ask("nvmlSystemGetCudaDriverVersion_v2")
                tell(
                    "driver",
                    {
                        "version": ask("nvmlSystemGetDriverVersion"),
                        "cuda": known(version, lambda v: "{}.{}".format(v // 1000, v % 1000 // 10)),
                    },
                )
            with section("gpus"):
                count = ask("nvmlDeviceGetCount")
                tell("count", count)
                for number in range(count if isinstance(count, int) else 0):
                    tell("gpus", gpu(number))
