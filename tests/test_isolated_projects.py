"""A pyproject.toml that requests a package whose build needs torch: its tool builds in isolation."""

from __future__ import annotations

import pytest

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.project_files import as_facts, in_files, read

PROJECT = '[project]\nname = "a"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = [\n  "torch==2.4.1",\n  "{package}",\n]\n\n'
PDM, UV = "[tool.pdm]\ndistribution = true\n", "[tool.uv]\npackage = false\n"
POETRY = '[tool.poetry.dependencies]\npython = "~3.11"\ntorch = "2.4.1"\n{package}\n'
WHEEL = "https://github.com/Dao-AILab/flash-attention/releases/download/v2.6.3/flash_attn-2.6.3+cu123torch2.4cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"


def loud(text: str):
    file = read(text, "pyproject.toml")
    assert file is not None
    found = in_files(diagnose(as_facts([file], Facts(grade="stated")), Goal.FLASH_ATTN), [file]).findings
    return [f for f in found if f.severity is not Severity.INFO]


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        (PROJECT.format(package="flash-attn==2.6.3") + PDM, "--no-isolation"),
        (PROJECT.format(package="flash-attn>=2.5") + UV, 'flash-attn = ["torch==2.4.1"'),
        (PROJECT.format(package="detectron2 @ git+https://github.com/facebookresearch/detectron2.git") + UV, "torch"),
        (POETRY.format(package='flash-attn = "2.6.3"'), "wheel"),
        (POETRY.format(package='flash-attn = "^2.5"'), "wheel"),
    ],
)
def test_the_build_has_no_torch(text, cure):
    (found,) = loud(text)
    assert found.slug == "torch-missing-at-build"
    assert found.evidence[0].line == 7 - 3 * ("poetry" in text)
    assert cure in " ".join(" ".join((*step.argv, step.why)) for step in found.fixes[0].steps)


@pytest.mark.parametrize(
    "text",
    [
        PROJECT.format(package="flash-attn==2.6.3"),  # no tool is named: pip may be called with --no-build-isolation
        PROJECT.format(package="flash-attn==2.6.3") + '[tool.uv]\nno-build-isolation-package = ["flash-attn"]\n',
        PROJECT.format(package="flash-attn==2.6.3") + '[tool.uv.extra-build-dependencies]\nflash-attn = ["torch"]\n',
        PROJECT.format(package="flash-attn==2.6.3") + f'[tool.uv.sources]\nflash-attn = {{ url = "{WHEEL}" }}\n',
        PROJECT.format(package="flash-attn==2.6.3") + '[tool.pdm.options]\ninstall = ["--no-isolation"]\n',
        PROJECT.format(package=f"flash-attn @ {WHEEL}") + PDM,
        PROJECT.format(package="xformers==0.0.28") + UV,
        POETRY.format(package=f'flash-attn = {{ url = "{WHEEL}" }}'),
        POETRY.format(package='flash-attn = { version = "2.6.3", optional = true }'),
        POETRY.format(package="") + '[tool.poetry.group.dev.dependencies]\nflash-attn = "2.6.3"\n',
    ],
)
def test_it_has_or_is_not_built(text):
    assert [f.slug for f in loud(text) if f.slug == "torch-missing-at-build"] == []
