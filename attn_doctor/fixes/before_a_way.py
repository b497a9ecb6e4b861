"""Make the steps by hand without which no step of a way can succeed: room on the disk for torch, wheels where pip asks no index. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.failure_modes.install import disk_full
from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.fixes import installer_settings
from attn_doctor.fixes.plan import NOT_ASKED, PlannedStep
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Install, RunByHand, Step
from attn_doctor.model.versions import pair


def steps(facts: Facts, way: Sequence[PlannedStep]) -> tuple[Step, ...]:
    """Return the steps that must come before the steps of this way; usually none.

    Wheels are brought only for steps for which pip or uv was asked and found none. See `notes` for the others.
    """
    lacking = [one.step for one in way if one.impossible]
    return (*_room(facts, [one.step for one in way]), *_wheels(facts, lacking))


def notes(facts: Facts, way: Sequence[PlannedStep]) -> tuple[str, ...]:
    """Return what to do if the folder to which pip is confined lacks the wheels, for steps about which pip was not asked."""
    asked = [one.step for one in way if one.unresolved == NOT_ASKED]
    lines = [commands.quoted(step.argv) for one in asked if (step := _download(facts, one)) is not None]
    folder = next((found for one in asked if (found := installer_settings.confined(facts, one))), None)
    if not lines:
        return ()
    typed = " and ".join(f"`{line}`" for line in dict.fromkeys(lines))
    return (
        f"If {folder} lacks the wheels: {typed} on a machine with a network, and copy the files of its folder wheels there.",
    )


def _room(facts: Facts, way: Sequence[Step]) -> tuple[Step, ...]:
    """Return the cure of disk-full, if the way installs a torch with the libraries of a GPU, which does not fit."""
    large = [s for s in way if isinstance(s, Install) and "torch" in s.names() and not _small(facts, s)]
    if not large or facts.grade == "stated":
        return ()
    try:
        hit = disk_full.detect(facts)
    except Unsure:
        return ()
    found = disk_full.fixes(facts, hit) if hit else ()
    return found[0].steps if found else ()


def _small(facts: Facts, step: Install) -> bool:
    """Return whether this torch is one for the CPU, of 200 MB: that of the index /cpu, or PyPI's for Windows."""
    on_pypi = step.index_url is None and facts.system.os == "windows"
    return on_pypi or (step.index_url or "").rstrip("/").endswith("/cpu")


def _wheels(facts: Facts, way: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps that bring the wheels of a way into the folder to which pip is confined.

    pip ignores --index-url where a setting says no-index, and then finds only the wheels of find-links:
    https://pip.pypa.io/en/stable/cli/pip_install/#cmdoption-no-index
    """
    made = [step for one in way if (step := _download(facts, one)) is not None]
    if not made:
        return ()
    folder = next((f for one in way if (f := installer_settings.confined(facts, one))), "")
    words = f"copy all files of the folder wheels into {folder} of this machine: the next commands find them there"
    return (*dict.fromkeys(made), commands.by_hand((), words, folder, "none"))


def _download(facts: Facts, step: Step) -> RunByHand | None:
    """Return the step that downloads what an installation needs, on a machine with a network; None if no setting confines its installer.

    For another system or Python pip needs --only-binary: https://pip.pypa.io/en/stable/cli/pip_download/. What has no wheel, such as
    flash-attn from PyPI, is downloaded as sources, without what it requires.
    """
    if not isinstance(step, Install) or step.from_folder or not installer_settings.confined(facts, step):
        return None
    how: tuple[str, ...]
    if all(text.endswith(".whl") for text in step.requirements):
        how, says = ("--no-deps",), "; then install the file from that folder, in place of its address"
    elif step.no_build_isolation or step.no_binary:
        how, says = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation"), ", with torch in that environment"
    else:
        how, says = ("--only-binary", ":all:", *_tags(facts)), ", with what they need"
    index = ("--index-url", step.index_url) if step.index_url else ()
    argv = ("python", "-m", "pip", "download", *how, "-d", "wheels", *step.requirements, *index)
    why = f"on a machine with a network: downloads the files{says}. pip on this machine asks no index"
    return RunByHand(argv=argv, why=why, changes="a folder of wheels, on that machine", risk="none")


# The tags of manylinux that PyTorch's and NVIDIA's wheels have; pip does not add the older ones to a --platform that is given.
_MANYLINUX = ((2, 28), (2, 27), (2, 24), (2, 17), (2, 12), (2, 5))


def _tags(facts: Facts) -> tuple[str, ...]:
    """Return the options that choose wheels for the Python and the system of this machine; those that are not known are left out."""
    key = key_of(facts)
    python = pair(key.python) if isinstance(key.python, str) else None
    words = ("--python-version", f"{python[0]}.{python[1]}") if python else ()
    if not isinstance(key.platform, str):
        return words
    glibc = pair(facts.system.glibc) if isinstance(facts.system.glibc, str) else None
    if not key.platform.startswith("linux_") or glibc is None:
        return (*words, "--platform", key.platform) if key.platform.startswith("win") else words
    machine = key.platform.removeprefix("linux_")
    tags = [f"manylinux_{major}_{minor}_{machine}" for major, minor in _MANYLINUX if (major, minor) <= glibc]
    return (*words, *(word for tag in (*tags, f"manylinux2014_{machine}") for word in ("--platform", tag)))
