"""Cure bitsandbytes on a Jetson: its wheels on PyPI are compiled for ARM servers, or hold code for x86 alone. Pure.

https://github.com/bitsandbytes-foundation/bitsandbytes/issues/1930, /issues/1218 (the lines that worked on an Orin), /pull/1939 ("built for SBSA,
not for JetPack"); https://huggingface.co/docs/bitsandbytes/main/en/installation ("Compile from Source").
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared import torch_install
from attn_doctor.knowledge.torch_choice import Choice
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

_SOURCES = "https://github.com/bitsandbytes-foundation/bitsandbytes.git"
# The release that people built on JetPack 6, and the last that is documented for Python 3.8, which JetPack 5 has.
_RELEASE, _FOR_PYTHON_3_8 = "0.46.1", "0.44.1"
_CAPABILITY = {"5": "87", "6": "87", "7": "110"}  # an Orin, and a Thor: https://developer.nvidia.com/cuda-gpus


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a Jetson: compile bitsandbytes for its GPU, or install a wheel for its JetPack.

    The second only if an index is known that has torch for this JetPack.
    """
    verify = commands.check(facts)
    jetpack = facts.system.jetpack.partition(".")[0] if isinstance(facts.system.jetpack, str) else "6"
    card = _CAPABILITY.get(jetpack, "87")
    other = "" if jetpack == "7" else "; 87 is an Orin, write 72 for a Xavier"
    release = _FOR_PYTHON_3_8 if jetpack == "5" else _RELEASE
    python = commands.starting(facts)
    steps: tuple[Step, ...] = (
        commands.uninstall("bitsandbytes", why="PyPI's file is not for a Jetson"),
        commands.by_hand(
            places.as_root(facts, "apt-get", "install", "-y", "build-essential", "cmake", "git"),
            "the compiler and CMake",
            "adds build tools",
        ),
        commands.by_hand(
            ("git", "clone", "--branch", release, "--depth", "1", _SOURCES), "its sources", "a folder", "none"
        ),
        commands.by_hand(("cd", "bitsandbytes"), "the next lines run in this folder", "nothing", "none"),
        commands.by_hand(
            (
                "cmake",
                "-DCOMPUTE_BACKEND=cuda",
                f"-DCOMPUTE_CAPABILITY={card}",
                "-DCMAKE_CUDA_COMPILER=/usr/local/cuda/bin/nvcc",
                "-S",
                ".",
            ),
            f"prepares the build with JetPack's CUDA for the Jetson's GPU{other}",
            "that folder",
            "none",
        ),
        commands.by_hand(
            ("make", "-j2"),
            "compiles it; more than two compilers need more memory than 8 GB",
            "that folder",
            "none",
            takes="up to an hour",
        ),
        commands.by_hand(
            (*python, "-m", "pip", "install", "--no-deps", "."), "installs what was compiled", "bitsandbytes"
        ),
        commands.by_hand(("cd", ".."), "the folder of the sources would hide the installed package", "nothing", "none"),
        commands.by_hand((*python, "-m", "bitsandbytes"), "has to end without an error", "nothing", "none"),
    )
    built = Fix(title="Build bitsandbytes from source on the Jetson", steps=steps, verify=verify)
    found = torch_install.choice(facts)
    if not isinstance(found, Choice) or found.index_url is None or "jetson" not in found.index_url:
        return (built,)
    wheel = commands.install(
        "bitsandbytes",
        index_url=found.index_url,
        reinstall=True,
        no_deps=True,
        why="the index of Jetson AI Lab, with wheels for this JetPack: if it has none for your Python, build it from source",
        changes="bitsandbytes",
    )
    return (built, Fix(title="Install a wheel of Jetson AI Lab's index", steps=(wheel,), verify=verify))
