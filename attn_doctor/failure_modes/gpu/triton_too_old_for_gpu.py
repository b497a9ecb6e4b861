"""Triton, or the assembler (ptxas) in its package, does not support the GPU.

What it is
    Triton compiles its kernels with its own ptxas, which is part of its package. If the GPU is newer than this ptxas,
    torch.compile and every kernel that is written in Triton fail. Triton does not use the CUDA toolkit of the machine,
    so a newer toolkit alone does not help.

How it shows
    "Internal Triton PTX codegen error", "`ptxas` stderr:", "ptxas fatal   : Value 'sm_121a' is not defined for option
    'gpu-name'", with the path triton/backends/nvidia/bin/ptxas; sm_103a and sm_110a in the same place. If Triton
    supports the GPU and its ptxas does not: "LLVM ERROR: PTX version 8.8 does not support target 'sm_110a'", or
    "Unsupported .version 8.7; current version is '8.4'". If Triton itself does not support the GPU: "'sm_120' is not a
    recognized processor for this target".

Why it happens
    Triton 3.3 to 3.5 contain the ptxas of CUDA 12.8. DGX Spark (sm_121a) and B300 (sm_103a) need the ptxas of CUDA
    12.9, Jetson Thor (sm_110a) that of 13.0. Newer releases of Triton contain a second ptxas, ptxas-blackwell, for
    compute capability 10.0 and newer: in Triton 3.8 it is from CUDA 13.3.

What to do
    Point Triton at the ptxas of a new enough toolkit: TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas, and
    TRITON_PTXAS_BLACKWELL_PATH for a Triton that has two. Or install a torch with a newer Triton. Or run without
    torch.compile: set TORCH_COMPILE_DISABLE=1, or use vLLM's --enforce-eager.

How to reproduce
    `attn-doctor reproduce triton-too-old-for-gpu` asks the ptxas of the newest Triton for a GPU that ptxas does not
    support. It downloads 200 MB.

References
    https://github.com/triton-lang/triton/issues/8539
    https://github.com/triton-lang/triton/blob/main/cmake/nvidia-toolchain-version.json
    https://docs.nvidia.com/cuda/parallel-thread-execution/#release-notes
    https://github.com/vllm-project/vllm/pull/31338
"""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import File, Packages, Recipe
from attn_doctor.failure_modes.shared import building, torch_install, torch_steps, triton_windows
from attn_doctor.failure_modes.shared.torch_facts import pins_torch, with_gpu
from attn_doctor.knowledge.torch_choice import Choice
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.versions import dotted, pair, parse, sm

# The first CUDA release whose ptxas supports the architecture, from the release notes of PTX.
_KNOWN_SINCE = {"sm_100": "12.8", "sm_103": "12.9", "sm_110": "13.0", "sm_120": "12.8", "sm_121": "12.9"}

MODE = FailureMode(
    code="AD433",
    slug="triton-too-old-for-gpu",
    title="Triton does not support this GPU",
    train=Severity.WARNING,
    flash_attn=Severity.ERROR,
    blocks=("compile", "flex"),
    explains=("cross-compile-archs", "triton-version-mismatch", "segfault"),
    signs=(
        # A kernel that the program starts itself, and the files of torch.compile.
        Sign(
            pattern=r"^\s*(?:\w+ = )?(?P<launch>\w+\[grid\]\()",
            literal="[grid](",
            sample="    scale_kernel[grid](x, out, n, BLOCK=256)",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<inductor>torch[\\/]_(?:inductor|dynamo)[\\/])",
            literal="_inductor",
            sample='  File "/v/lib/python3.12/site-packages/torch/_inductor/compile_fx.py", line 652',
            strength="context",
        ),
        Sign(
            pattern=r"ptxas-blackwell\S{0,4} fatal.{0,20}Value '(?P<arch>sm_\w+)' is not defined for option",
            literal="ptxas-blackwell",
            sample="ptxas-blackwell fatal   : Value 'sm_110a' is not defined for option 'gpu-name'",
        ),
        Sign(
            pattern=r"LLVM ERROR: PTX version [\d.]+ does not support target '(?P<arch>sm_\w+)'",
            literal="LLVM ERROR: PTX version ",
            sample="LLVM ERROR: PTX version 8.8 does not support target 'sm_110a'. Minimum required PTX version is 9.0.",
        ),
        Sign(
            pattern=r"PTX \.version [\d.]+ does not support \.target (?P<arch>sm_\w+)",
            literal="does not support .target sm_",
            sample="ptxas /tmp/fileUvW2, line 6; error   : PTX .version 7.4 does not support .target sm_90",
        ),
        Sign(
            pattern=r"'(?P<llvm>sm_1\w{2,3})' is not a recognized processor for this target",
            literal="is not a recognized processor for this target",
            sample="'sm_120' is not a recognized processor for this target (ignoring processor)",
        ),
        Sign(
            pattern=r"Unsupported \.version (?P<ptx>\d+\.\d); current version is",
            literal="Unsupported .version ",
            sample="ptxas /tmp/tmpk3x.ptx, line 5; fatal   : Unsupported .version 8.7; current version is '8.4'",
            strength="hint",
        ),
        Sign(
            pattern=r"ptxas(?:\.exe)? fatal.{0,20}Value '(?P<arch>sm_\w+)' is not defined for option 'gpu-name'",
            literal="is not defined for option '",
            sample="ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'",
            strength="hint",
        ),
        # The line of Python, where ptxas' own message was not posted. ptxas returns 255 for every error of its own, so only GPUs count that need a
        # newer CUDA than that of the Tritons before.
        Sign(
            pattern=r"[\\/]ptxas(?:\.exe)?', .{0,400}'--gpu-name=(?P<called>sm_1\d\d[af]?)'.{0,400} returned non-zero exit status 255",
            literal="'--gpu-name=sm_1",
            sample="subprocess.CalledProcessError: Command '['/v/triton/backends/nvidia/bin/ptxas', '-v', '--gpu-name=sm_120', '/tmp/a.ptx', '-o', "
            "'/tmp/a.ptx.o']' returned non-zero exit status 255.",
            strength="hint",
        ),
        Sign(
            pattern=r"Internal Triton PTX codegen error",
            literal="Internal Triton PTX codegen error",
            sample="triton.runtime.errors.PTXASError: PTXAS error: Internal Triton PTX codegen error",
            strength="context",
        ),
        Sign(
            pattern=r"\bPTXASError\b",
            literal="PTXASError",
            sample="NoTritonConfigsError: No valid triton configs. PTXASError: PTXAS error",
            strength="context",
        ),
        Sign(
            pattern=r"[\\/]triton[\\/](?:backends|compiler|runtime|third_party|common)[\\/]",
            literal="triton",
            sample="Repro command: /venv/lib/python3.12/site-packages/triton/backends/nvidia/bin/ptxas -v --gpu-name=sm_121a /tmp/a.ptx",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="asks the ptxas of the newest Triton for a GPU that ptxas does not support",
        of=(Packages(requirements=("triton",), megabytes=200), File(path="empty.ptx")),
        run=(("{site}/triton/backends/nvidia/bin/ptxas", "--gpu-name=sm_199a", "empty.ptx"),),
        shows="is not defined for option 'gpu-name'",
        seconds=20,
    ),
)


class Lacks(Variant, frozen=True, kw_only=True):
    """Hold the architecture, "sm_121a" (empty if the log does not show it), and the program that does not support it."""

    arch: str
    by: Literal["ptxas", "triton"]
    direct: bool = False  # the program starts a Triton kernel itself: "add_kernel[grid](x, y)"


# There is no `detect`: the facts do not show which ptxas a Triton contains.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = {m.file for m in seen.matches if m.strength != "hint" and not {"launch", "inductor"} & m.groups.keys()}
    # nvcc itself refuses a GPU that its ptxas does not support, and does not call ptxas. So outside a build another program called ptxas.
    counted = [
        m
        for m in seen.matches
        if m.strength == "proof"
        or (
            m.strength == "hint"
            and (m.file in told or not (building.in_build(seen, m) or _is_old(m.groups.get("arch"))))
        )
    ]
    if not counted:
        return None
    found = {name: value for m in reversed(counted) for name, value in m.groups.items()}
    arch, llvm = found.get("arch") or found.get("called"), found.get("llvm")
    return Hit(
        message=f"The installed Triton does not support {llvm}: Triton and its ptxas are older than the GPU."
        if llvm
        else f"The ptxas that Triton uses does not support {arch}: it is older than the GPU."
        if arch
        else f"The ptxas that Triton uses is older than Triton: it does not support PTX {found.get('ptx')}.",
        evidence=building.lines(counted),
        variant=Lacks(
            arch=arch or llvm or "",
            by="triton" if llvm else "ptxas",
            direct=seen.group("launch") is not None and seen.group("inductor") is None,
        ),
        confidence=Confidence.HIGH if told else Confidence.MEDIUM,
    )


def _is_old(arch: str | None) -> bool:
    """Return whether an architecture ("sm_30") is one that Triton never supported: a newer nvcc has dropped it."""
    asked = sm(arch) if arch else None
    return asked is not None and asked < (7, 0)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    lacks = hit.variant if isinstance(hit.variant, Lacks) else Lacks(arch="", by="ptxas")
    arch = lacks.arch
    since = _KNOWN_SINCE.get(arch.rstrip("af"))
    made = []
    if facts.system.os != "windows" and lacks.by == "ptxas":
        ptxas = _ptxas(facts, since)
        of = f"a ptxas of CUDA {since} or newer supports {arch}" if since else "the ptxas of a newer CUDA"
        steps = (
            commands.variable("TRITON_PTXAS_PATH", ptxas, f"{of}; `{ptxas} --version` shows its release"),
            commands.variable(
                "TRITON_PTXAS_BLACKWELL_PATH", ptxas, "the same for a Triton that contains a second ptxas"
            ),
        )
        made.append(Fix(title="Point Triton at the toolkit's ptxas", steps=steps, verify=verify))
    windows = facts.system.os == "windows"
    why = "a newer torch installs a newer Triton, which contains a newer ptxas"
    if windows:
        why = (
            "a newer torch works with a newer Triton, which on Windows is a separate package: the last step installs it"
        )
    asked = sm(arch)
    named = isinstance(facts.graphics.gpus, tuple) and facts.graphics.gpus
    known = facts if named or asked is None else with_gpu(facts, dotted(asked))
    if _is_newer(known, arch):
        newer = torch_steps.newest(known, "Install a torch with a newer Triton", why=why)
        if windows:
            brought = commands.install(
                "triton-windows", upgrade=True, why="the newest, with its ptxas", changes="triton-windows"
            )
            newer = tuple(msgspec.structs.replace(fix, steps=(*fix.steps, brought)) for fix in newer)
        made = [*made, *newer] if _toolkit_is_there(facts, arch) else [*newer, *made]
    if windows and lacks.by == "ptxas" and not arch:
        made = [*_own_ptxas_of_windows(facts)]
    if isinstance(hit.variant, Lacks) and hit.variant.direct:
        return tuple(made)  # the program starts the kernel itself: no switch of torch.compile counts
    without = commands.variable(
        "TORCH_COMPILE_DISABLE", "1", "switches torch.compile off, and with it Triton; for vLLM use --enforce-eager"
    )
    made.append(Fix(title="Do without torch.compile", steps=(without,), verify=verify))
    return tuple(made)


def _own_ptxas_of_windows(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for a triton-windows that takes the ptxas of an older toolkit: upgrade it, and unset CUDA_PATH and TRITON_PTXAS_PATH.

    Its releases since 3.2.0.post11 contain a ptxas.

    https://github.com/triton-lang/triton-windows#3-cuda
    """
    path = commands.variable(
        "CUDA_PATH", None, "Triton then takes the ptxas that it contains, and not that of the installed toolkit"
    )
    own = commands.variable("TRITON_PTXAS_PATH", None, "the same, if it is set")
    newer = triton_windows.fixes(facts, upgrade=True)
    return tuple(msgspec.structs.replace(fix, steps=(*fix.steps, path, own)) for fix in newer)


def _is_newer(facts: Facts, arch: str) -> bool:
    """Return whether the torch that would be installed is known to be newer than the present torch, so that its Triton is newer too.

    False if a server of models, such as vLLM, is installed: it works only with the torch that it was built for.
    """
    found, have = torch_install.choice(facts), facts.torch.version
    chosen = parse(found.torch) if isinstance(found, Choice) and found.torch else None
    if chosen is None or pins_torch(facts) is not None:
        return False
    first = _FIRST_TORCH.get(arch.rstrip("af"))
    if isinstance(have, str):
        there = parse(have)
        return there is not None and chosen.release[:2] > max(there.release[:2], _before(first))
    return first is not None and chosen.release[:2] >= first and places.container(facts) is None


def _before(first: tuple[int, int] | None) -> tuple[int, int]:
    """Return the last torch that is too old; (0, 0) if that is not known."""
    return (first[0], first[1] - 1) if first else (0, 0)


# The first torch whose Triton contains a ptxas that supports an architecture. Triton 3.3, of torch 2.7, contains that of CUDA 12.8; Triton 3.6, of
# torch 2.10, a second one of CUDA 12.9; Triton 3.7, of torch 2.12, has it from CUDA 13.1. https://github.com/triton-lang/triton/issues/10331 has
# the table; which torch requires which Triton is in the metadata of torch's wheels.
_FIRST_TORCH = {
    "sm_100": (2, 7),
    "sm_120": (2, 7),
    "sm_101": (2, 7),
    "sm_103": (2, 10),
    "sm_110": (2, 12),
    "sm_121": (2, 10),
}


def _toolkit_is_there(facts: Facts, arch: str) -> bool:
    """Return whether a CUDA toolkit is installed, or probably is: container images, a DGX Spark and a Jetson contain one."""
    kits = facts.toolchain.toolkits
    of_a_board = arch.rstrip("af") in ("sm_121", "sm_110", "sm_101")  # DGX Spark and Jetson Thor
    return bool(isinstance(kits, tuple) and kits) or of_a_board or places.container(facts) is not None


def _ptxas(facts: Facts, since: str | None) -> str:
    """Return the path of a ptxas that is new enough, from a known toolkit; else the path in NVIDIA's packages."""
    kits = facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ()
    for kit in kits:
        version = pair(kit.version) if isinstance(kit.version, str) else None
        if kit.root and version and (since is None or version >= (pair(since) or (0, 0))):
            return f"{kit.root}/bin/ptxas"
    return "/usr/local/cuda/bin/ptxas"
