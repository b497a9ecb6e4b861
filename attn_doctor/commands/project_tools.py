"""Render steps as commands of the tools that record packages in a project's files: uv, Poetry, PDM, pixi. Pure.

Such a tool writes each package that it adds into pyproject.toml and the lock file. A package that pip or `uv pip` installed is
not written there, and the tool's next `sync` removes it: the text of the step says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from attn_doctor.commands.environment_tools import Argv, Installer, all_bare, kept, of_packages
from attn_doctor.model.steps import Install, Run, Step, Uninstall, name_of


class Project(Installer):
    """Render steps for a tool that writes the packages that it adds into the project's own files."""

    SYNC: ClassVar[tuple[str, ...]]  # makes the environment equal to the lock file
    LOCK: ClassVar[str]

    def otherwise(self, step: Install | Uninstall) -> str:
        """Return why the environment's own pip or uv does a step, and which later command undoes the step."""
        back = f"`{' '.join(self.SYNC)}` puts back what {self.LOCK} says"
        return f"{super().otherwise(step)}, and a later {back}"

    def keeps(self, step: Install) -> bool:
        """Return whether the packages that a step installs are written into the project's files."""
        return self.says(step)

    def declares(self, step: Uninstall) -> bool:
        """Return whether the project itself requires all packages that a step removes."""
        return self.here.declared.issuperset(step.names())

    def where(self, option: str) -> Argv:
        """Return the option that names the project's folder; nothing if it is not known."""
        return (option, self.here.folder) if self.here.folder else ()


class UvProject(Project):
    """Render steps for uv in a project with a uv.lock, which `uv pip` would ignore: https://docs.astral.sh/uv/concepts/projects/sync/."""

    EXPRESSES = frozenset(
        {"verbose", "upgrade", "reinstall", "no_build_isolation", "no_cache", "no_binary", "index_url"}
    )
    FREE = frozenset({"no_deps"})  # not needed: this tool installs only the named package again
    SYNC = ("uv", "sync")
    LOCK = "uv.lock"

    def install(self, step: Install) -> Argv:
        """Return the command of the installation.

        It gives the index a name, so that uv.lock and [tool.uv.sources] keep the index.
        """
        names = step.names()
        words = [
            *(("-v",) if step.verbose else ()),
            *(("--no-cache",) if step.no_cache else ()),
            *(word for name in names if step.upgrade for word in ("--upgrade-package", name)),
            *(word for name in names if step.reinstall for word in ("--reinstall-package", name)),
            *(word for name in names if step.no_build_isolation for word in ("--no-build-isolation-package", name)),
            *(word for name in names if step.no_binary for word in ("--no-binary-package", name)),
            *self._left_out(names),
            *addresses_named(step),
            *(("--index", f"{index_name(step.index_url)}={step.index_url}") if step.index_url else ()),
        ]
        return ("uv", "add", *self.where("--project"), *words)

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command of the removal; None if the project does not require all of these packages."""
        return ("uv", "remove", *self.where("--project"), *step.names()) if self.declares(step) else None

    def _left_out(self, names: Sequence[str]) -> Argv:
        """Return the options that keep `uv add` from building the packages that need torch for their build, and that this step does not name.

        Without them `uv add setuptools` in a project that asks for flash-attn builds flash-attn in isolation, fails with "No module
        named 'torch'", and takes its change back: run with uv 0.13.9. https://docs.astral.sh/uv/reference/cli/#uv-add--no-install-package
        """
        others = sorted(self.here.built_alone.difference(names))
        return tuple(word for name in others for word in ("--no-install-package", name))

    def note(self, step: Install) -> str | None:
        """Return the note about the setting that later runs of uv need, or about a range in pyproject.toml that stays; None if neither applies."""
        if step.no_build_isolation:
            listed = ", ".join(f'"{name}"' for name in step.names())
            # https://docs.astral.sh/uv/concepts/projects/config/#build-isolation
            return (
                f"a later `uv sync` also builds it without isolation if [tool.uv] in pyproject.toml has "
                f"no-build-isolation-package = [{listed}]"
            )
        return "uv keeps within the range that pyproject.toml has" if step.upgrade and not all_bare(step) else None


_TAKEN_OUT = "pyproject.toml does not name it, so the first `uv sync` removes it again; `uv add` would keep it"


def taken_in(step: Step) -> Step:
    """Return the step for `uv add`, without the note that `UvPinned` added when the step was rendered for its finding."""
    return msgspec.structs.replace(step, why=step.why.replace(f"; {_TAKEN_OUT}", ""))


class UvPinned(UvProject):
    """Render steps for uv in a project without a lock: `uv add` changes the line of pyproject.toml that asks for a package, and writes uv.lock."""

    def rendered(self, step: Step) -> Step:
        """Return the step with its command. A package that pyproject.toml does not name is installed by `uv pip`."""
        named = isinstance(step, Install | Uninstall) and self.here.in_pyproject & set(step.names())
        if named:
            return super().rendered(step)
        if isinstance(step, Install) and _TAKEN_OUT not in step.why:
            step = msgspec.structs.replace(step, why=f"{step.why}; {_TAKEN_OUT}")
        return of_packages(self.here).rendered(step)

    def keeps(self, step: Install) -> bool:
        """Return whether the packages that a step installs are written into the project's files."""
        return super().keeps(step) and not self.here.in_pyproject.isdisjoint(step.names())


def index_name(url: str) -> str:
    """Return a name for an index of PyTorch, "pytorch-cu128". uv and Poetry keep the index under this name in the project's files."""
    last = url.rstrip("/").rpartition("/")[2]
    return f"pytorch-{last.replace('.', '-')}"


class Poetry(Project):
    """Render steps for Poetry, which writes each package that it adds into pyproject.toml and its lock file."""

    EXPRESSES = frozenset({"verbose", "upgrade", "no_cache", "index_url"})
    SYNC = ("poetry", "sync")
    LOCK = "poetry.lock"

    def before(self, step: Install) -> tuple[Step, ...]:
        """Return the step that adds an index to the project, because `poetry add --source` accepts only known names."""
        if not step.index_url or not self.says(step):
            return ()
        argv = self._poetry("source", "add", "--priority", "explicit", index_name(step.index_url), step.index_url)
        return (Run(argv=argv, why="poetry uses only an index that the project names", changes=_FILES),)

    def install(self, step: Install) -> Argv:
        """Return the command that carries out the installation."""
        texts = (
            f"{text}@latest" if step.upgrade and text == name_of(text) else _address(text) for text in step.requirements
        )
        switches = (*(("-v",) if step.verbose else ()), *(("--no-cache",) if step.no_cache else ()))
        source = ("--source", index_name(step.index_url)) if step.index_url else ()
        return self._poetry("add", *switches, *source, *texts)

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command that carries out the removal; None if the project does not require all of these packages."""
        return self._poetry("remove", *step.names()) if self.declares(step) else None

    def note(self, step: Install) -> str | None:
        """Return the note that an installed version within the range is kept, if the step asks for a newer one; else None."""
        return kept("poetry", step)

    def _poetry(self, *words: str) -> Argv:
        return ("poetry", *self.where("--directory"), *words)


_FILES = "the project's own files; nothing of the environment"


def _address(text: str) -> str:
    """Return a requirement as Poetry accepts it: for "name @ address" only the address."""
    return text.partition(" @ ")[2] or text


class Pdm(Project):
    """Render steps for PDM, which writes each package that it adds into pyproject.toml and its lock file."""

    EXPRESSES = frozenset({"verbose", "upgrade", "no_build_isolation", "index_url"})
    SYNC = ("pdm", "sync")
    LOCK = "pdm.lock"

    def before(self, step: Install) -> tuple[Step, ...]:
        """Return the step that adds an index to the project, because `pdm add` has no option for an index."""
        if not step.index_url or not self.says(step):
            return ()
        key = f"pypi.{index_name(step.index_url)}.url"
        argv = ("pdm", "config", *self.where("--project"), "--local", key, step.index_url)
        return (Run(argv=argv, why="pdm uses only an index that the project names", changes=_FILES),)

    def install(self, step: Install) -> Argv:
        """Return the command that carries out the installation."""
        where, verbose = self.where("--project"), ("-v",) if step.verbose else ()
        isolation = ("--no-isolation",) if step.no_build_isolation else ()
        if step.upgrade and all_bare(step) and self.here.declared.issuperset(step.names()):
            return ("pdm", "update", *where, *verbose, *isolation, "--unconstrained", *step.names())
        return ("pdm", "add", *where, *verbose, *isolation, *_flavoured(addresses_named(step), step.index_url))

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command that carries out the removal; None if the project does not require all of these packages."""
        return ("pdm", "remove", *self.where("--project"), *step.names()) if self.declares(step) else None

    def note(self, step: Install) -> str | None:
        """Return the note that an installed version within the range is kept, if the step asks for a newer one; else None."""
        return kept("pdm", step)


_FLAVOUR = re.compile(r"(?:cu\d{2,3}|cpu|xpu|rocm[\d.]+)/?$")


def _flavoured(texts: Argv, index_url: str | None) -> Argv:
    """Return the requirements, with the local version of their index after exact versions of torch's packages: "torch==2.8.0+cu128".

    PDM asks all its indexes, and keeps a torch 2.8.0 of a different index if the lock names that torch.
    """
    found = _FLAVOUR.search(index_url or "")
    if found is None:
        return texts
    flavour = found[0].rstrip("/")
    exact = re.compile(r"torch(?:vision|audio)?==[\w.]+")
    return tuple(f"{text}+{flavour}" if exact.fullmatch(text) else text for text in texts)


class Pixi(Project):
    """Render steps for pixi, which writes each package that it adds into its manifest and its lock file."""

    EXPRESSES = frozenset({"upgrade"})
    SYNC = ("pixi", "install")
    LOCK = "pixi.lock"

    def install(self, step: Install) -> Argv:
        """Return the command that carries out the installation."""
        where = self.where("--manifest-path")
        if step.upgrade and all_bare(step):
            return ("pixi", "upgrade", *where, *step.names())
        return ("pixi", "add", *where, "--pypi", *addresses_named(step))

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command that carries out the removal; None if the project does not require all of these packages."""
        return (
            ("pixi", "remove", *self.where("--manifest-path"), "--pypi", *step.names()) if self.declares(step) else None
        )

    def note(self, step: Install) -> str | None:
        """Return the note that an installed version within the range is kept, if the step asks for a newer one; else None."""
        return kept("pixi", step)

    def otherwise(self, step: Install | Uninstall) -> str:
        """Return why pip or uv does a step, and the line of the manifest that makes it permanent.

        https://pixi.sh/latest/reference/pixi_manifest/ has both keys.
        """
        said = super().otherwise(step)
        if isinstance(step, Install) and step.no_build_isolation:
            listed = ", ".join(f'"{name}"' for name in step.names())
            return f"{said}: [pypi-options] no-build-isolation = [{listed}] keeps it"
        if isinstance(step, Install) and step.index_url:
            return f'{said}: index = "{step.index_url}" at the packages under [pypi-dependencies] keeps it'
        return said

    def add_pip(self) -> Argv:
        """Return the command that puts a pip into an environment that has none."""
        return ("pixi", "add", *self.where("--manifest-path"), "pip")


def addresses_named(step: Install) -> Argv:
    """Return the requirements in the form of PEP 508: the name stands before the address of a wheel."""
    return tuple(
        f"{name_of(text)} @ {text}" if text.endswith(".whl") and " @ " not in text and name_of(text) else text
        for text in step.requirements
    )
