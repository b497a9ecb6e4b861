"""Settings of pip and uv that decide what they find: read from variables and files, and respected by plans."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from recorded_machines import MACHINES, read
from wheelhouse import add_wheel
from whole_machines import RTX_4090, changed

from attn_doctor import commands
from attn_doctor.fixes import installer_settings as obeyed
from attn_doctor.fixes.plan_builder import make
from attn_doctor.fixes.resolve import Resolved
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, InstallerSettings, Pin
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Install
from attn_doctor.probes.installer_settings import installer_settings

PIP, UV = ("/venv/bin/python", "-m", "pip", "install"), ("uv", "pip", "install")


def files(root: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


# --- what is read


def test_variables_and_files_of_pip(tmp_path):
    root = files(
        tmp_path,
        **{
            "etc/pip.conf": "[global]\nfind-links =\n  /srv/wheels\n  https://bot:secret@wheels.example/page\nno-index = true\n",
            "venv/pip.conf": "[install]\nconstraint = /site/never.txt\n[wheel]\nfind-links = /only/for/pip-wheel\n",
            "home/user/limits.txt": "# ours\nnumpy==1.26.4  # old\n-e .\nrequests==2.0\ntorch @ https://bot:secret@x.example/torch-2.5.1-py3-none-any.whl\n",
            "site/never.txt": "numpy==1.0\n",
        },
    )
    environ = {"HOME": "/home/user", "PIP_CONSTRAINT": "/home/user/limits.txt https://limits.example/c.txt"}
    limits = "/home/user/limits.txt (PIP_CONSTRAINT)"
    assert installer_settings(root, environ, "/venv", None) == (
        InstallerSettings(
            installer="pip",
            find_links=("/srv/wheels", "https://wheels.example/page"),
            no_index="/etc/pip.conf",
            constraints=(
                Pin(file=limits, line=2, requirement="numpy==1.26.4"),
                Pin(file=limits, line=5, requirement="https://x.example/torch-2.5.1-py3-none-any.whl"),
            ),
        ),
    )


def test_variables_and_files_of_uv(tmp_path):
    root = files(
        tmp_path,
        **{
            "etc/uv/uv.toml": 'no-index = true\nfind-links = ["/srv/uv"]\n',
            "limits.txt": "torch==2.5.1\n",
            "project/pyproject.toml": '[tool.uv]\nconstraint-dependencies = [\n  "rich<13",  # not asked for\n  "numpy<2",\n]\n'
            'override-dependencies = ["triton==3.1.0"]\n[tool.uv.pip]\nno-index = false\n[tool.black]\nfind-links = ["/no"]\n',
        },
    )
    environ = {"UV_FIND_LINKS": "/srv/one,/srv/my wheels", "UV_NO_INDEX": "1", "UV_CONSTRAINT": "/limits.txt"}
    toml = "/project/pyproject.toml"
    assert installer_settings(root, environ, "/venv", Path("/project")) == (
        InstallerSettings(
            installer="uv",
            find_links=("/srv/one", "/srv/my wheels", "/srv/uv"),
            constraints=(
                Pin(file=f"{toml}, constraint-dependencies", line=4, requirement="numpy<2"),
                Pin(file=f"{toml}, override-dependencies", line=6, requirement="triton==3.1.0"),
                Pin(file="/limits.txt (UV_CONSTRAINT)", line=1, requirement="torch==2.5.1"),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("own", "off"), [(None, "/project/pyproject.toml"), ("", None), ("no-index = true\n", "/project/uv.toml")]
)
def test_a_uv_toml_replaces_the_index_settings_of_the_pyproject_beside_it(tmp_path, own, off):
    """uv 0.13.9 warns: "The following fields from `[tool.uv]` will be ignored in favor of the `uv.toml` file: no-index"."""
    both = {
        "project/pyproject.toml": '[tool.uv]\nno-index = true\nfind-links = ["/srv/a"]\nconstraint-dependencies = ["numpy<2"]\n'
    }
    root = files(tmp_path, **both, **({} if own is None else {"project/uv.toml": own}))
    (found,) = installer_settings(root, {}, "/venv", Path("/project"))
    assert found.no_index == off
    assert found.find_links == (("/srv/a",) if own is None else ())
    assert [pin.requirement for pin in found.constraints] == ["numpy<2"]


@pytest.mark.parametrize(
    ("environ", "text", "off"),
    [
        ({"PIP_NO_INDEX": "1"}, "", "PIP_NO_INDEX"),
        ({"PIP_NO_INDEX": "yes"}, "", "PIP_NO_INDEX"),
        ({"PIP_NO_INDEX": "0"}, "", None),
        ({"PIP_NO_INDEX": "0"}, "[global]\nno-index = yes\n", None),  # the variable wins
        ({"PIP_NO_INDEX": ""}, "[global]\nno-index = yes\n", "/etc/pip.conf"),  # pip takes an empty one as none
        ({}, "[global]\nno-index = yes\n[install]\nno_index = no\n", None),
        ({"PIP_CONFIG_FILE": os.devnull}, "[global]\nno-index = yes\n", None),  # pip then reads no file
        ({}, "no-index = yes\n\x00[", None),  # this is no configuration
    ],
)
def test_the_switch_that_counts_is_the_last_one_that_is_set(tmp_path, environ, text, off):
    told = installer_settings(files(tmp_path, **{"etc/pip.conf": text}), environ, "/venv", None)
    assert [one.no_index for one in told] == ([off] if off else [])


# https://pip.pypa.io/en/stable/topics/configuration/#loading-order
@pytest.mark.parametrize(
    ("paths", "off"),
    [
        (["etc/xdg/pip/pip.conf", "etc/pip.conf"], None),
        (["etc/pip.conf", "home/user/.config/pip/pip.conf"], None),
        (["home/user/.config/pip/pip.conf", "venv/pip.conf"], None),
        (["venv/pip.conf", "named.conf"], None),
        (["home/user/.config/pip/pip.conf"], "/home/user/.config/pip/pip.conf"),
    ],
)
def test_the_file_of_pip_that_counts_is_the_last_one_in_its_order(tmp_path, paths, off):
    texts = dict(zip(paths, ("[global]\nno-index = yes\n", "[global]\nno-index = no\n"), strict=False))
    environ = {"HOME": "/home/user", "PIP_CONFIG_FILE": "/named.conf"}
    told = installer_settings(files(tmp_path, **texts), environ, "/venv", None)
    assert [one.no_index for one in told] == ([off] if off else [])


def test_a_named_file_of_pip_takes_the_place_of_the_users_file(tmp_path):
    texts = {"home/user/.pip/pip.conf": "[global]\nno-index = yes\n", "named.conf": "[global]\ntimeout = 3\n"}
    environ = {"HOME": "/home/user", "PIP_CONFIG_FILE": "/named.conf"}
    assert installer_settings(files(tmp_path, **texts), environ, "/venv", None) == ()


def test_a_file_of_uv_keeps_it_from_its_index(tmp_path):
    root = files(tmp_path, **{"home/user/.config/uv/uv.toml": "[pip]\nno-index = true\n"})
    told = installer_settings(root, {"HOME": "/home/user"}, "/venv", Path("/project"))
    assert told == (InstallerSettings(installer="uv", no_index="/home/user/.config/uv/uv.toml"),)


def test_without_settings_nothing_is_told(tmp_path):
    root = files(tmp_path, **{"etc/uv/uv.toml": "[[index\n", "project/pyproject.toml": "[tool]\nuv = 3\n"})
    assert installer_settings(root, {"PIP_INDEX_URL": "https://a.example"}, "/venv", Path("/project")) == ()


# --- which step they stop


def of_pip(**values) -> Facts:
    return changed(RTX_4090, interpreter__settings=(InstallerSettings(installer="pip", **values),))


def asks(argv=PIP, *requirements, **options) -> Install:
    made = commands.install(*(requirements or ("numpy<2",)), why="", changes="", **options)
    assert isinstance(made, Install)
    return Install(**{name: getattr(made, name) for name in made.__struct_fields__} | {"argv": argv})


OFF = "PIP_NO_INDEX keeps pip from asking any index: unset it for this command, or name a folder with the wheels in PIP_FIND_LINKS"


@pytest.mark.parametrize(
    ("values", "step", "reason"),
    [
        ({"no_index": "PIP_NO_INDEX"}, asks(), OFF),
        ({"no_index": "PIP_NO_INDEX"}, asks(("pipx", "inject", "yolo", "numpy<2")), OFF),
        ({"no_index": "PIP_NO_INDEX"}, asks(("poetry", "run", "python", "-m", "pip", "install")), OFF),
        ({"no_index": "PIP_NO_INDEX"}, asks(UV), None),
        ({"no_index": "PIP_NO_INDEX"}, asks(("conda", "install", "--yes", "pip")), None),
        ({"no_index": "PIP_NO_INDEX"}, asks(PIP, "https://x.example/a-1-py3-none-any.whl"), None),
        ({"no_index": "PIP_NO_INDEX"}, asks(find_links="https://x.example/page"), None),
        ({"no_index": "PIP_NO_INDEX", "find_links": ("/srv",)}, asks(), None),
        ({"no_index": "/etc/pip.conf"}, asks(), "/etc/pip.conf keeps pip from asking any index: take no-index out of it, or name a folder with the wheels in PIP_FIND_LINKS"),
        ({"constraints": (Pin(file="/c.txt", line=3, requirement="numpy==2.1.0"),)}, asks(),
         "/c.txt line 3 allows numpy==2.1.0, and this asks for numpy<2: pip obeys that line until you change it"),
        ({"constraints": (Pin(file="/c.txt", line=3, requirement="numpy==1.26.4"),)}, asks(), None),
        ({"constraints": (Pin(file="/c.txt", line=3, requirement="torch==2.5.1"),)}, asks(PIP, "torch==2.5.1+cu124"), None),
        ({"constraints": (Pin(file="/c.txt", line=3, requirement="torch==2.5.1+cpu"),)}, asks(PIP, "torch==2.5.1+cu124"),
         "/c.txt line 3 allows torch==2.5.1+cpu, and this asks for torch==2.5.1+cu124: pip obeys that line until you change it"),
        ({"constraints": (Pin(file="/c.txt", line=3, requirement='numpy==2.1.0; python_version < "3"'),)}, asks(), None),
    ],
)  # fmt: skip
def test_a_setting_stops_a_step_of_its_own_installer(values, step, reason):
    assert obeyed.blocks(of_pip(**values), step) == reason


def test_settings_that_nobody_recorded_stop_nothing():
    assert obeyed.blocks(Facts(), asks()) is None
    assert obeyed.notes(Facts(), [asks()]) == ()


# --- plans


def numpy_too_new(*settings: InstallerSettings) -> Facts:
    machine = next(folder for folder in MACHINES if folder.name == "mac-m2-numpy-2")
    return changed(read(machine)[0], interpreter__settings=settings)


def plan(facts: Facts, **options):
    return make(facts, diagnose(facts, Goal.TRAIN).findings, Goal.TRAIN, **options)


def test_a_way_that_a_constraint_stops_comes_last_and_names_the_line():
    free = plan(numpy_too_new())
    assert (free.ways[0].impossible(), len(free.ways) > 1) == (None, True)
    first = next(one.step for one in free.ways[0].steps if isinstance(one.step, Install))
    pinned = Pin(file="/etc/limits.txt (PIP_CONSTRAINT)", line=1, requirement="numpy==2.1.0")
    stopped = plan(numpy_too_new(InstallerSettings(installer="pip", constraints=(pinned,))))
    last = stopped.ways[-1]
    assert last.title == free.ways[0].title
    assert last.impossible() == (
        f"/etc/limits.txt (PIP_CONSTRAINT) line 1 allows numpy==2.1.0, and this asks for {first.requirements[0]}: "
        "pip obeys that line until you change it"
    )


def test_an_answer_of_the_installer_counts_more_than_what_its_settings_say():
    facts = numpy_too_new(InstallerSettings(installer="pip", no_index="PIP_NO_INDEX"))
    assert plan(facts).ways[0].impossible() == OFF
    answered = plan(facts, resolver=lambda step, variables: Resolved(()))  # noqa: ARG005
    assert answered.ways[0].impossible() is None


def test_a_plan_says_that_only_a_few_folders_are_looked_through():
    facts = numpy_too_new(InstallerSettings(installer="pip", no_index="PIP_NO_INDEX", find_links=("/srv/a", "/srv/b")))
    said = "PIP_NO_INDEX keeps pip from asking any index: it finds only wheels in /srv/a, /srv/b"
    made = plan(facts)
    assert made.notes.count(said) == 1
    assert made.ways[0].impossible() is None
    assert said not in plan(facts, installer="uv").notes


# --- pip itself


@pytest.mark.parametrize(
    ("environ", "words", "ends"),
    [
        ({}, ["--find-links", "{house}", "little<2"], 0),
        ({"PIP_NO_INDEX": "1"}, ["--find-links", "{house}", "little<2"], 0),
        ({"PIP_NO_INDEX": "1"}, ["--index-url", "{index}", "little<2"], 1),  # the command's own index is not asked
        ({}, ["--index-url", "{index}", "little<2"], 0),
        ({"PIP_CONSTRAINT": "{limits}"}, ["--find-links", "{house}", "little<2"], 1),
    ],
)
def test_pip_obeys_its_settings_whatever_the_command_says(tmp_path, environ, words, ends):
    house = tmp_path / "house"
    add_wheel(house, "little", "1.0")
    add_wheel(house, "little", "2.0")
    simple = tmp_path / "index" / "little"
    simple.mkdir(parents=True)
    (simple / "index.html").write_text("".join(f'<a href="{p.as_uri()}">{p.name}</a>' for p in house.iterdir()))
    limits = files(tmp_path, **{"limits.txt": "little==2.0\n"}) / "limits.txt"
    places = {"house": str(house), "index": (tmp_path / "index").as_uri(), "limits": str(limits)}
    off = [] if "--index-url" in words else ["--no-index"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--target", str(tmp_path / "t"), *off, *(w.format(**places) for w in words)],
        env={"PATH": "", "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, **{k: v.format(**places) for k, v in environ.items()}},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == ends, done.stderr
