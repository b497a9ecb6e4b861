"""What a training imports late, in a real target: loggers, changed files and parts of requirements, each imported or compiled as it would be then."""

from __future__ import annotations

import pytest
from patients import Patient, add_numpy
from targets import examine
from wheelhouse import add_wheel, torch_files

from attn_doctor.failure_modes.importing import logger_import_fails, torchvision_mismatch, ultralytics_broken
from attn_doctor.failure_modes.install import requirements_missing
from attn_doctor.model.findings import Severity


@pytest.mark.parametrize(
    ("before", "after", "imports"),
    [("import torch", "import tosch", False), ("import torch", "import \0orch", False), ("0.23.0", "0.23.0", True)],
)
def test_a_file_of_torchvision_with_its_old_size_and_other_bytes(before, after, imports, tmp_path):
    """attn-doctor imports torchvision only if a file is not as RECORD says: the size alone does not tell."""
    patient = Patient(tmp_path, pip=False)
    add_numpy(patient)
    add_wheel(patient.house, "torch", "2.8.0", torch_files("2.8.0", "12.8"), ["numpy"])
    add_wheel(
        patient.house, "torchvision", "0.23.0", {"torchvision/__init__.py": "import torch\n__version__ = '0.23.0'\n"}
    )
    patient.install("torch", "numpy", "torchvision")
    code = patient.site / "torchvision" / "__init__.py"
    code.write_text(code.read_text().replace(before, after))
    facts = examine(patient.python)
    (torchvision,) = [found for found in facts.imports if found.module == "torchvision"]
    assert torchvision.ok is imports
    hit = torchvision_mismatch.detect(facts)
    assert (hit is None) is imports
    if hit is not None:
        assert hit.message == "torchvision 0.23.0 cannot be imported: its files are not those that were installed."


def ultralytics_with_loggers(tmp_path, wandb: str, thop: str = "", needs: list[str] | None = None) -> Patient:
    """A torch and an ultralytics of a few lines, which imports wandb as the real one does: an ImportError is caught, and no other."""
    patient = Patient(tmp_path, pip=False)
    add_numpy(patient)
    add_wheel(patient.house, "torch", "2.8.0", torch_files("2.8.0", "12.8"), ["numpy"])
    guarded = "try:\n    import {0}\nexcept ImportError:\n    {0} = None\n"
    files = {
        "ultralytics/__init__.py": "class YOLO: pass\n",
        "ultralytics/nn/__init__.py": "",
        "ultralytics/nn/tasks.py": "",
        "ultralytics/utils/__init__.py": "SETTINGS = {'wandb': False, 'mlflow': True}\n",
        "ultralytics/utils/callbacks/__init__.py": "",
        "ultralytics/utils/callbacks/wb.py": guarded.format("wandb"),
        "ultralytics/utils/callbacks/mlflow.py": guarded.format("mlflow"),
    }
    add_wheel(patient.house, "ultralytics", "8.4.190", files, ["numpy", "ultralytics-thop", *(needs or [])])
    add_wheel(patient.house, "wandb", "0.13.3", {"wandb/__init__.py": wandb})
    add_wheel(patient.house, "ultralytics-thop", "2.0.0", {"thop/__init__.py": thop})
    patient.install("torch", "numpy", "ultralytics-8.4.190", "wandb", "ultralytics_thop")
    return patient


@pytest.mark.parametrize(
    ("wandb", "settings", "ok"),
    [
        ("import numpy\nraise AttributeError('np.float_ was removed')\n", '{"wandb": true}', False),
        ("import numpy\nraise AttributeError('np.float_ was removed')\n", '{"wandb": false}', True),
        ("import numpy\nraise AttributeError('np.float_ was removed')\n", None, True),
        ("raise ImportError('its part is missing')\n", '{"wandb": true}', True),
        ("", '{"wandb": true}', True),
        ("import os\nos.abort()\n", "wandb: true\n", False),
    ],
)
def test_the_loggers_of_a_training_are_imported_as_the_user_has_set_them(wandb, settings, ok, tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "config" / "Ultralytics"
    folder.mkdir(parents=True)
    if settings:
        (folder / ("settings.json" if "{" in settings else "settings.yaml")).write_text(settings)
    facts = examine(ultralytics_with_loggers(tmp_path / "patient", wandb).python)
    (loggers,) = [found for found in facts.imports if found.module == "loggers"]
    assert loggers.ok is ok
    hit = logger_import_fails.detect(facts)
    assert (hit is None) is ok
    if hit is not None:
        assert loggers.failed == "ultralytics.utils.callbacks.wb"
        assert "the logger Weights & Biases" in hit.message
    assert sorted(path.name for path in folder.iterdir()) in ([], ["settings.json"], ["settings.yaml"])


@pytest.mark.parametrize(
    ("thop", "ok"), [("raise ImportError('no')\n", True), ("x = \n", False), ("raise OSError(5)\n", False), ("", True)]
)
def test_a_module_that_may_be_missing_may_not_fail_in_another_way(thop, ok, tmp_path):
    facts = examine(ultralytics_with_loggers(tmp_path, "", thop).python)
    (tried,) = [found for found in facts.imports if found.module == "thop"]
    assert tried.ok is ok
    hit = requirements_missing.detect(facts)
    assert (hit is None) is ok
    if hit is not None:
        assert hit.message.startswith("Importing thop fails, and training needs it")
        assert hit.severity is Severity.ERROR
        assert [fix.title for fix in requirements_missing.fixes(facts, hit)] == ["Install ultralytics-thop afresh"]


def test_a_part_of_a_requirement_that_is_loaded_late(tmp_path):
    patient = ultralytics_with_loggers(tmp_path, "")
    (patient.site / "numpy" / "random").mkdir(exist_ok=True)
    (patient.site / "numpy" / "random" / "__init__.py").write_text("raise ImportError('a part of it is damaged')\n")
    facts = examine(patient.python)
    (numpy,) = [found for found in facts.imports if found.module == "numpy"]
    assert (numpy.ok, numpy.failed) == (False, "numpy.random")
    hit = requirements_missing.detect(facts)
    assert hit.message.startswith("Importing numpy.random fails, and training needs it: ImportError: a part of it is")
    assert [fix.title for fix in requirements_missing.fixes(facts, hit)] == ["Install numpy afresh"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "def f(:\n",
            "Importing ultralytics.utils.callbacks.mlflow of ultralytics, as every training does, fails: SyntaxError",
        ),
        (None, None),
        ("# edited by its user\n", None),
    ],
)
def test_a_file_of_ultralytics_that_a_training_loads_late(text, says, tmp_path):
    patient = ultralytics_with_loggers(tmp_path, "")
    file = patient.site / "ultralytics" / "utils" / "callbacks" / "mlflow.py"
    file.write_text(text) if text else file.unlink()
    facts = examine(patient.python)
    hit = ultralytics_broken.detect(facts)
    assert (hit is None) is (says is None)
    assert says is None or says in hit.message


def test_a_library_of_torchvision_that_is_cut(tmp_path):
    """Its name ends in a version: libjpeg.1f3a.so.8."""
    patient = Patient(tmp_path, pip=False)
    add_numpy(patient)
    add_wheel(patient.house, "torch", "2.8.0", torch_files("2.8.0", "12.8"), ["numpy"])
    files = {
        "torchvision/__init__.py": "raise OSError('it needs libjpeg')\n",
        "torchvision.libs/libjpeg.1f3a.so.8": "x" * 80,
    }
    add_wheel(patient.house, "torchvision", "0.23.0", files)
    patient.install("torch", "numpy", "torchvision")
    assert [found.ok for found in examine(patient.python).imports if found.module == "torchvision"] == [True]
    (patient.site / "torchvision.libs" / "libjpeg.1f3a.so.8").write_text("x" * 40)
    assert [found.ok for found in examine(patient.python).imports if found.module == "torchvision"] == [False]


@pytest.mark.parametrize(("text", "ok"), [("x = (\n", False), ("import gtk_that_is_not_here\n", True), (None, True)])
def test_a_file_of_pillow_that_was_changed_is_compiled(text, ok, tmp_path):
    """It is not run: a part that nobody uses may need what nobody has. Nor does a missing file accuse anybody."""
    patient = ultralytics_with_loggers(tmp_path, "", needs=["pillow"])
    add_wheel(patient.house, "pillow", "12.0.0", {"PIL/__init__.py": "", "PIL/Image.py": "", "PIL/ImageFilter.py": ""})
    patient.install("pillow")
    part = patient.site / "PIL" / "ImageFilter.py"
    part.write_text(text) if text else part.unlink()
    (tried,) = [found for found in examine(patient.python).imports if found.module == "requirements"]
    assert tried.ok is ok
    assert ok or tried.failed == "PIL.ImageFilter"


def test_no_logger_is_installed_and_none_is_imported(tmp_path):
    patient = ultralytics_with_loggers(tmp_path, "")
    patient.lose("wandb")
    assert "loggers" not in [found.module for found in examine(patient.python).imports]
