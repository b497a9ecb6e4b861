"""Failure modes AD5xx: Windows, macOS, apt; and what single lines of logs say of AD3xx to AD5xx, in other people's surroundings."""

from __future__ import annotations

import io

import pytest
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor.failure_modes import find, patterns
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.reader import Reader
from attn_doctor.model.facts import Facts, Fault, Import
from attn_doctor.model.findings import Finding, Goal, Severity

H = RTX_4090
WINDOWS = changed(
    H, system__os="windows", system__glibc=None, toolchain__long_paths=False, interpreter__platform="win-amd64"
)
MAC = changed(
    H,
    system__os="darwin",
    system__glibc=None,
    graphics__pci=(),
    graphics__gpus=(),
    graphics__driver=None,
    graphics__apple=True,
    torch__version="2.15.0",
    torch__cuda=None,
    torch__archs=(),
    torch__available=False,
    torch__mps=True,
    interpreter__platform="macosx-14.0-arm64",
)


def found(slug: str, facts: Facts, goal: Goal = Goal.FLASH_ATTN) -> Finding | None:
    findings = diagnose(facts, goal, modules=[find(slug)]).findings
    return findings[0] if findings else None


@pytest.mark.parametrize(
    ("slug", "facts", "says"),
    [
        ("windows-unsupported", WINDOWS, "has no wheels for Windows"),
        ("windows-path-too-long", WINDOWS, "long paths are off"),
        ("macos-unsupported", MAC, "This is a Mac"),
    ],
)
def test_it_is_found(slug, facts, says):
    assert says in found(slug, facts).message
    assert found(slug, H) is None
    assert found(slug, Facts()) is None


@pytest.mark.parametrize(
    ("slug", "facts"),
    [
        ("windows-unsupported", changed(with_flash_attn(WINDOWS))),  # somebody built it
        ("windows-path-too-long", changed(WINDOWS, toolchain__long_paths=True)),
    ],
)
def test_it_is_not_found_in_a_look_alike(slug, facts):
    assert found(slug, facts) is None


def test_a_mac_and_a_windows_machine_are_healthy_for_training():
    for facts in (MAC, WINDOWS):
        assert [f.slug for f in diagnose(facts, Goal.TRAIN).findings if f.severity is not Severity.INFO] == []


@pytest.mark.parametrize(("facts", "root"), [(MAC, "macos-unsupported"), (WINDOWS, "windows-unsupported")])
def test_where_flash_attn_cannot_be_had_nothing_else_is_a_root_cause(facts, root):
    assert [f.slug for f in diagnose(facts, Goal.FLASH_ATTN).findings if f.root_cause] == [root]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(patterns())


def told(reader: Reader, text: str, facts: Facts | None = None) -> tuple[Finding, ...]:
    log = reader.read(io.BytesIO(text.encode()), "log")
    diagnosis = diagnose(facts or Facts(), Goal.FLASH_ATTN, logs=[log])
    assert not [u for u in diagnosis.undetermined if "please report" in u.why], diagnosis.undetermined
    return diagnosis.findings


PTX = "the provided PTX was compiled with an unsupported toolchain."
WRAPPED = "RuntimeError: Failed to import transformers.models.x.modeling_x because of the following error (look up to see its traceback):\n"
TOGGLED = "FlashAttention2 has been toggled on, but it cannot be used due to the following error: "


@pytest.mark.parametrize(
    ("slug", "text"),
    [
        (
            "driver-too-old",
            f"(EngineCore_DP0 pid=15638) ERROR 01-05 12:12:01 [core.py:842] torch.AcceleratorError: CUDA error: {PTX}",
        ),
        (
            "no-kernel-image",
            "CUDA error (/build/source/flash-attn/flash_fwd_launch_template.h:184): no kernel image is available for execution on the device",
        ),
        (
            "dtype-unsupported",
            "RuntimeError: [address=0.0.0.0:37093, pid=1304] FlashAttention only support fp16 and bf16 data type",
        ),
        ("driver-library-mismatch", "Failed to initialize NVML: Driver/Library version mismatch"),
        (
            "glibc-too-old",
            "[rank0]: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.32' not found ( /x/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.so)",
        ),
        ("windows-dll-missing", WRAPPED + "DLL load failed while importing flash_attn_2_cuda: 找不到指定的模块。"),
        ("flash-attn-stub-namespace", WRAPPED + "No module named 'flash_attn_2_cuda'"),
        (
            "transformers-flash-attn-2-not-installed",
            f"ImportError: {TOGGLED}the package flash_attn seems to be not installed.",
        ),
        (
            "config-device-cpu",
            f"ValueError: {TOGGLED}Flash Attention 2 is not available on CPU. Please make sure torch can access a CUDA device.",
        ),
        (
            "gpu-arch-unsupported-by-flash-attn",
            f"ImportError: {TOGGLED}FlashAttention3 requires compute capability >= 9, but found (8, 6)",
        ),
        ("driver-missing", "NVIDIA-SMI has failed because it couldn’t communicate with the NVIDIA driver."),
        ("numpy-abi", "RuntimeError: Numpy is not available"),
    ],
)
def test_a_line_is_understood_in_other_surroundings(reader, slug, text):
    findings = told(reader, text)
    assert [f.slug for f in findings if f.root_cause] == [slug]


@pytest.mark.parametrize(
    "text",
    [
        "Could not load dynamic library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot open shared object file",
        "cuda_driver.cc:268] failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
        "node: /lib64/libm.so.6: version `GLIBC_2.27' not found (required by node)",
        "make[1]: *** [Makefile:12: test] Segmentation fault (core dumped)\n" * 20,
        "ImportError: DLL load failed while importing _sqlite3: The specified module could not be found.",
        "WARNING: flash_attn not found (No module named 'flash_attn'), falling back to sdpa",
        '-- Found Python: /usr/bin/python3 (found version "3.11.9")',
        " postgresql-15 : Depends: libllvm14 (>= 1:14.0.6) but it is not installable",
        "E: Unable to locate package nodejs-18",
        "FlashAttention is not available on this device. Using scaled_dot_product_attention instead.",
        "UserWarning: 1Torch was not compiled with flash attention.",
        "UserWarning: Failed to initialize NumPy: No module named 'numpy' (Triggered internally at tensor_numpy.cpp:81.)",
    ],
)
def test_notices_and_other_peoples_troubles_are_no_findings(reader, text):
    assert [f.slug for f in told(reader, text) if f.severity is not Severity.INFO] == []


def test_a_log_and_facts_say_the_same_once(reader):
    broken = with_flash_attn(
        H, error="ImportError: x.so: undefined symbol: _ZN3c104cuda9SetDeviceEa", wheel_torch="2.7"
    )
    findings = told(reader, "ImportError: x.so: undefined symbol: _ZN3c104cuda9SetDeviceEa", broken)
    mismatch = [f for f in findings if f.slug == "abi-mismatch-torch-version"]
    assert len(mismatch) == 1
    assert {e.kind for e in mismatch[0].evidence} == {"fact", "log"}


def test_the_reason_that_pytorch_gives_is_in_the_message(reader):
    text = (
        "x.py:2: UserWarning: Memory Efficient attention has been runtime disabled. (Triggered internally at a.cpp:1.)\n"
        "x.py:2: UserWarning: Flash attention only supports gpu architectures in the range [sm80, sm121]. (Triggered internally at b.cpp:2.)\n"
        "RuntimeError: No available kernel. Aborting execution.\n"
    )
    assert (
        "PyTorch says: Flash attention only supports gpu architectures in the range [sm80, sm121]."
        in told(reader, text)[0].message
    )


def test_the_size_of_an_attention_matrix_is_recognised(reader):
    text = (
        "engine/trainer: task=detect, model=yolo12s.yaml, batch=1, imgsz=2048, save=True\n"
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 11.75 GiB\n"
    )
    assert "attention matrix of 1 x 8 heads at 2048 pixels: attention ran unfused" in told(reader, text)[0].message
    assert "unfused" not in told(reader, text.replace("2.00 GiB", "1.17 GiB"))[0].message


ROSETTA = "(mach-o file, but is an incompatible architecture (have 'arm64', need 'x86_64'))"
NATIVE = "(mach-o file, but is an incompatible architecture (have 'x86_64', need 'arm64'))"
LIBRARY = "ImportError: dlopen(/e/lib/python3.12/site-packages/{0}/x.so, 0x0002): tried: '/e/lib/python3.12/site-packages/{0}/x.so' {1}"


@pytest.mark.parametrize(
    ("package", "said", "values", "commands"),
    [
        ("torch", NATIVE, {}, ["-m pip install --force-reinstall --no-deps torch==2.15.0"]),
        ("cv2", NATIVE, {}, ["-m pip install --force-reinstall --no-deps opencv-python"]),
        # A Mac with Intel runs no Python for Apple silicon.
        ("numpy", ROSETTA, {"cpu__model": "Intel(R) Core(TM) i7"}, ["-m pip install --force-reinstall --no-deps numpy"]),
        ("numpy", ROSETTA, {}, ["uv venv --seed --python cpython-3.12-macos-aarch64-none .venv-arm64", "-m pip install --force-reinstall --no-deps numpy"]),
        ("numpy", ROSETTA, {"interpreter__kind": "conda"}, ["conda create --yes --name arm64 --platform osx-arm64 python=3.12", "-m pip install --force-reinstall --no-deps numpy"]),
    ],
)  # fmt: skip
def test_a_library_for_the_other_processor_of_a_mac(package, said, values, commands):
    module = "torch" if package == "torch" else package
    fault = Fault(kind="raised", type="ImportError", message=LIBRARY.format(package, said))
    broken = (
        changed(MAC, torch__importable=False, torch__fault=fault, **values)
        if module == "torch"
        else changed(MAC, imports=(Import(module=module, ok=False, fault=fault),), **values)
    )
    finding = found("macos-other-processor", broken)
    shown = [" ".join(step.argv) for fix in finding.fixes for step in fix.steps]
    for command in commands:
        assert any(command in line for line in shown), shown
    assert len(finding.fixes) == (2 if said == ROSETTA and "cpu__model" not in values else 1)
    assert found("macos-other-processor", MAC) is None
