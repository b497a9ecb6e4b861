"""An environment.yml of another operating system: by its `prefix:`, its packages, and the wheels in it."""

from __future__ import annotations

import msgspec

from attn_doctor import project_files
from attn_doctor.failure_modes.install import environment_file_of_another_platform as mode
from attn_doctor.failure_modes.install import wheel_platform_mismatch
from attn_doctor.model.facts import Facts, System

WHEEL = "https://example.org/flash_attn-2.7.4+cu124torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"


def facts(text, **system):
    base = Facts(grade="stated")
    base = msgspec.structs.replace(base, system=msgspec.structs.replace(System(), **system))
    return project_files.as_facts([project_files.read(text, "environment.yml")], base)


def listed(*packages, prefix=None, pip=()):
    lines = ["name: a", "dependencies:", "  - python=3.11.4", *(f"  - {one}" for one in packages)]
    if pip:
        lines += ["  - pip:", *(f"      - {one}" for one in pip)]
    return "\n".join([*lines, *((f"prefix: {prefix}",) if prefix else ())]) + "\n"


def test_the_prefix_says_the_system():
    assert facts(listed("numpy=1.26.4", prefix=r"D:\conda\envs\a")).system.os == "windows"
    assert facts(listed("numpy=1.26.4", prefix="/Users/mia/miniforge3/envs/a")).system.os == "darwin"
    assert facts(listed("numpy=1.26.4", prefix="/home/mia/miniforge3/envs/a")).system.os == "linux"
    assert not isinstance(facts(listed("numpy=1.26.4")).system.os, str)


def test_packages_of_windows_on_linux_are_found_and_named():
    hit = mode.detect(facts(listed("vc=14.2", "ucrt=10.0.22621.0"), os="linux"))
    assert hit is not None
    assert hit.message == "The environment file is from Windows: conda on Linux has no vc, and none of its builds."


def test_packages_of_linux_on_windows_get_wsl_as_the_last_way():
    found = facts(listed("ld_impl_linux-64=2.38=h1181459_1"), os="windows")
    titles = [fix.title for fix in mode.fixes(found, mode.detect(found))]
    assert titles[0] == "Export the environment for other platforms"
    assert titles[-1] == "Use the file in WSL"


def test_packages_of_the_same_system_are_no_finding():
    assert mode.detect(facts(listed("ld_impl_linux-64=2.38=h1181459_1"), os="linux")) is None
    assert mode.detect(facts(listed("numpy=1.26.4"), os="windows")) is None


def test_a_wheel_of_linux_below_a_prefix_of_windows_is_found():
    text = listed("numpy=1.26.4", prefix=r"C:\Users\mia\miniconda3\envs\a", pip=[f"flash-attn @ {WHEEL}"])
    hit = wheel_platform_mismatch.detect(facts(text))
    assert hit is not None
    assert "asks for a wheel for Linux (linux_x86_64), and the environment is one of Windows" in hit.message


def test_a_wheel_of_linux_below_a_prefix_of_linux_is_none():
    text = listed("numpy=1.26.4", prefix="/home/mia/miniconda3/envs/a", pip=[f"flash-attn @ {WHEEL}"])
    found = facts(text)
    from attn_doctor.failure_modes.shared import wheel_of_another_system

    assert wheel_of_another_system.found(found) is None
