"""Find the folder in which an extension of a project was compiled, where a log shows it. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Seen

SIGNS = (
    # The command with which it was built: "cd kernels/scan && pip install ."
    Sign(
        pattern=r"(?:^|[$#>;&] ?)cd (?P<built_in>[^\s&;|]{1,200}) ?(?:&&|;) ?(?:python3? -m )?(?:pip3? install (?:-\S{1,30} ){0,3}\.|python3? setup\.py (?:install|develop|build))",
        literal="cd ",
        sample="$ cd ops/scan && pip install .",
        strength="context",
    ),
    # detectron2's collect_env, of a checkout that was installed in place.
    Sign(
        pattern=r"^(?P<package>detectron2)\s{1,40}\d[\w.]{0,20} @(?P<checkout>/\S{1,200})/detectron2$",
        literal="detectron2 ",
        sample="detectron2              0.6 @/home/user/work/detectron2/detectron2",
        strength="context",
    ),
)


def of(binary: str, seen: Seen) -> str | None:
    """Return the folder of the setup.py of this extension; None if the log does not show it."""
    if binary == seen.group("package"):
        folder = seen.group("checkout")
        return folder if folder and "-packages" not in folder and "..." not in folder else None
    return seen.group("built_in")
