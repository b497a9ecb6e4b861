"""Fixes of small failure modes, on machines that no log of fixtures/ names."""

from __future__ import annotations

import pytest
from one_rule import told
from whole_machines import RTX_4090, changed

from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.build.flags_of_another_compiler import Flag
from attn_doctor.failure_modes.importing.tensorrt_missing import Lacks
from attn_doctor.failure_modes.importing.ultralytics_broken import OldCode
from attn_doctor.failure_modes.install.command_not_on_path import NotFound
from attn_doctor.failure_modes.install.requirements_missing import Named
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.model.facts import UNRECORDED, Facts
from attn_doctor.model.findings import Fix

H = RTX_4090


def fixes(slug: str, facts: Facts, variant: Variant | None = None) -> tuple[Fix, ...]:
    return find(slug).fixes(facts, Hit(message="", evidence=(), variant=variant))


def titles(made: tuple[Fix, ...]) -> list[str]:
    return [fix.title for fix in made]


@pytest.mark.parametrize(
    ("container", "first"),
    [(None, "Install only the OpenCV with windows"), ("docker", "Write the picture into a file")],
)
def test_a_picture_goes_into_a_file_first_where_no_screen_is(container, first):
    assert titles(fixes("opencv-without-windows", changed(H, system__container=container)))[0] == first


@pytest.mark.parametrize(("version", "offered"), [("8.3.70", True), (None, False), (UNRECORDED, True)])
def test_the_yolo_command_is_offered_where_ultralytics_is_not_known_to_be_missing(version, offered):
    made = titles(fixes("main-guard-missing", changed(H, yolo__version=version)))
    assert ("Start it by the yolo command" in made) is offered
    assert made[0] == "Start the training under if __name__ == '__main__'"


@pytest.mark.parametrize(
    ("os", "command", "folder", "expected"),
    [
        ("windows", "yolo", r"C:\Users\u\Scripts", ["Start yolo through Python", "Put the folder on PATH"]),
        ("linux", "yolo", "/home/u/.local/bin", ["Put the folder on PATH", "Start yolo through Python"]),
        ("linux", "vllm", None, ["Look where vllm is"]),
    ],
)
def test_a_command_is_started_without_path_or_its_folder_is_named(os, command, folder, expected):
    made = fixes("command-not-on-path", changed(H, system__os=os), NotFound(command=command, folder=folder))
    assert titles(made) == expected


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("ultralytics.yolo.utils.plotting", "ultralytics.utils.plotting instead of ultralytics.yolo.utils.plotting"),
        ("ultralytics.yolo", "ultralytics.models.yolo instead of ultralytics.yolo.v8"),
        ("ultralytics.yolo.v8.detect", "ultralytics.models.yolo instead of ultralytics.yolo.v8"),
    ],
)
def test_the_new_name_of_an_old_module_is_told(module, words):
    made = fixes("ultralytics-broken", H, OldCode(module=module))
    assert words in made[1].steps[0].why


@pytest.mark.parametrize(
    ("board", "title"),
    [("jetson", "Use the tensorrt of JetPack"), (None, "Install tensorrt, with a torch that sees the GPU")],
)
def test_tensorrt_comes_from_jetpack_on_a_jetson(board, title):
    assert titles(
        fixes("requirements-missing", changed(H, system__board=board), Named(module="tensorrt", by_ultralytics=False))
    ) == [title]


@pytest.mark.parametrize(("kind", "folder"), [("venv", "/srv/yolo"), ("system", "PATH_OF_YOUR_ENVIRONMENT")])
def test_the_environment_that_is_there_is_opened_to_the_packages_of_jetpack(kind, folder):
    facts = changed(H, interpreter__kind=kind, interpreter__prefix="/srv/yolo")
    (made,) = fixes("tensorrt-missing", facts, Lacks(what="jetpack"))
    assert made.steps[1].argv == ("python3", "-m", "venv", "--system-site-packages", "--upgrade", folder)


@pytest.mark.parametrize(("tools", "first"), [(("uv",), True), (("pip",), False)])
def test_a_python_of_uv_is_installed_again_before_torch_is_changed(tools, first):
    listed = H.packages.distributions
    assert isinstance(listed, tuple)
    facts = changed(
        H,
        interpreter__kind="uv" if first else "venv",
        interpreter__installers=tools,
        packages__distributions=tuple(one for one in listed if one.name != "pip"),
    )
    made = titles(fixes("flags-of-another-compiler", facts, Flag(flag="-fx")))
    assert (made[0] == "Install the Python of uv again") is first
    assert made[-1] == "Compile with clang"


REFUSED = "    ultralytics 8.0.{} depends on torch>=1.8.0\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("".join(REFUSED.format(n) for n in (9, 8, 7)), True),
        ("".join(REFUSED.format(n) for n in (9, 8)), False),  # two releases show no series
        ("".join(REFUSED.format(n) for n in (9, 8, 7)) + "    The user requested torch==2.1.0\n", False),
        ("".join(REFUSED.format(n) for n in (9, 8, 7)) + "    lightning 2.0 depends on torch>=2.0\n", False),
    ],
)
def test_refused_releases_tell_of_the_python_only_where_all_need_the_same_torch(text, found):
    assert (told("python-too-new-no-wheel", text) is not None) is found
