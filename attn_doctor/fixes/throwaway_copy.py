"""Make a throw-away copy of the target: the same interpreter, and its packages by hard links. It is deleted afterwards.

Work in the copy cannot change the target: files that an installer rewrites in place are real copies, and scripts and path files
name the copy. When the copy is deleted, the target is compared with its earlier state.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attn_doctor.errors import AttnDoctorError
from attn_doctor.fixes import restore
from attn_doctor.fixes.hardlink_copy import Kept, NoRoom, copy_tree
from attn_doctor.fixes.target_paths import Cannot, Places, Root
from attn_doctor.model.facts import Record
from attn_doctor.system import files, leftovers

_TEXT_BYTES = 16 << 20


class Mirror(Record, frozen=True, kw_only=True):
    """Hold the paths of a throw-away copy of the target."""

    python: str
    prefix: str
    scripts: str  # the folder of its programs
    moved: tuple[tuple[str, str], ...]  # (folder of the target, folder of the copy), the longest path first
    kept: tuple[Kept, ...] = ()

    def word(self, word: str, python: str) -> str:
        """Return a word of a command in which the target's paths are replaced by the copy's.

        `python`: the target's interpreter.
        """
        return self.python if word == python else self.path(word)

    def path(self, text: str) -> str:
        """Return the path in the copy for a path in the target; any other text is returned unchanged."""
        for target, mine in self.moved:
            if text == target or text.startswith(f"{target}/"):
                return mine + text[len(target) :]
        return text

    def word_back(self, word: str, python: str) -> str:
        """Return a word of a command in which the copy's paths are replaced by the target's.

        `python`: the target's interpreter.
        """
        return python if word == self.python else self._path_back(word)

    def _path_back(self, text: str) -> str:
        for target, mine in self.moved:
            if text == mine or text.startswith(f"{mine}/"):
                return target + text[len(mine) :]
        return text


class Touched(AttnDoctorError, RuntimeError):
    """Report that the target was changed, which must never happen. The text names the files."""


@contextmanager
def mirrored(places: Places) -> Iterator[Mirror]:
    """Make a copy of the target, and delete it at the end. Raises Cannot if no copy can be made, Touched if the target was changed."""
    before = {root: restore.manifest(root.path, root.skip) for root in places.roots()}
    folder = _folder(places)
    leftovers.watch(str(folder))
    try:
        yield _made(places, folder)
    except NoRoom as error:
        raise Cannot(f"no throw-away copy can be made: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        leftovers.unwatch(str(folder))
        _compare(before)


def _compare(before: dict[Root, dict[str, restore.Entry]]) -> None:
    changed = [
        f"{root.path}/{name}"
        for root, was in before.items()
        for name in restore.differences(was, restore.manifest(root.path, root.skip), bytecode=True)
    ]
    if changed:
        listed = ", ".join(changed[:3])
        raise Touched(
            f"while the plan was tried in the copy, {len(changed)} files of the target itself changed: {listed}"
        )


def _folder(places: Places) -> Path:
    """Return a folder for the copy.

    Programs may be run in it, and if possible it is on the file system of the packages.
    """
    packages = Path(places.purelib)
    candidates = [
        Path(tempfile.gettempdir()),
        Path("~/.cache").expanduser() if "HOME" in os.environ else packages,
        packages.parent,
        Path(places.prefix).parent,
    ]
    device = packages.stat().st_dev
    usable = [
        place
        for place in candidates
        if os.path.isdir(place) and os.access(place, os.W_OK) and not files.forbids_programs(place)
    ]
    same = [place for place in usable if place.stat().st_dev == device]
    if not usable:
        raise Cannot("no throw-away copy can be made: no folder allows both writing files and running programs")
    return Path(tempfile.mkdtemp(prefix="attn-doctor-copy-", dir=(same or usable)[0])).resolve()


def _made(places: Places, folder: Path) -> Mirror:
    if places.kind == "bare":
        moved, kept = _bare(places, folder)
    else:
        moved, kept = _of_prefix(places, folder)
    ordered = tuple(sorted(moved, key=lambda pair: -len(pair[0])))
    mirror = Mirror(
        python=_python(places, folder), prefix=str(folder), scripts=f"{folder}/bin", moved=ordered, kept=tuple(kept)
    )
    _rename_inside(places, mirror)
    return mirror


def _of_prefix(places: Places, folder: Path) -> tuple[list[tuple[str, str]], list[Kept]]:
    """Copy a virtual environment or a complete conda prefix to another place, with the same folders."""
    prefix = os.path.realpath(places.prefix)
    moved, kept = [(prefix, str(folder)), (places.prefix, str(folder))], []
    for root in places.roots():
        if root.path == prefix:
            folder.rmdir()
            kept.append(copy_tree(Path(prefix), folder, root.skip))
            return moved, kept
        if not root.path.startswith(f"{prefix}/"):
            raise Cannot(f"no throw-away copy can be made: {root.path} is outside of {prefix}")
        copy = Path(str(folder) + root.path[len(prefix) :])
        if Path(root.path).exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            kept.append(copy_tree(Path(root.path), copy))
    for path in Path(prefix).iterdir():  # pyvenv.cfg, and lib64 -> lib
        name = path.name
        if (path.is_symlink() or name == "pyvenv.cfg") and not os.path.lexists(folder / name):
            kept.append(copy_tree(path, folder / name))
    return moved, kept


def _bare(places: Places, folder: Path) -> tuple[list[tuple[str, str]], list[Kept]]:
    """Copy the packages of an installed interpreter into a new virtual environment of that interpreter."""
    inside = folder / "lib" / f"python{places.version}" / "site-packages"
    inside.parent.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(places.base)
    lines = [
        f"home = {Path(places.base).parent}",
        "include-system-site-packages = false",
        f"version = {places.version}",
    ]
    (folder / "pyvenv.cfg").write_text("\n".join(lines) + "\n")
    kept = [copy_tree(Path(places.purelib), inside)]
    moved = [(places.purelib, str(inside)), (os.path.realpath(places.purelib), str(inside))]
    # Further package folders (platlib, Debian's dist-packages, the user site) follow on the path, unchanged.
    others = [p for p in places.path if "-packages" in p and os.path.realpath(p) != os.path.realpath(places.purelib)]
    (inside / "attn-doctor-mirror.pth").write_text("".join(f"{path}\n" for path in others if Path(path).is_dir()))
    return moved, kept


def _python(places: Places, folder: Path) -> str:
    name = Path(places.python).name
    return str(next(p for p in (folder / "bin" / name, folder / "bin" / "python") if os.path.lexists(p)))


def _rename_inside(places: Places, mirror: Mirror) -> None:
    """Replace the target's folders in texts that are real copies: scripts, path files, lists of installed files."""
    old, new = os.fsencode(places.prefix), os.fsencode(mirror.prefix)
    if places.kind == "bare":
        return  # only the packages were copied: paths that begin with the prefix (/usr) still have to name the original
    texts = [*Path(mirror.scripts).iterdir()]
    for _, mine in mirror.moved[-2:]:
        for packages in Path(mine).glob("lib/python3*/site-packages"):
            texts += [*packages.glob("*.pth"), *packages.glob("*-info/RECORD"), *packages.glob("*.egg-link")]
    for path in dict.fromkeys(texts):
        with suppress(OSError):
            if path.is_symlink() or not path.is_file() or path.stat().st_nlink > 1 or path.stat().st_size > _TEXT_BYTES:
                continue
            content = path.read_bytes()
            if old in content and b"\0" not in content:
                path.write_bytes(content.replace(old, new))
