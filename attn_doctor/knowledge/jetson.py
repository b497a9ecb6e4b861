"""Name the JetPack of a release of Jetson Linux (L4T). Pure.

https://developer.nvidia.com/embedded/jetpack-archive
"""

from __future__ import annotations

from attn_doctor.model.versions import parse

# First release of Jetson Linux in each JetPack, newest first. Example: 36.4.3 is the first of JetPack 6.2, and 36.4.4 belongs to 6.2 too.
_FIRST = (
    ((38, 4), "7.1"),
    ((38, 2), "7.0"),
    ((36, 4, 3), "6.2"),
    ((36, 4), "6.1"),
    ((36, 2), "6.0"),
    ((35, 2), "5.1"),
    ((35, 1), "5.0"),
    ((34, 1), "5.0"),
    ((32, 6), "4.6"),
    ((32, 5), "4.5"),
    ((32, 4), "4.4"),
    ((32, 3), "4.3"),
    ((32, 1), "4.2"),
)

# Kernels of Jetson Linux ("5.15.136-tegra"), which a container shares with its board. 36.4 to 36.4.4 have the same kernel: JetPack 6.1 and 6.2 use the same torch.
# https://docs.nvidia.com/jetson/archives/ (release notes, "Kernel")
_KERNELS = (
    ("6.8.12", "7.0"),
    ("5.15.148", "6.1"),
    ("5.15.136", "6.0"),
    ("5.15.122", "6.0"),
    ("5.10.", "5.1"),
    ("4.9.253", "4.6"),
    ("4.9.299", "4.6"),
    ("4.9.337", "4.6"),
    ("4.9.201", "4.5"),
    ("4.9.140", "4.4"),
)


def jetpack_of_kernel(kernel: str) -> str | None:
    """Return the JetPack to which a board's kernel belongs: "6.0" for "5.15.136-tegra"; None if it is not known."""
    if "tegra" not in kernel:
        return None
    return next((name for begin, name in _KERNELS if kernel.startswith(begin)), None)


def jetpack_of(l4t: str) -> str | None:
    """Return the JetPack to which a release of Jetson Linux belongs: "6.2" for "36.4.4"; None if it is not known."""
    version = parse(l4t)
    if version is None:
        return None
    have = version.release
    return next((name for first, name in _FIRST if have[: len(first)] >= first and have[0] == first[0]), None)
