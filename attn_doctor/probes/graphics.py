"""Read the GPUs and the parts between them and a program: bus, kernel module, driver library, device nodes, visibility.

Sources in order of trust: NVML, nvidia-smi, libcuda, the files of the driver. On a machine without any sign of NVIDIA
none of them is asked.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from attn_doctor import child
from attn_doctor.model.facts import NOT_ASKED, AmdGpu, Flag, Gpu, Graphics, Text, Unknown
from attn_doctor.probes import graphics_files, kernel_log, nvidia_smi, nvml, pci
from attn_doctor.probes.driver_files import DriverFiles, driver_files, version_in_name
from attn_doctor.probes.library_search import LibrarySearch
from attn_doctor.probes.root import Root
from attn_doctor.probes.system import machine_of
from attn_doctor.probes.visible import Identity, visible
from attn_doctor.system import platforms
from attn_doctor.system.threads import Pool

_NO_SIGN = "not asked: there is no sign of an NVIDIA GPU or driver"


def graphics(
    root: Path,
    environ: Mapping[str, str],
    deadline: float = 30.0,
    on_slow: nvml.OnSlow = None,
    *,
    ask: bool = True,
) -> tuple[Graphics, dict[str, str]]:
    """Return the facts of the GPUs, and the source of each field (see `probes`).

    If `ask` is False, no program is started and no library of the driver is loaded.

    `deadline`: seconds for each library that is asked. If no process keeps the driver loaded, each GPU needs some seconds to
    start, see https://docs.nvidia.com/deploy/driver-persistence/.
    """
    tree = Root(root)
    bus = pci.devices(tree)
    loader = LibrarySearch(tree, environ, machine_of(tree))
    files = driver_files(tree, environ, loader, bus)
    record = Graphics(
        pci=bus,
        kernel_module=files.kernel_module,
        nvidia_smi=files.nvidia_smi,
        device_nodes=files.nodes,
        uvm="/dev/nvidia-uvm" in files.nodes,
        apple=_apple(tree, ask=ask),
    )
    if not ask:
        told, sources = graphics_files.told(tree, files) if files.signs else (_nobody_asked(), {})
        fabric_unread = Unknown(NOT_ASKED) if pci.nvswitches(tree) else None
        amd = pci.amd_gpus(tree, bus)
        record = msgspec.structs.replace(
            record,
            xids=Unknown(NOT_ASKED),
            amd=amd,
            rocm=_rocm_version(tree, environ)[0],
            fabric_manager=fabric_unread,
            **told,
        )
        return record, {"": "files under /sys, /proc and /dev", **sources}
    pool = Pool(4)
    kernel = pool.submit(kernel_log.xids, tree) if files.signs and not platforms.WINDOWS else None
    rocm = pool.submit(_rocm, tree, environ, pci.amd_gpus(tree, bus), deadline)
    fabric = pool.submit(_fabric_manager, tree, environ)
    asked = _ask(pool, tree, files, environ, deadline=deadline, on_slow=on_slow) if files.signs else None
    told, sources = _told(tree, files, environ, asked) if asked else (_nobody_asked(), {})
    gpus, version = rocm.result()
    state = fabric.result()
    told["xids"], source = kernel.result() if kernel else ((), "")
    if kernel:
        sources["xids"] = source
    if state is None and asked and asked.management.fabric:
        state, sources["fabric_manager"] = asked.management.fabric, "the fabric state of the GPUs, by NVML"
    record = msgspec.structs.replace(record, amd=gpus, rocm=version, fabric_manager=state, **told)
    return record, {"": "files under /sys, /proc and /dev", **sources}


class _Asked(NamedTuple):
    management: nvml.Nvml
    smi: nvidia_smi.Answer
    cuda: nvml.Cuda


def _ask(
    pool: Pool,
    tree: Root,
    files: DriverFiles,
    environ: Mapping[str, str],
    *,
    deadline: float,
    on_slow: nvml.OnSlow,
) -> _Asked:
    """Ask NVML and libcuda at the same time. nvidia-smi is asked only if NVML failed and did not hang."""
    environment = dict(environ)
    if not tree.real:  # `tree` is a folder with a simulated machine, which the loader of this machine does not use
        within = [str(tree.at(path).parent) for path in (files.libcuda, files.libnvml) if path]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join([*within, environ.get("LD_LIBRARY_PATH", "")])
    cuda = pool.submit(_cuda, tree, files, environment, deadline, on_slow)
    reachable = tree.real or files.libnvml
    management = nvml.ask_nvml(environment, deadline, on_slow) if reachable else nvml.without_library()
    if management.error is None:
        smi = nvidia_smi.not_asked("NVML answered")
    elif files.nvidia_smi is None:
        smi = nvidia_smi.not_asked("it is not on PATH")
    elif management.hangs:
        smi = nvidia_smi.not_asked("it uses NVML, which does not answer")
    else:
        smi = nvidia_smi.ask(str(tree.at(files.nvidia_smi)), environment, min(deadline, 10.0))
    return _Asked(management, smi, cuda.result())


def _cuda(
    tree: Root, files: DriverFiles, environment: Mapping[str, str], deadline: float, on_slow: nvml.OnSlow
) -> nvml.Cuda:
    library = "nvcuda.dll" if platforms.WINDOWS else "libcuda.so.1"
    if not tree.real and files.libcuda is None:
        return nvml.cannot_load(library, "it is in none of the folders that the loader searches")
    return nvml.ask_cuda(library, environment, deadline, on_slow)


def _told(
    tree: Root, files: DriverFiles, environ: Mapping[str, str], asked: _Asked
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the fields and the source of each. The most trusted source that answered counts."""
    management, smi, cuda = asked
    libcuda = tree.name(cuda.path) if cuda.path else files.libcuda
    nothing = files.kernel_module is None and libcuda is None and files.libnvml is None
    driver, driver_source = _first(
        {management.source: management.driver, "nvidia-smi": smi.driver, "the kernel module": files.kernel_module},
        absent=nothing and not files.wsl,
    )
    supports, supports_source = _first(
        {management.source: management.cuda, "libcuda": cuda.version, "nvidia-smi": smi.cuda},
        absent=nothing and not files.wsl,
    )
    gpus, gpus_source = _first(
        {management.source: management.gpus, "nvidia-smi": smi.gpus, "libcuda": cuda.gpus},
        absent=False,
    )
    # If NVML finds no driver and nvidia-smi fails, no program can list GPUs: the list is empty, and `pci` lists the hardware.
    # If a driver is there and fails (mismatch, a lost GPU, a hang), or if the bus shows nothing (WSL: `files.card` is None), a GPU
    # may be there: the list stays unknown.
    if isinstance(gpus, Unknown) and management.nobody_there and smi.error is not None and files.card is not None:
        gpus, gpus_source = (), management.source
    if isinstance(gpus, tuple) and gpus_source != "libcuda":  # libcuda lists visible GPUs only
        gpus = _with_visibility(gpus, management.mig_uuids, environ)
    fields = {
        "gpus": gpus,
        "driver": driver,
        "driver_cuda": supports,
        "libcuda": libcuda,
        "libcuda_version": version_in_name(tree, libcuda) if libcuda else None,
        "topology": management.topology,
        "nvml_error": management.error,
        "nvml_code": management.code,
        "nvidia_smi_error": smi.error,
        "cuda_error": cuda.error,
    }
    sources = {
        "gpus": gpus_source,
        "driver": driver_source,
        "driver_cuda": supports_source,
        "libcuda": "the loaded library" if cuda.path else "the folders where the loader looks",
        "libcuda_version": "the name of its file",
        "nvml_error": management.source,
        "cuda_error": "cuInit in a child",
    }
    return fields, sources


def _first(answers: Mapping[str, Any], *, absent: bool) -> tuple[Any, str]:
    """Return the first known answer, and the name of its source. `answers`: name of a source -> its answer.

    If no answer is known: None if `absent` (files show that the thing does not exist), else an Unknown with the reasons of all
    sources.
    """
    for source, answer in answers.items():
        if answer is not None and not isinstance(answer, Unknown):
            return answer, source
    if absent:
        return None, "files"
    reasons = [answer.why for answer in answers.values() if isinstance(answer, Unknown)]
    return Unknown("; ".join(dict.fromkeys(reasons))), ", ".join(answers)


def _nobody_asked() -> dict[str, Any]:
    why = Unknown(_NO_SIGN)
    return {
        "gpus": (),
        "driver": None,
        "driver_cuda": None,
        "libcuda": None,
        "libcuda_version": None,
        "topology": (),
        "nvml_error": why,
        "nvml_code": why,
        "nvidia_smi_error": why,
        "cuda_error": why,
    }


def _with_visibility(
    gpus: tuple[Gpu, ...], mig_uuids: tuple[tuple[str, ...], ...], environ: Mapping[str, str]
) -> tuple[Gpu, ...]:
    identities = [
        Identity(
            uuid=gpu.uuid if isinstance(gpu.uuid, str) else None,
            mig_uuids=mig_uuids[number] if number < len(mig_uuids) else (),
            model=(str(gpu.name), str(gpu.memory_bytes)),
        )
        for number, gpu in enumerate(gpus)
    ]
    bus_order = environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    seen = visible(identities, environ.get("CUDA_VISIBLE_DEVICES"), bus_order)
    return tuple(msgspec.structs.replace(gpu, visible=flag) for gpu, flag in zip(gpus, seen, strict=True))


def _fabric_manager(tree: Root, environ: Mapping[str, str]) -> Text:
    """Return the state of NVIDIA's fabric manager, as systemd reports it; None if the machine has no NVSwitch."""
    if not pci.nvswitches(tree):
        return None
    program = tree.program("systemctl", environ.get("PATH", ""))
    if program is None:
        return Unknown("there is no systemctl here; a container cannot see the services of its host")
    answer = child.command([str(tree.at(program)), "is-active", "nvidia-fabricmanager"], deadline=5.0, environ=environ)
    state = answer.stdout.strip()
    return state if re.fullmatch(r"[a-z]+", state) else Unknown(f"systemctl: {answer.stderr.strip() or 'no answer'}")


def _rocm(
    tree: Root, environ: Mapping[str, str], found: tuple[AmdGpu, ...] | Unknown, deadline: float
) -> tuple[tuple[AmdGpu, ...] | Unknown, Text]:
    """Return the AMD GPUs, with the names that rocminfo prints, and the version of ROCm; None in its place if there is no ROCm."""
    installed, program = _rocm_version(tree, environ)
    if isinstance(found, Unknown) or not found or program is None:
        return found, installed
    answer = child.command([str(tree.at(program))], deadline=deadline, environ=environ)
    agents = re.split(r"^Agent \d+", answer.stdout, flags=re.MULTILINE)[1:]
    named = tuple(
        AmdGpu(name=_line(agent, "Marketing Name"), gfx=_line(agent, "Name"))
        for agent in agents
        if _line(agent, "Device Type") == "GPU"
    )
    return named or found, installed


def _rocm_version(tree: Root, environ: Mapping[str, str]) -> tuple[Text, str | None]:
    """Return the ROCm version from a file ("6.4.1"), and the path of rocminfo; None for what is not there."""
    version = re.match(r"\d+(\.\d+)+", tree.text("/opt/rocm/.info/version") or "")
    program = tree.program("rocminfo", environ.get("PATH", "") + os.pathsep + "/opt/rocm/bin")
    if version:
        return version[0], program
    return Unknown("rocminfo is installed, but no file says its version") if program else None, program


def _line(agent: str, label: str) -> Text:
    written = re.search(rf"^\s*{label}:\s*(\S.*?)\s*$", agent, re.MULTILINE)
    return written[1] if written else Unknown("rocminfo does not name it")


def _apple(tree: Root, *, ask: bool) -> Flag:
    """Return whether this is Apple silicon. The answer is right in a Python for Intel too (Rosetta)."""
    if not tree.real or not platforms.MACOS:
        return False
    if platform.machine() == "arm64":
        return True
    if not ask:
        return Unknown(NOT_ASKED)
    return child.command(["sysctl", "-n", "hw.optional.arm64"], deadline=5.0).stdout.strip() == "1"
