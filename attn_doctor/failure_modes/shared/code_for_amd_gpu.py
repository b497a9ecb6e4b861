"""Build the cures for a torch, or another binary, that has no code for the AMD GPU. Pure. `gfx`: the GPU, "gfx1031"; None if it is not known."""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.shared import rocm_steps, torch_install, torch_steps
from attn_doctor.knowledge import amd, torch_choice
from attn_doctor.knowledge.torch_machine import Choice
from attn_doctor.model.facts import AmdGpu, Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step


def of_extension(facts: Facts, gfx: str | None, package: str | None) -> tuple[Fix, ...]:
    """Return the fixes for a library other than torch: compile it for this GPU, or run code for a similar GPU.

    The second not on Windows. `package`: the library; None if it is not known.
    https://huggingface.co/docs/bitsandbytes/main/en/installation
    """
    verify, arch = commands.check(facts), gfx or "gfxNNNN"
    named = () if gfx else (commands.by_hand(("rocminfo",), "names the GPU: gfxNNNN", "nothing", "none"),)
    way = "the folder of its sources" if package is None else f"the folder of the sources of {package}"
    if package == "bitsandbytes":
        option, pip = f"-DBNB_ROCM_ARCH={arch}", (*commands.starting(facts), "-m", "pip", "install", ".")
        steps: tuple[Step, ...] = (
            commands.by_hand(
                ("cmake", "-DCOMPUTE_BACKEND=hip", option, "-S", "."),
                f"in {way} (https://github.com/bitsandbytes-foundation/bitsandbytes): sets the GPU to compile for",
                "its build files",
                "none",
            ),
            commands.by_hand(
                ("make",), "compiles it with the hipcc of the installed ROCm", "its library", takes="minutes"
            ),
            commands.by_hand(pip, "in the same folder", package),
        )
    else:
        words = (
            f"in {way}: build it again for {arch}. CMake's option is -DAMDGPU_TARGETS={arch} (older projects) or -DGPU_TARGETS={arch}; for an extension "
            f"of torch, which setup.py compiles, set PYTORCH_ROCM_ARCH={arch}"
        )
        steps = (commands.by_hand((), words, f"the GPUs for which {package or 'the program'} has code"),)
    built = Fix(title=f"Build {package or 'the program'} for this GPU", steps=(*named, *steps), verify=verify)
    return (built, *(() if facts.system.os == "windows" else override(facts, gfx)))


def compiled_again(facts: Facts, gfx: str) -> Fix:
    """Return the fix that compiles an extension of torch again, for this GPU.

    The files of the earlier build are removed first. GPU_ARCHS is read by the setup.py of flash-attn, aiter and others
    of AMD, PYTORCH_ROCM_ARCH by torch's cpp_extension.
    https://github.com/ROCm/flash-attention/blob/main/setup.py
    """
    pip = (
        *commands.starting(facts),
        "-m",
        "pip",
        "install",
        "--no-build-isolation",
        "--no-cache-dir",
        "--force-reinstall",
        "--no-deps",
        ".",
    )
    steps = (
        commands.by_hand(
            ("rm", "-rf", "build"),
            "in the source folder of that extension: the files of the earlier build are for the other GPU, and would be used again",
            "what was compiled",
        ),
        commands.variable("PYTORCH_ROCM_ARCH", gfx, "the GPU that torch's build tools compile for"),
        commands.variable(
            "GPU_ARCHS", gfx, "the same setting for the setup.py of flash-attn and of AMD's own packages"
        ),
        commands.by_hand(
            pip, "in the same folder: compiles it again, for this GPU", "the extension", takes="minutes to hours"
        ),
    )
    return Fix(title=f"Build the extension again, for {gfx}", steps=steps, verify=commands.check(facts))


def of_dropped(facts: Facts, gfx: str | None) -> tuple[Fix, ...]:
    """Return the fix for a GPU that ROCm no longer supports: compute on the CPU, or on another GPU.

    https://github.com/ROCm/legacy-rocm-build/issues/1353
    """
    verify = commands.check(facts)
    cpu = commands.by_hand(
        (),
        f"no torch from PyTorch or AMD has code for {gfx}, and no setting changes that: compute on the CPU (device=cpu) or on another GPU. Some "
        "users publish builds of their own (https://github.com/xuhuisheng/rocm-gfx803), without support"
        + ("; on Windows, torch-directml can use such a card" if facts.system.os == "windows" else ""),
        "the settings of the program",
        "none",
    )
    compute = Fix(
        title="Compute on the CPU, or on a newer GPU", steps=(*rocm_steps.look(facts)[:1], cpu), verify=verify
    )
    return (compute,)


# What the kernel calls the GPU: 90012 is gfx90c, 100302 is gfx1032. It needs no ROCm. https://docs.kernel.org/gpu/amdgpu/index.html (KFD topology)
_NUMBER = "awk '/gfx_target_version/ && $2 > 0 {print $2; exit}' /sys/class/kfd/kfd/topology/nodes/*/properties"
_SIMILAR = f'case $({_NUMBER}) in 90002|90012) v=9.0.0;; 1001*|1003*) v=10.3.0;; 110001|110002) v=11.0.0;; *) v=;; esac; [ -n "$v" ] && export HSA_OVERRIDE_GFX_VERSION=$v'


def override(facts: Facts, gfx: str | None) -> tuple[Fix, ...]:
    """Return the fix that sets HSA_OVERRIDE_GFX_VERSION, so that the GPU runs code for a similar one.

    Empty if no similar GPU is known. If `gfx` is None, a line of the shell reads the GPU from the kernel and sets the
    variable.
    """
    verify = commands.check(facts)
    title = "Let the GPU run code for a similar GPU"
    row = amd.override(gfx) if gfx else None
    if row is not None and row.as_version is not None:
        why = f"{gfx} then runs code for a similar GPU; set the variable before Python starts"
        step = commands.variable("HSA_OVERRIDE_GFX_VERSION", row.as_version, f"{why}. {row.note}" if row.note else why)
        return (Fix(title=title, steps=(step,), verify=verify),)
    if gfx is not None:
        return ()
    look = commands.by_hand(
        ("sh", "-c", _NUMBER),
        "prints the GPU as the kernel names it: 100302 is gfx1032, 90012 gfx90c (rocminfo prints the same). If nothing is printed, the driver shows no GPU",
        "nothing",
        "none",
    )
    near = commands.by_hand(
        ("sh", "-c", _SIMILAR),
        f"sets the similar GPU whose code this one can run, in this shell, before Python starts ({amd.overrides()}). It sets nothing for any other GPU: see the next fix",
        "this shell's environment only",
        "none",
    )
    return (Fix(title=title, steps=(look, near), verify=verify),)


def torch_with_code(facts: Facts, gfx: str | None) -> tuple[Fix, ...]:
    """Return the fix that installs a torch which has code for the GPU: of PyTorch's index, else of AMD's own index for its family.

    No fix if neither has any. If the GPU is not known, the fix says where to look.
    """
    title, verify = "Install a torch that has code for this GPU", commands.check(facts)
    if gfx is None:
        look = commands.by_hand(
            (),
            "take the torch of AMD's index for the family of the GPU, which needs no HSA_OVERRIDE_GFX_VERSION: "
            + "; ".join(f"{one}: pip install --index-url {amd.own_index(one)} torch torchvision" for one in _EXAMPLES)
            + ". https://github.com/ROCm/TheRock/blob/main/RELEASES.md lists all",
            "torch and torchvision",
            "medium",
        )
        return (Fix(title=title, steps=(look,), verify=verify),)
    named = _of_gpu(facts, gfx)
    chosen = torch_install.choice(named, "amd")
    windows = facts.system.os == "windows"
    own = isinstance(chosen, Choice) and chosen.index_url == amd.own_index(gfx)
    if not windows and not own and not (isinstance(chosen, Choice) and gfx in torch_choice.archs_of(chosen)):
        return ()
    made = torch_steps.newest(named, title, maker="amd", reinstall=True)
    if windows or not own or not made:
        return made
    gone = commands.variable("HSA_OVERRIDE_GFX_VERSION", None, "this torch has code for the GPU itself")
    return (msgspec.structs.replace(made[0], steps=(gone, *made[0].steps)), *made[1:])


_EXAMPLES = ("gfx1030", "gfx1100", "gfx1150", "gfx1151", "gfx1200")


def _of_gpu(facts: Facts, gfx: str) -> Facts:
    """Return the facts with this AMD GPU alone, which a line of the log may name where no list of GPUs does."""
    graphics = msgspec.structs.replace(facts.graphics, amd=(AmdGpu(gfx=gfx),))
    return msgspec.structs.replace(facts, graphics=graphics)


def newer_rocm(facts: Facts, gfx: str | None) -> Fix:
    """Return the fix that installs a ROCm whose compiler supports the GPU."""
    step = commands.by_hand(
        (),
        f"install a ROCm whose compiler supports {gfx or 'this GPU'} (https://rocm.docs.amd.com/projects/install-on-linux/en/latest/): the release "
        "that torch.version.hip prints, or a newer one. If this machine has another GPU, set PYTORCH_ROCM_ARCH to the gfx number of that GPU",
        "adds a ROCm",
        "medium",
    )
    return Fix(title="Use a ROCm that supports this GPU", steps=(step,), verify=commands.check(facts))
