"""git could not fetch a repository, so there is nothing to install: no key for SSH, no account for it, or no git.

What it is
    A package is to be installed from a git repository, or from a folder that `git clone` should have made. git did not fetch it.

How it shows
    "Host key verification failed." or "git@github.com: Permission denied (publickey)." above "fatal: Could not read from remote repository.";
    "could not read Username for 'https://github.com'"; "remote: Repository not found."; pip: "Cannot find command 'git' - do you have 'git'
    installed and in your PATH?"; uv: "Git executable not found". Below it, in most cases: "does not appear to be a Python project".

Why it happens
    An address such as git@github.com:owner/name.git uses SSH, which needs a key that GitHub knows: Colab, a container and a new computer have
    none. A submodule can have such an address although the repository itself was fetched over https. GitHub asks for a name where an https
    address is of a private repository, or is mistyped. Slim images and a new Windows have no git.

What to do
    Fetch a public repository by its https address, which needs no key. One line makes git do so for submodules too: `git config --global
    url."https://github.com/".insteadOf git@github.com:`. A private repository needs a key or a token of somebody who may read it.

How to reproduce
    There is no recipe: it asks github.com. `git clone git@github.com:git/git.git` as a user without a key shows it.

References
    https://docs.github.com/en/authentication/troubleshooting-ssh/error-permission-denied-publickey
    https://docs.github.com/en/get-started/git-basics/managing-remote-repositories
    https://git-scm.com/docs/git-config#Documentation/git-config.txt-urlltbasegtinsteadOf
    https://github.com/smacke/ffsubsync/issues/56
    https://github.com/sphere-engine/python-client/issues/1
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import system_tools
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, not_found_words, subject
from attn_doctor.knowledge.translated_messages import translations
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.steps import Step

_HOST = r"[\w.-]{1,80}"
_NAME = r"[\w-][\w.-]{0,100}?"
# "git@github.com:owner/name.git" and "ssh://git@github.com/owner/name.git"; the next line may follow without a break.
_END = r"(?:\.git(?!hub)|(?=['\"\s#)]|@(?![\w.-]{1,80}:)|$))"
_SSH = rf"(?:ssh://)?git@(?P<host>{_HOST})[:/](?P<path>{_NAME}(?:/{_NAME}){{1,3}}?){_END}"

MODE = FailureMode(
    code="AD285",
    slug="git-cannot-fetch",
    title="git cannot fetch a repository",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED, "cutlass-submodule-missing", "no-matching-distribution"),
    signs=(
        *(
            Sign(pattern=rf"(?P<ssh>{pattern})", literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"^(?:.{0,40}\s)?Host key verification failed\.",
                    "Host key verification failed.",
                    "Host key verification failed.",
                ),
                (
                    rf"git@{_HOST}: Permission denied \(",
                    ": Permission denied (",
                    "git@github.com: Permission denied (publickey).",
                ),
                (
                    rf"No \w{{2,12}} host key is known for {_HOST}",
                    "host key is known for",
                    "No ED25519 host key is known for github.com and you have requested strict checking.",
                ),
            )
        ),
        Sign(
            pattern=r"(?P<unread>fatal: Could not read from remote repository)",
            literal="Could not read from remote repository",
            sample="fatal: Could not read from remote repository.",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<private>could not read (?:Username|Password) for '(?P<of>https?://[^']{1,120})')",
            literal="could not read ",
            sample="fatal: could not read Username for 'https://github.com': No such device or address",
        ),
        Sign(
            pattern=r"(?P<private>remote: Repository not found\.)",
            literal="remote: Repository not found",
            sample="remote: Repository not found.",
        ),
        Sign(
            pattern=r"(?P<private>fatal: Authentication failed for '(?P<of>https?://[^']{1,200})')",
            literal="Authentication failed for 'http",
            sample="fatal: Authentication failed for 'https://github.com/owner/name.git/'",
        ),
        Sign(
            pattern=r"(?P<missing>Cannot find command ['\"]?git['\"]?)",
            literal="Cannot find command",
            sample="ERROR: Cannot find command 'git' - do you have 'git' installed and in your PATH?",
        ),
        Sign(
            pattern=r"(?P<missing>Git executable not found)",
            literal="Git executable not found",
            sample="error: Git executable not found. Ensure that Git is installed and available.",
        ),
        Sign(
            pattern=r"(?P<missing>No such file or directory: 'git')",
            literal="No such file or directory: 'git'",
            sample="FileNotFoundError: [Errno 2] No such file or directory: 'git'",
            strength="hint",
        ),
        *(
            Sign(pattern=rf"(?:^|[\s:：])(?P<missing>git){not_found_words.NO_COMMAND}", literal=literal, sample=sample)
            for literal, sample in (
                ("git: not found", "/bin/sh: 1: git: not found"),
                ("git: command not found", "bash: line 1: git: command not found"),
                *((f"git: {word}", f"bash: git: {word}") for word in translations("command not found")),
            )
        ),
        *not_found_words.unknown_to_windows("git", "missing"),
        # The address that was to be fetched.
        Sign(
            pattern=rf"(?P<submodule>clone of '|Submodule '[^']{{1,100}}' \(){_SSH}",
            literal="git@",
            sample="fatal: clone of 'git@github.com:owner/name.git' into submodule path '/content/work/name' failed",
            strength="context",
        ),
        Sign(
            pattern=rf"(?P<clone>git clone|git\+|pip\S{{0,8}} install|Cloning|uv (?:pip install|add))\b.{{0,200}}?{_SSH}",
            literal="git@",
            sample="$ git clone git@github.com:owner/name.git",
            strength="context",
        ),
    ),
)
# There is no `detect`: the facts say whether there is a git, and not that anybody needs it.


class Unfetched(Variant, frozen=True, kw_only=True):
    """Hold why git fetched nothing, and the repository: the host ("github.com") and the path on it ("owner/name"), if the log names it.

    "ssh": no key, or an unknown host key. "private": the host asks for a name. "missing": there is no git. `submodule`: the address is of
    a submodule. `by_pip`: pip or uv was to fetch it.
    """

    why: Literal["ssh", "private", "missing"]
    host: str | None = None
    path: str | None = None
    submodule: bool = False
    by_pip: bool = False


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    def lines(group: str) -> tuple[Evidence, ...]:
        return building.lines([m for m in seen.matches if m.groups.get(group) and m.strength != "context"])

    host, path = seen.group("host"), (seen.group("path") or "").removesuffix(".git") or None
    command = facts.subject.command if isinstance(facts.subject.command, str) else ""
    by_pip = "git clone" not in command and re.search(r"\binstall\b|\badd\b|\bsync\b", command) is not None
    if lines("ssh") or (lines("unread") and host is not None):
        where = f"{path} on {host}" if host else "the repository"
        what = "a submodule, " if seen.group("submodule") else ""
        return Hit(
            message=f"git could not fetch {what}{where}: its address (git@...) uses SSH, and this computer has no key that {host or 'the host'} knows, or does not "
            "know the host key.",
            evidence=(*lines("ssh"), *lines("unread"))[:4],
            variant=Unfetched(
                why="ssh", host=host, path=path, submodule=seen.group("submodule") is not None, by_pip=by_pip
            ),
        )
    if lines("private"):
        return Hit(
            message=f"git could not fetch the repository over https: {_asker(seen)} asks for an account. It is private, or its address is mistyped.",
            evidence=lines("private"),
            variant=Unfetched(why="private", host=host, path=path, by_pip=by_pip),
        )
    missing = [m for m in seen.matches if m.groups.get("missing")]
    if any(m.strength == "proof" or building.in_build(seen, m) for m in missing):
        return Hit(
            message="There is no git here, with which the repository would be fetched.",
            evidence=lines("missing"),
            variant=Unfetched(why="missing"),
            confidence=Confidence.HIGH,
        )
    return None


def _asker(seen: Seen) -> str:
    of = re.sub(r"^https?://(?:[^@/]*@)?", "", seen.group("of") or "").partition("/")[0]
    return of or "the host"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    found = hit.variant if isinstance(hit.variant, Unfetched) else Unfetched(why="ssh")
    verify = building.verify(facts)
    repeat = commands.by_hand((), "repeat the command that failed", "what that command installs")
    if found.why == "missing":
        return (Fix(title="Install git", steps=(*system_tools.tool(facts, "git"), repeat), verify=verify),)
    key = commands.by_hand(
        ("ssh", "-T", f"git@{found.host or 'github.com'}"),
        "for a private repository: has to greet you by your name. If it does not, make a key (`ssh-keygen -t ed25519`) and add its public part to your "
        'account. "Host key verification failed": answer the question about the host key with yes, or add it first: '
        f"ssh-keyscan {found.host or 'github.com'} >> ~/.ssh/known_hosts",
        "a key of SSH",
    )
    private = Fix(title="Only for a private repository: give SSH a key", steps=(key, repeat), verify=verify)
    if found.why == "private":
        return (_with_account(facts, found), private)
    return (_over_https(facts, found), private)


def _over_https(facts: Facts, found: Unfetched) -> Fix:
    """Return the fix that fetches the same repository without SSH."""
    host = found.host or "github.com"
    why = "the https address of the same repository: a public one needs no key"
    rule = commands.by_hand(
        ("git", "config", "--global", f"url.https://{host}/.insteadOf", f"git@{host}:"),
        f"git then fetches over https what has an address of SSH at {host}, submodules too",
        "the git settings of this user",
    )
    if found.submodule or found.path is None:
        again = commands.by_hand((), "repeat the command that failed", "what that command installs")
        if found.submodule and not found.by_pip:
            argv = ("git", "submodule", "update", "--init", "--recursive")
            again = commands.by_hand(argv, "in the folder of the checkout: fetches what is missing", "the submodules")
        return Fix(title=f"Let git fetch from {host} over https", steps=(rule, again), verify=building.verify(facts))
    address = f"https://{host}/{found.path}.git"
    fetch: Step
    if found.by_pip:
        fetch = commands.install(f"git+{address}", why=why, changes="adds the package")
        steps: tuple[Step, ...] = (fetch,)
    else:
        fetch = commands.by_hand(("git", "clone", "--recursive", address), why, "adds a folder")
        then = commands.by_hand((), "then repeat the commands that came after it, in that folder", "what they install")
        steps = (fetch, then)
    return Fix(title="Fetch it over https", steps=steps, verify=subject.verify(facts))


def _with_account(facts: Facts, found: Unfetched) -> Fix:
    words = (
        "open the address in a browser without an account: if there is no page, the name is mistyped, or the repository is private or was removed. Correct the "
        "name; for a private repository a person who may read it needs a token (GitHub: Settings, Developer settings), or a key for SSH"
    )
    look = commands.by_hand((), words, "nothing", "none")
    login = commands.by_hand(
        ("gh", "auth", "login"),
        "for a private repository on GitHub: GitHub's program stores the account for git, https://cli.github.com",
        "the account of this user",
    )
    repeat = commands.by_hand((), "repeat the command that failed", "what that command installs")
    return Fix(title="Check the address, and log in", steps=(look, login, repeat), verify=building.verify(facts))
