"""The second of two conditions in rules of wheels, of CUDA's start in a log, and in which failure mode stops what."""

from __future__ import annotations

import io

import pytest
from one_rule import found, told
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor.failure_modes import ALL, consequences, find, patterns, that_stop
from attn_doctor.failure_modes.importing.libcudart_missing import Missing
from attn_doctor.failure_modes.importing.windows_dll_missing import Missing as MissingDll
from attn_doctor.failure_modes.install.environment_pollution import _consequences
from attn_doctor.failure_modes.mode import Hit, Usual
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Reader, Seen
from attn_doctor.model.facts import Facts, Fault, Import, Unknown
from attn_doctor.model.findings import Severity

H = RTX_4090
NOTHING = Hit(message="m", evidence=())
STEP = "step\n"
NOT_SUPPORTED = "ERROR: flash_attn-2.8.3-cp312-cp312-linux_x86_64.whl is not a supported wheel on this platform.\n"
OTHER_TAG = "hint: The wheel is compatible with CPython 3.12 (`cp312`), but you're using CPython 3.11 (`cp311`)\n"
RENAMED = "ERROR: renamed.whl is not a valid wheel filename.\n"
WIN32 = "ImportError: DLL load failed while importing flash_attn_2_cuda: %1 is not a valid Win32 application.\n"
SYMBOL = "ImportError: /v/lib/python3.12/site-packages/x.so: undefined symbol: _PyEval_RequestCodeExtraIndex\n"
BUSY = "RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable\n"
UNKNOWN_ERROR = "failed call to cuInit: CUDA_ERROR_UNKNOWN: unknown error\n"
COUNT = "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run x? Error {}: text\n"
RETURNED = "cudaGetDeviceCount returned 999\n"
IN_WSL = "WSL2 Ubuntu 22.04\n"
NO_KERNEL = "RuntimeError: No available kernel. Aborting execution.\n"
REASON = "t.py:5: UserWarning: Flash attention only supports {} x. (Triggered internally at /p/a.cpp:1.)\n"


@pytest.mark.parametrize(
    ("slug", "text", "confidence", "says"),
    [
        (
            "wheel-platform-mismatch",
            NOT_SUPPORTED,
            "high",
            "flash_attn-2.8.3-cp312-cp312-linux_x86_64.whl is for Python 3.12 on Linux (linux_x86_64); the log does not show whether",
        ),
        ("wheel-platform-mismatch", f"{NOT_SUPPORTED}{OTHER_TAG}", "high", "The wheel is for CPython 3.12"),
        ("wheel-platform-mismatch", RENAMED, "high", "renamed.whl is not a valid name for a wheel"),
        ("wheel-platform-mismatch", WIN32, "medium", "another Windows"),
        ("wheel-platform-mismatch", SYMBOL, "medium", "x.so was built for another Python"),
        ("wheel-platform-mismatch", f"{NOT_SUPPORTED}{SYMBOL}", "medium", "x.so was built for another Python"),
        ("cuda-init-error", BUSY, "medium", "busy or unavailable"),
        ("cuda-init-error", UNKNOWN_ERROR, "high", "CUDA_ERROR_UNKNOWN"),
        ("cuda-init-error", f"{BUSY}{UNKNOWN_ERROR}", "high", "busy or unavailable"),
        ("cuda-init-error", f"{IN_WSL}{UNKNOWN_ERROR}", "medium", "CUDA_ERROR_UNKNOWN"),
        ("cuda-init-error", COUNT.format(304), "high", "CUDA did not start"),
        ("cuda-init-error", COUNT.format(804), None, ""),
        ("cuda-init-error", COUNT.format(100), None, ""),
        ("cuda-init-error", RETURNED, "high", "does not say why"),
        ("sdpa-no-available-kernel", NO_KERNEL, "high", "supports the call."),
        (
            "sdpa-no-available-kernel",
            f"{REASON.format('one')}{NO_KERNEL}",
            "high",
            "PyTorch says: Flash attention only supports one",
        ),
    ],
)
def test_what_a_rule_makes_of_lines(slug, text, confidence, says):
    finding = told(slug, text)
    if confidence is None:
        assert finding is None, finding
        return
    assert finding is not None
    assert finding.confidence.value == confidence, finding.message
    assert says in finding.message


def test_two_reasons_of_pytorch_stand_under_its_error():
    text = "".join(REASON.format(word) for word in ("one", "two", "three")) + NO_KERNEL
    assert [line.line for line in told("sdpa-no-available-kernel", text).evidence] == [4, 1, 2]


READER = Reader(patterns())
FAILED, WELL, LINE = (
    "error: metadata-generation-failed\n",
    "Successfully installed zork-1.0\n",
    "/bin/sh: 1: nvcc: not found\n",
)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (LINE, False),
        (f"{FAILED}{LINE}", True),
        (f"{LINE}{FAILED}", True),
        (f"{FAILED}{WELL}{LINE}", False),
        (f"{FAILED}{WELL}{LINE}ERROR: Failed building wheel for flash-attn\n", True),
        (f"{WELL}{FAILED}{LINE}", True),
        (f"{WELL}{LINE}{FAILED}", True),
    ],
)
def test_a_line_is_of_a_build_where_one_failed_before_or_after_it(text, inside):
    log = READER.read(io.BytesIO(text.encode()), "log")
    match = log.of("nvcc-missing")[0]
    assert building.in_build(Seen((match,), (log,)), match) is inside
    assert not building.in_build(Seen((match,), ()), match)


# -- cures


def test_torch_is_imported_first_where_its_own_library_is_lost():
    first = find("libcudart-missing").fixes(H, Hit(message="m", evidence=(), variant=Missing(libraries=("libc10.so",))))
    assert first[0].title == "Import torch first"
    other = find("libcudart-missing").fixes(
        H, Hit(message="m", evidence=(), variant=Missing(libraries=("libcudart.so.12",)))
    )
    assert "Import torch first" not in [fix.title for fix in other]


@pytest.mark.parametrize(("of", "last"), [("flash-attn", True), ("torch", True), ("another", True)])
def test_the_runtime_of_visual_c_is_always_offered(of, last):
    made = find("windows-dll-missing").fixes(
        changed(with_flash_attn(H), system__os="windows"), Hit(message="m", evidence=(), variant=MissingDll(of=of))
    )
    assert made[0 if of == "torch" else -1].title == "Install the Visual C++ runtime"
    assert (len(made) > 1) is (of != "another")


@pytest.mark.parametrize(
    ("kind", "prefix", "met"),
    [("conda", "/opt/conda", True), ("pixi", "/p", True), ("venv", "/venv", False), ("conda", Unknown("?"), False)],
)
def test_conda_brings_a_libstdcxx_of_its_own(kind, prefix, met):
    made = find("glibcxx-too-old").fixes(changed(H, interpreter__kind=kind, interpreter__prefix=prefix), NOTHING)
    assert any("conda environment" in fix.title for fix in made) is met


def test_every_usual_cure_has_steps():
    for module in ALL:
        if isinstance(module, Usual):
            made = module.usual(Facts())
            assert made, module.MODE.slug
            assert all(fix.steps for fix in made), module.MODE.slug


# -- who stops what


def test_what_stops_a_build_and_what_stops_a_gpu():
    build, gpu = set(that_stop("build")), set(that_stop("gpu"))
    assert {"nvcc-missing", "cuda-home-unset", "no-prebuilt-wheel"} <= build
    assert {"driver-missing", "driver-too-old", "torch-cpu-build"} <= gpu
    assert not build & gpu
    assert "torch-missing" not in build | gpu
    assert set(consequences(find("windows-unsupported").MODE)) >= build
    assert set(consequences(find("driver-missing").MODE)) == set(find("driver-missing").MODE.explains)


def test_each_failure_mode_has_signs_or_a_rule():
    with_signs = {module.MODE.slug for module in ALL if module.MODE.signs}
    assert {"environment-pollution", "driver-too-old", "numpy-abi", "segfault", "disk-full", "mig"} <= with_signs
    assert len(with_signs) > 80


def test_an_import_without_the_variable_that_fails_too_is_in_vain():
    """PYTHONPATH hides a package, and the import fails without it in the same way: the hidden package explains nothing."""
    hidden = changed(H, interpreter__differs_isolated=("zork: /x/zork 1 hides 2",))
    good = found("environment-pollution", hidden)
    assert good.severity is Severity.INFO
    failed = Import(module="cv2", ok=False, fault=Fault(kind="raised", type="E", message="x"), works_without=None)
    assert _consequences(hidden) == find("environment-pollution").MODE.explains
    assert _consequences(changed(hidden, imports=(failed,))) == ()
    worked = Import(module="cv2", ok=True, works_without=None)
    assert _consequences(changed(hidden, imports=(worked,))) == find("environment-pollution").MODE.explains
    assert _consequences(changed(hidden, torch__importable=False, torch__works_without=None)) == ()
    assert _consequences(changed(hidden, torch__importable=False, torch__works_without="PYTHONPATH")) != ()
