"""Read GPUs and driver from files alone, for `--static`: no program is started and no library is loaded."""

from __future__ import annotations

import re
from typing import Any

from attn_doctor.model.facts import NOT_ASKED, Gpu, GpuClocks, GpuHealth, Text, Unknown, all_unknown
from attn_doctor.probes.driver_files import DriverFiles, version_in_name
from attn_doctor.probes.root import Root

_GPUS = "/proc/driver/nvidia/gpus"  # one folder for each GPU of the loaded module, named by its place on the bus


def told(tree: Root, files: DriverFiles) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the facts of the GPUs that files show, and the source of each field (see `probes`).

    Values that only NVML or libcuda has are unknown.
    """
    nothing = files.kernel_module is None and files.libcuda is None and files.libnvml is None and not files.wsl
    named = version_in_name(tree, files.libcuda) if files.libcuda else None
    listed = tuple(_gpu(tree, index, folder) for index, folder in enumerate(tree.entries(_GPUS)))
    gpus: tuple[Gpu, ...] | Unknown = listed or (() if nothing and files.card is not None else Unknown(NOT_ASKED))
    driver: Text = files.kernel_module
    source = "the kernel module"
    if not isinstance(driver, str):
        driver, source = (
            (named, "the name of libcuda's file") if isinstance(named, str) else (Unknown(NOT_ASKED), source)
        )
    fields = {
        "gpus": gpus,
        "driver": None if nothing else driver,
        "driver_cuda": None if nothing else Unknown(NOT_ASKED),
        "libcuda": files.libcuda,
        "libcuda_version": named,
        **{
            name: Unknown(NOT_ASKED)
            for name in ("topology", "nvml_error", "nvml_code", "nvidia_smi_error", "cuda_error")
        },
    }
    return fields, {"gpus": _GPUS, "driver": source, "libcuda": "the folders where the loader looks"}


def _gpu(tree: Root, index: int, folder: str) -> Gpu:
    text = tree.text(f"{_GPUS}/{folder}/information") or ""
    read = {m[1]: m[2] for m in re.finditer(r"^([A-Za-z ]+):[ \t]+(\S.*?)\s*$", text, re.MULTILINE)}
    known = {name: read[label] for name, label in (("name", "Model"), ("uuid", "GPU UUID")) if label in read}
    return all_unknown(
        Gpu,
        NOT_ASKED,
        index=index,
        health=all_unknown(GpuHealth, NOT_ASKED),
        clocks=all_unknown(GpuClocks, NOT_ASKED),
        **known,
    )
