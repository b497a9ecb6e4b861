"""The machine has an NVIDIA card, but no working driver.

What it is
    The card is on the PCI bus, but its kernel driver is not loaded, so no program can reach it.

How it shows
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver", "No CUDA GPUs are available", "Found
    no NVIDIA driver on your system", "libcuda.so.1: cannot open shared object file"; "modprobe: ERROR: could not insert
    'nvidia': Key was rejected by service" if the module's key is not enrolled in Secure Boot. In the output of `python
    -m torch.utils.collect_env`: "Nvidia driver version: Could not collect" and "Is CUDA available: False", for a torch
    with CUDA.

Why it happens
    No driver was installed; or the kernel was updated and the driver's module was not rebuilt for it (no DKMS); or
    Secure Boot refuses the unsigned module; or the nouveau driver uses the card.

What to do
    Install the driver of the distribution, and reboot. With Secure Boot, enrol the driver's key or switch Secure Boot
    off.

How to reproduce
    `attn-doctor reproduce driver-missing` starts torch's CUDA on a machine without a driver. It needs a CUDA build of torch
    in the target. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/
    https://wiki.debian.org/NvidiaGraphicsDrivers
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import debian_drivers, nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import START_CUDA, Recipe, Torch, no_system_library
from attn_doctor.failure_modes.shared import (
    building,
    collect_env,
    cuda_error_numbers,
    libcuda_link,
    nvidia_smi_absent,
    rocm_steps,
    torch_steps,
    without_gpu,
    zluda,
)
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import NVIDIA, amd_gpus, nvidia_present, only_intel

MODE = FailureMode(
    code="AD402",
    slug="driver-missing",
    title="An NVIDIA card without a working driver",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "cuda-init-error",
        "no-gpu-present",
        "config-device-cpu",
        "torch-cpu-build",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
        "segfault",  # TensorRT's programs go on without a GPU, and crash; cuDNN aborts the process
    ),
    signs=(
        Sign(
            pattern=r"NVIDIA-SMI has failed because it couldn.t communicate with the NVIDIA driver",
            literal="NVIDIA-SMI has failed because",
            sample="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA "
            "driver is installed and running.",
        ),
        Sign(
            pattern=r"Unable to load the (?:kernel module 'nvidia\.ko'|'nvidia-drm' kernel module)",
            literal="Unable to load the ",
            sample="ERROR: Unable to load the kernel module 'nvidia.ko'.",
        ),
        Sign(
            pattern=r"modprobe: FATAL: Module nvidia\S* not found",
            literal="modprobe: FATAL: Module nvidia",
            sample="modprobe: FATAL: Module nvidia not found in directory /lib/modules/6.8.0-40-generic",
        ),
        Sign(
            pattern=r"modprobe: (?:ERROR|FATAL): could not insert 'nvidia\w*'",
            literal="could not insert 'nvidia",
            sample="modprobe: ERROR: could not insert 'nvidia': Key was rejected by service",
        ),
        Sign(
            pattern=r"Found no NVIDIA driver on your system",
            literal="Found no NVIDIA driver",
            sample="RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a "
            "driver from http://www.nvidia.com/Download/index.aspx",
        ),
        Sign(
            pattern=r"NVMLError_DriverNotLoaded",
            literal="NVMLError_DriverNotLoaded",
            sample="pynvml.NVMLError_DriverNotLoaded: Driver Not Loaded",
        ),
        Sign(
            pattern=r"NVML Shared Library Not Found",
            literal="NVML Shared Library Not Found",
            sample="pynvml.NVMLError_LibraryNotFound: NVML Shared Library Not Found",
            strength="hint",
        ),
        # nvidia-smi: the driver runs and no GPU works with it, or this job was given none.
        Sign(
            pattern=r"^(?P<nodevices>No devices were found)$",
            literal="No devices were found",
            sample="No devices were found",
            strength="hint",
        ),
        Sign(
            pattern=r"No CUDA GPUs are available",
            literal="No CUDA GPUs are available",
            sample="RuntimeError: No CUDA GPUs are available",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:ImportError|OSError): libcuda\.so\.1: cannot open shared object file",
            literal="libcuda.so.1: cannot open",
            sample="ImportError: libcuda.so.1: cannot open shared object file: No such file or directory",
            strength="hint",
        ),
        *libcuda_link.SIGNS,
        Sign(
            pattern=r"libcuda\.so not found! Do you have a CUDA driver installed",
            literal="libcuda.so not found!",
            sample="CUDA SETUP: WARNING! libcuda.so not found! Do you have a CUDA driver installed?",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:CUDA error: |-> )no CUDA-capable device is detected",
            literal="no CUDA-capable device is detected",
            sample="RuntimeError: CUDA error: no CUDA-capable device is detected",
            strength="hint",
        ),
        *cuda_error_numbers.signs("100", sample=100, strength="hint"),
        *collect_env.SIGNS,
        *nvidia_smi_absent.SIGNS,
        *zluda.NAMES,
    ),
    recipe=Recipe(
        does="starts torch's CUDA on a machine without a driver",
        of=(Torch(build="cuda"), *no_system_library("libcuda.so*")),
        run=(START_CUDA,),
        shows="Found no NVIDIA driver",
        seconds=5,
    ),
)


def detect(facts: Facts) -> Hit | None:
    graphics = facts.graphics
    if not every(
        lambda: known(facts.system.os) == "linux",
        lambda: known(facts.system.wsl) is None,
        lambda: known(facts.system.container) is None,
        lambda: any(d.vendor == NVIDIA for d in known(graphics.pci)),
        lambda: not known(graphics.gpus),
        lambda: known(graphics.kernel_module) is None,
    ):
        return None
    index, card = next((i, d) for i, d in enumerate(known(graphics.pci)) if d.vendor == NVIDIA)
    holder = (
        f", and the driver {card.driver} uses the card"
        if isinstance(card.driver, str) and card.driver != "nvidia"
        else ""
    )
    return Hit(
        message=f"An NVIDIA card is in this machine, but its driver is not loaded{holder}.",
        evidence=(
            fact(facts, f"graphics.pci.{index}.vendor", "an NVIDIA card is on the PCI bus"),
            fact(facts, "graphics.kernel_module", "the nvidia kernel module is not loaded"),
        ),
        certainty=Certainty.OBSERVED,
    )


class OfAmd(Variant, frozen=True, kw_only=True):
    """Mark the case that the GPU is from AMD, so an NVIDIA driver does not help. `zluda`: ZLUDA replaces CUDA."""

    zluda: bool = False


class NoDevices(Variant, frozen=True):
    """Mark the case that the driver runs, and nvidia-smi lists no GPU."""


class Unsigned(Variant, frozen=True):
    """Mark the case that Secure Boot refused the kernel module, because its key is not enrolled."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = tuple(m for m in seen.matches if not collect_env.is_sign(m) and not nvidia_smi_absent.is_sign(m))
    if all(m.strength == "context" for m in told) and (
        absent := nvidia_smi_absent.hit(facts, seen.matches, here=False)
    ):
        return absent
    if all(m.strength == "context" for m in told):
        return collect_env.hit(facts, seen)
    proofs = [m for m in seen.matches if m.strength == "proof"]
    none_seen = any("No CUDA" in m.text or "no CUDA" in m.text or "code" in m.groups for m in seen.matches)
    if not proofs and any("hidden" in m.groups for log in seen.logs for m in log.of("config-device-cpu")):
        return None  # CUDA_VISIBLE_DEVICES hides it
    cards = amd_gpus(facts)
    by_zluda = zluda.named(seen)
    if by_zluda and (proofs or none_seen):
        of = f", {gfx}" if (gfx := next(iter(machine_of(facts).gfx), None)) else ""
        return Hit(
            message=f"ZLUDA, which replaces CUDA on an AMD GPU{of}, found no GPU: AMD's HIP SDK or its libraries for this GPU are missing.",
            evidence=evidence,
            variant=OfAmd(zluda=True),
            confidence=Confidence.MEDIUM,
        )
    if cards and (proofs or none_seen) and nvidia_present(facts) is not True:
        named = f": {cards[0].name}" if isinstance(cards[0].name, str) else ""
        return Hit(
            message=f"The installed torch is a build for NVIDIA GPUs, but the GPU is from AMD{named}.",
            evidence=evidence,
            variant=OfAmd(),
        )
    if not proofs and libcuda_link.told(seen.matches):
        return libcuda_link.hit(evidence)
    if not proofs and any("nodevices" in m.groups for m in seen.matches):
        return Hit(
            message="The NVIDIA driver runs and shows no GPU: this job or virtual machine was given none, or the driver could not start the GPU (the kernel's log says why)."
            if places.on_cluster(facts)
            else "The NVIDIA driver runs and shows no GPU: it could not start the GPU, and the kernel's log says why. An RTX 50 needs the open kernel modules.",
            evidence=building.lines([m for m in seen.matches if "nodevices" in m.groups]),
            variant=NoDevices(),
            confidence=Confidence.MEDIUM,
        )
    if without_gpu.absent(facts) and (proofs or none_seen):
        return without_gpu.hit(facts, "CUDA", seen.matches)
    if only_intel(facts):
        return None  # no-gpu-present reports it
    message = (
        "No NVIDIA driver works: the driver is not installed, not loaded, or this machine has no NVIDIA GPU."
        if proofs or not none_seen
        else "CUDA found no GPU: the GPU is hidden, it was not passed into the container, its driver is not loaded, or the machine has no GPU."
    )
    unsigned = any("Key was rejected" in m.text or "Required key not available" in m.text for m in proofs)
    if unsigned:
        message = "Secure Boot refuses the driver's kernel module: the key that signed the module is not enrolled."
    return Hit(
        message=message,
        evidence=evidence,
        variant=Unsigned() if unsigned else None,
        confidence=Confidence.HIGH if proofs else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, OfAmd) and hit.variant.zluda:
        return rocm_steps.hip_sdk(facts)
    if isinstance(hit.variant, OfAmd):
        return torch_steps.newest(facts, "Install a torch for the AMD GPU", reinstall=True, maker="amd")
    if isinstance(hit.variant, without_gpu.Absent):
        return without_gpu.fixes(facts)
    if (
        isinstance(hit.variant, nvidia_smi_absent.Absent)
        and places.hosted(facts) is None
        and not places.on_cluster(facts)
    ):
        return nvidia_smi_absent.fixes(facts, hit.variant)
    session = nvidia_drivers.session_with_gpu(facts)
    if session is not None:
        return (session, *(nvidia_drivers.install(facts) if places.on_cluster(facts) else ()))
    made = nvidia_drivers.install(facts)
    if isinstance(hit.variant, NoDevices) and not nvidia_drivers.not_here(facts):
        return (_kernel_log(facts), *made)
    if isinstance(hit.variant, collect_env.Unread):
        return (collect_env.look(facts), *made)
    if isinstance(hit.variant, libcuda_link.Unlinked):
        return (libcuda_link.fix(facts), *made)
    if isinstance(hit.variant, Unsigned) and not nvidia_drivers.not_here(facts):
        return (nvidia_drivers.enrol(facts), *made)
    own = isinstance(facts.torch.version, str) and ".nv" in facts.torch.version
    if places.jetson(facts) and not places.container(facts) and not own:
        # JetPack always contains a driver, but a torch for servers, such as PyPI's, does not find it.
        return (*torch_steps.newest(facts, "Install NVIDIA's torch for this JetPack", reinstall=True), *made)
    if nvidia_drivers.not_here(facts) or facts.system.os != "linux":
        return made
    archive = _of_the_archive(facts)
    made = (*made, *archive) if not archive or debian_drivers.newer_exists(facts) else archive
    look = commands.by_hand(
        places.as_root(facts, "dmesg"),
        "if a driver is installed: shows the kernel's messages about nvidia or nouveau",
        "nothing",
        "none",
    )
    return (*made, Fix(title="See why an installed driver is not loaded", steps=(look,), verify=commands.check(facts)))


def _kernel_log(facts: Facts) -> Fix:
    """Return the fix that shows why the driver did not start the GPU. https://forums.developer.nvidia.com/t/nvidia-smi-no-devices-were-found/241107."""
    log = commands.by_hand(
        ("sh", "-c", "sudo dmesg | grep -iE 'nvrm|nvidia' | tail -n 20"),
        "'requires use of the NVIDIA open kernel modules': install the driver's package whose name ends in -open. 'RmInitAdapter failed' or 'fallen off the bus': switch the machine "
        "off and on; if it stays, the power cable, the slot or the card is at fault",
        "nothing",
        "none",
    )
    return Fix(title="See why the driver does not start the GPU", steps=(log,), verify=commands.check(facts))


def _of_the_archive(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix with the distribution's own driver and a torch that this driver can run; none if the present torch can use it."""
    driver = debian_drivers.too_old(facts)
    if driver is None:
        return ()
    steps = nvidia_drivers.by_hand(facts, debian_drivers.archive(facts))
    then = msgspec.structs.replace(facts, graphics=msgspec.structs.replace(facts.graphics, driver=driver))
    torch = torch_steps.newest_steps(then)
    title = "Install the distribution's own driver, and a torch that this driver can run"
    return (Fix(title=title, steps=(*steps, *torch), verify=commands.check(facts)),) if torch else ()
