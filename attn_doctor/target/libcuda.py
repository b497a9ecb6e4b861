# Starts the CUDA driver library as a program would, and records its answers. Runs in the doctor's own interpreter, in a
# child: cuInit may hang in the kernel, and it may crash.
import ctypes

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute of cuda.h


def message(library, function, code):
    text = ctypes.c_char_p()
    if getattr(library, function)(code, ctypes.byref(text)) != 0 or not text.value:
        return None
    return text.value.decode("utf-8", "replace")


def loaded_from(name):
    """Return the path of the loaded file whose name begins with `name` ("libcuda."); None if it is not known."""
    try:
        with open("/proc/self/maps") as maps:
            for line in maps:
                path = line.rstrip("\n").partition("/")[2]
                if os.path.basename(path).startswith(name):
                    return "/" + path
    except OSError:
        pass
    return None


def number(function, *arguments):
    """Return the int that a call writes into its first argument. If the call fails, the result is {"unknown": why}."""
    value = ctypes.c_int()
    code = function(ctypes.byref(value), *arguments)
    return value.value if code == 0 else unknown("error {}".format(code))


def device(library, index):
    handle = ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(handle), index)
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGetName(name, len(name), handle)
    total = ctypes.c_size_t()
    code = library.cuDeviceTotalMem_v2(ctypes.byref(total), handle)
    major, minor = (number(library.cuDeviceGetAttribute, a, handle) for a in (CAPABILITY_MAJOR, CAPABILITY_MINOR))
    return {
        "index": index,
        "name": name.value.decode("utf-8", "replace"),
        "compute_capability": "{}.{}".format(major, minor) if isinstance(major, int) else major,
        "memory_bytes": total.value if code == 0 else unknown("error {}".format(code)),
    }


with section("load"):
    cuda = ctypes.CDLL(CONFIG["library"])
    tell("load", loaded_from(CONFIG["library"].partition(".")[0] + "."))
    with section("cuInit"):
        version = number(cuda.cuDriverGetVersion)  # works before cuInit, and also if cuInit fails
        if isinstance(version, int):
            version = "{}.{}".format(version // 1000, version % 1000 // 10)
        tell("version", version)
        result = cuda.cuInit(0)
        tell("cuInit", {"code": result, "text": message(cuda, "cuGetErrorString", result) if result else None})
        if result == 0:
            with section("devices"):
                devices = number(cuda.cuDeviceGetCount)
                for index in range(devices if isinstance(devices, int) else 0):
                    tell("devices", device(cuda, index))
