"""Reads the names that this machine would betray of itself, and puts them back into a report that was written here."""

from __future__ import annotations

import getpass
import os
import socket
from typing import NamedTuple


class Own(NamedTuple):
    """What this machine would betray of itself."""

    home: str
    user: str
    host: str

    @classmethod
    def of_this_machine(cls) -> Own:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # no such user in the password database: containers
            user = os.environ.get("USER", "")
        home = os.path.expanduser("~")
        return cls("" if home == "~" else home, user, socket.gethostname())


def restore(text: str, own: Own | None = None) -> str:
    """The own home, user and host put back into a text of a report that it wrote itself."""
    own = own or Own.of_this_machine()
    return text.replace("<home>", own.home or "<home>").replace("<user>", own.user).replace("<host>", own.host)
