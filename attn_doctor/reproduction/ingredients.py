"""Prepare the ingredients of a recipe: an environment, files, variables and conditions in a throw-away folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_doctor.errors import NotExamined
from attn_doctor.failure_modes import recipe as of
from attn_doctor.knowledge import flash_attention, pytorch
from attn_doctor.knowledge.torch_choice import index_of
from attn_doctor.reproduction import host_abilities, native, stub_drivers, target_torch
from attn_doctor.reproduction.machine_folder import DRIVER, Machine, ubuntu, wsl2
from attn_doctor.reproduction.throwaway import Ended, Throwaway
from attn_doctor.system import platforms

PREPARING = 1800.0  # seconds for one step of preparation: enough for a slow network and a large wheel
_REFUSED = 125
# Variables that make a program use a stand-in. They are not part of the command that a user would type.
_UNSHOWN = ("PATH", "PYTHONPATH", "CXX", "ATTN_DOCTOR_TORCH_CUDA", "ATTN_DOCTOR_ROOT")


class CannotReproduce(NotExamined):
    """Report that the failure cannot be reproduced here. The text is the reason, in one sentence."""


class Bench:
    """Build the environment of one reproduction, step by step."""

    def __init__(
        self,
        throwaway: Throwaway,
        lender: target_torch.Lender,
        say: Callable[[str], None],
        surroundings: Mapping[str, str],
        torch: str | None = None,
    ) -> None:
        """Prepare a bench. `surroundings`: the user's environment variables, from which those of a run are made.

        `say` gets a sentence at each step. `torch`: the requirement that the user named with --torch; None: the recipe decides.
        """
        self.throwaway, self.lender, self.say, self.wanted_torch = throwaway, lender, say, torch
        self.folder, self.surroundings = throwaway.folder, surroundings
        self.programs = self.folder / "environment" / ("Scripts" if platforms.WINDOWS else "bin")
        self.python = self.programs / ("python.exe" if platforms.WINDOWS else "python")
        self.variables: dict[str, str | None] = {}  # of the command; None removes one
        self.conditions: dict[str, Any] = {}  # see programs/namespace_launcher.py
        self.gone: list[Path] = []  # files and folders that are removed before the command runs
        self.played: Machine | None = None  # the simulated machine
        self.words = {  # what the texts of a recipe can contain, as "{python}"
            "folder": str(self.folder),
            "python": str(self.python),
            "toolkit": str(self.folder / "toolkit"),
            "source": str(self.folder / "flash-attn"),
            "nvcc": host_abilities.nvcc(surroundings) or "nvcc",
            "doctor": json.dumps(str(Path(__file__).parents[2])),
        }

    # --- running

    def filled(self, text: str) -> str:
        """Return a text in which the {words} are replaced by their values."""
        for name, value in self.words.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def environ(self, more: Mapping[str, str | None]) -> dict[str, str]:
        """Return the variables of a run, with the changes in `more`; None removes one."""
        base = host_abilities.run_environ(self.surroundings, self.folder, self.programs)
        base.update({name: value for name, value in more.items() if value is not None})
        return {name: value for name, value in base.items() if more.get(name, "") is not None}

    def prepare(self, what: str, argv: Sequence[str], **more: str) -> bytes:
        """Run a step of the preparation, without the conditions of the recipe, and return its output.

        `more`: variables. Raises CannotReproduce, with `what` and the tool's own error, if it fails.
        """
        ended = self.throwaway.run(argv, self.environ(more), PREPARING)
        if ended.returncode != 0:
            raise CannotReproduce(f"{what}: {_last_error(ended.output)}")
        return ended.output

    def run(self, command: Sequence[str], deadline: float) -> tuple[Ended, bytes]:
        """Run a command of the recipe under its conditions, and return its end and its log.

        `deadline`: seconds. Raises CannotReproduce if it cannot be started.
        """
        argv = [self.filled(word) for word in command]
        staged = argv
        if self.conditions and platforms.LINUX:
            refusal = self.folder / "refusal"
            conditions = {**self.conditions, "refusal": str(refusal), "spare": str(self.folder)}
            stage = str(self.throwaway.program("namespace_launcher.py"))
            staged = [sys.executable, "-I", stage, json.dumps(conditions), *argv]
        try:
            ended = self.throwaway.run(staged, self.environ(self.variables), deadline)
        except FileNotFoundError as error:
            raise CannotReproduce(f"{argv[0]} cannot be started: {error.strerror}") from error
        if staged is not argv and ended.returncode == _REFUSED and refusal.exists():
            raise CannotReproduce(f"the conditions cannot be set up here: {refusal.read_text()}")
        return ended, self.log(argv, ended, deadline)

    def log(self, argv: Sequence[str], ended: Ended, deadline: float) -> bytes:
        """Return the log as a user sees it: the command, its output, and its end."""
        shown = {name: value for name, value in self.variables.items() if value is not None and name not in _UNSHOWN}
        assigned = [f"{name}={shlex.quote(value)}" for name, value in shown.items()]
        code = ended.returncode
        ending = (
            f"[stopped after {deadline:.0f} s]" if code is None else f"[exit code: {code if code >= 0 else 128 - code}]"
        )
        body = ended.output if ended.output.endswith(b"\n") or not ended.output else ended.output + b"\n"
        if code is not None and code < 0 and not body:
            body = f"{_SHELL_SAYS.get(-code, 'Killed')}\n".encode()
        return " ".join(["$", *assigned, shlex.join(argv)]).encode() + b"\n" + body + ending.encode() + b"\n"

    # --- the environment

    def environment(self, *, pip: bool) -> None:
        """Make a virtual environment of the target's base interpreter."""
        self.say("making a throw-away environment")
        command = [self.lender.base, "-m", "venv", *([] if pip else ["--without-pip"]), str(self.programs.parent)]
        self.prepare("no virtual environment can be made with the target's Python", command)
        asked = self.prepare(
            "the throw-away environment does not run",
            [str(self.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        )
        self.site = Path(asked.decode().strip().splitlines()[-1])
        self.words["site"] = str(self.site)

    def install(self, wanted: Sequence[str], options: Sequence[str] = ()) -> None:
        """Install requirements with pip. `options`: of `pip install`. Raises CannotReproduce if that fails."""
        requirements = [self.filled(requirement) for requirement in wanted]
        self.say(f"installing {', '.join(requirements)} into it")
        command = [str(self.python), "-m", "pip", "install", "-q", *map(self.filled, options), *requirements]
        self.prepare(f"{', '.join(requirements)} cannot be installed", command)

    def torch(self, made: of.Torch, borrowed: target_torch.BorrowedTorch | None) -> None:
        """Put torch into the environment: links to the target's torch (`borrowed`); if it is None, pip installs one."""
        if borrowed:
            self.say(f"using torch {borrowed.version} of {self.lender.python}, which is not changed")
            place = self.folder / "torch"
            target_torch.lay_out(borrowed, place, made.without)
            (self.site / "borrowed-torch.pth").write_text(f"{place}\n")
            self.words["torch"] = str(place / "torch")
        else:
            self._download_torch(self.wanted_torch or f"torch{made.versions}", named=bool(self.wanted_torch))
            if "numpy" not in made.without:
                self.install(["numpy"])
            self.words["torch"] = str(self.site / "torch")
        version = borrowed.version if borrowed else self._version_of_torch()
        pair = pytorch.torchvision_for(version)
        self.words["pair"] = pair if isinstance(pair, str) else "0"
        if made.cuda:
            shim = self.throwaway.program("looks_like_cuda.py", "looks_like_cuda/sitecustomize.py")
            self.variables |= {"PYTHONPATH": str(shim.parent), "ATTN_DOCTOR_TORCH_CUDA": made.cuda}

    def _version_of_torch(self) -> str:
        """Return the version of the torch in the throw-away environment."""
        said = self.prepare("torch does not import", [str(self.python), "-c", "import torch; print(torch.__version__)"])
        return said.decode().split()[-1]

    def _download_torch(self, requirement: str, *, named: bool) -> None:
        """Install a CPU build from PyTorch's own index, because PyPI's builds for Linux are CUDA builds.

        pip alone decides about a torch that --torch names.
        """
        if named:
            self.install([requirement])
            return
        try:
            self.install([requirement], ("--retries", "1", "--timeout", "20", "--index-url", index_of("cpu")))
        except CannotReproduce as error:
            hint = "with --torch pip installs the torch that you name (a CUDA build needs several gigabytes)"
            raise CannotReproduce(f"no CPU build of torch was found at {index_of('cpu')}; {hint}") from error

    def source(self, made: of.Source) -> None:
        """Download flash-attn's source with pip, by pip's own index and cache, and keep the unpacked folder."""
        release = made.release or flash_attention.latest().release
        place = Path(self.words["source"])
        keeper = self.throwaway.program("keep_source.py", "keep_source/sitecustomize.py")
        self.say(f"fetching the source of flash-attn {release}")
        options = "--no-deps --no-binary :all: --no-build-isolation -d".split()
        command = [
            str(self.python),
            "-m",
            "pip",
            "download",
            "-q",
            *options,
            str(self.folder / "tmp"),
            f"flash-attn=={release}",
        ]
        more = {"PYTHONPATH": str(keeper.parent), "ATTN_DOCTOR_KEEP_SOURCE": str(place)}
        ended = self.throwaway.run(command, self.environ(more), PREPARING)
        if not (place / "setup.py").exists():
            raise CannotReproduce(f"the source of flash-attn {release} cannot be fetched: {_last_error(ended.output)}")
        for name in made.without:
            import shutil

            shutil.rmtree(place / name)

    # --- files

    def file(self, made: of.File) -> None:
        place = self.write(self.path(made.path), self.filled(made.text))
        if made.executable:
            place.chmod(0o755)

    def path(self, text: str) -> Path:
        """Return a path of a recipe, with its {words} replaced; a relative one is inside the throw-away folder."""
        return self.folder / self.filled(text)

    def write(self, place: Path, text: str) -> Path:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
        return place

    def wheel(self, made: of.Wheel) -> None:
        """Write a wheel as an archive, at {folder}/<its file name>."""
        stem = f"{made.name.replace('-', '_')}-{made.version}"
        metadata = ["Metadata-Version: 2.1", f"Name: {made.name}", f"Version: {made.version}"]
        metadata += [f"Requires-Dist: {requirement}" for requirement in made.requires]
        with zipfile.ZipFile(self.folder / f"{stem}-{made.tag}.whl", "w") as archive:
            archive.writestr(f"{stem}.dist-info/METADATA", "\n".join(metadata) + "\n")
            archive.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {made.tag}\n")
            archive.writestr(f"{stem}.dist-info/RECORD", "")
            if made.megabytes:
                archive.writestr(f"{made.name.replace('-', '_')}/data.bin", os.urandom(made.megabytes << 20))

    def toolkit(self, made: of.StubToolkit) -> None:
        """Write a stand-in for a CUDA toolkit, whose nvcc is a script."""
        place = Path(self.words["toolkit"])
        (place / "include").mkdir(parents=True)
        compiling = "sleep 100000" if made.waits else "exit 1"
        release = f"Cuda compilation tools, release {made.version}, V{made.version}.99"
        nvcc = f"#!/bin/sh\ncase \"$1\" in\n-V|--version) echo '{release}' ;;\n*) {compiling} ;;\nesac\n"
        if made.nvcc:
            self.write(place / "bin" / "nvcc", nvcc).chmod(0o755)
        if made.silent or made.waits:
            compiler = f'#!/bin/sh\ncase "$*" in *\' -c \'*) {compiling} ;; esac\nexec g++ "$@"\n'
            self.write(place / "c++", compiler).chmod(0o755)
            self.variables["CXX"] = str(place / "c++")

    # --- what is compiled

    def library(self, made: of.Library) -> None:
        place = self.path(made.path)
        script = native.versions(made)
        self.compile(place, native.library(made), made.needs, script)

    def extension(self, made: of.Extension) -> None:
        self.compile(self.site / (made.name + self.lender.suffix), native.extension(made), made.needs)

    def driver(self, made: of.StubDriver) -> None:
        """Compile a stand-in for the NVIDIA driver, and let the command use it."""
        compiled = self.folder / "compiled" / "drivers"
        self.say("compiling a stand-in driver")
        said = self.lender.torch.cuda if self.lender.torch else None
        stub_drivers.compile_into(
            compiled,
            lambda argv: self.prepare("the stand-in driver cannot be compiled", argv),
            runtime_of="12" if said and said.startswith("12.") else "13",
        )
        environ = stub_drivers.put(
            self.played.path(DRIVER) if self.played else self.folder / "driver",
            compiled,
            made.gpus,
            driver=made.version,
            cuda=made.cuda,
            cuinit=made.refusal,
            nvml=made.nvml,
            nvml_error=made.nvml_error,
            runtime=made.runtime,
        )
        self.variables.update(environ)
        if self.played:
            self.played.knows(DRIVER)

    def machine(self, made: of.PlayedMachine) -> None:
        """Write the folder of a simulated machine, which attn-doctor then reads as its root."""
        machine = Machine(self.folder / "machine")
        ubuntu(machine)
        if made.wsl:
            wsl2(machine)
            self.variables.update({name: machine.environ[name] for name in ("WSL_DISTRO_NAME", "WSL_INTEROP")})
        for vendor, device, driver in made.pci:
            machine.pci(vendor, device, driver=driver)
        if made.module:
            machine.driver(made.module)
        for path, text in made.files:
            machine.file(path, text)
        self.variables["ATTN_DOCTOR_ROOT"] = str(machine.root)
        self.played = machine

    def compile(self, place: Path, text: str, needs: Sequence[str], script: str | None = None) -> None:
        """Compile a C source into a shared object at `place`. `needs`: libraries to link. `script`: a linker version script."""
        self.say(f"compiling {place.name}")
        texts = self.folder / "compiled"
        source = self.write(texts / f"{place.parent.name}-{place.name}.c", text)
        versions = self.write(source.with_suffix(".map"), script) if script else None
        place.parent.mkdir(parents=True, exist_ok=True)
        command = native.argv("gcc", source, place, [self.path(path) for path in needs], versions)
        self.prepare(f"{place.name} cannot be compiled", command)


_SHELL_SAYS = {
    4: "Illegal instruction",
    6: "Aborted",
    7: "Bus error",
    8: "Floating point exception",
    11: "Segmentation fault",
}


def _last_error(output: bytes) -> str:
    """Return the last line of a tool's output that contains "error"; if there is none, the last line."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?:\w+:)?\s*(?:fatal )?error\b", line, re.IGNORECASE)]
    return (errors or lines or ["it printed nothing"])[-1][:300]
