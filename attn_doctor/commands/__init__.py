"""Builds the steps of fixes, and finishes a fix: its commands are rendered for the installer of the target. Pure."""

from __future__ import annotations

import msgspec

from attn_doctor.commands.installers import by_own_tool, by_the_torch_there, chosen, context, in_order, rendered
from attn_doctor.commands.project_builds import ProjectBuild, fails_itself
from attn_doctor.commands.project_builds import build as build_of_project
from attn_doctor.commands.shells import in_powershell, quoted, shell_of, shown
from attn_doctor.commands.target_python import examining, python, starting
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, Risk, Run, RunByHand, SetVariable, Step, Uninstall

__all__ = [
    "by_hand",
    "by_own_tool",
    "by_the_torch_there",
    "check",
    "in_powershell",
    "install",
    "prepared",
    "python",
    "quoted",
    "reinstall",
    "rendered",
    "run",
    "shell_of",
    "shown",
]
__all__ += ["ProjectBuild", "build_of_project", "fails_itself", "starting", "uninstall", "variable"]


def install(
    *requirements: str,
    why: str,
    changes: str,
    risk: Risk = "low",
    risk_text: str | None = None,
    takes: str | None = None,
    index_url: str | None = None,
    from_folder: str | None = None,
    find_links: str | None = None,
    upgrade: bool = False,
    reinstall: bool = False,
    no_deps: bool = False,
    no_build_isolation: bool = False,
    no_cache: bool = False,
    no_binary: bool = False,
    only_binary: bool = False,
    verbose: bool = False,
) -> Step:
    """Build a step that installs requirements into the target."""
    return Install(
        requirements=requirements,
        why=why,
        changes=changes,
        risk=risk,
        risk_text=risk_text,
        takes=takes,
        index_url=index_url,
        from_folder=from_folder,
        find_links=find_links,
        upgrade=upgrade,
        reinstall=reinstall,
        no_deps=no_deps,
        no_build_isolation=no_build_isolation,
        no_cache=no_cache,
        no_binary=no_binary,
        only_binary=only_binary,
        verbose=verbose,
    )


def reinstall(
    *requirements: str,
    why: str,
    changes: str,
    risk: Risk = "low",
    risk_text: str | None = None,
    takes: str | None = None,
    index_url: str | None = None,
) -> tuple[Step, Step]:
    """Build two steps: one installs these packages again without their dependencies, one adds the dependencies that are missing."""
    again = Install(
        requirements=requirements,
        index_url=index_url,
        reinstall=True,
        no_deps=True,
        why=why,
        changes=changes,
        risk=risk,
        risk_text=risk_text,
        takes=takes,
    )
    needs = "installs what these packages need and lack"
    return again, install(*requirements, index_url=index_url, why=needs, changes="what is missing")


def uninstall(*names: str, why: str) -> Step:
    """Build a step that removes packages from the target."""
    return Uninstall(requirements=names, why=why, changes=f"removes {', '.join(names)}")


def run(
    argv: tuple[str, ...],
    why: str,
    changes: str,
    risk: Risk = "low",
    *,
    takes: str | None = None,
    undo: tuple[str, ...] | None = None,
) -> Step:
    """Build a step that runs a command which installs no package, as `git submodule update` or `pip cache purge`."""
    return Run(argv=argv, why=why, changes=changes, risk=risk, takes=takes, undo=undo)


def by_hand(
    argv: tuple[str, ...],
    why: str,
    changes: str,
    risk: Risk = "low",
    *,
    risk_text: str | None = None,
    takes: str | None = None,
    elsewhere: bool = False,
    into: str | None = None,
) -> Step:
    """Build a step outside the environment, that only the user can do: a driver, a system package, another machine.

    `into`: the file that gets all output of the command.
    """
    return RunByHand(
        argv=argv,
        why=why,
        changes=changes,
        risk=risk,
        risk_text=risk_text,
        takes=takes,
        elsewhere=elsewhere,
        into=into,
    )


def variable(name: str, value: str | None, why: str) -> Step:
    """Build a step that sets (or, for None, unsets) a variable in the user's own shell."""
    return SetVariable(name=name, value=value, why=why, changes=f"{name}, in this shell alone", risk="none")


def prepared(facts: Facts, fix: Fix) -> Fix:
    """Return the fix with its commands rendered for the installer that records the packages of the target."""
    return msgspec.structs.replace(fix, steps=in_order(context(facts, chosen(facts)[0]), fix.steps))


def check(facts: Facts, *options: str) -> tuple[str, ...]:
    """Return the argv of the check that verifies a fix, with --gpu where the user stated a GPU."""
    gpus = facts.graphics.gpus
    stated = gpus[0].compute_capability if facts.graphics.stated is True and isinstance(gpus, tuple) and gpus else None
    gpu = ("--gpu", stated) if isinstance(stated, str) else ()
    return (*examining(facts), *gpu, *(options or ("--no-trial",)))
