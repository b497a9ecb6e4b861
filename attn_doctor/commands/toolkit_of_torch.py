"""Build the shell lines that install the CUDA toolkit for a torch whose CUDA version is not known. Pure.

The lines read the CUDA version from torch when they run.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import cuda_repositories, cuda_toolkits, places
from attn_doctor.commands.shells import quoted, shell_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step

_ASKED = "import torch; print(torch.version.cuda)"
_DASHED = 'import torch; print(torch.version.cuda.replace(".", "-"))'  # "12-8": NVIDIA's repository writes the release so in the name of a package


def steps(facts: Facts) -> tuple[Step, ...]:
    """Return the steps, as lines for bash. Empty on Windows and macOS, in a container, on a cluster, and for any other shell.

    Outside of conda's environments it is empty too if the distribution is known and NVIDIA has no repository for its apt.
    """
    beside = places.container(facts) or places.on_cluster(facts) or facts.system.os in ("windows", "darwin")
    if beside or shell_of(facts) != "bash":
        return ()
    python = quoted(commands.starting(facts))
    asked, dashed = (f"$({python} -c '{program}')" for program in (_ASKED, _DASHED))
    none = "the line asks torch for its CUDA; if torch has none, it is a CPU build"
    if places.environment_tool(facts):
        return _by_conda(facts, asked, none)
    found = cuda_repositories.repository(facts)
    if found is None and not isinstance(facts.system.distribution, str):
        root = f"without root: cuda-toolkit of conda's channel nvidia, in the same release; {none}"
        return cuda_toolkits.as_ubuntu(facts, dashed, asked, root)
    if found is None or places.manager(facts) not in ("apt-get", None):
        return ()
    made = [
        commands.by_hand(argv, said, "NVIDIA's repository")
        for argv, said in cuda_repositories.set_up(facts, found.folder, "apt-get")
    ]
    install = f"{' '.join(places.as_root(facts, 'apt-get', 'install', '-y'))} cuda-toolkit-{dashed}"
    why = f"the toolkit alone, which brings no driver; {none}"
    get = commands.by_hand(("sh", "-c", install), why, "adds the CUDA toolkit", takes="about 5 GB")
    home = f"export CUDA_HOME=/usr/local/cuda-{asked}"
    where = commands.by_hand(
        ("sh", "-c", home),
        "the folder into which this package installs the toolkit",
        "CUDA_HOME, in this shell alone",
        "none",
    )
    return (*made, get, where)


def _by_conda(facts: Facts, asked: str, none: str) -> tuple[Step, ...]:
    """Return the steps for an environment of conda. conda-forge has cuda-toolkit from CUDA 12 on, NVIDIA's channel older ones too.

    A toolkit of the channel nvidia asks for parts of its own release or newer: the compiler and the headers are named with their release.
    """
    *before, last = places.conda_install(facts, "cuda-toolkit", channels=("nvidia", "conda-forge"))
    gcc = f"gxx_linux-{'aarch64' if places.architecture(facts) == 'aarch64' else '64'}=11"
    names = " ".join(f'"{name}={asked}"' for name in (last, "cuda-nvcc", "cuda-cudart-dev"))
    why = f"a toolkit of torch's CUDA and a gcc that each nvcc accepts, inside this environment; {none}"
    line = f"{quoted(tuple(before))} {names} {gcc}"
    get = commands.by_hand(("sh", "-c", line), why, "adds a CUDA toolkit to this environment", takes="about 3 GB")
    prefix = facts.interpreter.prefix
    if not isinstance(prefix, str):
        return (get,)
    return get, commands.variable("CUDA_HOME", prefix, "where conda puts its toolkit")
