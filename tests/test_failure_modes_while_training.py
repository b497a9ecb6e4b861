"""Cures of failures that a training meets in its machine: limits, memory that others hold, libraries of windows, damaged files."""

from __future__ import annotations

import pytest
from one_rule import check_lines, told
from whole_machines import RTX_4090, changed

from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.importing.opencv_qt_plugin import Qt
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.model_code.weights_file_damaged import Damaged
from attn_doctor.failure_modes.shared.held_memory import Held
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, SetVariable

H = RTX_4090


def fixes(slug: str, facts: Facts, variant: Variant | None = None) -> tuple[Fix, ...]:
    return find(slug).fixes(facts, Hit(message="", evidence=(), variant=variant))


def lines(made: tuple[Fix, ...]) -> list[str]:
    """Return each fix as "title: command"; only the title if it has no command."""
    said = []
    for fix in made:
        run = [
            f"{step.name}={step.value}" if isinstance(step, SetVariable) else " ".join(step.argv) for step in fix.steps
        ]
        said.append(": ".join(filter(None, (fix.title, " ; ".join(filter(None, run))))))
    return said


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["Allow more open files: ulimit -n 65536", "Share batches by names", "Load the data without workers"]),
        ({"system__os": "darwin"}, ["Allow more open files: ulimit -n 10240", "Load the data without workers"]),
        ({"system__os": "windows"}, ["Load the data without workers", "Close the files that the program opens"]),
        (
            {"system__hosted": "colab"},
            ["Share batches by names", "Allow more open files", "Load the data without workers"],
        ),
        (
            {"system__container": "podman"},
            [
                "Allow more open files in the container: podman run --ulimit=nofile=65536:65536 IMAGE",
                "Share batches by names",
                "Load the data without workers",
            ],
        ),
        (
            {"system__container": "kubernetes"},
            ["Allow more open files in the container", "Share batches by names", "Load the data without workers"],
        ),
        (
            {"system__container": "apptainer"},
            ["Allow more open files: ulimit -n 65536", "Share batches by names", "Load the data without workers"],
        ),
    ],
)
def test_the_limit_of_open_files_is_raised_where_the_system_has_one(values, expected):
    assert lines(fixes("too-many-open-files", changed(H, **values))) == expected


FRAME = '  File "/v/lib/python3.12/site-packages/torch/utils/data/_utils/fetch.py", line 52, in fetch\n'
BETWEEN = '  File "/srv/parts.py", line 4, in read\n'
ERROR = "OSError: [Errno 24] Too many open files: '/data/1.jpg'\n"


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        (FRAME + BETWEEN * 39 + ERROR, "medium"),
        (FRAME + BETWEEN * 40 + ERROR, None),
        (ERROR + FRAME, None),
        ("OSError: Caught OSError in DataLoader worker process 5.\n" + BETWEEN + ERROR, "medium"),
        (BETWEEN + ERROR, None),
        ("RuntimeError: received 0 items of ancdata\n", "high"),
    ],
)
def test_open_files_are_those_of_a_training_where_torch_stands_above(text, confidence):
    check_lines("too-many-open-files", text, confidence, "open files")


@pytest.mark.parametrize(
    ("values", "variant", "expected"),
    [
        (
            {},
            Qt(why="two"),
            [
                "Use OpenCV without windows",
                "Let the other Qt find its own plugin",
                "Install the libraries of Qt's plugin",
            ],
        ),
        ({}, Qt(why="display"), ["Open no window", "Start it on a screen in memory", "Use OpenCV without windows"]),
        (
            {},
            Qt(why="display", of_opencv=False, offscreen=True),
            ["Open no window", "Let Qt draw without a screen", "Start it on a screen in memory"],
        ),
        ({}, Qt(why="library", of_opencv=False), ["Install the libraries of Qt's plugin"]),
        ({}, Qt(why="wayland"), ["Let Qt use X11", "Use OpenCV without windows"]),
    ],
)
def test_a_plugin_of_qt_has_the_cure_of_its_cause(values, variant, expected):
    assert [fix.title for fix in fixes("opencv-qt-plugin", changed(H, **values), variant)] == expected


@pytest.mark.parametrize(
    ("distribution", "line"),
    [
        ("ubuntu", "sudo apt-get install -y xvfb"),
        ("fedora", "sudo dnf install -y xorg-x11-server-Xvfb"),
        ("arch", "sudo pacman -S --needed xorg-server-xvfb"),
    ],
)
def test_the_screen_in_memory_comes_from_the_systems_own_packages(distribution, line):
    facts = changed(H, system__distribution=distribution, system__distribution_version=None)
    (made,) = [fix for fix in fixes("opencv-qt-plugin", facts, Qt(why="display")) if "memory" in fix.title]
    assert " ".join(made.steps[0].argv) == line


def test_the_contrib_build_stays_the_contrib_build():
    made = fixes("opencv-qt-plugin", H, Qt(why="two", contrib=True))[0]
    step = made.steps[-1]
    assert isinstance(step, Install)
    assert step.requirements == ("opencv-contrib-python-headless",)


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("|   0  NVIDIA T4     TCC   | 00000000:00:04.0 Off |\nOutOfMemoryError: CUDA out of memory\n", None),
        ("WSL2 Ubuntu 22.04\n|   0  NVIDIA T4     WDDM  | 00000000:00:04.0 Off |\n", None),
        ("WSL2 Ubuntu 22.04\n|   0  NVIDIA T4     TCC   | 00000000:00:04.0 Off |\n", "medium"),
        ("WSL2 Ubuntu 22.04\nUnable to determine the device handle for GPU0: Unknown Error\n", None),
    ],
)
def test_the_driver_model_matters_under_wsl_alone(text, confidence):
    check_lines("wsl2-driver-stub", text, confidence, "driver model TCC")


IMPORT = "ImportError: DLL load failed while importing cv2: The specified module could not be found.\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("OS: Windows 10 N\n" + IMPORT, "editions N and KN of Windows do not contain"),
        ("Windows 11 Pro KN\n" + IMPORT, "editions N and KN of Windows do not contain"),
        ("Edition    Enterprise N\n" + IMPORT, "editions N and KN of Windows do not contain"),
        ("Windows Server 2022 Datacenter\n" + IMPORT, "a feature of Windows Server"),
        ("Microsoft Windows [Version 10.0.20348.2402]\n" + IMPORT, "a feature of Windows Server"),
        ("Windows 11 Pro\n" + IMPORT, "Probably it is a DLL of Media Foundation"),
        ("Windows 11 N-series card\n" + IMPORT, "Probably it is a DLL of Media Foundation"),
        ("Windows 10 N\n" + IMPORT.replace("cv2", "_C"), "_C could not be loaded: a DLL that it needs was not found"),
    ],
)
def test_an_opencv_that_windows_cannot_load_is_told_by_the_edition(text, says):
    finding = told("windows-dll-missing", text)
    assert finding is not None
    assert says in finding.message


OTHERS = "CUDA out of memory. Tried to allocate 2.00 MiB (GPU 0; {total} GiB total capacity; 1.00 GiB already allocated; 0.00 GiB free; 2.00 GiB reserved in total by PyTorch)\n"
NEW = "CUDA out of memory. GPU 0 has a total capacity of 20.00 GiB of which 0.00 GiB is free. Including non-PyTorch memory, this process has {own} GiB memory in use.\n"
NOBODY = "|  8W / 300W | {used}MiB / 20000MiB |\n|  No running processes found  |\n"


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        (OTHERS.format(total="4.00"), "high"),
        (OTHERS.format(total="3.99"), None),
        (NEW.format(own="10.00"), "high"),
        (NEW.format(own="10.01"), None),
        (NEW.format(own="17179869184.00"), None),
        (NOBODY.format(used=10000), "medium"),
        (NOBODY.format(used=9999), None),
        ("root@0a1b2c3d4e5f:/workspace# nvidia-smi\n" + NOBODY.format(used=19000), "medium"),
        ("812, 900 MiB\nbash: kill: (812) - No such process\n", "high"),
        ("812, 900 MiB\nkill: kill 812 failed: no such process\n", "high"),
        ("811, 900 MiB\nbash: kill: (812) - No such process\n", None),
        ("[0] NVIDIA A40 | 30'C, 0 % | 40000 / 46068 MB |\n", "medium"),
        ("[0] NVIDIA A40 | 30'C, 0 % | 40000 / 46068 MB | ana(39000M)\n", None),
    ],
)
def test_memory_is_held_by_others_if_they_have_half_of_it_or_more(text, confidence):
    check_lines("gpu-memory-held", text, confidence, "")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"system__os": "windows"},
            ["End the process that holds the memory: nvidia-smi ; taskkill /F /PID 77", "Use another GPU"],
        ),
        ({"system__wsl": 2}, ["End the programs in WSL and in Windows: wsl.exe --shutdown", "Use another GPU"]),
        ({"system__hosted": "colab"}, ["Begin with a fresh machine of the notebook"]),
        (
            {},
            [
                "End the process that holds the memory: ps -o user,pid,ppid,stat,etime,args -p 77 ; sh -c sudo fuser -v /dev/nvidia*",
                "Use another GPU",
                "Free the memory that a dead process left: sudo nvidia-smi --gpu-reset -i 3",
            ],
        ),
    ],
)
def test_who_holds_memory_is_ended_in_the_way_of_the_system(values, expected):
    assert lines(fixes("gpu-memory-held", changed(H, **values), Held(gpu="3", pids=("77",)))) == expected


def test_inside_a_container_no_process_is_ever_listed():
    finding = told("gpu-memory-held", NOBODY.format(used=19000), changed(H, system__container="docker"))
    assert finding is None


@pytest.mark.parametrize(
    ("values", "variant", "expected"),
    [
        (
            {"system__distribution": "ubuntu"},
            Damaged(kind="lfs", file="seg.pt"),
            ["sudo apt-get install -y git-lfs", "git lfs install", "git lfs pull"],
        ),
        (
            {"system__os": "darwin", "system__distribution": None},
            Damaged(kind="lfs"),
            ["brew install git-lfs", "git lfs install", "git lfs pull"],
        ),
        ({"system__os": "windows"}, Damaged(kind="lfs"), ["git lfs install", "git lfs pull"]),
        ({}, Damaged(kind="damaged", file="runs/best.pt"), ["SHOW runs/best.pt", "rm runs/best.pt"]),
        (
            {"system__os": "windows"},
            Damaged(kind="page", file=r"C:\w\best.pt"),
            [r"SHOW C:\w\best.pt", r"del C:\w\best.pt"],
        ),
        ({}, Damaged(kind="damaged", file="my $(model).pt"), []),
        ({}, Damaged(kind="damaged", file="-rf.pt"), []),
        ({}, Damaged(kind="damaged"), []),
    ],
)
def test_a_damaged_file_is_looked_at_deleted_and_fetched_again(values, variant, expected):
    first = fixes("weights-file-damaged", changed(H, **values), variant)[0]
    run = [" ".join(("SHOW", step.argv[-1]) if "-c" in step.argv else step.argv) for step in first.steps if step.argv]
    assert run == expected


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("yolo12n.pt", "ultralytics downloads this file itself"),
        ("weights/yolov8s-seg.pt", "ultralytics downloads this file itself"),
        ("best.pt", "gdown"),
        ("my-yolo12n-best.onnx", "gdown"),
    ],
)
def test_a_file_of_ultralytics_is_downloaded_by_ultralytics(file, words):
    first = fixes("weights-file-damaged", H, Damaged(kind="damaged", file=file))[0]
    assert words in first.steps[-1].why


LOAD = '  File "/v/lib/python3.11/site-packages/torch/serialization.py", line 777, in load\n'


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        (LOAD + "EOFError: Ran out of input\n", "medium"),
        ("EOFError: Ran out of input\n", None),
        (LOAD + "\n" * 11 + "EOFError: Ran out of input\n", "medium"),
        (LOAD + "\n" * 12 + "EOFError: Ran out of input\n", None),
        (LOAD + "OSError: [Errno 22] Invalid argument\n", "medium"),
        (LOAD + "OSError: [Errno 22] Invalid argument: 'a:b.pt'\n", None),
        ("UnpicklingError: invalid load key, '<'.\n", "high"),
        ("UnpicklingError: invalid load key, '\\x80'.\n", None),
        ("WeightsUnpickler error: Unsupported operand 149\n", None),
    ],
)
def test_what_a_pickle_says_is_about_weights_where_torch_loads_them(text, confidence):
    check_lines("weights-file-damaged", text, confidence, "cannot be read")


ALONE = "Use the GPU without MPS: CUDA_MPS_PIPE_DIRECTORY=/dev/null"


@pytest.mark.parametrize(
    ("values", "second"),
    [
        ({}, "Start MPS again: sh -c echo quit | nvidia-cuda-mps-control ; nvidia-cuda-mps-control -d"),
        (
            {"system__container": "docker"},
            "Show the host's service to the container: docker run --gpus=all --ipc=host --volume=/tmp/nvidia-mps:/tmp/nvidia-mps IMAGE",
        ),
        ({"system__modules": True}, "Ask for a job with MPS"),
    ],
)
def test_mps_is_left_out_or_started_where_this_user_may(values, second):
    assert lines(fixes("mps-not-reached", changed(H, **values))) == [ALONE, second]
