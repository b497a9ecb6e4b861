"""Make the fixes for a full disk that are no matter of the installer: checkpoints, the caches of Triton and Apptainer, Docker's host. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared import building
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix


def of_checkpoints(facts: Facts) -> Fix:
    """Return the fix for a checkpoint that could not be written: look at the free space of its folder, and make room or save elsewhere."""
    look = ("Get-PSDrive", "-PSProvider", "FileSystem") if facts.system.os == "windows" else ("df", "-h", ".")
    steps = (
        commands.by_hand(
            look, "shows how much is free: run it in the folder in which the program saves", "nothing", "none"
        ),
        commands.by_hand(
            (),
            "if it is full: delete old checkpoints there, or save on another disk (ultralytics: project=/another/disk/runs, and save_period=-1 keeps only the "
            "best and the last); if it is not full, ask for the quota of your account. The file that was being written is not complete: delete it",
            "files of the training",
            "low",
        ),
    )
    return Fix(title="Make room where the checkpoints are saved", steps=steps, verify=building.verify(facts))


def of_a_cache(facts: Facts, of: str) -> Fix:
    """Return the fix that moves the cache of Triton or Apptainer to another disk.

    In the home folder it filled the disk or the quota.
    https://apptainer.org/docs/user/latest/build_env.html, https://github.com/triton-lang/triton/blob/main/README.md (TRITON_CACHE_DIR)
    """
    if of == "triton":
        words = "set TRITON_CACHE_DIR to a folder of yours on a disk with space (on a cluster: the scratch disk), and delete ~/.triton/cache"
        moved = commands.by_hand((), words, "where Triton keeps its kernels", "none")
        return Fix(title="Move Triton's cache to another disk", steps=(moved,), verify=building.verify(facts))
    clean = commands.by_hand(
        ("apptainer", "cache", "clean"),
        "empties ~/.apptainer/cache (an older program: singularity cache clean)",
        "Apptainer's cache",
    )
    words = (
        "set APPTAINER_CACHEDIR and APPTAINER_TMPDIR to a folder of yours on a disk with space (on a cluster: the scratch disk), and repeat the command there. "
        "Singularity reads SINGULARITY_CACHEDIR and SINGULARITY_TMPDIR"
    )
    moved = commands.by_hand((), words, "where Apptainer keeps images", "none")
    return Fix(title="Move Apptainer's cache to another disk", steps=(clean, moved), verify=building.verify(facts))


def of_the_host(facts: Facts) -> Fix:
    """Return the fix for `docker build`: the layers and the build's cache fill the disk of the host.

    https://docs.docker.com/reference/cli/docker/builder/prune/
    """
    look = commands.by_hand(
        ("docker", "system", "df"),
        "on the host, where you started the build: shows what Docker's images, containers and build cache take. `df -h` on the host shows what is left",
        "nothing",
        "none",
    )
    prune = commands.by_hand(
        ("docker", "builder", "prune"),
        "on the host: deletes the build cache that no image uses. If this is not enough, `docker image prune -a` deletes the images that no container uses",
        "Docker's build cache",
    )
    return Fix(
        title="Make room on the host, where Docker keeps its layers", steps=(look, prune), verify=building.verify(facts)
    )
