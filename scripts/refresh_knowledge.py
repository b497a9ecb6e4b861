"""Compare the knowledge tables with their public sources and, with --write, update them.

For maintainers only: it needs a network and git, and attn-doctor itself never runs it. For each table it prints the
sources, the differences, and the sources that it could not reach. A field is kept if no source has it in a readable form.
The other tables are maintained by hand: see docs/knowledge.md.

    python scripts/refresh_knowledge.py                              what differs
    python scripts/refresh_knowledge.py --write                      and write it
    python scripts/refresh_knowledge.py --flash-attention CLONE      read this clone instead of making one
    python scripts/refresh_knowledge.py --only torch --only torchvision
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from knowledge_sources import (
    NotReached,
    Row,
    asset_names,
    clone_of_flash_attention,
    community_files,
    cuda_of,
    fetch,
    git,
    index_builds,
    metadata_on_pypi,
    release_facts,
    required,
    versions_on_pypi,
    wheel_rows,
    wheel_tag,
)
from packaging.version import Version

DATA = Path(__file__).parent.parent / "attn_doctor" / "knowledge" / "data"
RELEASES = "https://api.github.com/repos/Dao-AILab/flash-attention/releases/tags/v{release}"
TORCH_INDEX = "https://download.pytorch.org/whl/torch/"
COMMUNITY = "https://raw.githubusercontent.com/mjun0812/flash-attention-prebuild-wheels/main/doc/packages.md"
COMMUNITY_PAGES = ("https://github.com/mjun0812/flash-attention-prebuild-wheels/releases",)
TODAY = dt.datetime.now(dt.timezone.utc).date().isoformat()
CHECKED: Row = {"checked": TODAY}


def torch(old: list[Row]) -> list[Row]:
    rows: dict[str, Row] = {}
    pythons = {f"3.{minor}": versions_of(f"3.{minor}") for minor in range(8, 17)}
    public = {v for known in pythons.values() for v in known if v.startswith("2.") and "+" not in v}
    for latest in sorted(public, key=Version):
        minor = ".".join(latest.split(".")[:2])
        kept = next((row for row in old if row["minor"] == minor), {"minor": minor})
        rows[minor] = {**kept, "latest": latest}
    for minor, row in rows.items():
        serving = [python for python, known in pythons.items() if row["latest"] in known]
        needs = metadata_on_pypi(f"torch=={row['latest']}", *_wheel_for(serving)).get("requires_dist", [])
        everywhere = cuda_of(text for text in needs if "x86_64" not in text)
        row["pythons"] = serving
        row["pypi_cuda"] = {**row.get("pypi_cuda", {}), "linux_x86_64": cuda_of(needs), "linux_aarch64": everywhere}
        for field, package in (("cudnn", "nvidia-cudnn"), ("triton", "triton"), ("nccl", "nvidia-nccl")):
            row[field] = required(needs, package) or row.get(field)
        if "cxx_minimum" not in row:
            print(f"  torch {minor} is new: its C++ standards and its sdpa_flash must be found out by hand")
    return [row | CHECKED for row in rows.values()]


def versions_of(python: str) -> list[str]:
    try:
        return versions_on_pypi("torch", "--python-version", python, "--only-binary=:all:")
    except NotReached as error:
        if "No matching distribution" in str(error):
            return []
        raise


def _wheel_for(pythons: list[str]) -> tuple[str, ...]:
    return ("--python-version", pythons[-1], "--only-binary=:all:", "--target", "unused")


def torchvision(old: list[Row]) -> list[Row]:
    # From 0.29.1 on the requirement allows several torch versions; the torch of such a release is found out by hand.
    came_with = {row["torchvision"]: row["built_for"] for row in old}
    rows = []
    for version in reversed(versions_on_pypi("torchvision", "--python-version", "3.11", "--only-binary=:all:")):
        if "+" in version or Version(version) < Version("0.15.1"):
            continue
        metadata = metadata_on_pypi(f"torchvision=={version}")
        demand = (required(metadata.get("requires_dist", []), "torch") or "").removeprefix("torch")
        if not demand:
            raise NotReached(f"torchvision {version} names no torch")
        rows.append(
            {
                "torchvision": version,
                "torch": demand,
                "built_for": came_with.get(version, ".".join(demand.lstrip("=>~").split(".")[:2])),
                "python": metadata["requires_python"],
                "source": "PyPI wheel metadata, `pip install --dry-run --report` (Requires-Dist)",
                **CHECKED,
            }
        )
    return rows


def flash_attn(old: list[Row], clone: Path) -> list[Row]:
    known = {row["release"] for row in old}
    for version in versions_on_pypi("flash-attn"):
        if version not in known and Version(version) > Version("2.3.5"):
            print(f"  flash-attn {version} is on PyPI and not in the table: add it by hand, setup.py first")
    setups = [at_tag(clone, row, "setup.py") for row in old]
    return [row | release_facts(text) | CHECKED if text else row for row, text in zip(old, setups, strict=True)]


def flash_attn_wheels(old: list[Row], clone: Path) -> list[Row]:
    rows = []
    for row in old:
        setup, workflow = at_tag(clone, row, "setup.py"), at_tag(clone, row, ".github/workflows/publish.yml")
        rows.append(row | wheel_rows(workflow, wheel_tag(setup)) | CHECKED if setup and workflow else row)
    return rows


def community_wheels(old: list[Row]) -> list[Row]:
    """Return the rows with the present list of the largest builder; the rows of other builders are kept."""
    fresh = community_files(fetch(COMMUNITY).decode())
    rows = {_name(row): row for row in old}
    ours = next(row for row in old if row["page"] in COMMUNITY_PAGES)
    for (package, release), files in fresh.items():
        made = {**ours, "package": package, "release": release}
        made |= {"source": f"doc/packages.md of the repository at {TODAY}", **CHECKED, "files": files}
        rows[_name(made)] = made
    return list(rows.values())


def at_tag(clone: Path, row: Row, path: str) -> str | None:
    """Return the text of a file in a release; None for a release without a tag."""
    tag = f"v{row['release']}"
    return git(clone, "show", f"{tag}:{path}") if git(clone, "tag", "--list", tag).strip() else None


def compare_with_release_pages() -> None:
    """Compare with the release pages, which list the wheels that exist; the matrix says only which wheels were planned."""
    sys.path.insert(0, str(DATA.parent.parent.parent))
    from attn_doctor.knowledge import wheels

    for release in dict.fromkeys(wheel.release for wheel in wheels.official()):
        there = asset_names(fetch(RELEASES.format(release=release)))
        table = {wheel.filename for wheel in wheels.of_release(release)}
        for name in sorted(there - table):
            print(f"  {release}: on the release page and not in the table: {name}")
        for name in sorted(table - there):
            print(f"  {release}: in the table and not on the release page: {name}")


def compare_with_torch_index() -> None:
    listed = index_builds(fetch(TORCH_INDEX).decode())
    rows = json.loads((DATA / "torch_builds.json").read_text(encoding="utf-8"))["rows"]
    table = {
        (row["torch"], row["cuda"]) for row in rows if row["platform"] == "linux_x86_64" and row.get("verified", True)
    }
    for torch_minor, cuda in sorted(listed - table):
        print(f"  torch {torch_minor} for CUDA {cuda} is on the index and not (verified) in the table")
    for torch_minor, cuda in sorted(table - listed):
        print(f"  torch {torch_minor} for CUDA {cuda} is in the table and not on the index")


def write(table: str, content: Row) -> None:
    """Write one field on each line, so that a changed fact is one changed line."""
    rows = ",\n".join(
        "    {\n" + ",\n".join(_field(*item) for item in row.items()) + "\n    }" for row in content["rows"]
    )
    about = json.dumps(content["about"], ensure_ascii=False)
    text = f'{{\n  "about": {about},\n  "rows": [\n{rows}\n  ]\n}}\n'
    (DATA / f"{table}.json").write_text(text, encoding="utf-8")


def _field(name: str, value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):  # one file a line
        lines = ",\n".join(f"        {json.dumps(one, ensure_ascii=False, separators=(',', ':'))}" for one in value)
        return f"      {json.dumps(name)}: [\n{lines}\n      ]"
    return f"      {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"


def refresh(table: str, fresh: Callable[[list[Row]], list[Row]], *, save: bool) -> bool:
    """Update or compare one table. Returns whether the source was reached."""
    content = json.loads((DATA / f"{table}.json").read_text(encoding="utf-8"))
    old = content["rows"]
    try:
        new = fresh(old)
    except NotReached as error:
        print(f"{table}: not reached, kept as it is: {error}")
        return False
    changed = 0
    for row in new:
        before: Row = next((kept for kept in old if _name(kept) == _name(row)), {})
        differs = {field: value for field, value in row.items() if field != "checked" and before.get(field) != value}
        changed += bool(differs)
        for field, value in differs.items():
            print(f"  {_name(row)}.{field}: {_short(before.get(field))} -> {_short(value)}")
    gone = [_name(row) for row in old if _name(row) not in {_name(kept) for kept in new}]
    print(f"{table}: {len(new)} rows read, {changed} differ, {len(gone)} gone {gone or ''}".rstrip())
    if save:
        write(table, {**content, "rows": new})
    return True


def _name(row: Row) -> str:
    if "builder" in row:
        return f"{row['builder']} {row['package']} {row['release']}"
    return str(next(iter(row.values())))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(value)} in all)"


_LONGEST = 200  # characters of a value on the screen: a release has hundreds of files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write what differs, with today's date")
    parser.add_argument("--only", action="append", metavar="TABLE", help="this table alone (may be repeated)")
    parser.add_argument("--flash-attention", type=Path, metavar="CLONE", help="a git clone of flash-attention")
    arguments = parser.parse_args()
    reached = []
    with tempfile.TemporaryDirectory() as folder:
        clone: Path | None = arguments.flash_attention

        def cloned() -> Path:
            nonlocal clone
            clone = clone or clone_of_flash_attention(Path(folder) / "flash-attention")
            return clone

        tables: dict[str, Callable[[list[Row]], list[Row]]] = {
            "torch": torch,
            "torchvision": torchvision,
            "flash_attn": lambda old: flash_attn(old, cloned()),
            "flash_attn_wheels": lambda old: flash_attn_wheels(old, cloned()),
            "community_wheels": community_wheels,
        }
        for table, fresh in tables.items():
            if arguments.only is None or table in arguments.only:
                reached.append(refresh(table, fresh, save=arguments.write))
    for compare in (compare_with_release_pages, compare_with_torch_index) if arguments.only is None else ():
        try:
            compare()
        except NotReached as error:
            print(f"{compare.__name__}: not reached: {error}")
    if arguments.write and all(reached) and arguments.only is None:
        (DATA / "date.json").write_text(json.dumps({"date": TODAY}) + "\n", encoding="utf-8")
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
