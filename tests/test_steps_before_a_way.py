"""What has to be there before the first command of a way: room on the disk, and wheels where pip asks no index."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from whole_machines import RTX_4090, changed

from attn_doctor.fixes.plan_builder import Resolver, make, unresolved
from attn_doctor.fixes.resolve import Resolved
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Disk, Facts, InstallerSettings
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Install, Uninstall

GB = 1 << 30
SITE = "/venv/lib/python3.12/site-packages"


def processor_only(**values: object) -> Facts:
    """A machine with a GPU and the torch for the CPU: the way is to install another torch."""
    return changed(
        RTX_4090,
        torch__version="2.10.0+cpu",
        torch__cuda=None,
        torch__available=False,
        torch__devices=(),
        torch__cuda_error="AssertionError: Torch not compiled with CUDA enabled",
        **values,
    )


def disks(tmp: float, cache: float, site: float) -> tuple[Disk, ...]:
    rooms = (("tmp", "/tmp", tmp), ("cache", "/data/cache/pip", cache), ("site-packages", SITE, site))
    return tuple(
        Disk(purpose=purpose, path=path, free_bytes=int(free * GB), total_bytes=100 * GB, device=1, writable=True)  # type: ignore[arg-type]
        for purpose, path, free in rooms
    )


def lines(facts: Facts, resolver: Resolver = unresolved) -> list[str]:
    plan = make(facts, diagnose(facts, Goal.TRAIN).findings, Goal.TRAIN, resolver=resolver)
    return [str(one.shown.get("bash") or one.step.why) for one in plan.ways[0].steps]


@pytest.mark.parametrize(
    ("room", "first"),
    [
        ((90, 90, 90), []),
        ((0.9, 0.9, 0.9), ["/venv/bin/python -m pip cache purge", f"df -h {SITE}"]),
        ((90, 90, 3.9), ["/venv/bin/python -m pip cache purge", f"df -h {SITE}"]),
        ((0.9, 90, 90), ["export TMPDIR=/data/cache"]),
    ],
)
def test_a_torch_that_does_not_fit_gets_room_first(room, first):
    told = lines(processor_only(system__disks=disks(*room)))
    place = next(i for i, line in enumerate(told) if "pip install" in line)
    assert told[:place] == first


def offline(**values: object) -> Facts:
    settings = InstallerSettings(installer="pip", find_links=("/shared/wheelhouse",), no_index="/etc/pip.conf")
    return processor_only(interpreter__settings=(settings,), **values)


def found_nothing(step: Install | Uninstall, variables: Mapping[str, str | None]) -> Resolved:
    """What pip answers where its folder lacks the wheels."""
    return Resolved(None, "ERROR: No matching distribution found", impossible=True)


def test_wheels_come_from_a_machine_with_a_network_where_pip_found_none():
    told = lines(
        offline(system__glibc="2.28", graphics__driver="550.54.15", graphics__driver_cuda="12.4"), found_nothing
    )
    get, copy, put = told[0], told[1], told[2:]
    assert get.startswith(
        "python -m pip download --only-binary :all: --python-version 3.12 --platform manylinux_2_28_x86_64 "
    )
    assert "--platform manylinux_2_17_x86_64" in get
    assert get.endswith(
        "-d wheels torch==2.14.1 torchvision==0.29.1 --index-url https://download.pytorch.org/whl/cu126"
    )
    assert "into /shared/wheelhouse" in copy
    assert put
    assert all("pip install" in line for line in put)


def test_no_tag_is_newer_than_the_library_of_the_machine():
    get = lines(offline(system__glibc="2.26"), found_nothing)[0]
    assert "manylinux_2_24_x86_64" in get
    assert "manylinux_2_27" not in get


def test_where_pip_was_not_asked_its_folder_may_have_the_wheels():
    """The way can be carried out as it is; what to do if they are missing is a note."""
    facts = offline(system__glibc="2.28")
    (way, *_) = make(facts, diagnose(facts, Goal.TRAIN).findings, Goal.TRAIN).ways
    assert all("pip install" in one.shown["bash"] for one in way.steps)
    (told,) = way.notes
    assert told.startswith("If /shared/wheelhouse lacks the wheels: `python -m pip download --only-binary :all: ")
    assert told.endswith("` on a machine with a network, and copy the files of its folder wheels there.")


@pytest.mark.parametrize(
    "settings",
    [
        (),
        (InstallerSettings(installer="pip", find_links=("/shared/wheelhouse",)),),
        (InstallerSettings(installer="uv", find_links=("/shared/wheelhouse",), no_index="uv.toml"),),
    ],
)
def test_where_pip_asks_an_index_nothing_is_carried(settings):
    assert not [line for line in lines(processor_only(interpreter__settings=settings)) if "download -" in line]
