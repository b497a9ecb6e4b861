"""Read the names of this machine that identify its owner, and insert them again into a report that was written here."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Own(NamedTuple):
    """Hold the names of this machine that identify its owner.

    `home`, `user` and `host` are replaced in a report by placeholders, and `restore` puts them back. The names in `more_...` are
    replaced only.
    """

    home: str
    user: str
    host: str
    more_homes: tuple[str, ...] = ()
    more_users: tuple[str, ...] = ()
    more_hosts: tuple[str, ...] = ()

    @classmethod
    def of_this_machine(cls) -> Own:
        """Return the names of the user who runs this process, and of this host."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # no such user in the password database: containers
            user = os.environ.get("USER", "")
        home = os.path.expanduser("~")
        host = socket.gethostname()
        homes, users = _of_the_account()
        return cls(
            "" if home == "~" else home,
            user,
            host,
            (*_values(os.environ, "HOME", "USERPROFILE"), *homes),
            (*_values(os.environ, "LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"), *users),
            _values(os.environ, "HOSTNAME", "COMPUTERNAME"),
        )

    @property
    def homes(self) -> tuple[str, ...]:
        """Return the home folders, under all their names. A folder that is not of one user, such as "/", is left out."""
        found = (
            self.home,
            *self.more_homes,
            *(os.path.realpath(home) for home in (self.home, *self.more_homes) if Path(home).is_absolute()),
        )
        return tuple(dict.fromkeys(home for home in found if home.strip("/\\.~")))

    @property
    def users(self) -> tuple[str, ...]:
        """Return the names of the user: the account's name, the person's name, and the last parts of the home folders."""
        return tuple(dict.fromkeys(filter(None, (self.user, *self.more_users, *map(_last_part, self.homes)))))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the names of the machine, with and without the domain, and the domain."""
        return tuple(
            dict.fromkeys(filter(None, (part for host in (self.host, *self.more_hosts) for part in _parts(host))))
        )


def _parts(host: str) -> Iterator[str]:
    yield host
    name, _, domain = host.partition(".")
    if domain and not domain.replace(".", "").isdigit():
        yield name
        if "." in domain:
            yield domain


def _last_part(home: str) -> str:
    return home.rstrip("/\\").replace("\\", "/").rpartition("/")[2]


def _values(environ: Mapping[str, str], *names: str) -> tuple[str, ...]:
    return tuple(environ[name] for name in names if environ.get(name))


def _of_the_account() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the home folder, and the name of the account and of its person, from the password database. Windows has none."""
    if sys.platform == "win32":
        return (), ()
    import pwd

    try:
        entry = pwd.getpwuid(os.getuid())
    except (KeyError, OSError):
        return (), ()
    return (entry.pw_dir,), (entry.pw_name, entry.pw_gecos.partition(",")[0].strip())


def restore(text: str, own: Own | None = None) -> str:
    """Replace the placeholders <home>, <user> and <host> in a text by the real home folder, user and host.

    The text is from a report that this machine wrote. `own`: the names; None: those of this machine. If the home folder is not known,
    <home> stays.
    """
    own = own or Own.of_this_machine()
    return text.replace("<home>", own.home or "<home>").replace("<user>", own.user).replace("<host>", own.host)
