"""The machine has an NVIDIA GPU, but torch is a CPU build.

What it is
    torch was built without CUDA. It works, but only on the CPU, and does not use the GPU.

How it shows
    "AssertionError: Torch not compiled with CUDA enabled"; a version that ends in +cpu; `torch.version.cuda` is None;
    an extension that does not find libc10_cuda.so. When flash-attn is built with such a torch, the message is
    "CUDA_HOME environment variable is not set", even when it is set: a CPU torch does not read it. Older setup.py files
    stop in parse(torch.version.cuda), which is None; a file that includes c10/cuda finds no "cuda_cmake_macros.h".

Why it happens
    `pip install torch` gives a CPU build on Windows and on older Linux ARM; conda takes the CPU build if no CUDA build fits the other packages; or the index URL ended in /cpu; or the
    requirement of another package replaced the CUDA build by a CPU build.

What to do
    Install torch again, from the index for a CUDA release that the driver supports.

How to reproduce
    `attn-doctor reproduce torch-cpu-build` runs flash-attn's own setup.py under a CPU build of torch. It downloads 13
    MB, and a CPU build of torch (200 MB) if the torch of the target does not fit.

References
    https://pytorch.org/get-started/locally/
    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py (CUDA_HOME is None without CUDA)
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import BUILD_TOOLS, INSTALL_SOURCE, Recipe, Source, Torch
from attn_doctor.failure_modes.shared import (
    building,
    conda_cpu_build,
    cpu_beside_gpu,
    cut_logs,
    gpu_wished,
    not_found_words,
    nvcc_beside_cpu_build,
    old_torch_steps,
    other_devices,
    torch_facts,
    torch_install,
    torch_steps,
    without_gpu,
)
from attn_doctor.failure_modes.shared.fact_queries import nvidia_card, torch_installed
from attn_doctor.knowledge import old_torch, torch_choice
from attn_doctor.knowledge.torch_choice import Choice, NoTorch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import NVIDIA, amd_gpus, nvidia_present
from attn_doctor.model.versions import parse

MODE = FailureMode(
    code="AD420",
    slug="torch-cpu-build",
    title="A CPU build of torch beside an NVIDIA GPU",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "xformers-no-operator",
        "cuda-home-unset",
        "nvcc-missing",
        "build-failed-unspecified",
        "config-device-cpu",
        "abi-mismatch-torch-version",
        "libcudart-missing",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
    ),
    signs=(
        Sign(
            pattern=r"Torch not compiled with CUDA enabled",
            literal="Torch not compiled with CUDA",
            sample="AssertionError: Torch not compiled with CUDA enabled",
        ),
        # The version of a CPU build, however a tool prints it: "torch-2.13.0+cpu", "PyTorch version: 2.9.1+cpu".
        Sign(
            pattern=r"(?<![\w.])(?P<version>[1-9]\d?\.\d+\.\d+(?:\.dev\d+|a\d+|rc\d+)?\+cpu)(?!\w)",
            literal="+cpu",
            sample="Ultralytics 8.4.190 Python-3.11.7 torch-2.13.0+cpu CPU (AMD EPYC)",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<homeless>CUDA_HOME environment variable is not set)",
            literal="CUDA_HOME environment variable is not set",
            sample="OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.",
            strength="hint",
        ),
        *gpu_wished.SIGNS,
        *other_devices.SIGNS,
        *conda_cpu_build.SIGNS,
        *cpu_beside_gpu.BANNER,
        *building.ISOLATED,
        Sign(
            pattern=r"(?P<none>TypeError: expected string or bytes-like object)",
            literal="expected string or bytes-like",
            sample="TypeError: expected string or bytes-like object",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<none>Invalid version: '?None\b)",
            literal="Invalid version: ",
            sample="packaging.version.InvalidVersion: Invalid version: 'None'",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<asked>parse\(torch\.version\.cuda\))",
            literal="parse(torch.version.cuda)",
            sample="    torch_cuda_version = parse(torch.version.cuda)",
            strength="hint",
        ),
        # A traceback may be cut at this call of Ultralytics and YOLOv5, which raises only if torch does not see the GPU.
        # https://github.com/ultralytics/ultralytics/blob/main/ultralytics/utils/torch_utils.py
        cut_logs.source(
            r"(?:[\w.]{1,40} ?= ?)?(?:[\w.]{1,40}\.)?select_device\(.{0,200}",
            "select_device(",
            "    device=select_device(self.args.device, verbose=verbose),",
        ),
        cut_logs.frame(
            "select_device",
            "select_device",
            '  File "/v/lib/python3.11/site-packages/ultralytics/utils/torch_utils.py", line 194, in select_device',
        ),
        Sign(
            pattern=r"(?:\bPyTorch (?P<built>\d[\w.]*\+cu\d{2,3}) .{0,40})?\(you have (?P<version>\d[\w.]*\+cpu)\)",
            literal="(you have ",
            sample="    PyTorch 2.1.2+cu121 with CUDA 1201 (you have 2.1.2+cpu)",
        ),
        Sign(
            pattern=r"(?<!OSError: )\b(?P<library>libc10_cuda\.so|libtorch_cuda\.so): cannot open shared object file",
            literal="_cuda.so: cannot open",
            sample="ImportError: libc10_cuda.so: cannot open shared object file: No such file or directory",
        ),
        # The linkers of Microsoft and GNU, where an extension is linked with the libraries that only a CUDA build has.
        Sign(
            pattern=r"(?:LNK1181: .{1,80}'|ld(?:\.\w+)?: cannot find -l)(?P<library>c10_cuda|torch_cuda)\b",
            literal="_cuda",
            sample="LINK : fatal error LNK1181: cannot open input file 'c10_cuda.lib'",
        ),
        Sign(
            pattern=not_found_words.missing_header(r"c10/cuda/impl/cuda_cmake_macros\.h"),
            literal="cuda_cmake_macros.h",
            sample="CUDAMacros.h:9:10: fatal error: c10/cuda/impl/cuda_cmake_macros.h: No such file or directory",
        ),
    ),
    recipe=Recipe(
        does="runs flash-attn's own setup.py under a CPU build of torch",
        of=(Torch(build="cpu"), BUILD_TOOLS, Source()),
        run=(INSTALL_SOURCE,),
        shows="CUDA_HOME environment variable is not set",
        seconds=20,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if every(
        lambda: torch_installed(facts),
        lambda: isinstance(facts.torch.hip, str),
        lambda: (
            facts.torch.available is not True and not (isinstance(facts.graphics.amd, tuple) and facts.graphics.amd)
        ),
        lambda: nvidia_card(facts),
    ):
        return Hit(
            message=f"torch {facts.torch.version} is built for AMD GPUs (ROCm), so the NVIDIA GPU of this machine is not used.",
            evidence=(
                fact(facts, "torch.hip", f"torch {facts.torch.version} is built for ROCm {facts.torch.hip}"),
                _card(facts),
            ),
            certainty=Certainty.PREDICTED,
            confidence=Confidence.MEDIUM,
        )
    if not every(
        lambda: torch_installed(facts),
        lambda: known(facts.torch.cuda) is None,
        lambda: known(facts.torch.hip) is None,
        lambda: nvidia_card(facts),
    ):
        return None
    evidence = [fact(facts, "torch.cuda", f"torch {facts.torch.version} is built without CUDA"), _card(facts)]
    away = (
        "it would not use the GPU that --gpu names"
        if facts.graphics.stated is True
        else "the GPU of this machine is not used"
    )
    return Hit(
        message=f"torch {facts.torch.version} is a CPU build, so {away}.",
        evidence=tuple(evidence),
        certainty=Certainty.OBSERVED if facts.torch.importable is True else Certainty.PREDICTED,
    )


def _card(facts: Facts) -> Evidence:
    """Return the evidence that the machine has an NVIDIA GPU."""
    gpus = facts.graphics.gpus
    if isinstance(gpus, tuple) and gpus:
        if facts.graphics.stated is True:
            return fact(
                facts,
                "graphics.gpus.0.name",
                f"{gpus[0].name} (compute capability {gpus[0].compute_capability}), stated by --gpu",
            )
        name = gpus[0].name if isinstance(gpus[0].name, str) else "GPU that the driver shows"
        return fact(facts, "graphics.gpus.0.name", f"this machine has {'an' if name[0] in 'AEIOUN' else 'a'} {name}")
    if isinstance(facts.graphics.pci, tuple) and any(d.vendor == NVIDIA for d in facts.graphics.pci):
        index = next(i for i, d in enumerate(facts.graphics.pci) if d.vendor == NVIDIA)
        return fact(facts, f"graphics.pci.{index}.vendor", "an NVIDIA card is on the PCI bus")
    return fact(
        facts,
        "system.board",
        f"the board is a {'Jetson' if facts.system.board == 'jetson' else 'DGX Spark'}, which has an NVIDIA GPU",
    )


class BuiltFor(Variant, frozen=True, kw_only=True):
    """Hold the build of torch for which an installed package was built, if the log shows it: "2.1.2+cu121"."""

    torch: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proven = any(m.strength == "proof" for m in seen.matches)
    if (by_conda := conda_cpu_build.hit(facts, seen)) is not None:
        return by_conda
    jetson = facts.system.board == "jetson" and facts.torch.available is not True
    if jetson and (on_cpu := cpu_beside_gpu.told(facts, seen)) is not None:
        return on_cpu
    # A CPU torch alone is no fault. Together with "CUDA_HOME is not set" it is the reason: it never looks for a toolkit.
    # The user wants a GPU if the program stops without one, or if the log shows an NVIDIA driver, GPU or toolkit and says that CUDA is missing.
    stopped = ("config-device-cpu", "torch-sees-no-gpu")
    wanted = any(m.strength == "proof" for log in seen.logs for slug in stopped for m in log.of(slug))
    wanted |= torch_facts.wants_gpu(facts) and any(log.of("torch-sees-no-gpu") for log in seen.logs)
    version = seen.group("version") or _stated_cpu(facts)
    parsed = seen.group("none") and (seen.group("asked") or version)  # setup.py reads torch.version.cuda, which is None
    alone = seen.group("isolated") is None
    homeless = alone and any(log.of("cuda-home-unset") for log in seen.logs)
    beside = _stated_cpu(facts) is not None and nvidia_present(facts) is True
    nvcc = nvcc_beside_cpu_build.on_path(facts) if homeless else None
    wish = seen.group("wish") is not None and version is not None
    # A frame alone does not show which build torch is.
    only_cut = all("cut" in m.groups for m in seen.matches if m.strength != "context" and "banner" not in m.groups)
    if only_cut or not (proven or wanted or parsed or (homeless and version) or beside or wish):
        if version and (cut := cut_logs.ends(seen)):
            return Hit(
                message=f"The log is cut: it ends at {cut[-1].groups['cut'].strip(' ,')[:60]}, which fails if torch does not see the "
                f"requested GPU. The installed torch, {version}, is a CPU build and sees no GPU. To be sure, run `attn-doctor diagnose` with the whole log: the last line of the traceback is missing.",
                evidence=tuple(e for e in evidence if "+cpu" in e.text)[:1]
                + tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in cut[-1:]),
                confidence=Confidence.LOW,
            )
        return nvcc_beside_cpu_build.hit(facts, nvcc, evidence) if nvcc else None
    other = seen.group("other")
    if other is not None and version is None:
        return other_devices.hit(seen, other)
    if without_gpu.absent(facts) and (proven or wanted) and not homeless:
        return without_gpu.hit(facts, "CUDA", [m for m in seen.matches if m.strength == "proof"])
    library = seen.group("library")
    if facts.system.os == "darwin":
        return Hit(
            message="The program asks for CUDA on a Mac. No torch for macOS has CUDA, and torch uses no NVIDIA GPU there.",
            evidence=evidence,
        )
    return Hit(
        message=f"The installed torch{f', {version},' if version else ''} is a CPU build{f': it has no {library}' if library else ''}.",
        evidence=evidence,
        variant=nvcc_beside_cpu_build.NoHome(nvcc=nvcc)
        if nvcc
        else BuiltFor(torch=built)
        if (built := seen.group("built"))
        else None,
    )


def _stated_cpu(facts: Facts) -> str | None:
    """Return the version of the torch in the log, if it is known to be built without CUDA and ROCm; else None."""
    version = facts.torch.version
    cpu = isinstance(version, str) and facts.torch.cuda is None and facts.torch.hip is None
    return str(version) if cpu and not str(version).endswith("+xpu") and facts.system.os != "darwin" else None


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if facts.system.os == "darwin":
        return (_of_a_mac(facts),)
    if isinstance(hit.variant, without_gpu.Absent):
        return without_gpu.fixes(facts)
    if isinstance(hit.variant, other_devices.Elsewhere):
        return other_devices.fixes(facts, hit.variant.device)
    if isinstance(hit.variant, cpu_beside_gpu.OnCpu):
        return cpu_beside_gpu.fixes(facts, hit.variant)
    if isinstance(hit.variant, conda_cpu_build.ByConda):
        return conda_cpu_build.fixes(facts, hit.variant)
    newest = _newest(facts)
    version = facts.torch.version
    if isinstance(hit.variant, nvcc_beside_cpu_build.NoHome) and (
        made := nvcc_beside_cpu_build.fix(facts, hit.variant.nvcc)
    ):
        return (made, *newest)
    if facts.grade != "stated" or not isinstance(version, str):
        return newest
    # Other packages may be built for this release of torch, and a log does not name them all: keep the release.
    bare, release = version.partition("+")[0], parse(version)
    if release is None or release.is_prerelease or torch_choice.by_others(version):
        return newest  # a nightly, or a build that the user made: no index has it for CUDA
    if isinstance(hit.variant, BuiltFor) and (made := _for_built(facts, hit.variant.torch)):
        return (made, *newest)
    if (old := old_torch_steps.same_release(facts)) is not None:
        title = f"Install the CUDA build of torch {bare}"
        return (Fix(title=title, steps=old_torch_steps.steps(facts, old), verify=commands.check(facts)), *newest)
    steps = torch_steps.for_gpu(
        facts, bare, f"the same release, torch {bare}, with CUDA: packages that were built for it still fit"
    )
    same = Fix(title=f"Install the CUDA build of torch {bare}", steps=steps, verify=commands.check(facts))
    return (same, *newest) if steps else newest


def _of_a_mac(facts: Facts) -> Fix:
    """Return the fix for a program that requests CUDA on a Mac: let it use "mps" (the GPU of the Mac) or "cpu".

    https://docs.pytorch.org/docs/stable/notes/mps.html
    """
    step = commands.by_hand(
        (),
        'no torch for macOS has CUDA: write "mps" (the GPU of a Mac with an Apple chip) or "cpu" where the program says "cuda"; for yolo: device=mps',
        "the settings of the program",
        "none",
    )
    return Fix(title="Compute on the Mac's own GPU, or on its CPU", steps=(step,), verify=commands.check(facts))


def _for_built(facts: Facts, built: str) -> Fix | None:
    """Return the fix that installs the build of torch that an installed package was built for; None if no index has it for this machine."""
    wanted, _, flavour = built.partition("+")
    cuda = f"{flavour[2:-1]}.{flavour[-1]}"
    found = torch_choice.choose_release(torch_facts.machine_of(facts), wanted, cuda)
    if not isinstance(found, Choice):
        return None
    why = f"torch {built}: the package that prints this warning was built for it"
    steps = torch_install.steps_of(facts, found, why, reinstall=True)
    return Fix(title=f"Install torch {built}", steps=steps, verify=commands.check(facts))


def _newest(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes that install a torch for the GPU; for an AMD GPU of a log, they first ask the torch of the program."""
    found = torch_install.choice(facts)
    title = "Install a CUDA build of torch"
    old = old_torch.newest(torch_facts.machine_of(facts)) if isinstance(found, NoTorch) else None
    if old is not None:  # the driver or the Python is too old for each torch of today
        named = f"Install torch {old.row.torch} for CUDA {old.cuda}"
        return (Fix(title=named, steps=old_torch_steps.steps(facts, old), verify=commands.check(facts)),)
    if isinstance(found, Choice) and found.torch is None:
        title = "Install NVIDIA's torch for this JetPack"
    elif isinstance(found, Choice) and found.flavour and found.flavour.startswith(("rocm", "xpu")):
        title = f"Install the {'ROCm' if found.flavour == 'rocm' else found.flavour} build of torch"
    made = torch_steps.newest(facts, title, reinstall=True)
    if facts.grade != "stated" or not amd_gpus(facts):
        return made
    # A user with an AMD card often has a torch for it already, in another environment than that of the program.
    look = commands.by_hand(
        (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.version.hip)"),
        "run it with the Python that runs the program: if None follows the version, this torch is not built for AMD GPUs; another Python may have such a build",
        "nothing",
        "none",
    )
    return tuple(msgspec.structs.replace(fix, steps=(look, *fix.steps)) for fix in made)
