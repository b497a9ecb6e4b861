# Tools for measuring in every part of a trial: a clock and a memory gauge for the device, and the cell, which is one
# backend in one dtype. An exception inside a cell ends only that cell.
#
# Runs after trial_proof.py, in one namespace with it.
import gc


class Poisoned(Exception):
    """Report that the CUDA context cannot be used any more in this process."""


class Clock:
    """Measure work on the device in milliseconds, synchronised before and after."""

    def __init__(self, device):
        self.device = torch.device(device)

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def time(self, work):
        """Do the work, and return its milliseconds on the device."""
        self.wait()
        if self.device.type == "cuda":
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            work()
            end.record()
            self.wait()
            return begin.elapsed_time(end)
        started = time.perf_counter()
        work()
        self.wait()
        return 1e3 * (time.perf_counter() - started)


class Memory:
    """Measure the memory peak of a piece of work above the memory held before it, in bytes.

    On a GPU by PyTorch's allocator, on the CPU by the resident memory of the process, which only Linux can reset.
    """

    def __init__(self, device):
        self.device = torch.device(device)

    def peak(self, work):
        """Call `work` and return the most memory that it used beyond what was held before, in bytes; None if that cannot be measured."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            work()
            return torch.cuda.max_memory_allocated(self.device) - before
        if not self._reset():
            work()
            return None
        before = self._status("VmRSS")
        work()
        after = self._status("VmHWM")
        return None if before is None or after is None else max(0, after - before)

    def _reset(self):
        """Free unused memory and reset the peak. Returns False if that is not possible."""
        if self.device.type != "cpu" or not sys.platform.startswith("linux"):
            return False
        try:
            import ctypes

            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
            return True
        except (OSError, AttributeError, ImportError):
            return False

    def _status(self, name):
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) * 1024
        return None


class MeasuredCell:
    """Describe one backend in one dtype, with its results. `place`: index of its shape in a grid of shapes."""

    def __init__(self, name, backend, dtype, place):
        self.name, self.backend, self.dtype, self.place = name, backend, dtype, place
        self.alive = True
        self.fastest = {}  # "forward" | "step" -> milliseconds
        self.peak = None  # memory peak of the last training step of the warm-up, in bytes
        self.made = None  # the tensors of one run of the attention calls, until the proofs of its dtype are done
        self.proof = None  # the record of its proof, for as long
        self.served = None  # the operators of its calls, where all are PyTorch's own fused ones

    def attempt(self, what, work):
        """Run a part of this cell's work, and return its result. An exception is reported and ends the cell: then None is returned.

        Raises Poisoned if after this exception the process cannot go on.
        """
        if not self.alive:
            return None
        send("begin", self.name)
        _watch()
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - a backend may raise anything, and what it raised is its row
            self.alive = False
            text = words_of(error)
            kind = "out-of-memory" if is_out_of_memory(error) else "raised"
            poisoned = kind == "raised" and is_poison(error)
            tell(
                "fault",
                dict(fault_of(error), cell=self.name, what=what, kind=kind, text=text[:2000], poisoned=poisoned),
            )
            if poisoned:
                raise Poisoned()
            error = None
            gc.collect()
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            return None
        finally:
            send("end", self.name)


def is_out_of_memory(error):
    known = getattr(torch.cuda, "OutOfMemoryError", ())
    return isinstance(error, (MemoryError, known)) or bool(
        # "overflow": a size that no memory can hold
        re.search(r"out of memory|can't allocate memory|Storage size calculation overflowed", str(error))
    )


def is_poison(error):
    """Return whether every later CUDA call of the process will fail with this error too."""
    text = str(error)
    return "CUDA error" in text or "device-side assert" in text or "illegal memory access" in text
