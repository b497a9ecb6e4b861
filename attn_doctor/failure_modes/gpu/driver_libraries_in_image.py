"""A container image has files of NVIDIA's driver, where the driver of the host is to be put.

What it is
    NVIDIA's container runtime puts the libraries of the host's driver into each container. It cannot put a library where the image has a
    file of this name already.

How it shows
    "nvidia-container-cli: mount error: file creation failed: /var/lib/docker/overlay2/.../merged/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1:
    file exists". Other images start with the GPU: NVIDIA's runtime is installed and works.

Why it happens
    A package of the driver was installed in the Dockerfile (libnvidia-compute, nvidia-utils, cuda-drivers). Or the image was saved with
    `docker commit` from a container that had the driver's files in it: then they are there as empty files. It shows most under WSL 2, where
    the host's libraries have the same names in another folder.

What to do
    Delete these files in the image with one more RUN line, and build the image again. Leave packages of the driver out of a Dockerfile: the
    host brings the driver.

How to reproduce
    There is no recipe: it needs a host with Docker and an NVIDIA driver. `docker commit` of a container that runs with `--gpus all` makes such an image.

References
    https://github.com/NVIDIA/nvidia-container-toolkit/issues/289
    https://github.com/NVIDIA/nvidia-docker/issues/1551
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import container_starts
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD461",
    slug="driver-libraries-in-image",
    title="The container image has libraries of the driver in it",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("torch-sees-no-gpu", "container-without-gpu", "driver-missing", "container-toolkit-missing"),
    signs=(
        Sign(
            pattern=r"nvidia-container-cli(?:\.real)?: mount error: file creation failed: (?:/\S{1,300}?/merged)?(?P<inside>/\S{1,200}): file exists",
            literal="mount error: file creation failed: ",
            sample="nvidia-container-cli: mount error: file creation failed: /var/lib/docker/overlay2/9c/merged/usr/lib/x86_64-linux-gnu/libcuda.so.1: file exists: unknown.",
        ),
    ),
)
# There is no `detect`: attn-doctor runs inside of a container that started.


class Held(Variant, frozen=True, kw_only=True):
    """Hold the path of the file in the image, as the runtime names it."""

    path: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    path = seen.group("inside") or "/usr/lib/x86_64-linux-gnu/libcuda.so.1"
    return Hit(
        message=f"The image contains {path}, a library of NVIDIA's driver: the runtime cannot put the host's library there. The runtime itself works.",
        evidence=evidence,
        variant=Held(path=path),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    path = hit.variant.path if isinstance(hit.variant, Held) else "/usr/lib/x86_64-linux-gnu/libcuda.so.1"
    folder = path.rpartition("/")[0]
    image = container_starts.image(facts)
    if image == container_starts.IMAGE or image.startswith(
        ("nvidia/cuda", "nvcr.io/nvidia/cuda")
    ):  # these are used to test the runtime
        image, named = "IMAGE", "; write the name of your image in place of IMAGE"
    else:
        named = ""
    lines = (
        f"FROM {image}",
        "USER root",
        f"RUN rm -f {folder}/libcuda.so* {folder}/libnvidia-*.so* {folder}/libcudadebugger.so* {folder}/libnvcuvid.so*",
    )
    words = (
        "an image without these files, built from yours with three lines; start the container from without-driver-files then. Do the same in your own "
        f"Dockerfile if the image is yours{named}"
    )
    if commands.shell_of(facts) == "bash":
        script = (
            "printf '%s\\n' " + " ".join(f"'{line}'" for line in lines) + " | docker build -t without-driver-files -"
        )
        step = commands.by_hand(("sh", "-c", script), words, "adds an image", takes="a minute")
    else:
        step = commands.by_hand(
            (),
            f"{words}: write a Dockerfile with the lines `{'`, `'.join(lines)}`, and run `docker build -t without-driver-files .`",
            "adds an image",
        )
    source = commands.by_hand(
        (),
        "if the image is yours: take packages of the driver out of its Dockerfile (libnvidia-compute-*, nvidia-utils-*, cuda-drivers), because the host "
        "brings the driver; and do not save an image with `docker commit` from a container that runs with a GPU",
        "the Dockerfile",
        "none",
    )
    return (Fix(title="Delete the driver's files in the image", steps=(step, source), verify=commands.check(facts)),)
