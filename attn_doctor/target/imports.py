# Imports in the target: numpy, torch, then each extension alone, then CUDA.
#
# torch is imported once. The extensions and ultralytics are imported in forks of that process, before CUDA is used (a
# CUDA context does not survive a fork), so that a crash or a hang ends only its own fork. Without fork (Windows) the
# doctor starts this program again for each of them. CONFIG["only"] names the modules of such a run, and of a second
# look at failed modules.
import glob
import importlib
import importlib.util
import re
import warnings


class Caught:
    """Catch the warnings of a block, as short texts.

    Some libraries report a problem only in a warning.
    """

    def __enter__(self):
        self._catch = warnings.catch_warnings(record=True)
        self._list = self._catch.__enter__()
        warnings.simplefilter("always")
        return self

    def __exit__(self, *error):
        self._catch.__exit__(*error)
        return False

    def texts(self):
        # With some torch versions, the block resets the state of this instance, which then has no list any more.
        return [str(w.message)[:1500] for w in self._list or ()][:12]


def value_of(function, *arguments):
    """Return the value of a call. If the call raises, the result is {"unknown": the text of the exception}."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - a foreign library may raise anything, and what it raised is the answer
        return unknown("{}: {}".format(type(error).__name__, error))


# As `python train.py` imports it. ultralytics' own __getattr__ loads YOLO, which may fail although the package itself
# imports.
ULTRALYTICS = ["ultralytics", "ultralytics.nn.tasks", "from:ultralytics:YOLO", "sources:ultralytics"]


def attempt(name, module_names):
    """Import modules in order until one fails, and return one record: module, ok, failed, path, version, warnings, seconds, fault, loaded.

    `name`: the name in the record. For "requirements" and "loggers" the modules are found here, and `module_names` is not used.
    A name in `module_names` can also be "library:PATH" (a library of torch operators), "from:MODULE:NAME", "checked:MODULE"
    (imported only if its files differ from its RECORD), "optional:MODULE" (may raise ImportError), or "sources:DISTRIBUTION" (its files that
    differ from its RECORD are read and compiled, not run: most of them are imported late).
    """
    started = time.monotonic()
    report = {"module": name, "ok": None, "warnings": []}
    settings = own_settings() if name == "loggers" else ""
    if name in ("ultralytics", "requirements", "loggers"):
        os.environ.update(CONFIG.get("ultralytics_environment", {}))
    with Caught() as caught:
        try:
            if name == "requirements":
                module_names = required()
            if name == "loggers":
                module_names = loggers(settings)
            for module_name in module_names:
                optional = module_name.startswith(OPTIONAL)
                module_name = module_name[len(OPTIONAL) if optional else 0 :]
                report["failed"] = module_name
                begin(module_name)
                if module_name.startswith("library:"):
                    import torch

                    torch.ops.load_library(module_name[len("library:") :])
                    report["path"] = module_name[len("library:") :]
                    continue
                if module_name.startswith("checked:"):
                    module_name = module_name[len("checked:") :]
                    if as_installed(module_name):
                        continue
                if optional:
                    try:
                        importlib.import_module(module_name)
                    except ImportError:
                        pass
                    continue
                if module_name.startswith("sources:"):
                    for report["failed"], path in changed_sources(module_name[len("sources:") :]):
                        with open(path, "rb") as opened:
                            compile(opened.read(), path, "exec")
                    continue
                if module_name.startswith("from:"):
                    _, module_name, wanted = module_name.split(":")
                    getattr(importlib.import_module(module_name), wanted)
                    continue
                module = importlib.import_module(module_name)
                report.setdefault("path", getattr(module, "__file__", None))
                version = getattr(module, "__version__", None)
                if isinstance(version, str):
                    report["version"] = version
            report["ok"] = True
            report["failed"] = None
        except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt from a broken module included
            report["ok"] = False
            report["fault"] = fault_of(error, time.monotonic() - started)
    report["warnings"] = caught.texts()
    report["seconds"] = round(time.monotonic() - started, 3)
    report["loaded"] = loaded() if name == "ultralytics" else []
    return report


def loaded():
    """Return the names of the loaded top-level modules.

    If a file in the current folder has such a name, a program that starts there would import the file instead.
    """
    return sorted({str(name).partition(".")[0] for name in list(sys.modules)})


def torch_facts(torch):
    config = value_of(lambda: torch.__config__.show())
    archs = value_of(lambda: torch._C._cuda_getArchFlags().split() if torch.version.cuda else [])
    cudnn = value_of(lambda: torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None)
    facts = {
        "version": str(torch.__version__),
        "location": os.path.dirname(getattr(torch, "__file__", None) or "") or None,
        "cuda": value_of(lambda: torch.version.cuda),
        "hip": value_of(lambda: getattr(torch.version, "hip", None)),
        "rocm": value_of(lambda: getattr(torch.version, "rocm", None)),
        "cxx11_abi": value_of(lambda: bool(torch._C._GLIBCXX_USE_CXX11_ABI)),
        "archs": archs,
        "cudnn": cudnn if isinstance(cudnn, dict) or cudnn is None else str(cudnn),
        "threads": value_of(lambda: torch.get_num_threads()),
        "mps": value_of(lambda: bool(torch.backends.mps.is_available())),
        "debug": value_of(lambda: bool(torch.version.debug)),
        "xnnpack": value_of(lambda: bool(importlib.import_module("torch.backends.xnnpack").enabled)),
        "cpu_capability": value_of(lambda: str(torch.backends.cpu.get_cpu_capability())),  # since 2.1
        "hip_runtime": line_of(config, "HIP Runtime"),
        "miopen": line_of(config, "MIOpen"),
    }
    if isinstance(facts["cuda"], str) and isinstance(config, str) and "USE_FLASH_ATTENTION=" in config:
        facts["flash_compiled"] = "USE_FLASH_ATTENTION=0" not in config
    if isinstance(facts["cuda"], str):
        answer = value_of(lambda: bool(torch.backends.cuda.is_flash_attention_available()))  # since 2.6
        facts["flash_compiled"] = answer if isinstance(answer, bool) else facts.get("flash_compiled", answer)
    return facts


def line_of(config, name):
    """Return the last word of the line with this name in torch's configuration (torch.__config__.show()); None if there is no such line."""
    lines = config.splitlines() if isinstance(config, str) else []
    return next((line.split()[-1] for line in lines if name in line), None)


def loaded_libraries():
    """Return the paths of the libraries of CUDA, ROCm and OpenMP in this process, in the order of their addresses."""
    if not sys.platform.startswith("linux"):
        return unknown("only Linux lists the libraries of a process in a file, /proc/self/maps")
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            lines = {line.split(None, 5)[5].rstrip("\n"): None for line in file if "/lib" in line and ".so" in line}
    except (OSError, IndexError) as error:
        return unknown("/proc/self/maps cannot be read: {}".format(error))
    return [path for path in lines if re.match(CONFIG["libraries"], os.path.basename(path))][:200]


def numpy_bridge(torch):
    try:
        torch.ones(1).numpy()
        return {"numpy_bridge": True, "numpy_error": None}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is why arrays cannot cross
        return {"numpy_bridge": False, "numpy_error": "{}: {}".format(type(error).__name__, error)}


def cuda_facts(torch):
    facts = {}
    with Caught() as caught:
        facts["available"] = bool(torch.cuda.is_available())
        if facts["available"]:
            count = torch.cuda.device_count()
            devices = []
            for index in range(count):
                major, minor = torch.cuda.get_device_capability(index)
                name = torch.cuda.get_device_name(index)
                devices.append({"index": index, "name": name, "compute_capability": "{}.{}".format(major, minor)})
            facts["devices"] = devices
        else:
            facts["devices"] = []
            try:
                torch.cuda.init()
            except Exception as error:  # noqa: BLE001 - this text is the reason that is_available() keeps to itself
                facts["cuda_error"] = "{}: {}".format(type(error).__name__, error)
        if hasattr(torch, "xpu"):  # since 2.3; it starts Intel's driver, so it is asked last
            facts["xpu"] = value_of(lambda: bool(torch.xpu.is_available()))
        facts["loaded"] = loaded_libraries()
    texts = caught.texts()
    if texts and "cuda_error" not in facts:
        facts["cuda_error"] = texts[0]
    facts["cuda_warnings"] = texts
    return facts


def found(name):
    """Return the spec of a top-level module, without importing it; None if `import` would not find it."""
    try:
        return importlib.util.find_spec(name)
    except Exception:  # noqa: BLE001 - a foreign finder may raise anything
        return None


def extensions():
    """Return two lists of the extensions that exist: those that need no torch, and those that need it.

    An item is (name, what `attempt` imports): ("xformers", ["xformers.ops"]).
    """
    alone = [("cv2", ["cv2"])]
    with_torch = [("flash_attn_2_cuda", ["flash_attn_2_cuda"])]
    spec = found("flash_attn")
    if spec is not None:
        # The modules that the yolov12 fork and most model code import. Such code hides it if the import fails.
        with_torch.append(("flash_attn", ["flash_attn.flash_attn_interface"]))
        if any(os.path.isdir(os.path.join(p, "cute")) for p in spec.submodule_search_locations or ()):
            with_torch.append(("flash_attn.cute", ["flash_attn.cute.interface"]))
    with_torch.append(("flash_attn_interface", ["flash_attn_interface"]))
    with_torch.append(("flash_attn_3", ["flash_attn_3.flash_attn_interface"]))
    with_torch.append(("xformers", ["xformers.ops"]))
    spec = found("torchvision")
    if spec is not None and spec.submodule_search_locations:
        # torchvision catches the error of loading its library; loading the library directly shows it.
        names = []
        for folder in spec.submodule_search_locations:
            for pattern in ("_C*.so", "_C*.pyd"):
                names += ["library:" + path for path in sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))]
        with_torch.append(("torchvision", [*names, "checked:torchvision"]))
    present = lambda item: ":" in item[1][0] or found(item[1][0].split(".")[0]) is not None
    return [e for e in alone if present(e)], [e for e in with_torch if present(e)]


ONLY = CONFIG.get("only")  # names of modules; None: all
FORKS = hasattr(os, "fork")
torch = None
early, late = extensions()
pending = []


def wanted(name):
    return not ONLY or name in ONLY


def start(name, module_names):
    """Start an import in a fork; the caller waits for it at the end.

    On a system without fork, ask attn-doctor for a separate process; in such a process (CONFIG["only"]), import at once.
    """
    if FORKS:
        pending.append(Fork(name, module_names))
    else:
        with section(name):
            if ONLY:
                tell("import", attempt(name, module_names))
            else:
                send("later", name)  # attn-doctor starts this program again for this module


NUMPY = ["numpy"]
spec = found("numpy")
if any(
    os.path.isdir(os.path.join(folder, "random")) for folder in getattr(spec, "submodule_search_locations", None) or ()
):
    NUMPY.append("numpy.random")  # new releases of NumPy load it when it is first used
if wanted("numpy"):
    with section("numpy"):
        tell("numpy", attempt("numpy", NUMPY))
if found("ultralytics") is not None:
    early.append(("requirements", []))
for name, module_names in early:
    if wanted(name):
        start(name, module_names)  # at the same time as torch is imported in this process

with section("torch"):
    with Caught() as caught:
        import torch
    if getattr(torch, "__file__", None) is None:
        raise ImportError("torch is a folder without code: " + ", ".join(getattr(torch, "__path__", [])))
    if not hasattr(torch, "Tensor"):
        raise ImportError("what is imported as torch is not PyTorch: " + str(torch.__file__))

COMPLETE = torch is not None and hasattr(torch, "Tensor")
if COMPLETE and wanted("torch"):
    with section("torch facts"):
        tell("torch", torch_facts(torch))
        tell("torch", numpy_bridge(torch))
        tell("torch", {"warnings": caught.texts()})
        tell("loaded", loaded())

if COMPLETE and found("ultralytics") is not None:
    if wanted("ultralytics"):
        start("ultralytics", ULTRALYTICS)
    if wanted("thop") and found("thop") is not None:
        start("thop", [THOP])
    if wanted("loggers") and installed_loggers():
        start("loggers", [])
for name, module_names in late:
    if wanted(name):
        start(name, module_names)

for fork in pending:
    with section(fork.name):
        tell("import", fork.report())

if COMPLETE and not ONLY:
    with section("cuda"):
        tell("torch", cuda_facts(torch))
