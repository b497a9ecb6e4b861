"""Ask the probe of the build tools on a machine of files."""

from __future__ import annotations

from kit import Machine

from attn_doctor.model.facts import Toolchain
from attn_doctor.probes.toolchain import toolchain


def probe(machine: Machine, prefix: str | None = None) -> Toolchain:
    return toolchain(machine.root, machine.environ, prefix)[0]
