"""The form of a command: the user's own line, shell, rights, release and image. Each case is a log of another kind. Written by hand."""

from __future__ import annotations

import pytest
from first_cures import cures, first

from attn_doctor import commands

BUS = "RuntimeError: DataLoader worker (pid 91) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory.\n"
C10 = 'OSError: [WinError 1114] A dynamic link library (DLL) initialization routine failed. Error loading "D:\\e\\lib\\site-packages\\torch\\lib\\c10.dll" or one of its dependencies.\n'
ROCM = "  Name:                    gfx1036\n  Marketing Name:          AMD Radeon Graphics\n  Name:                    gfx1031\n  Marketing Name:          AMD Radeon RX 6700 XT\n"


def test_docker_keeps_sudo_the_folder_and_the_program():
    log = f"mia@box:~/seg$ sudo docker run --gpus all --rm -v $(pwd):/w -w /w seg:3 python train.py --epochs 5\n{BUS}"
    line = cures(log)[0][0]
    assert line == "sudo docker run --shm-size=8g --gpus all --rm -v $(pwd):/w -w /w seg:3 python train.py --epochs 5"


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("$(pwd):/w", '"$(pwd):/w"'),
        ("${PWD}/a b:/w", '"${PWD}/a b:/w"'),
        ("$(id -u):$(id -g)", '"$(id -u):$(id -g)"'),
        ("$(rm -rf x):/w", "'$(rm -rf x):/w'"),
        ("$(pwd)`date`", "'$(pwd)`date`'"),
        ("$PWDX", "'$PWDX'"),
    ],
)
def test_only_the_users_folder_and_name_are_expanded(word, line):
    assert commands.quoted((word,), typed=True) == line


@pytest.mark.parametrize("shell", ["bash", "powershell"])
def test_a_word_that_nobody_typed_is_not_expanded(shell):
    assert commands.quoted(("ls", "$HOME/x"), shell) == "ls '$HOME/x'"


def test_powershell_expands_its_own_folder():
    assert commands.quoted(("docker", "${PWD}:/w"), "powershell", typed=True) == 'docker "${PWD}:/w"'
    assert commands.quoted(("docker", "$x"), "powershell", typed=True) == "docker '$x'"


def test_the_host_of_a_container_gets_sudo_although_the_container_runs_as_root():
    log = (
        'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n'
        'root@4f1c2d7a90be:/app# python run.py\n  File "/root/.venv/lib/python3.10/site-packages/torch/cuda/__init__.py", line 298, in _lazy_init\n'
    )
    lines = [line for line in cures(log)[0] if line]
    assert "sudo apt-get update" in lines


def test_only_a_module_that_the_log_loads_is_unloaded():
    log = (
        "+ module load nvhpc/23.7 gcc/11\n"
        "Could not load library libcudnn_cnn_train.so.8. Error: /opt/nvhpc/lib64/libcudnn_cnn_train.so.8: undefined symbol: "
        "_ZN5cudnn3cnn34layerNormFwd_execute_internal_implERKNS_7backend11VariantPackE, version libcudnn_cnn_infer.so.8\n"
    )
    assert ["module unload nvhpc/23.7"] in cures(log)


def test_a_dll_that_does_not_start_gets_the_release_that_starts():
    log = f"(e) D:\\app>pip list\ntorch              2.9.1\n(e) D:\\app>python run.py\n{C10}"
    _, finding = first(log)
    assert finding.message == "torch could not be loaded: a DLL was found, and its start failed."
    assert any("torch==2.8.0" in (line or "") for fix in cures(log) for line in fix)


def test_an_older_torch_gets_no_older_one():
    log = f"(e) D:\\app>pip list\ntorch              2.6.0\n(e) D:\\app>python run.py\n{C10}"
    assert not any("torch==2.8.0" in (line or "") for fix in cures(log) for line in fix)


def test_hip_sees_the_card_and_not_the_processors_graphics():
    log = f"mia@box:~$ rocminfo\n{ROCM}RuntimeError: HIP error: invalid device function\n"
    assert "export HIP_VISIBLE_DEVICES=1" in cures(log)[0]
    alone = "".join(line for line in ROCM.splitlines(keepends=True)[2:])
    assert "export HIP_VISIBLE_DEVICES=1" not in cures(f"{alone}RuntimeError: HIP error: invalid device function\n")[0]


def test_mmcv_full_keeps_its_release():
    log = "Successfully installed mmcv-full-1.6.2\nModuleNotFoundError: No module named 'mmcv._ext'\n"
    assert [line for line in cures(log)[0] if line and "mmcv-full==1.6.2" in line]


def test_powershell_stays_powershell():
    log = (
        "(g) PS D:\\g> pip install .\nRuntimeError: \nThe detected CUDA version (12.1) mismatches the version that was used to compile\n"
        "PyTorch (11.8). Please make sure to use the same CUDA versions.\n"
    )
    lines = [line for line in cures(log)[0] if line]
    assert not [line for line in lines if line.startswith(("call ", "set "))]
    assert any(line.startswith("Enter-VsDevShell ") for line in lines)


def test_an_intel_mac_is_given_the_last_torch_for_it():
    log = (
        "mia@Mias-iMac app % pip install torch==2.4.1\n"
        "ERROR: Could not find a version that satisfies the requirement torch==2.4.1 (from versions: 2.1.0, 2.1.1, 2.1.2, 2.2.0, 2.2.1, 2.2.2)\n"
        "ERROR: No matching distribution found for torch==2.4.1\n"
    )
    _, finding = first(log)
    assert finding.message.startswith(
        "There is no torch 2.4.1 for a Mac with an Intel processor (x86_64): 2.2.2 is the last"
    )


def test_a_build_that_ended_says_nothing_of_the_host_on_which_docker_fails():
    log = (
        "PS C:\\app> docker compose up --build\n => [internal] load build definition from Dockerfile\n"
        'Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]\n'
    )
    facts, _ = first(log)
    assert facts.system.os == "windows"
    assert commands.shell_of(facts) == "powershell"


def test_torch_has_a_line_of_its_own_in_a_dockerfile():
    log = (
        "#9 [4/5] RUN pip3 install -r requirements.txt\n#9 3.1 Downloading torch-2.1.2-cp310-cp310-manylinux1_x86_64.whl (670.2 MB)\n"
        '#9 4.0   File "/tmp/pip-req-build-x/setup.py", line 10, in <module>\n#9 4.0     import torch\n'
        "#9 4.0 ModuleNotFoundError: No module named 'torch'\n#9 4.1 error: metadata-generation-failed\n"
    )
    line = next(line for line in cures(log)[0] if line)
    assert line.startswith("RUN ")
    assert "torch==2.1.2" in line
