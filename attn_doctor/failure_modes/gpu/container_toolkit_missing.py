"""Docker cannot pass a GPU into containers, because NVIDIA's toolkit for it is missing.

What it is
    `docker run --gpus all` needs nvidia-container-toolkit on the host, and Docker has to be configured for it.

How it shows
    "could not select device driver "" with capabilities: [[gpu]]" (or "nvidia" from a compose file); "unknown or invalid runtime
    name: nvidia"; "nvidia-container-cli: initialization error".

Why it happens
    The toolkit is not installed; Docker was not restarted after `nvidia-ctk runtime configure`; Docker comes as a snap, or runs rootless,
    and reads another configuration; Docker Desktop on Linux has its own virtual machine without a GPU.

What to do
    Install nvidia-container-toolkit on the host, configure Docker with it, restart Docker.

How to reproduce
    There is no recipe: it takes a host with Docker and without NVIDIA's toolkit, and nothing is changed on a host.

References
    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
    https://github.com/NVIDIA/nvidia-docker/issues/1034
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

MODE = FailureMode(
    code="AD408",
    slug="container-toolkit-missing",
    title="Docker cannot pass a GPU on",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("container-without-gpu", "driver-missing", "cuda-init-error", "no-gpu-present"),
    signs=(
        Sign(
            pattern=r"could not select device driver .{0,20} with capabilities: \[\[.{0,10}gpu",
            literal="could not select device driver",
            sample='docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
        ),
        Sign(
            pattern=r"nknown runtime specified:? ?\"?nvidia",
            literal="nknown runtime specified",
            sample="docker: Error response from daemon: Unknown runtime specified nvidia.",
        ),
        Sign(
            pattern=r"unknown or invalid runtime name:? ?\"?nvidia",
            literal="invalid runtime name",
            sample="docker: Error response from daemon: unknown or invalid runtime name: nvidia.",
        ),
        Sign(
            pattern=r"nvidia-container-cli(?:\.real)?: (?:initialization error|requirement error|ldcache error|mount error|detection error)",
            literal="nvidia-container-cli",
            sample="nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file",
        ),
        Sign(
            pattern=r"unresolvable CDI devices nvidia\.com/gpu",
            literal="unresolvable CDI devices",
            sample="Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all",
        ),
    ),
)
# There is no `detect`: the doctor runs inside the container, and does not ask Docker on the host.


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    install = commands.by_hand(
        ("sudo", "apt-get", "install", "-y", "nvidia-container-toolkit"),
        "on the host, after its repository was set up (see the install guide); dnf and zypper know it by the same name",
        "installs the toolkit",
    )
    configure = commands.by_hand(
        ("sudo", "nvidia-ctk", "runtime", "configure", "--runtime=docker"),
        "configures Docker for it",
        "/etc/docker/daemon.json",
    )
    restart = commands.by_hand(
        ("sudo", "systemctl", "restart", "docker"),
        "Docker reads its configuration at its start",
        "Docker",
        risk="medium",
        risk_text="stops containers",
    )
    title = "Install and configure nvidia-container-toolkit"
    return (Fix(title=title, steps=(install, configure, restart), verify=commands.check(facts)),)
