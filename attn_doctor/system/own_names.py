"""Read the names of this machine that identify its owner, and put them back into a report that was written here."""

from __future__ import annotations

import getpass
import os
import socket
from typing import NamedTuple


class Own(NamedTuple):
    """Hold the names of this machine that identify its owner."""

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
    """Replace the placeholders in a text of a report that this machine wrote by the real home folder, user and host."""
    own = own or Own.of_this_machine()
    return text.replace("<home>", own.home or "<home>").replace("<user>", own.user).replace("<host>", own.host)
