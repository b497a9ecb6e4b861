"""What all tests stand on."""

from __future__ import annotations

import importlib
import os
import signal
import warnings

import pytest

# A shell starts what it puts in the background with SIGINT and SIGQUIT ignored, and every child inherits that: tests that interrupt the
# doctor would wait for ever. https://www.gnu.org/software/bash/manual/html_node/Signals.html
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGQUIT") and signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
# GNU readline, which pytest imports, writes the size of the terminal into the environment of this process, past os.environ. Children would
# fold their lines at it. https://tiswww.case.edu/php/chet/readline/readline.html#index-rl_005fchange_005fenvironment
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)
    os.unsetenv(_name)


@pytest.fixture(scope="module")
def quiet_ultralytics(tmp_path_factory):
    """Import ultralytics without its warnings. Its settings, matplotlib's fonts and other caches go to folders of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_OFFLINE", "true")
        patch.setenv("YOLO_AUTOINSTALL", "false")
        for name in ("YOLO_CONFIG_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("ultralytics.nn.tasks")
        yield


@pytest.fixture
def patient(tmp_path):
    """A NumPy that is too new for its torch."""
    from patients import ill

    return ill("numpy_too_new", tmp_path / "p", pip=False)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """An environment with a torch and an ultralytics of a few lines, which import."""
    from little_yolo import yolo_target

    folder = tmp_path_factory.mktemp("yolo") / "env"
    yolo_target(folder)
    return folder
