# `attn-doctor run` puts the folder of this file on PYTHONPATH, so every Python that the program starts runs this file first.
#
# It imports only the standard library until the program itself imports the attention of an ultralytics. Then it
# replaces that attention, and prints the messages on standard error. After any error the program continues
# with its installed attention. The file parses under any Python, 2.7 included: a program may start an older one.
import os
import sys

ATTENTION, MODELS = "ultralytics.nn.modules.block", "ultralytics.nn.tasks"
VARIABLE = "ATTN_DOCTOR_ATTENTION"
PRESCRIPTION, WITHOUT = "ATTN_DOCTOR_PRESCRIPTION", "ATTN_DOCTOR_WITHOUT"


def say(text):
    """Print a line on standard error; in training on several GPUs only the first process prints."""
    if os.environ.get("RANK", "0") in ("0", "-1"):
        sys.stderr.write("attn-doctor: " + text + "\n")
        sys.stderr.flush()


def exchange():
    """Use the requested backend in the ultralytics that was just imported."""
    backend = os.environ.get(VARIABLE)
    if not backend:
        return
    try:
        load_package()
        from attn_doctor.prescription.prescribe import prescribe

        if os.environ.get(PRESCRIPTION):
            prescription()
        attention = prescribe(backend, now=False, say=say)
    except Exception as error:
        say("the attention is left as installed: " + str(error))
        return
    if backend != "eager":
        import atexit

        atexit.register(tell_if_unused, attention, os.getpid())
        for name in attention.watch():
            ACTIONS[name] = attention.watch


def prescription():
    """Return the prescription in the file that a variable names. Raises prescription_file.Refused for another machine or torch."""
    import torch
    from attn_doctor.prescription import prescription_file
    from pathlib import Path

    found = prescription_file.read(Path(os.environ[PRESCRIPTION]))
    prescription_file.refuse_other_torch(found, str(torch.__version__))
    return found


def apply_prescription():
    """Make those changes of the prescription that a running process can make."""
    if not os.environ.get(PRESCRIPTION):
        return
    try:
        load_package()
        from attn_doctor.prescription.prescribed import in_process

        without = [name for name in os.environ.get(WITHOUT, "").split(",") if name]
        in_process(prescription(), without, say).start()
    except Exception as error:
        say("the prescription is not applied: " + str(error))


def tell_if_unused(attention, process):
    """Print a message at the end of a program that never used the replaced attention, because its model has another attention."""
    if attention.nothing and os.getpid() == process:
        say(attention.nothing)


def load_package():
    """Load attn_doctor from the folder of this file, even if this Python has another attn_doctor installed."""
    import importlib.util

    if "attn_doctor" in sys.modules:
        return
    folder = os.path.dirname(os.path.dirname(HERE))
    spec = importlib.util.spec_from_file_location(
        "attn_doctor", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["attn_doctor"] = module
    spec.loader.exec_module(module)


class Finder(object):
    """Wait for the import of certain modules. The other finders find each module; this one acts after the module has been executed."""

    def find_spec(self, name, path=None, target=None):
        if name not in ACTIONS:
            return None
        for finder in list(sys.meta_path):
            found = None if finder is self else getattr(finder, "find_spec", lambda *_: None)(name, path, target)
            if found is not None:
                watch(found.loader, ACTIONS[name])
                return found
        return None


def watch(loader, act):
    """Make a loader call `act` after it has executed its module. The loader keeps its type."""
    execute = getattr(loader, "exec_module", None)
    if execute is None:
        return

    def exec_module(module):
        execute(module)
        act()

    try:
        loader.exec_module = exec_module
    except AttributeError:
        if act is exchange:
            say("the attention is left as installed: a %s imports ultralytics here" % type(loader).__name__)


def others():
    """Run another sitecustomize, if there is one: Python imports only the first on the path, and that is this file."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != HERE]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401 - another one: our folder is off the path now
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
        if mine is not None:
            sys.modules["sitecustomize"] = mine


ACTIONS = {ATTENTION: exchange, MODELS: apply_prescription}  # what is called after a module has been executed
HERE = os.path.dirname(os.path.abspath(__file__))
if sys.version_info >= (3, 8) and os.environ.get(VARIABLE):
    sys.meta_path.insert(0, Finder())
others()
