"""A machine of `attn_doctor.reproduction.machine_folder` with stub drivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attn_doctor.reproduction import machine_folder
from attn_doctor.reproduction.machine_folder import DRIVER, alpine, debian, ubuntu, wsl2
from kit.stubs import Gpu, stub_drivers

__all__ = ["DRIVER", "Machine", "alpine", "debian", "ubuntu", "wsl2"]


class Machine(machine_folder.Machine):
    def stub_drivers(self, gpus: Sequence[Gpu] = (), folder: str = DRIVER, **what: Any) -> dict[str, str]:
        """Stub libraries in a folder of the machine that its loader knows, see `kit.stub_drivers`.

        The environment that it returns puts them in front for programs that know nothing of the machine: PyTorch.
        """
        environ = stub_drivers(self.path(folder), gpus, **what)
        self.knows(folder)
        return environ
