"""Lock files: cut ones, shortened ones, and a torchvision that is taken from another index than torch."""

from __future__ import annotations

import pytest

from attn_doctor.errors import NotExamined
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.project_files import as_facts, read

PYPI = "https://pypi.org/simple"
CU118 = "https://download.pytorch.org/whl/cu118"
HEAD = 'version = 1\nrevision = 3\nrequires-python = "==3.11.*"\n'


def package(name: str, version: str, source: str = PYPI, more: str = "") -> str:
    return f'\n[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "{source}" }}\n{more}'


def facts(text: str, name: str = "uv.lock") -> Facts:
    file = read(text, name)
    assert file is not None
    return as_facts([file], Facts(grade="stated"))


def loud(text: str, name: str = "uv.lock") -> set[str]:
    return {f.slug for f in diagnose(facts(text, name), Goal.TRAIN).findings if f.severity is not Severity.INFO}


WHEELS = 'wheels = [\n    { url = "https://files.pythonhosted.org/packages/aa/torch-2.1.2-cp311-cp311-manylinux1_x86_64.whl" },\n'
NUMPY_2 = package("numpy", "2.0.2")


@pytest.mark.parametrize(
    "torch",
    [
        package("torch", "2.1.2", more=WHEELS + "]\n"),
        package("torch", "2.1.2", more=WHEELS + "    ...\n]\n"),
        package("torch", "2.1.2", more=WHEELS),  # the next package follows at once
        package("torch", "2.1.2", more='dependencies = [\n    { name = "jinja2" },\n'),
    ],
    ids=["whole", "dots", "not closed", "cut in its dependencies"],
)
def test_a_cut_lock_is_read_package_by_package(torch):
    assert loud(HEAD + torch + NUMPY_2) == {"numpy-abi"}
    assert loud(HEAD + NUMPY_2 + torch) == {"numpy-abi"}
    assert loud(HEAD + torch.replace("2.1.2", "2.4.1") + NUMPY_2) == set()
    assert facts(HEAD + torch + NUMPY_2).interpreter.version == "3.11"


def test_a_cut_lock_does_not_say_what_is_missing():
    whole, cut = (
        package("torch", "2.7.1"),
        package("torch", "2.7.1", more='dependencies = [\n    { name = "sympy" },\n'),
    )
    assert facts(HEAD + whole).packages.distributions
    assert isinstance(facts(HEAD + cut).packages.distributions, Unknown)
    shortened = package("torch", "2.7.1", more='dependencies = [\n    { name = "sympy" },\n]\n')
    assert isinstance(facts(HEAD + shortened).packages.distributions, Unknown)


def test_a_toml_file_with_wrong_syntax_is_still_refused():
    with pytest.raises(NotExamined):
        read('[project]\nname = \n[[package]]\nname = "torch"\n', "pyproject.toml")


@pytest.mark.parametrize(
    ("torch", "vision", "ill"),
    [
        (package("torch", "2.6.0+cu118", CU118), package("torchvision", "0.21.0"), True),
        (package("torch", "2.7.1+cu118", CU118), package("torchvision", "0.22.1"), True),
        (package("torch", "2.6.0+cu118", CU118), package("torchvision", "0.21.0+cu118", CU118), False),
        (package("torch", "2.6.0+cu126", CU118.replace("cu118", "cu126")), package("torchvision", "0.21.0"), False),
        (package("torch", "2.6.0"), package("torchvision", "0.21.0"), False),
        (
            package("torch", "2.6.0") + package("torch", "2.6.0+cu118", CU118),
            package("torchvision", "0.21.0") + package("torchvision", "0.21.0+cu118", CU118),
            False,
        ),
    ],
    ids=["cu118", "cu118 and cu126", "one index", "one major", "PyPI alone", "by system"],
)
def test_torchvision_of_another_index(torch, vision, ill):
    assert loud(HEAD + torch + vision) == ({"torchvision-mismatch"} if ill else set())


POETRY = """\
[tool.poetry.dependencies]
python = "^3.11"
torch = {{ version = "2.6.0", source = "pytorch" }}
torchvision = {vision}

[[tool.poetry.source]]
name = "pytorch"
url = "https://download.pytorch.org/whl/cu118"
priority = "{priority}"
"""
UV = """\
[project]
name = "a"
version = "1"
requires-python = ">=3.10"
dependencies = ["torch==2.6.0", "torchvision==0.21.0"]

[tool.uv.sources]
torch = {{ index = "pytorch" }}
{vision}
[[tool.uv.index]]
name = "pytorch"
url = "https://download.pytorch.org/whl/cu118"
explicit = {explicit}
"""


@pytest.mark.parametrize(
    ("text", "ill"),
    [
        (POETRY.format(vision='"0.21.0"', priority="explicit"), True),
        (POETRY.format(vision='"0.21.0"', priority="supplemental"), False),
        (POETRY.format(vision='{ version = "0.21.0", source = "pytorch" }', priority="explicit"), False),
        (UV.format(vision="", explicit="true"), True),
        (UV.format(vision="", explicit="false"), False),
        (UV.format(vision='torchvision = [{ index = "pytorch" }]', explicit="true"), False),
    ],
)
def test_torchvision_without_the_explicit_index_of_torch(text, ill):
    assert loud(text, "pyproject.toml") == ({"torchvision-mismatch"} if ill else set())
