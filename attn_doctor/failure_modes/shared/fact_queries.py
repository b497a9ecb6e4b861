"""Answer questions about facts that many rules ask.

A function raises Unsure if the facts do not have the answer, unless its docstring says otherwise.
"""

from __future__ import annotations

import re

from attn_doctor.failure_modes.mode import known
from attn_doctor.knowledge.yes_no_unknown import Judgement
from attn_doctor.model.facts import Distribution, Facts, Fault, Import, Unknown
from attn_doctor.model.findings import Evidence, fact
from attn_doctor.model.machine import nvidia_present


def holds(judgement: Judgement) -> bool:
    """Return the yes or no in an answer of the knowledge tables. Raises Unsure if the tables do not know."""
    return known(judgement).yes


def package(facts: Facts, name: str) -> Distribution | None:
    """Return the distribution of this name: the first on the target's path, which Python imports. None if it is not installed.

    If there is only a log: the distribution that the log names. Raises Unsure if the log does not name it.
    """
    if isinstance(facts.packages.distributions, Unknown):
        named = next((d for d in facts.packages.named if d.name == name), None)
        if named is not None:
            return named
    return next((d for d in known(facts.packages.distributions) if d.name == name), None)


def version(facts: Facts, name: str) -> str | None:
    """Return the version of a distribution; None if it is not installed."""
    found = package(facts, name)
    return known(found.version) if found else None


def package_evidence(facts: Facts, name: str) -> Evidence:
    """Return as evidence that a distribution is installed, with its version, or that it is not installed."""
    found_in = (
        "named" if isinstance(facts.packages.distributions, Unknown) and package(facts, name) else "distributions"
    )
    for index, found in enumerate(known(getattr(facts.packages, found_in))):
        if found.name == name:
            return fact(facts, f"packages.{found_in}.{index}.version", f"{name} {known(found.version)} is installed")
    return fact(facts, "packages.distributions", f"{name} is not installed")


def attempt(facts: Facts, module: str) -> Import | None:
    """Return the record of a module's import; None if the module is not installed, or its import was not tried."""
    return next((i for i in known(facts.imports) if i.module == module), None)


def attempt_evidence(facts: Facts, module: str) -> Evidence:
    """Return as evidence how the import of a module ended."""
    for index, found in enumerate(known(facts.imports)):
        if found.module == module:
            said = message(found.fault) if found.fault else "it imports"
            return fact(facts, f"imports.{index}.ok", f"importing {module}: {said}")
    return fact(facts, "imports", f"{module} was not imported")


def message(fault: Fault) -> str:
    """Return a fault as one line of text: "ImportError: libGL.so.1: ...", "killed by SIGSEGV". Never raises Unsure."""
    if fault.kind == "signal":
        return f"killed by {fault.signal}"
    if fault.kind in ("timeout", "vanished"):
        return "no answer" + (f" in {fault.seconds:.0f} s" if fault.seconds else "")
    if fault.kind == "flooded":
        return "it printed without end, and was ended"
    if fault.kind == "exited":
        return f"it ended the process with exit code {fault.exit_code}"
    return f"{fault.type}: {fault.headline}" if fault.headline else str(fault.type)


def text_of(fault: Fault | None) -> str:
    """Return the message and the traceback of a fault as one text for a search; "" if there is no fault."""
    return "\n".join(filter(None, [fault.message, fault.traceback])) if fault else ""


def variable(facts: Facts, name: str) -> str | None:
    """Return the value of an environment variable; None if it is not set."""
    return next((v.value for v in known(facts.environment) if v.name == name), None)


def under_wsl(facts: Facts) -> bool:
    """Return whether this is a Linux in WSL, which uses the driver of Windows. False for Windows itself and macOS."""
    return facts.system.os not in ("windows", "darwin") and known(facts.system.wsl) is not None


def no_machine(facts: Facts) -> bool:
    """Return whether nothing is known of the machine: the fixes are for a page, which everybody reads."""
    return isinstance(facts.system.os, Unknown) and facts.grade != "stated"


def in_container(facts: Facts) -> bool | None:
    """Return whether this is a container; None if that is not known. A fix must then not assume a container."""
    container = facts.system.container
    return None if isinstance(container, Unknown) else container is not None


def nvidia_card(facts: Facts) -> bool:
    """Return whether the machine has an NVIDIA GPU, usable or not. Raises Unsure if that is not known."""
    return known(nvidia_present(facts))


def usable_gpu(facts: Facts) -> bool:
    """Return whether the driver lists an NVIDIA GPU."""
    return bool(known(facts.graphics.gpus))


def torch_installed(facts: Facts) -> bool:
    """Return whether torch is installed, whatever its build. Raises Unsure if that is not known."""
    return known(facts.torch.version) is not None


def cuda_build(facts: Facts) -> bool:
    """Return whether torch is a CUDA build."""
    return torch_installed(facts) and known(facts.torch.cuda) is not None


_COMPOSABLE = ("gfx90a", "gfx942", "gfx950")  # allowed_archs of flash-attn 2.8.3's setup.py


def has_composable_kernels(facts: Facts) -> bool:
    """Return whether flash-attn's Composable Kernel backend supports one of the AMD GPUs here: MI200, MI300 or MI350.

    False also if the GPUs are not known.
    """
    for card in facts.graphics.amd if isinstance(facts.graphics.amd, tuple) else ():
        named = isinstance(card.name, str) and re.search(r"\bMI[23]\d\d", card.name) is not None
        if named or card.gfx in _COMPOSABLE:
            return True
    return False
