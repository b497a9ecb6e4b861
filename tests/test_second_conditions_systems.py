"""The second of two conditions where the system decides: folders of Windows, relatives of Ubuntu, drivers of Debian; steps; addresses in long texts."""

from __future__ import annotations

import pytest

from attn_doctor.commands import cuda_repositories, debian_drivers, target_python
from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.importing import flash_attn_api_version
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared import build_log, network_cures, package_wheels, toolkits
from attn_doctor.model.facts import Facts, Project, Subject, System, Toolchain, Toolkit, Torch
from attn_doctor.report.redact import names


@pytest.mark.parametrize(
    ("os", "lock", "python"),
    [
        ("windows", "uv.lock", ".venv\\Scripts\\python.exe"),
        ("windows", "pixi.lock", ".pixi\\envs\\default\\python.exe"),
        ("linux", "pdm.lock", ".venv/bin/python"),
        ("linux", "pixi.lock", ".pixi/envs/default/bin/python"),
    ],
)
def test_the_python_of_a_project_that_only_a_log_shows(os, lock, python):
    facts = Facts(grade="stated", system=System(os=os), project=Project(locks=(lock,)))
    assert target_python.python(facts) == python


@pytest.mark.parametrize(
    ("name", "version", "folder"),
    [("linuxmint", "21.3", "ubuntu2204"), ("pop", "24.04", "ubuntu2404"), ("ubuntu", "22.04", "ubuntu2204")],
)
def test_a_relative_of_ubuntu_has_the_repository_of_its_ubuntu(name, version, folder):
    found = cuda_repositories.repository(
        Facts(system=System(distribution=name, distribution_version=version, wsl=None))
    )
    assert found is not None
    assert found.folder == folder


@pytest.mark.parametrize(
    ("release", "branch", "folder"), [("11", 580, None), ("11", 570, "debian11"), ("12", 580, "debian12")]
)
def test_the_repository_of_debian_11_has_no_driver_for_cuda_13(release, branch, folder):
    facts = Facts(system=System(distribution="debian", distribution_version=release, wsl=None))
    assert debian_drivers._folder(facts, branch) == folder


@pytest.mark.parametrize(("torch", "replaced"), [("2.1.2+cu121", True), ("2.2.0+cu121", False)])
def test_torch_2_2_is_the_first_that_stays_for_flash_attn_2(torch, replaced):
    newer = flash_attn_api_version.Newer(least="2.6", first_ones=True)
    first, *_ = flash_attn_api_version._newer(Facts(grade="stated", torch=Torch(version=torch)), newer)
    assert (first.title == "Install flash-attn 2, and a torch that it has wheels for") is replaced


@pytest.mark.parametrize(("cuda", "shown"), [("12.1", True), ("11.8", False)])
def test_the_toolkit_of_a_log_serves_only_a_torch_of_its_major(cuda, shown):
    kit = Toolkit(root="/opt/cuda", version="12.4")
    facts = Facts(grade="stated", toolchain=Toolchain(toolkits=(kit,)), torch=Torch(cuda=cuda))
    assert (toolkits.shown(facts) is not None) is shown


def test_a_torchvision_of_an_unknown_torch_is_installed_together_with_a_torch():
    titles = [fix.title for fix in package_wheels.of_the_family(Facts(grade="stated"), "torchvision")]
    assert titles == ["Install torch and torchvision together"]


def test_an_address_at_the_beginning_of_a_long_text_ends_at_its_blank():
    text = "https://example.org/guide then /home/nadia/train.py" + " and so on" * 100
    assert not names._is_in_address(text, text.index("/home"))
    assert names._is_in_address(text, text.index("/guide"))


@pytest.mark.parametrize(
    ("command", "editable"),
    [("pip install -e .", True), ("python setup.py develop", True), ("pip install flash-attn", False), (None, False)],
)
def test_only_a_typed_command_can_be_editable(command, editable):
    subject = Subject() if command is None else Subject(command=command)
    assert build_log._editable(Facts(subject=subject)) is editable


def test_a_package_that_is_carried_over_is_what_the_last_step_changes():
    fetch, copy, put = network_cures.carried_over("einops")
    assert (fetch.argv[-1], copy.argv, put.names(), put.changes) == ("einops", (), ("einops",), "einops")


def test_the_main_branch_is_the_last_fix_for_headers_of_cxx20():
    fixes = find("flash-attn-cxx20-required").fixes(
        Facts(subject=Subject(package="flash-attn")), Hit(message="m", evidence=())
    )
    assert fixes[-1].title == "Build from flash-attn's main branch"
