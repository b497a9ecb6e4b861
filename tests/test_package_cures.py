"""The cure of a failed build, import or call is for the package that the log names, and never flash-attn's for another.

Each case is a log of fixtures/logs; what its first cure has to say was written by hand.
"""

from __future__ import annotations

import pytest
from recorded_logs import LOGS, reader

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import building, fact_queries, package_cures, subject, wheel_fixes
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.knowledge import built_packages
from attn_doctor.knowledge.rows import BuiltPackage
from attn_doctor.knowledge.tables import load
from attn_doctor.logs.reader import read_bytes
from attn_doctor.logs.stated_facts import PATTERNS, facts_of_logs
from attn_doctor.model.facts import Distribution, Facts, Gpu, Graphics, Interpreter, Packages, Subject, System, Torch
from attn_doctor.model.findings import Fix, Goal
from attn_doctor.model.steps import Install, SetVariable

# Log -> words of the first cure, and words of the message.
CASES = {
    "torch-missing-at-build/mamba-ssm-pip": ("pip install torch|packaging|ninja|--no-build-isolation mamba-ssm|MAX_JOBS", "mamba-ssm"),
    "torch-missing-at-build/xformers-uv": ("uv pip install|torch|setuptools|wheel|ninja|SDPA|--no-build-isolation xformers", "xformers"),
    "torch-missing-at-build/pytorch3d-repository": ("torch|git+https://github.com/facebookresearch/pytorch3d.git@stable", "pytorch3d"),
    "torch-missing-at-build/torch-scatter-pip": ("--no-build-isolation torch-scatter", "torch-scatter"),
    "packaging-missing-at-build/causal-conv1d-pip": ("import torch|packaging|wheel|--no-build-isolation causal-conv1d", "causal-conv1d|torch"),
    "packaging-missing-at-build/sageattention-uv": ("uv pip install|torch|packaging|git+https://github.com/thu-ml/SageAttention|SDPA", "sageattention"),
    "packaging-missing-at-build/bitsandbytes-backend": ("scikit-build-core|cmake|--no-build-isolation bitsandbytes", "bitsandbytes"),
    "wheel-missing-at-build/mmcv-pkg-resources": ("setuptools<81|torch|--no-build-isolation mmcv", "mmcv|pkg_resources"),
    "wheel-missing-at-build/xformers-uv-setuptools": ("uv pip install|setuptools|torch|--no-build-isolation xformers", "xformers"),
    "no-matching-distribution/detectron2-pip": ("pip install torch|git+https://github.com/facebookresearch/detectron2.git", "detectron2"),
    "no-matching-distribution/pytorch3d-uv": ("uv pip install|git+https://github.com/facebookresearch/pytorch3d.git@stable", "pytorch3d"),
    "no-matching-distribution/gsplat-version": ("gsplat", "gsplat==9.9"),
    "cuda-too-old-for-flash-attn/causal-conv1d": ("causal-conv1d", "11.6|causal-conv1d"),
    "cuda-too-old-for-flash-attn/sageattention": ("CUDA", "12.8|sageattention"),
    "cuda-home-unset/mamba-ssm": ("mamba", ""),
    "cuda-home-unset/gsplat-import": ("gsplat|https://docs.gsplat.studio/whl/", ""),
    "cuda-home-unset/deepspeed-op": ("CUDA", ""),
    "abi-mismatch-torch-version/detectron2-nested": ("--force-reinstall|git+https://github.com/facebookresearch/detectron2.git", "detectron2"),
    "abi-mismatch-torch-version/xformers-cuda-backend": ("--upgrade torch torchvision torchaudio xformers|https://download.pytorch.org/whl/cu126", "xformers"),
    "abi-mismatch-torch-version/windows-pytorch3d": ("--force-reinstall|git+https://github.com/facebookresearch/pytorch3d.git@stable", "pytorch3d"),
    "abi-mismatch-torch-version/xformers-says-it-alone": ("--upgrade xformers torch==2.4.1 --index-url https://download.pytorch.org/whl/cu124", "xformers"),
    "nvcc-torch-cuda-mismatch/deepspeed-windows": ("DS_BUILD_OPS=0|pip install --no-cache-dir deepspeed", "11.8|12.4"),
    "build-timeout-hang/xformers-uv": ("xformers", ""),
    "abi-mismatch-torch-version/deformable-egg": ("models/ops", "multiscaledeformableattention"),
    "abi-mismatch-cxx11/mmcv-ext": ("mmcv", "mmcv"),
    "no-kernel-image/flashinfer-turing": ("TORCH_CUDA_ARCH_LIST|flashinfer-python", "flashinfer"),
    "no-kernel-image/mamba-scan": ("--upgrade|mamba-ssm", "mamba-ssm"),
    "out-of-memory-build/vllm-image": ("vllm", "cicc"),
    "out-of-memory-build/transformer-engine": ("transformer-engine", ""),
    "cutlass-submodule-missing/xformers-submodule": ("xformers", "CUTLASS"),
    "no-prebuilt-wheel/causal-conv1d-404": ("causal-conv1d", "causal_conv1d"),
    "wheel-platform-mismatch/torch-scatter": ("torch-scatter", "torch_scatter"),
    "build-failed-unspecified/nvdiffrast": ("MAX_JOBS|git+https://github.com/NVlabs/nvdiffrast.git|build.log", "nvdiffrast"),
    "wheel-download-failed/causal-conv1d": ("causal-conv1d|./causal_conv1d-1.5.0+cu12torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl", "causal-conv1d"),
}  # fmt: skip


def said(fix: Fix) -> str:
    """All that a reader of a cure sees: its title, commands, variables and reasons."""
    steps = (
        f"{' '.join(step.argv)} {getattr(step, 'name', '')}={getattr(step, 'value', '')} {step.why}"
        if isinstance(step, SetVariable)
        else f"{' '.join(step.argv)} {step.why}"
        for step in fix.steps
    )
    return "\n".join((fix.title, *steps))


def first(text: bytes):
    """The first finding of a log, judged with nothing but what the log says of its machine."""
    log = read_bytes(text, "log", (*reader().patterns, *PATTERNS))
    facts = facts_of_logs([log])
    return diagnose(facts, Goal.FLASH_ATTN, logs=[log]).findings[0]


@pytest.mark.parametrize("name", CASES)
def test_the_first_cure_is_of_the_package_that_the_log_names(name):
    cure, message = CASES[name]
    finding = first((LOGS / f"{name}.log").read_bytes())
    assert finding.slug == name.partition("/")[0]
    for words in filter(None, message.split("|")):
        assert words in finding.message
    text = said(finding.fixes[0])
    for words in cure.split("|"):
        assert words in text
    for fix in finding.fixes:
        assert not any(isinstance(step, Install) and "flash-attn" in step.names() for step in fix.steps), said(fix)
        assert "attn-doctor wheels" not in said(fix)


def test_flash_attns_wheel_of_the_other_abi_is_named_where_the_log_states_torch_and_python():
    finding = first((LOGS / "abi-mismatch-cxx11" / "torch-and-python-stated.log").read_bytes())
    assert "flash_attn-2.8.3.post1+cu12torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl" in said(finding.fixes[0])


NAMELESS = (
    b"ModuleNotFoundError: No module named 'torch'\nerror: metadata-generation-failed\n",
    b"ModuleNotFoundError: No module named 'packaging'\nerror: metadata-generation-failed\n",
    b"c++: fatal error: Killed signal terminated program cc1plus\n",
    b"OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n",
    b"undefined symbol: _ZN3c104cuda9SetDeviceEi\n",
)


@pytest.mark.parametrize("text", NAMELESS)
def test_a_log_that_names_no_package_is_not_flash_attns(text):
    for fix in first(text).fixes:
        assert "flash-attn" not in said(fix)
        assert "flash_attn" not in said(fix)


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("C:\\Users\\user\\x>pip install flash-attn\n", "community|mjun0812|Windows"),
        ("$ pip install flash-attn\n", "attn-doctor wheels"),
    ],
)
def test_flash_attns_own_wheels_are_named_where_they_exist(system, words):
    log = f"{system}OSError: CUDA_HOME environment variable is not set. Please set it.\nERROR: Failed building wheel for flash-attn\n"
    text = said(first(log.encode()).fixes[0])
    for word in words.split("|"):
        assert word in text


def stated(**parts) -> Facts:
    return Facts(grade="stated", **parts)


def test_on_windows_community_builds_stand_for_official_wheels():
    for platform, there, not_there in (
        ("macosx-14.0-arm64", "SDPA", "attn-doctor wheels"),
        ("win-amd64", "Windows", "attn-doctor wheels"),
        ("linux-x86_64", "attn-doctor wheels", "community"),
    ):
        facts = stated(interpreter=Interpreter(platform=platform), subject=Subject(package="flash-attn"))
        text = said(wheel_fixes.look_it_up(facts))
        text += (
            " attn-doctor wheels"
            if ("attn-doctor", "wheels") in [s.argv for s in wheel_fixes.look_it_up(facts).steps]
            else ""
        )
        assert there in text
        assert not_there not in text


def test_torch_is_installed_first_where_it_is_missing_and_never_where_it_is_there():
    there = stated(subject=Subject(package="apex"), torch=Torch(version="2.5.1+cu124"))
    assert package_cures.torch_first(there, "apex") == ()
    for facts in (stated(subject=Subject(package="apex")), stated(torch=Torch(version=None))):
        (step,) = package_cures.torch_first(facts, "apex")
        assert isinstance(step, Install)
        assert "torch" in step.names()


def test_the_wheel_of_xformers_is_that_of_the_torch_that_is_there():
    facts = stated(
        subject=Subject(package="xformers"),
        torch=Torch(version="2.5.1+cu124", cuda="12.4"),
        interpreter=Interpreter(platform="linux-x86_64"),
    )
    (fix,) = building.without_compiling(facts)
    (step,) = fix.steps
    assert isinstance(step, Install)
    assert step.requirements == ("xformers", "torch==2.5.1")
    assert step.index_url == "https://download.pytorch.org/whl/cu124"


def test_a_wheel_is_offered_only_for_a_platform_python_and_torch_that_it_is_made_for():
    def ways(name, platform="linux-x86_64", python="3.10.4", torch="2.4.1+cu124"):
        facts = stated(
            subject=Subject(package=name),
            torch=Torch(version=torch, cuda="12.4"),
            interpreter=Interpreter(platform=platform, version=python),
        )
        return building.without_compiling(facts)

    index = ways("gsplat")[0].steps[1]
    assert isinstance(index, Install)
    assert index.index_url == "https://docs.gsplat.studio/whl/pt24cu124"
    assert ways("gsplat", torch="2.9.0+cu128") == ()
    assert ways("gsplat", python="3.12.1") == ()
    assert ways("vllm", platform="win-amd64") == ()
    assert ways("detectron2") == ()
    assert ways("nobody-knows-this") == ()
    assert ways("causal-conv1d", platform="linux-aarch64") == ()
    assert "CAUSAL_CONV1D_SKIP_CUDA_BUILD=TRUE" in said(ways("causal-conv1d")[0])


def test_a_build_says_how_much_memory_it_takes_and_fits_the_machine():
    facts = stated(subject=Subject(package="mamba-ssm"), system=System(available_bytes=9 << 30, cores=16))
    jobs = package_cures.fewer_jobs(facts)
    assert isinstance(jobs, SetVariable)
    assert (jobs.name, jobs.value) == ("MAX_JOBS", "2")  # 9 GB, 4 GB a job
    step = package_cures.build(facts, "here")
    assert "hours" in str(step.takes)
    assert "4 GB" in str(step.takes)


def test_the_command_in_a_log_says_what_to_ask_for_but_no_password_is_repeated():
    for command, wanted in (
        ("pip install mamba-ssm==2.2.4", "mamba-ssm==2.2.4"),
        ("pip install 'mamba_ssm[causal-conv1d]>=2'", "mamba_ssm[causal-conv1d]>=2"),
        ("pip install git+https://github.com/state-spaces/mamba-ssm.git@v2", "git+https://github.com/state-spaces/mamba-ssm.git@v2"),
        ("pip install git+https://me:secret@example.org/mamba-ssm.git", "mamba-ssm"),
        ("pip install --no-binary mamba-ssm mamba-ssm==2.2.4", "mamba-ssm==2.2.4"),
        ("pip install -r requirements.txt", "mamba-ssm"),
    ):  # fmt: skip
        assert subject.requirement(stated(subject=Subject(package="mamba-ssm", command=command))) == wanted


def test_where_nothing_else_names_the_package_the_one_of_the_typed_command_counts():
    for command, package in (
        ("pip install git+https://github.com/facebookresearch/detectron2.git", "detectron2"),
        ("uv pip install --no-build-isolation -i https://example.org/simple flash_attn==2.7.4", "flash-attn"),
        ("python -m pip install -v ./apex", None),
        ("pip install torch xformers", None),
        ("pip install -r requirements.txt", None),
        ("python train.py", None),
    ):
        assert subject.package(stated(subject=Subject(command=command))) == package


def test_before_flash_attn_a_torch_is_installed_that_it_has_wheels_for():
    """flash-attn 2.8.3.post2 does not compile against torch 2.14: its setup passes C++17, torch's headers need C++20."""
    facts = stated(torch=Torch(version=None), system=System(os="linux"))
    (step,) = package_cures.torch_first(facts, "flash-attn")
    assert isinstance(step, Install)
    assert step.requirements[0] == "torch==2.8.0"
    (step,) = package_cures.torch_first(facts, "apex")
    assert isinstance(step, Install)
    assert step.requirements[0] == "torch"


def test_on_windows_torch_is_never_the_default_of_the_registry():
    facts = stated(subject=Subject(package="apex"), system=System(os="windows"))
    for step in package_cures.torch_first(facts, "apex"):
        assert not isinstance(step, Install) or step.index_url


def test_frames_of_libraries_without_compiled_code_name_no_package():
    for name, doing, package in (
        ("transformers", "importing", None),
        ("torch", "running", None),
        ("flash-attn", "importing", "flash-attn"),
        ("my-extension", "importing", "my-extension"),
        ("transformers", "building", "transformers"),
    ):
        assert subject.package(stated(subject=Subject(package=name, doing=doing))) == package
    assert subject.package(stated()) is None
    assert subject.package(Facts()) == "flash-attn"


def test_a_package_that_nothing_is_known_of_is_not_given_torch_unless_the_log_misses_it():
    facts = stated(subject=Subject(package="pyaudio", doing="building"))
    unasked = package_cures.built_here(facts, "title", "why", "setuptools")
    asked = package_cures.built_here(facts, "title", "why", "torch")
    for fix, torch in ((unasked, False), (asked, True)):
        assert any(isinstance(step, Install) and "torch" in step.names() for step in fix.steps) is torch


def test_a_gpu_that_a_package_lacks_code_for_is_named_to_its_build():
    facts = stated(
        subject=Subject(package="flashinfer-python", doing="running"),
        graphics=Graphics(gpus=(Gpu(index=0, compute_capability="7.5"),)),
    )
    build, other = package_cures.for_gpu(facts, "flashinfer-python")
    assert isinstance(build.steps[0], SetVariable)
    assert build.steps[0].value == "7.5"
    assert "backend" in other.title


def test_packages_that_a_log_names_are_known_and_all_others_are_not():
    facts = stated(packages=Packages(named=(Distribution(name="torch", version="2.5.1"),)))
    assert fact_queries.version(facts, "torch") == "2.5.1"
    with pytest.raises(Unsure):
        fact_queries.version(facts, "ninja")
    whole = Facts(packages=Packages(distributions=(), named=(Distribution(name="torch", version="2.5.1"),)))
    assert fact_queries.version(whole, "torch") is None


def test_the_table_names_each_package_once_and_torch_among_its_imports():
    names = [name for row in load(BuiltPackage) for name in (row.name, *row.also)]
    assert len(names) == len(set(names))
    for row in load(BuiltPackage):
        assert "setuptools" in " ".join(row.imports) or "scikit-build-core" in row.imports
        assert (row.wheels == "none") == (not row.platforms)
        assert row.url is not None or row.wheels == "none"
        assert built_packages.row_of(row.name) == row


def test_what_is_built_for_a_gpu_is_compiled_although_the_index_has_a_wheel():
    facts = stated(subject=Subject(package="vllm", doing="running"))
    steps = package_cures.for_gpu(facts, "vllm")[0].steps
    built = next(step for step in steps if isinstance(step, Install))
    assert " --no-binary vllm " in " ".join(commands.rendered(facts, built).argv)
    own = package_cures.for_gpu(facts, "gsplat")[0].steps
    assert not any(isinstance(step, Install) for step in own)
    assert any("torch_extensions" in " ".join(step.argv) for step in own)


WINDOWS = {"platform": "win-amd64", "version": "3.12.4"}
NAMED = "flash_attn-2.8.3%2Bcu128torch2.8-cp312-cp312-win_amd64.whl"


@pytest.mark.parametrize(
    ("target", "torch", "system", "name"),
    [
        (WINDOWS, {"version": "2.8.0+cu128", "cuda": "12.8"}, {}, NAMED),
        (WINDOWS, {"version": "2.8.0"}, {}, NAMED),  # whose CUDA nobody names: the usual one
        (WINDOWS, {"version": "2.8.0+cu129", "cuda": "12.9"}, {}, NAMED),  # within one major it mostly loads
        (WINDOWS, {"version": "2.7.1+cu128", "cuda": "12.8"}, {}, "flash_attn-2.8.3%2Bcu128torch2.7-cp312-cp312-win_amd64.whl"),
        (WINDOWS, {"version": "2.8.0+cpu", "cuda": None}, {}, None),
        (WINDOWS, {"version": "2.8.0+cpu"}, {}, None),
        (WINDOWS, {"version": "2.99.0+cu128", "cuda": "12.8"}, {}, None),
        (WINDOWS, {}, {}, None),
        ({**WINDOWS, "version": "3.8.1"}, {"version": "2.8.0+cu128", "cuda": "12.8"}, {}, None),
        ({"platform": "linux-aarch64", "version": "3.12.4"}, {"version": "2.8.0", "cuda": "12.8"}, {"board": "jetson"}, None),
    ],
)  # fmt: skip
def test_the_exact_file_of_another_builder_is_named_for_a_machine(target, torch, system, name):
    facts = stated(
        interpreter=Interpreter(**target),
        torch=Torch(**torch),
        system=System(**system),
        subject=Subject(package="flash-attn"),
    )
    found = wheel_fixes.by_others(facts)
    assert (found and found.url.rpartition("/")[2]) == name
    if name is not None:
        (step,) = wheel_fixes.look_it_up(facts).steps
        assert isinstance(step, Install)
        assert (step.requirements, step.built_by, step.no_deps) == ((found.url,), "mjun0812", True)
        assert "`attn-doctor wheels --prove URL` reads it before it is installed" in step.why
