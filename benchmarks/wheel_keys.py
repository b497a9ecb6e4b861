#!/usr/bin/env python
"""Ask `attn-doctor wheels` for keys that were drawn by lot, and compare each answer with a ranking that shares no code with it.

    python benchmarks/wheel_keys.py --seed 4711 --json result.json

Three kinds of keys: those of files that other people list, those for which no file can fit, and those that differ from every file in the minor
of CUDA. Some are asked for once more in a process of its own, for the time and the peak of the memory (the resident set, which contains the
private memory).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "attn_doctor" / "knowledge" / "data" / "community_wheels.json"
OFFICIAL = runpy.run_path(str(ROOT / "tests" / "official_wheels.py"))
BY_AUTHORS = {*OFFICIAL["CONFIGURED"], *OFFICIAL["BY_HAND"]}
GPUS = ("8.0", "8.6", "8.9", "9.0", "10.0", "12.0")
BLACKWELL = (
    "2.7.3",
    "2.7.4.post1",
    "2.8.0",
    "2.8.0.post2",
    "2.8.1",
    "2.8.2",
    "2.8.3",
    "2.8.3.post1",
)  # setup.py of these names sm_100, sm_120


# A release that was built against a nightly of this torch: nobody knows whether it loads beside the release of torch. publish.yml of the tags.
NIGHTLY = {"2.2": "2.[345].", "2.3": "2.5.", "2.4": "2.5.9|2.6.[012]", "2.6": "2.7.[123]"}


class File(NamedTuple):
    """One file of the table, taken apart."""

    name: str
    url: str
    release: tuple[int, ...]
    spelled: str
    tag: tuple[int, ...]
    cuda: str
    torch: str
    python: str
    platform: str
    glibc: str
    listed: bool


class Key(NamedTuple):
    """What `wheels` is asked for."""

    python: str
    torch: str
    cuda: str
    platform: str
    glibc: str | None
    gpu: str


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def files() -> list[File]:
    found = []
    for row in json.loads(TABLE.read_text("utf-8"))["rows"]:
        if row["package"] != "flash_attn":
            continue
        for tag, cuda, torch, suffix, platform, tags in row["files"]:
            for pair in tags.split():
                interpreter, abi = pair.split("-")
                name = row["name"]
                for part, value in (("package", "flash_attn"), ("release", row["release"]), ("cuda", cuda.replace(".", "")), ("torch", torch), ("suffix", suffix), ("tags", pair), ("platform", platform)):  # fmt: skip
                    name = name.replace("{" + part + "}", value)
                family = "win_amd64" if platform == "win_amd64" else f"linux_{'aarch64' if 'aarch64' in platform else 'x86_64'}"  # fmt: skip
                promised = sorted(numbers(text) for text in re.findall(r"manylinux_(\d+_\d+)_", platform))
                glibc = promised[0] if promised else (2, 28) if family == "linux_x86_64" and numbers(tag) >= (0, 7) and row["builder"] == "mjun0812" else (2, 35)  # fmt: skip
                python = f"3.{interpreter[3:]}{'t' if abi.endswith('t') else ''}"
                url = row["url"].replace("{tag}", tag).replace("{name}", name.replace("+", "%2B"))
                found.append(File(name, url, numbers(row["release"].replace(".post", ".")), row["release"], numbers(tag), cuda, ".".join(torch.split(".")[:2]), python, family, ".".join(map(str, glibc)), row.get("verified", True)))  # fmt: skip
    return found


def by_name(file: File, key: Key) -> str:
    """Return "yes", "perhaps" or "no": whether the name of a file fits a key."""
    minor = ".".join(key.torch.split(".")[:2])
    if (file.platform, file.python, file.torch) != (key.platform, key.python, minor) or not key.cuda:
        return "no"
    if numbers(file.cuda)[0] != numbers(key.cuda)[0]:
        return "no"
    gpu = numbers(key.gpu)
    sure = file.cuda == key.cuda
    if gpu < (8, 0):
        return "no"
    if gpu >= (9, 0) and numbers(file.cuda) < (11, 8):
        return "no"
    if gpu >= (10, 0):
        if file.spelled in BLACKWELL:
            if numbers(file.cuda) < (12, 8):
                return "no"
        elif file.spelled == "2.7.4":  # not of PyPI: its architectures are not known
            sure = False
        else:
            return "no"
    if key.glibc is not None and numbers(key.glibc) < numbers(file.glibc):
        if "manylinux" in file.name:
            return "no"
        sure = False
    return "yes" if sure else "perhaps"


def of_the_authors(key: Key) -> bool | None:
    """Return whether the authors have a file, for a glibc of 2.35 or newer, and a GPU older than Blackwell; None for a torch that was never built."""
    minor = ".".join(key.torch.split(".")[:2])
    if minor == "2.6" and key.cuda not in ("11.8", "12.4", "12.6"):
        return None  # so nobody knows its C++ ABI
    abi = "TRUE" if numbers(minor) >= (2, 7) or (minor == "2.6" and key.cuda == "12.6") else "FALSE"
    for name in BY_AUTHORS:
        release, tag, torch, said, python, platform = re.fullmatch(r"flash_attn-([\w.]+)\+cu(\d+)torch([\d.]+)cxx11abi(\w+)-cp(3\d+)-cp\d+-(\w+)\.whl", name).groups()  # fmt: skip
        if re.match(NIGHTLY.get(torch, "never"), release):
            continue
        really = "TRUE" if torch == "2.6" and release.startswith("2.8.") else said
        if (torch, f"3.{python[1:]}", platform, really) == (minor, key.python, key.platform, abi) and tag[
            :2
        ] == key.cuda.split(".")[0]:
            return True
    return False


def key_of(file: File, lot: random.Random) -> Key:
    glibc = None if file.platform == "win_amd64" else lot.choice(("2.28", "2.31", "2.35", "2.39"))
    local = "+cu" + file.cuda.replace(".", "")
    return Key(
        file.python, f"{file.torch}.{lot.randint(0, 1)}{local}", file.cuda, file.platform, glibc, lot.choice(GPUS)
    )


def without(file: File, lot: random.Random) -> Key:
    """Return the key of a file with one part that no file can have."""
    key = key_of(file, lot)
    odd = [
        {"python": lot.choice(("3.7", "3.15", "3.8t"))},
        {"torch": lot.choice(("2.15.0", "2.14.1", "1.11.0", "3.0.0")) + "+cu" + key.cuda.replace(".", "")},
        {"cuda": "", "torch": key.torch.partition("+")[0] + "+cpu"},
        {"gpu": lot.choice(("7.5", "7.0", "6.1", "5.2"))},
        {"platform": lot.choice(("macosx_11_0_arm64", "win_arm64", "win32", "musllinux_1_2_x86_64")), "glibc": None},
    ]
    return key._replace(**lot.choice(odd))


def another_minor(file: File, lot: random.Random) -> Key:
    major = file.cuda.split(".")[0]
    minor = lot.choice({"11": ("3", "9"), "12": ("0", "2", "5", "7"), "13": ("1", "3", "7")}[major])
    key = key_of(file, lot)
    return key._replace(cuda=f"{major}.{minor}", torch=key.torch.partition("+")[0] + f"+cu{major}{minor}", gpu="8.6")


def words(key: Key) -> list[str]:
    argv = ["wheels", "--torch", key.torch, "--python", key.python, "--platform", key.platform, "--gpu", key.gpu]
    argv += ["--cuda", key.cuda] if key.cuda else []
    argv += ["--glibc", key.glibc] if key.glibc else []
    return [*argv, "--json", "-"]


def asked(key: Key) -> tuple[int, dict]:
    """Return the exit code and the answer of the command, run in this process: the commands are many."""
    from attn_doctor import cli

    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as out:
        code = cli.run(words(key))
        out.flush()
        said = out.buffer.getvalue()
    return code, json.loads(said)


def timed(key: Key) -> tuple[int, float, float, float]:
    """Return exit code, seconds, seconds of the processor, and megabytes of one command in a process of its own."""
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        child = subprocess.Popen([sys.executable, "-m", "attn_doctor", *words(key)], stdout=out, cwd=ROOT)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        return child.returncode, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def faults(key: Key, every: list[File], code: int, said: dict) -> list[str]:
    """Return what is wrong with an answer: [] if nothing is."""
    addresses = {(file.name, file.url): file for file in every}  # one name may be on several pages of a builder
    found = []
    ours = [c for c in said["candidates"] if c["filename"] and c["package"] == "flash_attn"]
    for c in ours:
        if c["kind"] == "community" and (c["filename"], c["url"]) not in addresses:
            found.append(f"{c['filename']} is not in the list")
        if c["kind"] == "official" and c["fits"] and c["filename"] not in BY_AUTHORS:
            found.append(f"{c['filename']} is not of the authors")
    judged = {file.name: by_name(file, key) for file in every}
    sure = [file for file in every if judged[file.name] == "yes"]
    named = [c for c in ours if c["fits"]]
    theirs = [c for c in named if c["kind"] == "community"]
    found += [f"{c['filename']} is said to fit" for c in theirs if judged[c["filename"]] != "yes"]
    best = max((file.release for file in sure), default=None)
    if best is not None and (not theirs or addresses[theirs[0]["filename"], theirs[0]["url"]].release < best):
        found.append(f"a file of {best} was passed over for {theirs[0]['filename'] if theirs else 'nothing'}")
    if best is not None and theirs:
        mine = addresses[theirs[0]["filename"], theirs[0]["url"]]
        newer = [f.name for f in sure if f.release == best and f.listed >= mine.listed and f.tag > mine.tag and ("manylinux" in f.name) >= ("manylinux" in mine.name)]  # fmt: skip
        found += [f"a newer build of it was passed over: {name}" for name in newer]
    plain = (key.glibc is None or numbers(key.glibc) >= (2, 35)) and (8, 0) <= numbers(key.gpu) < (10, 0)
    if plain and of_the_authors(key) not in (None, said["official"] is True):
        found.append(f"official is {said['official']}")
    if named and (said["official"] is True) != (named[0]["kind"] == "official"):
        found.append("the first file is not of the kind that `official` tells")
    perhaps = any(verdict == "perhaps" for verdict in judged.values())
    expected = 0 if sure or said["official"] else 3 if perhaps else 1
    if expected != code and (plain or code != 3):
        found.append(f"exit code {code}, expected {expected}")
    if (code, said["fits"]) not in ((0, True), (1, False)) and not (
        code == 3 and isinstance(said["fits"], dict | None)
    ):
        found.append(f"exit code {code} with fits {said['fits']}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--counts", type=int, nargs=3, default=(200, 50, 30), metavar=("LISTED", "NONE", "MINOR"))
    parser.add_argument(
        "--timed", type=int, default=40, help="so many of the keys are asked for once more, each in a process"
    )
    arguments = parser.parse_args()
    lot, every = random.Random(arguments.seed), files()
    draws = zip(("listed", "none", "another minor"), arguments.counts, (key_of, without, another_minor), strict=True)
    rows = []
    for kind, count, make in draws:
        for file in lot.sample(every, count):
            key = make(file, lot)
            code, said = asked(key)
            wrong = faults(key, every, code, said)
            rows.append(
                {"kind": kind, "key": key._asdict(), "code": code, "official": said["official"], "wrong": wrong}
            )
            if wrong:
                print(kind, key, *wrong, sep="\n    ", flush=True)
    for kind in ("listed", "none", "another minor"):
        of = [row for row in rows if row["kind"] == kind]
        codes = dict(sorted(Counter(row["code"] for row in of).items()))
        print(f"{kind}: {len(of)} keys, {sum(bool(row['wrong']) for row in of)} wrong, exit codes {codes}, official {sum(row['official'] is True for row in of)}")  # fmt: skip
    measured = [timed(Key(**row["key"])) for row in lot.sample(rows, arguments.timed)]
    for name, values in zip(("seconds", "seconds of the processor", "MB at most"), zip(*[row[1:] for row in measured], strict=True), strict=True):  # fmt: skip
        print(f"{name}: median {statistics.median(values):.2f}, from {min(values):.2f} to {max(values):.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
