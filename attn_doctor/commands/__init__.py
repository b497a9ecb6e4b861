"""Build the steps of fixes, and finish a fix: its steps get the commands of the target's installer. Pure."""

from __future__ import annotations

import msgspec

from attn_doctor.commands import places
from attn_doctor.commands.installers import by_own_tool, chosen, context, in_order, rendered
from attn_doctor.commands.project_builds import ProjectBuild, fails_itself
from attn_doctor.commands.project_builds import build as build_of_project
from attn_doctor.commands.shells import in_powershell, quoted, shell_of, shown
from attn_doctor.commands.target_python import examining, program, python, starting, training, yolo
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, Risk, Run, RunByHand, SetVariable, Step, Uninstall

__all__ = [
    "by_hand",
    "by_own_tool",
    "check",
    "in_front",
    "in_powershell",
    "install",
    "prepared",
    "program",
    "python",
    "quoted",
    "reinstall",
    "rendered",
    "run",
    "shell_of",
    "shown",
]
__all__ += [
    "ProjectBuild",
    "build_of_project",
    "fails_itself",
    "starting",
    "training",
    "uninstall",
    "variable",
    "without_library_path",
    "yolo",
]


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
    built_by: str | None = None,
) -> Step:
    """Build a step that installs requirements into the target. The arguments are the fields of `model.steps.Install`."""
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
        built_by=built_by,
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
    """Build a step that runs a command which installs no package, such as `git submodule update` or `pip cache purge`."""
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
    """Build a step outside the environment that only the user can do: a driver, a system package, another machine.

    `argv`: the command; if it is empty, `why` says what to do. `into`: the file that gets all output of the command.
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


# The folder of the driver on hosted notebooks, which their LD_LIBRARY_PATH holds: without it torch sees no GPU.
# https://github.com/googlecolab/colabtools/issues/4300
_DRIVER_OF = {"colab": "/usr/lib64-nvidia", "kaggle": "/usr/local/nvidia/lib64"}


def without_library_path(facts: Facts, why: str) -> Step:
    """Build the step that unsets LD_LIBRARY_PATH.

    On Colab and Kaggle the folder of the driver stays in the variable, because no other setting names it.
    """
    return variable("LD_LIBRARY_PATH", _DRIVER_OF.get(places.hosted(facts) or ""), why)


def in_front(facts: Facts, name: str, folder: str, why: str) -> Step:
    """Build a step that puts a folder in front of the folders in a list variable (PATH, LD_LIBRARY_PATH).

    An empty part of such a list means the current folder. So ":" is written only if another folder follows. If the
    present value is not known, the step is a line for bash that takes it from the shell.
    """
    held = facts.environment if isinstance(facts.environment, tuple) else None
    if held is None and shell_of(facts) == "bash":
        line = f"export {name}={folder}${{{name}:+:${name}}}"
        return by_hand(("sh", "-c", line), why, f"{name}, in this shell alone", "none")
    old = next((v.value for v in held or () if v.name == name and isinstance(v.value, str) and v.value), "")
    return variable(name, f"{folder}:{old}" if old else folder, why)


def prepared(facts: Facts, fix: Fix) -> Fix:
    """Return the fix with the commands of the installer that records the packages of the target.

    In a notebook, a fix that changes packages also gets a last step: restart the notebook's Python.
    """
    steps = in_order(context(facts, chosen(facts)[0]), fix.steps)
    changed = any(isinstance(step, Install | Uninstall) for step in steps)
    return msgspec.structs.replace(fix, steps=(*steps, *(_restart(facts) if changed else ())))


# https://research.google.com/colaboratory/faq.html, https://jupyterlab.readthedocs.io/en/stable/user/notebook.html
_RESTARTS = {"colab": "Runtime > Restart session", "kaggle": "Run > Restart & clear cell outputs"}


def _restart(facts: Facts) -> tuple[Step, ...]:
    """Return the step that restarts the Python of a notebook, because a running Python keeps the modules that it has imported.

    Empty outside of notebooks.
    """
    if shell_of(facts) != "notebook":
        return ()
    where = _RESTARTS.get(str(places.hosted(facts)), "Kernel > Restart")
    why = f"then restart the notebook's Python ({where}), and run its cells again from the first: until then it keeps what it has imported"
    return (by_hand((), why, "the variables of this session", "none"),)


def check(facts: Facts, *options: str) -> tuple[str, ...]:
    """Return the command that verifies a fix: `attn-doctor check`, with --gpu if the user stated a GPU.

    `options`: more options; without any, --no-trial is added.
    """
    gpus = facts.graphics.gpus
    stated = gpus[0].compute_capability if facts.graphics.stated is True and isinstance(gpus, tuple) and gpus else None
    gpu = ("--gpu", stated) if isinstance(stated, str) else ()
    return (*examining(facts), *gpu, *(options or ("--no-trial",)))
