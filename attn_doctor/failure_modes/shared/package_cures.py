"""Make the steps that build a package for the installed torch, and the fixes for packages other than flash-attn. Pure.

The steps of a build first install all packages that the setup imports, torch too. They state the time and the memory of the
build.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared import checkout, code_for_gpu, linked_wheels, package_wheels, subject, torch_steps
from attn_doctor.failure_modes.shared.subject import FLASH_ATTN
from attn_doctor.knowledge import built_packages
from attn_doctor.knowledge.rows import BuiltPackage
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, Step

SDPA = "PyTorch's own attention (SDPA) needs no such package"
_GIGABYTE = 1 << 30
_JOBS = 2  # parallel jobs if the free memory is not known


def torch_first(facts: Facts, name: str | None) -> tuple[Step, ...]:
    """Return the steps that install torch before a build of `name`, whose setup imports torch.

    Empty if torch is installed, and on Colab and Kaggle, which have a torch of their own. `name`: the package; None if not known.
    """
    missing = facts.torch.version is None
    if isinstance(facts.torch.version, str) or (places.hosted(facts) in ("colab", "kaggle") and not missing):
        return ()  # such a notebook has its own torch, and its driver and its packages fit that torch
    why, flash_attn = "the build imports torch", name == FLASH_ATTN
    wanted = subject.release(facts) if flash_attn else None
    if not missing:
        return torch_steps.where_none_is(facts, why, flash_attn=flash_attn, release=wanted)
    return torch_steps.for_flash_attn(facts, why, wanted) if flash_attn else torch_steps.newest_steps(facts, why)


def tools(facts: Facts, *missing: str) -> Step:
    """Return the step that installs all packages that the setup imports, except torch.

    `missing`: further packages that the log reports as missing.
    """
    needed = [name for name in built_packages.imports(subject.package(facts)) if name != "torch"]
    bounds = {text.partition("<")[0]: text for text in missing if "<" in text}
    needed = [bounds.get(name, name) for name in needed]  # "setuptools<81" in the place of "setuptools"
    named = {name.partition("<")[0] for name in needed}
    needed += [text for text in dict.fromkeys(missing) if text.partition("<")[0] not in {*named, "torch"}]
    return commands.install(
        *needed,
        why="setup.py imports all these packages: install them together, or the build fails again at the next missing package",
        changes="adds build tools",
    )


def build(
    facts: Facts,
    why: str,
    *,
    release: str | None = None,
    again: bool = False,
    verbose: bool = False,
    fresh: bool = False,
    forced: bool = False,
) -> Step:
    """Return the step that builds the package that failed, in the environment with torch.

    If the package is not known: a step in words. `why`: the beginning of the reason that is printed. `release`:
    "2.7.4.post1"; None: as the log asks for it. `again`: even if this version is installed. `verbose`: with pip's -v.
    `fresh`: without pip's cache. `forced`: the setup must not use a finished wheel.
    """
    name, asked = subject.package(facts), subject.requirement(facts)
    row = built_packages.row_of(name) if name else None
    why += "; if no wheel fits, it compiles for hours" if name == FLASH_ATTN else "; compiling may take hours"
    if name == FLASH_ATTN or (row is not None and row.attention):
        why = f"{why}, and {SDPA}"
    elif not forced and package_wheels.taken_by_setup(facts, row):
        why += f"; its setup installs a finished wheel of {name} for this torch if there is one"
    own = checkout.of(facts)
    if own is not None and not again:
        return checkout.install(facts, own, f"your own sources: {why}", _takes(name), verbose=verbose)
    script = checkout.script(facts)
    if script is not None and not again and release is None:
        return commands.by_hand(
            script, f"your command, in the same folder: {why}", "adds the package", takes=_takes(name)
        )
    if asked is None:
        option = "with --no-build-isolation" + (" and -v" if verbose else "")
        words = f"repeat the installation of the package {option}: {why}"
        if row is not None and row.note is not None:
            words = f"{row.note}: {why}"
        elif places.container(facts) == places.BUILD:
            line = (
                "write --no-build-isolation in the RUN line that installs the package, " if "isolation" in why else ""
            )
            words = f"{line}then start `docker build` again: {why}"
        return commands.by_hand((), words, "adds the package", takes=_takes(name))
    version = facts.torch.version
    if release is None and asked == name:
        release = built_packages.for_old_torch(row, version if isinstance(version, str) else None)
        why += f"; {release} is the last release for torch {version}" if release else ""
    return commands.install(
        linked_wheels.requirement(facts, asked) if release is None else f"{name}=={release}",
        why=why,
        changes=f"adds {name}",
        no_build_isolation=True,
        reinstall=again,
        no_deps=again,
        no_cache=again or fresh,
        no_binary=again and row is not None and row.source_at_pypi,
        verbose=verbose,
        takes=_takes(name),
    )


def _takes(name: str | None) -> str:
    compiled = f"minutes to hours if it is compiled, and MAX_JOBS × up to {built_packages.gigabytes(name)} GB of memory"
    if name == FLASH_ATTN:
        return "seconds if a wheel fits; hours if it is compiled, and MAX_JOBS × up to 9 GB of memory"
    return compiled


def forcing(facts: Facts, why: str) -> tuple[Step, ...]:
    """Return the step that sets the variable by which the package's setup compiles instead of using a finished wheel.

    Empty if the setup has no such variable (flash-attn has FLASH_ATTENTION_FORCE_BUILD).
    """
    row = built_packages.row_of(subject.package(facts) or "")
    name = next((name for name in (row.variables if row else ()) if name.endswith("FORCE_BUILD")), None)
    return (commands.variable(name, "TRUE", why),) if name else ()


def fewer_jobs(facts: Facts, jobs: int | None = None) -> Step:
    """Return the step that limits how many compilers run together (MAX_JOBS).

    `jobs`: their number; None: by the free memory and the cores, or 2 if the free memory is not known.
    """
    most = built_packages.gigabytes(subject.package(facts))
    if jobs is None:
        free, cores = facts.system.available_bytes, facts.system.cores
        jobs = max(1, free // (most * _GIGABYTE)) if isinstance(free, int) else _JOBS
        jobs = min(jobs, cores) if isinstance(cores, int) else jobs
    where = "in the Dockerfile, above the RUN line that builds: " if places.container(facts) == places.BUILD else ""
    why = f"{where}compilers that run together: {jobs} × up to {most} GB of memory"
    return commands.variable("MAX_JOBS", str(jobs), why)


def built_here(facts: Facts, title: str, why: str, *missing: str, ask: bool = False) -> Fix:
    """Return the fix that installs torch and the build tools, and then builds the package without isolation.

    `missing`: packages that the log reports as missing. `ask`: if the version of torch is not known, the first step prints it instead of
    installing a torch.
    """
    # flash-attn's own setup sets MAX_JOBS by the free memory. A log does not show the memory, so for a log the step is kept.
    jobs = () if subject.is_flash_attn(facts) and facts.grade != "stated" else (fewer_jobs(facts),)
    name = subject.package(facts)
    if name is not None and commands.fails_itself(facts):
        return _of_project(facts, name, why, *missing)
    # An unknown package may have nothing to do with torch, unless the log says that torch is missing.
    asks = "torch" in missing or name is None or built_packages.row_of(name) is not None
    ask = (ask and isinstance(facts.torch.version, Unknown)) or _likely_has_torch(facts, *missing)
    before = _ask_for_torch(facts) if ask else torch_first(facts, name)
    steps = (*(before if asks else ()), tools(facts, *missing), *jobs, build(facts, why))
    return Fix(title=title, steps=steps, verify=subject.verify(facts))


def _likely_has_torch(facts: Facts, *missing: str) -> bool:
    """Return whether a torch of unknown version is probably installed: the user turned build isolation off, which only makes sense with an installed torch."""
    command, version = facts.subject.command, facts.torch.version
    off = isinstance(command, str) and "--no-build-isolation" in command.split()
    return off and isinstance(version, Unknown) and "torch" not in missing


def _ask_for_torch(facts: Facts) -> tuple[Step, ...]:
    """Return the step that prints the version of the installed torch, for a machine on which torch is probably installed."""
    argv = (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.version.cuda)")
    why = (
        "has to print two versions: the build imports this torch, and torch stays. If the command fails, install torch first, with the command from "
        "https://pytorch.org/get-started/locally/ for the installed CUDA"
    )
    return (commands.by_hand(argv, why, "nothing", "none"),)


def _of_project(facts: Facts, name: str, why: str, *missing: str) -> Fix:
    """Return the fix for a package that the project itself requires: the project's tool installs all other packages, and then builds it."""
    imported = tools(facts, *missing)
    wanted = commands.ProjectBuild(
        name=name,
        tools=imported.requirements if isinstance(imported, Install) else (),
        torch=torch_steps.bare(),
        limit=(fewer_jobs(facts),),
        why=f"{why}; compiling may take hours",
        takes=_takes(name),
    )
    steps = commands.build_of_project(facts, wanted)
    title = "Install the rest of the project first, then build the package with its torch"
    return Fix(title=title, steps=steps, verify=subject.verify(facts))


def from_source(facts: Facts, name: str) -> Fix:
    """Return the fix for a package that is not on PyPI: install torch and the build tools, and build the package from its repository."""
    row = built_packages.row_of(name)
    assert row is not None
    assert row.get is not None
    step = commands.install(
        row.get,
        why=f"{name} is not on PyPI: this builds it from its own repository",
        changes=f"adds {name}",
        no_build_isolation=True,
        takes=_takes(name),
    )
    steps = (*torch_first(facts, name), tools(facts), fewer_jobs(facts), step)
    return Fix(title=f"Build {name} from its own repository", steps=steps, verify=subject.verify(facts))


def again(facts: Facts, because: str, *, abi: bool | None = None, compiled: bool = False) -> tuple[Fix, ...]:
    """Return the fixes for an installed package that does not fit torch: its wheel for this torch, a new build, or work without it.

    Not for flash-attn: see wheel_fixes. `because`: what is wrong with the package, "it has another C++ ABI than this torch". `abi`: whether
    torch has the new C++ ABI; None if not known. `compiled`: the finished wheel does not fit, so the build must not use it again.
    """
    if isinstance(facts.subject.package, str) and facts.subject.package in ("torchvision", "torchaudio", "torchtext"):
        return package_wheels.of_the_family(facts, facts.subject.package)
    name = subject.package(facts)
    row = built_packages.row_of(name) if name else None
    if name == "flash-attn-3":
        return _of_hopper(facts, because)
    if name is None:
        words = (
            "remove the package whose file the error names, and install the release that was built for this torch; "
            "or build it here: pip install with --no-build-isolation, --force-reinstall and --no-cache-dir"
        )
        step = commands.by_hand((), words, "that package")
        return (Fix(title="Install that package again, for this torch", steps=(step,), verify=subject.verify(facts)),)
    if isinstance(facts.subject.folder, str) and facts.grade == "stated":
        return (_of_the_checkout(facts, name, facts.subject.folder, because),)
    twin = package_wheels.of_the_other_abi(facts, name, abi)
    made = list(package_wheels.ready(facts, name, again=True))
    if row is not None and row.linux_only and facts.system.os in ("windows", "darwin"):
        return tuple(made)
    if row is not None and row.compiles_at_run_time and row.wheels == "releases":
        newest = commands.install(
            name,
            upgrade=True,
            no_build_isolation=True,
            why="compiled for the installed torch when it is first used",
            changes=name,
        )
        made = [Fix(title=f"Upgrade {name}", steps=(tools(facts), newest), verify=subject.verify(facts))]
    if row is not None and row.compiles_at_run_time:
        kept = _compiled_anew(facts, name)
        runs = any(isinstance(step, Install) for fix in made for step in fix.steps)
        made = [*made, kept] if runs else [kept]
    elif not (made and row is not None and row.wheels in ("pypi", "pytorch-index")):
        why = f"compiles it against the torch that is installed now: {because}"
        built = Fix(
            title=f"Build {name} again, for this torch",
            steps=_anew(facts, why, row, compiled=compiled),
            verify=subject.verify(facts),
        )
        made.insert(0 if row is not None and row.wheels == "releases" else len(made), built)
    made = [*twin, *made]
    if row is not None and row.attention:
        step = commands.uninstall(name, why=f"{because}, and {SDPA}")
        made.append(Fix(title=f"Do without {name}", steps=(step,), verify=commands.check(facts)))
    return tuple(made)


def _of_the_checkout(facts: Facts, name: str, folder: str, because: str) -> Fix:
    """Return the fix for a package that runs from the folder of its sources: build it again in that folder, and do not replace it."""
    argv = (*commands.starting(facts), "-m", "pip", "install", "--no-build-isolation", "-e", folder)
    why = f"{name} runs from a checkout of its sources, and {because}: this compiles it for the torch that is installed now; compiling may take hours"
    step = commands.by_hand(argv, why, f"{name}'s compiled files", takes=_takes(name))
    own: tuple[Step, ...] = ()
    if name == "vllm":
        # https://docs.vllm.ai/en/latest/getting_started/installation/gpu/#use-an-existing-pytorch-installation
        take = commands.by_hand(
            (*commands.starting(facts), f"{folder}/use_existing_torch.py"),
            f"run it in {folder}: takes torch out of vLLM's requirements, so that pip keeps the torch that is installed",
            "the requirements files of the checkout",
        )
        own = (commands.by_hand(("cd", folder), "the next line is for this folder", "nothing", "none"), take)
    steps = (*own, tools(facts), fewer_jobs(facts), step)
    return Fix(title=f"Build the checkout of {name} again", steps=steps, verify=subject.verify(facts))


def _anew(facts: Facts, why: str, row: BuiltPackage | None, *, compiled: bool) -> tuple[Step, ...]:
    """Return the steps that build an installed package again. `compiled`: the setup must not use its finished wheel."""
    if row is None or row.compiled is None:
        forced = forcing(facts, "without this variable setup.py installs the same wheel again") if compiled else ()
        return (tools(facts), fewer_jobs(facts), *forced, build(facts, why, again=True, forced=bool(forced)))
    gone = commands.uninstall(
        row.compiled,
        why="the compiled files of the package are for another torch: the next step compiles the package for the installed torch",
    )
    return (tools(facts), fewer_jobs(facts), gone, build(facts, why, fresh=True))


def _of_hopper(facts: Facts, because: str) -> tuple[Fix, ...]:
    """Return the fixes for FlashAttention 3, which is built from the folder hopper of flash-attn's repository.

    https://github.com/Dao-AILab/flash-attention/tree/main/hopper
    """
    gone = commands.uninstall("flash_attn_3", why=f"{because}; it works only on the H100 and H200, and {SDPA}")
    without = Fix(title="Do without FlashAttention 3", steps=(gone,), verify=commands.check(facts))
    if facts.system.os == "windows":
        return (without,)
    words = (
        "on an H100 or H200: build it again for this torch, with `python setup.py install` in the folder hopper of "
        "https://github.com/Dao-AILab/flash-attention; it compiles for hours"
    )
    step = commands.by_hand((), words, "adds FlashAttention 3")
    built = Fix(title="Build FlashAttention 3 again, for this torch", steps=(step,), verify=commands.check(facts))
    return (without, built)


def for_gpu(facts: Facts, name: str) -> tuple[Fix, ...]:
    """Return the fixes for a package without code for this GPU: a build for this GPU or a newer release, and another attention backend."""
    row = built_packages.row_of(name)
    known = code_for_gpu.capabilities(facts)
    arch = (
        (
            commands.variable(
                "TORCH_CUDA_ARCH_LIST",
                known,
                f"the next steps compile {name} for the present GPU{'s' if ';' in known else ''}",
            ),
        )
        if known is not None
        else code_for_gpu.asked_arch(facts)
    )
    if row is not None and row.compiles_at_run_time:
        return (_compiled_anew(facts, name, *arch), *_another_backend(facts, name))
    only_wheels = row is not None and row.wheels == "pypi" and not row.source_at_pypi and row.get is None
    if row is not None and (not row.arch_list or only_wheels):
        why = (
            f"PyPI has only finished wheels of {name}, and newer wheels contain code for more GPUs"
            if only_wheels
            else f"the setup of {name} has its own list of GPUs, and newer releases have a longer list"
        )
        upgrade = commands.install(
            name,
            upgrade=True,
            no_build_isolation=not only_wheels,
            no_cache=not only_wheels,
            why=why,
            changes=name,
            takes=None if only_wheels else _takes(name),
        )
        words = f"if the newest release does not support this GPU either, {name} cannot run on it"
        doubt = commands.by_hand((), words, "nothing", "none")
        newest = (*(() if only_wheels else (fewer_jobs(facts),)), upgrade, doubt)
        fix = Fix(title=f"Install the newest {name}", steps=newest, verify=subject.verify(facts))
        return (fix, *_another_backend(facts, name))
    newer = commands.by_hand((), f"or install a release of {name} that supports this GPU", f"{name}")
    steps = (*arch, fewer_jobs(facts), build(facts, "compiled here, for this GPU", again=True), newer)
    built = Fix(title=f"Build {name} for this GPU", steps=steps, verify=subject.verify(facts))
    return (built, *_another_backend(facts, name))


def _another_backend(facts: Facts, name: str) -> tuple[Fix, ...]:
    row = built_packages.row_of(name)
    if not (row is not None and row.attention) and name not in ("vllm", "sgl-kernel"):
        return ()
    words = f"choose an attention backend other than {name} by an option of the program; PyTorch's own attention (SDPA) runs on every GPU"
    step = commands.by_hand((), words, "the program's options", "none")
    return (Fix(title="Use another attention backend", steps=(step,), verify=commands.check(facts)),)


_EXTENSIONS = "${TORCH_EXTENSIONS_DIR:-$HOME/.cache/torch_extensions}"


def _compiled_anew(facts: Facts, name: str, *arch: Step) -> Fix:
    """Return the fix for a package that compiles itself at its first use: remove its compiled files, which are for another GPU or torch.

    They are in the folder TORCH_EXTENSIONS_DIR, else in ~/.cache/torch_extensions, on Windows under LOCALAPPDATA.
    https://docs.pytorch.org/docs/stable/cpp_extension.html
    """
    why = f"{name} compiles when it is first used and stores the result in this folder: if the folder is removed, {name} compiles again, for the present GPU and torch"
    folder = "$HOME/.cache/flashinfer" if name == "flashinfer-python" else _EXTENSIONS
    argv: tuple[str, ...] = ("sh", "-c", f'rm -rf "{folder}"')
    if facts.system.os == "windows":
        argv, why = (), f"remove the folder %LOCALAPPDATA%\\torch_extensions: {why}"
    gone = commands.by_hand(argv, why, "the folder of compiled extensions, which are compiled again when they are used")
    words = f"start the program again in this shell: {name} then compiles for some minutes with nvcc"
    start = commands.by_hand((), words, "nothing", "none", takes="minutes")
    return Fix(title=f"Let {name} compile again, here", steps=(*arch, gone, start), verify=subject.verify(facts))
