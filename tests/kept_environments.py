"""Make a small environment with its backup, for the tests of undoing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from attn_doctor.fixes import restore
from attn_doctor.fixes.hardlink_copy import copy_tree

NO_PROCESS = 2**22 + 7  # above the largest process number


class Kept:
    """Folders that stand for an environment, with a backup of them and its journal."""

    def __init__(self, folder: Path, *roots: Path, skip: tuple[str, ...] = (), copies: bool = False) -> None:
        self.home, self.roots = folder / "home", roots
        self.backup = self.home / "undo" / "20260101T000000000000Z"
        (self.backup / "kept").mkdir(parents=True)
        self.event(at="begin", plan="a plan", doctor=[os.getpid(), restore.started(os.getpid())], python="", steps=[],
                   roots=[{"path": str(root), "skip": list(skip)} for root in roots])  # fmt: skip
        before = {str(root): restore.manifest(str(root), skip) for root in roots}
        for number, root in enumerate(roots):
            if os.path.lexists(root):
                copy = self.backup / "kept" / str(number)
                shutil.copytree(root, copy, symlinks=True) if copies else copy_tree(root, copy, skip)
        (self.backup / restore.MANIFEST).write_text(json.dumps(before))
        self.event(at="kept")

    def event(self, **values) -> None:
        restore.write_event(str(self.backup), **values)

    def applied(self) -> None:
        journal = restore.events(str(self.backup))
        after = {root["path"]: restore.manifest(root["path"], root["skip"]) for root in restore.roots(journal)}
        (self.backup / restore.AFTER).write_text(json.dumps(after))
        self.event(at="applied")

    def changed(self) -> list[str]:
        return restore.changed_since(str(self.backup), restore.events(str(self.backup)))

    def undo(self, **options) -> list[str]:
        return restore.undo(str(self.home), str(self.backup), **options)

    def at(self) -> list[str]:
        return [event["at"] for event in restore.events(str(self.backup))]


def environment(folder: Path) -> Path:
    """A file in a folder, one beside it, an empty folder, a link to a file, a dangling one, and a script that may be run."""
    root = folder / "packages"
    (root / "numpy" / "core").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o750)
    (root / "numpy" / "core" / "a.py").write_text("a = 1\n")
    (root / "numpy" / "b.py").write_text("b = 1\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("run")
    (root / "dangling").symlink_to("nowhere")
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(10**18 + number, 10**18 + 2 * number), follow_symlinks=False)
    os.utime(root, ns=(10**18, 10**18 + 99))
    return root
