"""Read the public sources of the knowledge tables: git, pip and web pages.

Only `refresh_knowledge.py` uses it. It has code for the format of each source, and none for the tables.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

REPOSITORY = "https://github.com/Dao-AILab/flash-attention"
Row = dict[str, Any]


class NotReached(Exception):
    """Report a source that did not answer; the text is the reason."""


def git(clone: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(clone), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReached(f"git {' '.join(arguments)}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def clone_of_flash_attention(folder: Path) -> Path:
    """Clone the history without its files; git fetches files one by one on demand."""
    argv = ["git", "clone", "--quiet", "--bare", "--filter=blob:none", REPOSITORY, str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReached(f"{REPOSITORY}: {done.stderr.strip()}")
    return folder


def pip(*arguments: str) -> str:
    argv = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReached(f"pip {' '.join(arguments)}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def versions_on_pypi(package: str, *options: str) -> list[str]:
    """Return the versions of a package, newest first."""
    listed = re.search(r"^Available versions: (.*)$", pip("index", "versions", package, *options), re.MULTILINE)
    if listed is None:
        raise NotReached(f"pip index versions {package}: no version listed")
    return listed[1].split(", ")


def metadata_on_pypi(requirement: str, *options: str) -> Row:
    report = pip(
        "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-", *options, requirement
    )
    metadata: Row = json.loads(report)["install"][0]["metadata"]
    return metadata


def fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            content: bytes = answer.read()
            return content
    except (urllib.error.URLError, TimeoutError) as error:
        raise NotReached(f"{url}: {error}") from error


def cuda_of(requirements: Iterable[str]) -> str | None:
    """Return the CUDA of a torch wheel from its requirements; its metadata does not contain the version."""
    for text in requirements:
        found = re.match(r"(?:cuda-toolkit(?:\[[^]]*\])?|nvidia-cuda-runtime(?:-cu\d+)?)\s*\(?==(\d+\.\d+)", text)
        if found:
            return found[1]
    return None


def required(requirements: Iterable[str], package: str) -> str | None:
    """Return the bare requirement: "triton==3.6.0" for "triton (==3.6.0) ; platform_system == ..." and newer forms."""
    for text in requirements:
        found = re.match(rf"({package}[\w.-]*?)\s*\(?([=~<>!]=?[^;)\s]+)", text)
        if found:
            return found[1] + found[2]
    return None


def release_facts(setup: str) -> Row:
    """Read one setup.py as text: it cannot be run without torch and nvcc."""
    lowest = re.search(r'bare_metal_version < Version\("([\d.]+)"\)', setup)
    threads = re.search(r'NVCC_THREADS"\) or "(\d+)"', setup)
    python = re.search(r'python_requires="([^"]+)"', setup)
    standards = {int(text) for text in re.findall(r"-std=c\+\+(\d+)", setup)}
    if lowest is None or python is None:
        raise NotReached("setup.py has none of the known forms")
    later = re.findall(r'bare_metal_version >= Version\("([\d.]+)"\).*?\n(?:.*\n)?.*code=sm_(\d+)"', setup)
    return {
        "requires_python": python[1],
        "min_nvcc": lowest[1],
        "archs": {"80": lowest[1], **{arch: since for since, arch in later}},
        "archs_variable": "FLASH_ATTN_CUDA_ARCHS" in setup,
        "nvcc_threads": int(threads[1]) if threads else 4,
        "nvcc_threads_variable": threads is not None,
        "sets_max_jobs": 'os.environ["MAX_JOBS"] =' in setup,
        "cxx": min(standards),
        "wheel_tag": wheel_tag(setup),
    }


def wheel_tag(setup: str) -> dict[str, str]:
    """Return the CUDA part of the wheel's name: one number if setup.py prints only the major, else two."""
    chosen = re.findall(r'parse\("(\d+\.\d+)"\)', setup[setup.index("def get_wheel_url") :])
    major_only = 'f"{torch_cuda_version.major}"' in setup
    spelt = ["cu" + (text.partition(".")[0] if major_only else text.replace(".", "")) for text in chosen]
    return {"11": spelt[0], "12": spelt[1], "else": spelt[-1]}


def matrix(workflow: str) -> Row:
    """Return the build matrix of publish.yml, from its few lines, without a YAML parser."""
    axes = {name: ast.literal_eval(re.sub(r"(ubuntu-[\w.-]+)", r"'\1'", _axis(workflow, name)))
            for name in ("os", "python-version", "torch-version", "cuda-version", "cxx11_abi")}  # fmt: skip
    listed = workflow.partition("exclude:")[2].partition("steps:")[0].partition("uses:")[0]
    excludes: list[dict[str, str]] = []
    for line in listed.splitlines():
        found = re.match(r"\s*(- )?([\w-]+):\s*['\"]?([\w.+-]+?)['\"]?\s*$", line)
        if found and found[2] in axes:
            if found[1]:
                excludes.append({})
            excludes[-1][found[2]] = found[3]
    return {"axes": axes, "excludes": excludes}


def _axis(workflow: str, name: str) -> str:
    found = re.search(rf"^\s*{name}: (\[.*\])", workflow, re.MULTILINE)
    if found is None:
        raise NotReached(f"publish.yml has no {name}")
    return found[1]


def wheel_rows(workflow: str, tags: dict[str, str]) -> Row:
    """Return the fields of a wheel matrix that are in publish.yml, with the names of the table."""
    read = matrix(workflow)
    axes = read["axes"]
    minors = {text: ".".join(text.split(".")[:2]) for text in axes["torch-version"]}
    spelt = {text: tags.get(text.partition(".")[0], tags["else"]) for text in axes["cuda-version"]}
    words: dict[str, Callable[[str], Row]] = {
        "torch-version": lambda text: {"torch": minors[text]},
        "python-version": lambda text: {"python": text},
        "cuda-version": lambda text: {"cuda": spelt[text]},
        "cxx11_abi": lambda text: {"cxx11_abi": text == "TRUE"},
        "os": lambda text: {"platform": _platform(text)},
    }
    return {
        "pythons": axes["python-version"],
        "torch": {minor: text for text, minor in minors.items()},
        "cuda": {tag: text for text, tag in spelt.items()},
        "cxx11_abi": [text == "TRUE" for text in axes["cxx11_abi"]],
        "platforms": [_platform(text) for text in axes["os"]],
        "excludes": [
            {k: v for n, text in exclude.items() for k, v in words[n](text).items()} for exclude in read["excludes"]
        ],
    }


def _platform(runner: str) -> str:
    return "linux_aarch64" if runner.endswith("arm") else "linux_x86_64"


def asset_names(answer: bytes) -> set[str]:
    """Return the names of the wheels of a release, from GitHub's JSON."""
    names = {asset["name"] for asset in json.loads(answer)["assets"]}
    return {name for name in names if name.endswith(".whl")}


def index_builds(page: str) -> set[tuple[str, str]]:
    """Return (torch minor, CUDA) of the Linux x86_64 wheels that a listing links to."""
    found = re.findall(r"torch-(2\.\d+)\.\d+(?:%2B|\+)cu(\d+)(\d)-cp[^\"<>]*linux[^\"<>]*x86_64\.whl", page)
    return {(minor, f"{major}.{last}") for minor, major, last in found}


_ADDRESS = re.compile(
    r"/releases/download/(?P<tag>[^/\s]+)/(?P<package>flash_attn(?:_3)?)-(?P<release>[\d.]+(?:\.post\d+)?)(?:%2B|\+)"
    r"cu(?P<major>\d\d)(?P<minor>\d)torch(?P<torch>\d+\.\d+)(?P<suffix>git\w+)?-(?P<tags>cp\d+-\w+)-(?P<platform>[\w.]+)\.whl"
)


def community_files(page: str) -> dict[tuple[str, str], list[list[str]]]:
    """Return (package, release) -> files, in the form of the table, from a page with their addresses.

    Files that differ only in their Python are one entry: [tag, CUDA, torch, suffix, platform, Python tags].
    """
    found: dict[tuple[str, str], dict[tuple[str, ...], list[str]]] = {}
    for match in _ADDRESS.finditer(page):
        files = found.setdefault((match["package"], match["release"]), {})
        cuda = f"{match['major']}.{match['minor']}"
        tags = files.setdefault((match["tag"], cuda, match["torch"], match["suffix"] or "", match["platform"]), [])
        if match["tags"] not in tags:
            tags.append(match["tags"])
    return {key: [[*file, " ".join(tags)] for file, tags in sorted(files.items())] for key, files in found.items()}
