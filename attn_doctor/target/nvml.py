# Records NVML's answers about the driver and its GPUs. Runs after nvml_library.py, in one namespace with it.
FABRIC_STATES = {1: "not started", 2: "in progress", 3: "completed"}  # NVML_GPU_FABRIC_STATE_*; 0 is not supported


def known(answer, value):
    """Return `value(answer)` if NVML gave an answer; else the answer itself, which is None or an unknown."""
    return answer if answer is None or isinstance(answer, dict) else value(answer)


def mig_uuids(handle):
    """Return the UUIDs of the MIG devices of a GPU; None if the GPU has no MIG, an unknown if NVML does not tell."""
    most = ask("nvmlDeviceGetMaxMigDeviceCount", handle)
    if not isinstance(most, int):
        return most
    found = []
    for number in range(most):
        try:
            found.append(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)))
        except nvml.NVMLError:
            continue  # there is no device with this index
    return found


def fabric_state(handle):
    """Return the state of the NVLink fabric of a GPU, "completed"; None if the GPU is in no fabric, or if NVML does not tell.

    Hopper GPUs and newer report it.
    """
    try:
        info = nvml.c_nvmlGpuFabricInfoV_t()
        nvml.nvmlDeviceGetGpuFabricInfoV(handle, nvml.byref(info))
        return FABRIC_STATES.get(info.state)
    except (nvml.NVMLError, AttributeError):
        return None


# nvmlClocksThrottleReasons that make a GPU slower than it should be; the power cap (0x4) is usual at full load.
# https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html
SLOWED_BY = {
    0x08: "hardware slowdown",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
}
UNCORRECTED, VOLATILE, AGGREGATE = 1, 0, 1  # NVML_MEMORY_ERROR_TYPE_*, NVML_*_ECC
SINGLE_BIT, DOUBLE_BIT = 0, 1  # NVML_PAGE_RETIREMENT_CAUSE_*
SENSOR, SLOWDOWN = 0, 1  # NVML_TEMPERATURE_GPU, NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
MOST_PROCESSES = 64


def retired_pages(handle):
    """Return the number of retired memory pages; None if this model of GPU retires no pages, an unknown if NVML does not tell."""
    counts = [ask("nvmlDeviceGetRetiredPages", handle, cause) for cause in (SINGLE_BIT, DOUBLE_BIT)]
    odd = next((c for c in counts if c is None or isinstance(c, dict)), 0)
    return odd if odd is None or isinstance(odd, dict) else sum(len(c) for c in counts)


def processes(handle):
    """Return the programs that hold memory of a GPU, the one with the most memory first.

    Programs that use the GPU for graphics are in the list too. An unknown if NVML does not list them.
    """
    found = {}
    for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        told = ask(name, handle)
        if told is None:
            continue
        if isinstance(told, dict):
            return told
        for one in told:
            found[one.pid] = max(found.get(one.pid) or 0, one.usedGpuMemory or 0) or None
    largest = sorted(found.items(), key=lambda pair: -(pair[1] or 0))[:MOST_PROCESSES]
    return [{"pid": pid, "name": program(pid), "used_bytes": used} for pid, used in largest]


def program(pid):
    """Return the name of the file of a process, without its folder, because the name of a folder can show its owner.

    None or an unknown as `ask` returns them.
    """
    name = ask("nvmlSystemGetProcessName", pid)
    if not isinstance(name, str):
        return name
    return os.path.basename(name.split(" ")[0].replace("\\", "/").rstrip("/"))[:64] or None


# All nvmlClocksThrottleReasons, in the words of the trial (trials/watch.py).
LOWERED_BY = {
    0x01: "idle",
    0x02: "application clocks",
    0x04: "power cap",
    0x10: "sync boost",
    **SLOWED_BY,
    0x100: "display clock",
}
GRAPHICS, SM, MEMORY = 0, 1, 2  # NVML_CLOCK_*; application clocks are set for the first and the last


def clocks(handle):
    reasons = ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    return {
        "sm_megahertz": ask("nvmlDeviceGetClockInfo", handle, SM),
        "memory_megahertz": ask("nvmlDeviceGetClockInfo", handle, MEMORY),
        "lowered_by": known(reasons, lambda bits: [text for bit, text in LOWERED_BY.items() if bits & bit])
        if reasons is not None
        else unknown("NVML: this GPU does not report it"),
        "sm_megahertz_most": ask("nvmlDeviceGetMaxClockInfo", handle, SM),
        "memory_megahertz_most": ask("nvmlDeviceGetMaxClockInfo", handle, MEMORY),
        "application_megahertz": ask("nvmlDeviceGetApplicationsClock", handle, GRAPHICS),
        "application_memory_megahertz": ask("nvmlDeviceGetApplicationsClock", handle, MEMORY),
        "application_megahertz_default": ask("nvmlDeviceGetDefaultApplicationsClock", handle, GRAPHICS),
        "application_memory_megahertz_default": ask("nvmlDeviceGetDefaultApplicationsClock", handle, MEMORY),
    }


def health(handle):
    rows = ask("nvmlDeviceGetRemappedRows", handle)  # corrected, uncorrected, pending, failed
    reasons = ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    return {
        "uncorrected_errors": ask("nvmlDeviceGetTotalEccErrors", handle, UNCORRECTED, VOLATILE),
        "uncorrected_errors_ever": ask("nvmlDeviceGetTotalEccErrors", handle, UNCORRECTED, AGGREGATE),
        "retired_pages": retired_pages(handle),
        "pages_pending": known(ask("nvmlDeviceGetRetiredPagesPendingStatus", handle), bool),
        "remapped_rows": known(rows, lambda r: r[1]),
        "rows_pending": known(rows, lambda r: bool(r[2])),
        "remap_failed": known(rows, lambda r: bool(r[3])),
        "slowed_by": known(reasons, lambda bits: [text for bit, text in SLOWED_BY.items() if bits & bit])
        if reasons is not None
        else [],
        "pcie_generation": ask("nvmlDeviceGetCurrPcieLinkGeneration", handle),
        "pcie_generation_most": ask("nvmlDeviceGetMaxPcieLinkGeneration", handle),
        "pcie_width": ask("nvmlDeviceGetCurrPcieLinkWidth", handle),
        "pcie_width_most": ask("nvmlDeviceGetMaxPcieLinkWidth", handle),
        "busy_percent": known(ask("nvmlDeviceGetUtilizationRates", handle), lambda rates: rates.gpu),
        "celsius": ask("nvmlDeviceGetTemperature", handle, SENSOR),
        "celsius_slowdown": ask("nvmlDeviceGetTemperatureThreshold", handle, SLOWDOWN),
        "watts": known(ask("nvmlDeviceGetPowerUsage", handle), lambda m: m / 1000.0),
        "persistence": known(ask("nvmlDeviceGetPersistenceMode", handle), bool),
        "processes": known(processes(handle), lambda told: told),
    }


def bus_id(handle):
    """Return the address of a GPU on the PCI bus as the kernel log writes it, "0000:65:00"; None or an unknown as `ask` returns them."""
    told = ask("nvmlDeviceGetPciInfo", handle)
    if told is None or isinstance(told, dict):
        return told
    return "{:04x}:{:02x}:{:02x}".format(told.domain, told.bus, told.device)


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
        "power_limit_watts_default": known(
            ask("nvmlDeviceGetPowerManagementDefaultLimit", handle), lambda m: m / 1000.0
        ),
        "fabric": fabric_state(handle),
        "bus_id": bus_id(handle),
        "health": health(handle),
        "clocks": clocks(handle),
    }


# NVML_TOPOLOGY_*, as `nvidia-smi topo -m` names them
LEVELS = {0: "same board", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
MOST_GPUS = 16  # a list of all pairs is short enough
MOST_LINKS = 18  # NVLinks of one GPU: NVML_NVLINK_MAX_LINKS
SWITCH = 2  # NVML_NVLINK_DEVICE_TYPE_SWITCH


def nvlinks(handle):
    """Return the bus addresses at the other ends of a GPU's active NVLinks. The address of a switch is None."""
    found = []
    for link in range(MOST_LINKS):
        if ask("nvmlDeviceGetNvLinkState", handle, link) != 1:
            continue
        if ask("nvmlDeviceGetNvLinkRemoteDeviceType", handle, link) == SWITCH:
            found.append(None)
            continue
        other = ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, link)
        address = getattr(other, "busId", None)
        found.append(address.decode("ascii", "replace") if isinstance(address, bytes) else address)
    return found


def topology(count):
    """Return lines about the connection of each pair of GPUs, and the NUMA node of each GPU.

    Behind an NVSwitch, every link leads to every GPU.
    """
    handles = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(min(count, MOST_GPUS))]
    buses = [getattr(ask("nvmlDeviceGetPciInfo", handle), "busId", b"") for handle in handles]
    buses = [bus.decode("ascii", "replace") if isinstance(bus, bytes) else str(bus) for bus in buses]
    links = [nvlinks(handle) for handle in handles]
    lines = []
    for one, handle in enumerate(handles):
        try:
            # NVML writes the domain with eight digits, /sys with four.
            with open("/sys/bus/pci/devices/{}/numa_node".format(buses[one].lower()[-12:])) as file:
                node = file.read().strip()
        except OSError:
            node = "-1"
        if node != "-1":  # -1: the firmware does not say
            lines.append("GPU {}: NUMA node {}".format(one, node))
        for other in range(one + 1, len(handles)):
            direct = sum(1 for bus in links[one] if bus is None or bus == buses[other])
            level = ask("nvmlDeviceGetTopologyCommonAncestor", handle, handles[other])
            said = LEVELS.get(level, "level {}".format(level)) if isinstance(level, int) else "not known"
            lines.append("GPU {} - GPU {}: {}".format(one, other, "NV{}".format(direct) if direct else said))
    return lines


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
            with section("topology"):
                tell("topology", topology(count if isinstance(count, int) else 0))
