"""Ask NVML and libcuda, each in a child of our own interpreter, and make records of their answers.

Both run code of the driver, which can hang or crash; that is recorded as an answer too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from attn_doctor import child
from attn_doctor.model.facts import Fault, Gpu, GpuClocks, GpuHealth, Text, Unknown, all_unknown
from attn_doctor.system import own_path

OnSlow = Callable[[str], None] | None  # a function that is called with the name of a slow source

_LIBRARY_NOT_FOUND = 12
_DRIVER_NOT_LOADED = 9
_ONLY_NVML_TELLS = {
    name: {"unknown": "only NVML reports it"}
    for name in (
        "free_bytes",
        "uuid",
        "mig",
        "mig_slices",
        "ecc",
        "power_limit_watts",
        "power_limit_watts_default",
        "bus_id",
    )
}
NO_HEALTH = "only NVML reports it"


class Nvml(NamedTuple):
    """Hold the answer of NVML. `error` is None if NVML answered for every GPU."""

    error: str | None
    code: int | None  # NVML's number of the error; None: there is none
    driver: Text  # "580.65.06"
    cuda: Text  # the newest CUDA that the driver supports: "13.0"
    gpus: tuple[Gpu, ...] | Unknown
    mig_uuids: tuple[tuple[str, ...], ...] = ()  # one tuple for each GPU
    fabric: str | None = None  # state of the first GPU that belongs to an NVLink fabric
    topology: tuple[str, ...] | Unknown = ()
    source: str = "NVML"  # in words
    hangs: bool = False  # NVML did not answer in time

    @property
    def nobody_there(self) -> bool:
        """Return whether NVML answered that there is no driver."""
        return self.code in (_DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND)


class Cuda(NamedTuple):
    """Hold the answer of libcuda. `error` is None if cuInit worked."""

    error: Text
    version: Text  # the CUDA version that it supports
    path: str | None  # of the file that the loader loaded; None: not known, or nothing was loaded
    gpus: tuple[Gpu, ...] | Unknown


def ask_nvml(environ: Mapping[str, str], deadline: float, on_slow: OnSlow = None) -> Nvml:
    """Ask NVML about the driver and its GPUs. `deadline`: seconds.

    Raises nothing: a crash or a hang is the `error` of the answer.
    """
    outcome = child.run(
        [sys.executable],
        ["target/channel.py", "target/nvml_library.py", "target/nvml.py"],
        deadline=deadline,
        environ=environ,
        changes=own_path.environment(),
        on_slow=on_slow,
    )
    start = next(iter(outcome.facts("start")), None)
    if start is None or start["error"] is not None:
        error, code = (start["error"], start["code"]) if start else (_what_happened(outcome), None)
        why = Unknown(f"NVML: {error}")
        return Nvml(error, code, why, why, why, hangs=_hangs(outcome))
    driver: dict[str, Any] = next(iter(outcome.facts("driver")), {})
    told = outcome.facts("gpus")
    lost = next((g for g in told if "error" in g), None)
    error, code = (f"GPU {lost['index']}: {lost['error']}", lost["code"]) if lost else (None, None)
    if outcome.fault:
        error = _what_happened(outcome)
    why = Unknown(f"NVML: {error or 'it reported none'}")
    count = next(iter(outcome.facts("count")), None)
    bindings = next(iter(outcome.facts("bindings")), {"own": True, "path": ""})
    return Nvml(
        error=error,
        code=code,
        driver=_text(driver.get("version", why)),
        cuda=_text(driver.get("cuda", why)),
        gpus=tuple(_gpu(g) for g in told) if count == len(told) else why,
        mig_uuids=tuple(tuple(g.get("mig_uuids") or ()) for g in told),
        fabric=next((g["fabric"] for g in told if g.get("fabric")), None),
        topology=_topology(outcome),
        source="NVML" if bindings["own"] else f"NVML, by {bindings['path']}, which is not nvidia-ml-py",
        hangs=_hangs(outcome),
    )


def _topology(outcome: child.Outcome) -> tuple[str, ...] | Unknown:
    """Return the lines about the connections between GPUs. If they could not be read, only this field is unknown."""
    told = next(iter(outcome.facts("topology")), None)
    if isinstance(told, list):
        return tuple(map(str, told))
    raised = outcome.raised("topology")
    return Unknown(f"NVML: {raised.type}: {raised.message}" if raised else "NVML did not get that far")


def ask_cuda(library: str, environ: Mapping[str, str], deadline: float, on_slow: OnSlow = None) -> Cuda:
    """Ask libcuda. `library`: the name by which programs load it, libcuda.so.1 or on Windows nvcuda.dll. `deadline`: seconds."""
    outcome = child.run(
        [sys.executable],
        ["target/channel.py", "target/libcuda.py"],
        config={"library": library},
        deadline=deadline,
        environ=environ,
        changes=own_path.environment(),
        on_slow=on_slow,
    )
    refused = outcome.raised("load")
    if refused:
        return cannot_load(library, refused.message or "")
    path = next(iter(outcome.facts("load")), None)
    version = _text(next(iter(outcome.facts("version")), {"unknown": _what_happened(outcome)}))
    started = next(iter(outcome.facts("cuInit")), None)
    if started is None:
        error = f"cuInit {_what_happened(outcome)}"
        return Cuda(error, version, path, Unknown(error))
    if started["code"] != 0:
        error = f"{started['code']} {started['text'] or 'an error that the library has no text for'}"
        return Cuda(error, version, path, Unknown(f"cuInit: {error}"))
    if outcome.fault:
        return Cuda(None, version, path, Unknown(f"listing the GPUs {_what_happened(outcome)}"))
    return Cuda(None, version, path, tuple(_gpu({**g, "visible": True}) for g in outcome.facts("devices")))


def without_library() -> Nvml:
    """Return the answer of nvidia-ml-py on a machine that has no NVML library."""
    why = Unknown("NVML: NVML Shared Library Not Found")
    return Nvml("NVML Shared Library Not Found", _LIBRARY_NOT_FOUND, why, why, why)


def cannot_load(library: str, because: str) -> Cuda:
    """Return the answer of a libcuda that cannot be loaded: every value is Unknown, with this reason."""
    why = Unknown(f"{library} cannot be loaded: {because}")
    return Cuda(why, why, None, why)


def _what_happened(outcome: child.Outcome) -> str:
    """Return in words how a child ended that gave no answer."""
    for section in ("bindings", "start", "driver", "gpus", "load", "cuInit", "devices"):
        raised = outcome.raised(section)
        if raised:
            return f"failed: {raised.type}: {raised.message}"
    return ended(outcome.fault) if outcome.fault else "gave no answer"


def _hangs(outcome: child.Outcome) -> bool:
    return outcome.fault is not None and outcome.fault.kind in ("timeout", "vanished")


def ended(fault: Fault) -> str:
    """Return in words how a program ended, as the end of a sentence that begins with its name: "crashed (SIGSEGV)"."""
    if fault.kind in ("timeout", "vanished"):
        return f"did not answer within {fault.seconds:.0f} s"
    if fault.kind == "signal":
        return f"crashed ({fault.signal})"
    if fault.kind == "flooded":
        return "printed without end, and was ended"
    if fault.kind == "raised":
        return f"could not be started: {fault.message}"
    return f"ended with exit code {fault.exit_code}"


def _gpu(told: Mapping[str, Any]) -> Gpu:
    """Return the record of one GPU; for a GPU that NVML has lost, a record with the reason in every field."""
    if "error" in told:
        why = f"NVML: {told['error']}"
        parts = {"health": all_unknown(GpuHealth, why), "clocks": all_unknown(GpuClocks, why)}
        return all_unknown(Gpu, why, index=told["index"], **parts)
    known = {name: value for name, value in told.items() if name in Gpu.__struct_fields__}
    slices = told.get("mig_uuids", {})
    if not isinstance(slices, dict):
        known["mig_slices"] = None if slices is None else len(slices)
    nothing = {
        "health": msgspec.to_builtins(all_unknown(GpuHealth, NO_HEALTH)),
        "clocks": msgspec.to_builtins(all_unknown(GpuClocks, NO_HEALTH)),
    }
    return msgspec.convert({**_ONLY_NVML_TELLS, **nothing, **known}, Gpu)


def _text(told: Any) -> Text:
    return Unknown(told["unknown"]) if isinstance(told, dict) else told
