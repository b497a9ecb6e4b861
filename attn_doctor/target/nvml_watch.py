# Records the state of one GPU during a trial, until a file is deleted whose name attn-doctor sent. Runs after
# nvml_library.py.
INTERVAL = 0.1  # seconds
SENSOR, SM_CLOCK = 0, 1  # NVML_TEMPERATURE_GPU, NVML_CLOCK_SM


def number(name, *arguments):
    """Return the answer of a call if it is a number; else None, also if the GPU lacks the feature."""
    answer = ask(name, *arguments)
    return answer if isinstance(answer, int) else None


def state(handle):
    memory = ask("nvmlDeviceGetMemoryInfo", handle)
    return {
        "at": time.monotonic(),
        "millijoules": number("nvmlDeviceGetTotalEnergyConsumption", handle),
        "milliwatts": number("nvmlDeviceGetPowerUsage", handle),
        "megahertz": number("nvmlDeviceGetClockInfo", handle, SM_CLOCK),
        "celsius": number("nvmlDeviceGetTemperature", handle, SENSOR),
        "reasons": number("nvmlDeviceGetCurrentClocksThrottleReasons", handle),  # the name that old drivers have too
        "pcie_generation": number("nvmlDeviceGetCurrPcieLinkGeneration", handle),
        "pcie_width": number("nvmlDeviceGetCurrPcieLinkWidth", handle),
        "used_bytes": None if memory is None or isinstance(memory, dict) else memory.used,
    }


with section("watch"):
    nvml, place = bindings()
    nvml.nvmlInit()
    handle = nvml.nvmlDeviceGetHandleByUUID(CONFIG["uuid"].encode())
    parent = os.getppid()
    while os.path.exists(CONFIG["while"]) and os.getppid() == parent:
        tell("state", state(handle))
        time.sleep(INTERVAL)
