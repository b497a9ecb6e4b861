"""Find the package for which a fix is made: the package that a log names, or flash-attn if there is no log. Pure."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.knowledge import built_packages
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import name_of

FLASH_ATTN = "flash-attn"
_OF_TORCH = ("torch", "torchvision", "torchaudio", "triton")
# A repository of sources, without a password in it.
_REPOSITORY = re.compile(r"git\+https://[\w.-]+/[\w./~-]+(?:@[\w./-]+)?(?:#[\w=&/.-]+)?")


def package(facts: Facts) -> str | None:
    """Return the package that failed; None if the log does not name it. Without a log it is flash-attn.

    If an import or a call failed, neither torch itself nor a library without compiled code counts as the package.
    """
    subject = facts.subject
    if not isinstance(subject.package, str):
        return _asked_for(facts) if facts.grade == "stated" else FLASH_ATTN
    name = subject.package
    if subject.doing in ("importing", "running") and (name in built_packages.WITHOUT_CODE or name in _OF_TORCH):
        return None
    return name


def stated(facts: Facts) -> str | None:
    """Return the package that failed by a log; None if no log names one."""
    return package(facts) if isinstance(facts.subject.package, str) else None


# A command that installs packages; some people put options of pip itself before the word "install".
_INSTALL = re.compile(
    r"(?:^|&& ?|[\s!%])(?:pip[\d.]*|uv|poetry|pdm|pixi) (?:-\S+ )*(?:pip )?(?:install|add) (?P<rest>[^&|;]+)"
)
# The options of such commands that are followed by a value, but for -e, whose value is what is installed. From the help of pip 25, uv 0.13 and
# Poetry 2.5; a test compares them with the pip and the uv that are installed.
_WITH_VALUE = frozenset(
    """
    -i --index-url --extra-index-url -f --find-links --index --default-index --index-strategy --keyring-provider --source
    -r --requirement --requirements -c --constraint --constraints -b --build-constraint --build-constraints --overrides --excludes --group -G
    --extra --extras -E --optional --markers -m --marker --bounds --rev --tag --branch --package --script
    -t --target --root --prefix --src --python -p --python-version --python-platform --platform --platforms --implementation --abi --torch-backend
    --no-binary --only-binary --no-build-isolation-package --no-build-package --no-binary-package --no-install-package --no-editable-package
    --no-sources-package --upgrade-strategy -P --upgrade-package --upgrade-group --reinstall-package --refresh-package --resolution --prerelease
    --prerelease-package --fork-strategy --exclude-newer --exclude-newer-package --uploaded-prior-to --link-mode
    -C --config-setting --config-settings --config-settings-package --global-option --use-feature --use-deprecated --exists-action --report
    --output-format --progress-bar --root-user-action --color --log --proxy --retries --timeout --default-timeout --resume-retries
    --trusted-host --allow-insecure-host --cert --client-cert --cache-dir --directory --project --config-file
    --requirements-from-script --all-releases --only-final
    """.split()
)


def _asked_for(facts: Facts) -> str | None:
    """Return the package that the typed command installs, by its name or its repository; None if it installs several, or a folder."""
    asked = installed_by_command(facts)
    if len(asked) != 1:
        return None
    if _REPOSITORY.fullmatch(asked[0]):
        return _of_repository(asked[0])
    return name_of(asked[0])


def installed_by_command(facts: Facts) -> tuple[str, ...]:
    """Return the names, addresses and folders that the command in the log installs, without options and their values.

    Empty for any command that is not pip's, uv's, Poetry's, PDM's or pixi's, such as conda's.
    """
    found = _INSTALL.search(facts.subject.command) if isinstance(facts.subject.command, str) else None
    words = found["rest"].replace("'", " ").replace('"', " ").split() if found else []
    return tuple(
        word
        for at, word in enumerate(words)
        if not word.startswith("-") and (at == 0 or words[at - 1] not in _WITH_VALUE)
    )


def is_flash_attn(facts: Facts) -> bool:
    """Return whether the package that failed is flash-attn. False if the log names no package."""
    return package(facts) == FLASH_ATTN


def words(facts: Facts) -> str:
    """Return the name of the package for a sentence: "xformers"; "the package" if it is not known."""
    return package(facts) or "the package"


def requirement(facts: Facts) -> str | None:
    """Return the requirement by which the package is installed, as the command in the log has it; None if the log does not show it.

    If PyPI has no release of the package, it is the address of its repository. Example: `pip install detectron2`.
    """
    name = package(facts)
    if name is None:
        return None
    typed = _typed(facts, name) or _cloned(facts, name)
    row = built_packages.row_of(name)
    release = pinned(facts)
    if release is not None and typed in (None, name) and (row is None or (row.get is None and row.wheels != "none")):
        return f"{name}=={release}"
    if row is None and typed is None and facts.subject.doing in ("importing", "running") and facts.grade == "stated":
        return None  # only the name of a module is known: PyPI may have no project, or another project, of that name
    if row is None or (typed is not None and typed.startswith("git+")):
        return typed or name
    if row.get is None and row.wheels == "none":
        return typed
    return row.get or typed or _collected(facts, name) or name


def release(facts: Facts) -> str | None:
    """Return the exact release of the package that the log requests: "2.7.3"; None if it requests none, or a range."""
    found = re.fullmatch(r"[\w.-]+==(\d[\w.]*)", requirement(facts) or "")
    return found[1] if found else None


def _collected(facts: Facts, name: str) -> str | None:
    """Return the exact requirement of flash-attn that pip read from a requirements file; None for other packages."""
    asked = facts.subject.asked
    from_file = isinstance(facts.subject.command, str) and "-r" in facts.subject.command.split()
    return f"{name}=={asked}" if name == FLASH_ATTN and from_file and isinstance(asked, str) else None


def pinned(facts: Facts) -> str | None:
    """Return the release of the package that the command, or a file that it reads, names: "2.7.4.post1"; None if neither names one."""
    name = package(facts)
    typed = _typed(facts, name) if name else None
    exact = re.fullmatch(r"[\w.-]+(?:\[[\w,-]+\])?==(?P<release>\d[\w.]*)", typed or "")
    if exact:
        return exact["release"]
    if isinstance(facts.subject.asked, str):
        return facts.subject.asked
    # The file name of a wheel that somebody chose: "mamba_ssm-2.2.4+cu12torch2.4cxx11abiTRUE-...whl".
    chosen = next((d.version for d in facts.packages.named if d.name == name and isinstance(d.version, str)), "")
    return chosen.replace("%2B", "+").partition("+")[0] if "cxx11abi" in chosen else None


def _cloned(facts: Facts, name: str) -> str | None:
    """Return the address of the repository from which pip cloned the package; None if the log shows none."""
    address = facts.subject.address
    if not isinstance(address, str) or _of_repository(address) != name:
        return None
    return address


def _of_repository(address: str) -> str:
    path = address.partition("#")[0].partition("//")[2].partition("@")[0]
    return canonicalize_name(path.rstrip("/").rpartition("/")[2].removesuffix(".git"))


def _typed(facts: Facts, name: str) -> str | None:
    command = facts.subject.command
    if not isinstance(command, str):
        return None
    words = command.replace("'", " ").replace('"', " ").split()
    for before, word in zip(("", *words), words, strict=False):
        if before in _WITH_VALUE:
            continue  # --no-binary xformers xformers==0.0.29
        if _REPOSITORY.fullmatch(word) and name in word.lower().replace("_", "-"):
            return word
        if not word.endswith(".whl") and name_of(word) == name:
            return word
    return None


def verify(facts: Facts) -> tuple[str, ...]:
    """Return the argv that shows whether the package works: its import, or `attn-doctor check` if its module is not known."""
    name = package(facts)
    if name == FLASH_ATTN:
        return commands.check(facts, "--goal", FLASH_ATTN, "--no-trial")
    row = built_packages.row_of(name) if name else None
    return commands.check(facts) if row is None else (*commands.starting(facts), "-c", f"import {row.module}")
