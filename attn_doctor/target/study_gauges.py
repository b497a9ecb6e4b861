# What a training costs: memory, energy and how busy its device is. Runs before study_trainer.py, in one namespace with it.
import ctypes


class Gpu:
    """Read the values of one GPU from NVML, the driver's own library. A value is None where NVML does not give it.

    The counter of energy exists since Volta: https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
    """

    def __init__(self, device):
        self.library = self.handle = None
        if device.type != "cuda" or getattr(torch.version, "hip", None):
            return
        try:
            uuid = "GPU-{}".format(torch.cuda.get_device_properties(device).uuid)
            library = ctypes.CDLL("nvml.dll" if os.name == "nt" else "libnvidia-ml.so.1")
            handle = ctypes.c_void_p()
            if library.nvmlInit_v2() == 0:
                if library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) == 0:
                    self.library, self.handle = library, handle
        except (OSError, AttributeError, RuntimeError):
            pass

    def joules(self):
        """Return the energy in joules that the GPU has used since its driver was loaded."""
        answer = ctypes.c_ulonglong()
        return answer.value / 1e3 if self._ask("nvmlDeviceGetTotalEnergyConsumption", answer) else None

    def busy(self):
        """Return the share of the last moments in which a kernel ran, from 0 to 1."""
        answer = (ctypes.c_uint * 2)()  # of the GPU, of its memory; in per cent
        return answer[0] / 100 if self._ask("nvmlDeviceGetUtilizationRates", answer) else None

    def _ask(self, name, answer):
        if self.library is None or not hasattr(self.library, name):
            return False
        return getattr(self.library, name)(self.handle, ctypes.byref(answer)) == 0


class Gauges:
    """Measure each epoch: peak memory in bytes, energy in joules, and the load of the device (1.0: one core, or the complete GPU)."""

    def __init__(self, device):
        self.device = torch.device(device)
        self.gpu = Gpu(self.device)
        self.memory = Memory(self.device)
        self.resets = False
        self.before = None
        self.looked = (time.monotonic(), self._processor())

    def begin(self):
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.resets = self.memory._reset()
        self.before = self.gpu.joules()

    def peak(self):
        """Return the peak memory in bytes since `begin`: of torch's allocator on a GPU, else of the process.

        Where the system cannot reset the peak of a process, it is the peak since the start of the process.
        """
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if self.resets:
            return self.memory._status("VmHWM")
        try:
            import resource
        except ImportError:  # Windows
            return None
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def joules(self):
        now = self.gpu.joules()
        return None if now is None or self.before is None else now - self.before

    def now(self):
        """Return (memory in bytes, load of the device since the last call); None where a value is not known."""
        before, self.looked = self.looked, (time.monotonic(), self._processor())
        spent = self.looked[0] - before[0]
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device), self.gpu.busy()
        used = self.memory._status("VmRSS") if sys.platform.startswith("linux") else None
        return used, (self.looked[1] - before[1]) / spent if spent > 0 else None

    @staticmethod
    def _processor():
        times = os.times()
        return times.user + times.system
