"""Render steps for a Python that lies in /nix/store, which pip cannot write to: its packages are named in a Nix file. Pure.

https://nixos.org/manual/nixpkgs/stable/#python, https://nixos.org/manual/nixpkgs/stable/#cuda
"""

from __future__ import annotations

import re

from attn_doctor.commands.environment_tools import Argv, Installer
from attn_doctor.model.steps import AddPip, Install, RunByHand, Step, Uninstall, name_of

STORE = "/nix/store/"
_OF_TORCH = frozenset(("torch", "torchvision", "torchaudio"))
_INDEX = re.compile(r"/cu(\d+)(\d)/?$")  # .../whl/cu128
_REBUILD = "then rebuild: `sudo nixos-rebuild switch` for the system and its services, or enter `nix develop` or `nix-shell` again"


class Nix(Installer):
    """Render steps for Nix: the change of the Nix file, and the command that then installs.

    Nothing is installed into the store by hand.
    """

    EXPRESSES = frozenset()

    def install(self, step: Install) -> Argv | None:  # noqa: ARG002
        """Return None: nix has no such command for a Python of the store."""
        return None

    def uninstall(self, step: Uninstall) -> Argv | None:  # noqa: ARG002
        """Return None: nix has no such command for a Python of the store."""
        return None

    def before(self, step: Install) -> tuple[Step, ...]:  # noqa: ARG002
        """Return the step that updates the inputs of the flake, and so the packages."""
        update = RunByHand(
            argv=("nix", "flake", "update"),
            why="run this in the folder of the flake: it updates the inputs, and so the packages. Without a flake, run: sudo nix-channel --update. This Python "
            "lies in /nix/store, where pip cannot install",
            changes="flake.lock",
            risk="medium",
            risk_text="all packages of the flake become newer; the old flake.lock brings the old ones back",
        )
        return (update,)

    def rendered(self, step: Step) -> Step:
        """Return the step as an instruction for the Nix file; a step that sets a variable, or is a command already, is returned as it is."""
        if isinstance(step, Uninstall):
            return self._in_file(f"take {', '.join(step.requirements)} out of the packages of this Python")
        if isinstance(step, AddPip):
            return self._in_file("add python3Packages.pip to the packages of this Python")
        if not isinstance(step, Install):
            return super().rendered(step)
        names = [name_of(text) or text for text in step.requirements]
        if not _OF_TORCH.isdisjoint(names):
            return self._in_file(_torch(step))
        listed = ", ".join(f"python3Packages.{name}" for name in names)
        return self._in_file(
            f"add {listed} to the packages of this Python ({' '.join(step.requirements)} is wanted; a package that nixpkgs lacks goes into a virtual "
            "environment outside of the store)"
        )

    def _in_file(self, words: str) -> Step:
        return RunByHand(argv=(), why=f"in the Nix file: {words}; {_REBUILD}", changes="the packages of this Python")


def _torch(step: Install) -> str:
    wanted = " ".join(text for text in step.requirements if name_of(text) == "torch") or "torch"
    cuda = _INDEX.search(step.index_url or "")
    if cuda is None:
        return f"let its packages hold {wanted}, or a newer one, with the torchvision of the same nixpkgs"
    return (
        f"{wanted} is wanted, or a newer one, for CUDA {cuda[1]}.{cuda[2]} or newer: take python3Packages.torch-bin, PyTorch's own build; or use torch with "
        'nixpkgs\' config.cudaSupport = true and config.cudaCapabilities, which lists the compute capability of the GPU ([ "12.0" ] for an RTX 50) and '
        "compiles for hours if no cache has it"
    )
