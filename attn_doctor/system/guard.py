"""Clean up after an attn-doctor that was killed. `leftovers` starts this module as a process of its own.

Standard input holds words, each ended by a NUL: "watch FOLDER", "unwatch FOLDER", and "bye" at a proper end. If the input ends
without "bye", attn-doctor has died: its marked processes are ended, and its folders are removed. Only modules that start fast are
imported first.
"""

import os
import sys

_TRIES = (
    3  # how often marked processes are searched for and ended: such a process may start a new one before it is ended
)


def main(mark: str, token: str) -> None:
    """Clean up when the standard input ends.

    `mark`: the variable that marks the processes (`leftovers.MARK`). `token`: the mark of the attn-doctor that is watched.
    """
    folders: set[bytes] = set()
    rest = b""
    while True:
        block = os.read(0, 65536)
        if not block:
            break
        *words, rest = (rest + block).split(b"\0")
        for entry in words:
            word, _, place = entry.partition(b" ")
            if word == b"bye":
                return
            if word == b"watch":
                folders.add(place)
            elif word == b"unwatch":
                folders.discard(place)
    _clean_up(mark, token, folders)


def _clean_up(mark: str, token: str, folders: set[bytes]) -> None:
    import shutil

    # The folder of this file, and no other one of attn_doctor: `-I -S` leaves only the standard library on the path.
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib is not imported yet
    import processes  # type: ignore[import-not-found]

    for _ in range(_TRIES):
        if not processes.end_marked(mark, token):
            break
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
