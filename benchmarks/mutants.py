"""Changes one condition at a time in the code that decides, and counts the changes that no test notices.

    python benchmarks/mutants.py [-n 300] [--seed 11] [--only PATH ...] [--jobs N] [--fresh]

It needs the extras `test` and `mutants`. The first run records which test runs which line, and keeps that in the temporary folder: it
runs all tests once in copies of the tree, in parts, with a context of coverage.py for each test and each set of parameters. Tests that fail there
are not used. A mutant is one change in one line, for example `<` for `<=`. It is drawn by the seed, and tried in a copy of the tree
with the tests that run its line, as many as run in BUDGET seconds. A mutant that all of them pass is a survivor. A line that runs only at import, such as a table, is tried with the tests that run anything else of its file. The exit code is
always 0: survivors are read by people, see docs/testing.md.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from mutant_finder import Finder, Mutant
from mutants_in_pytest import JOBS, RESULTS, TIMES, WANTED

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "judging", "failure_modes", "commands", "wheels", "fixes", "report/redact", "knowledge/finder.py", "knowledge/nearest_torch.py",
)  # fmt: skip
# Tests that run in this process and start few others: a child's lines are not recorded, so its tests would not be found.
TESTS = """answers best binaries_macos_loader binaries_signatures binaries_symbols binaries_torch binaries_verdict build_headers_and_openmp build_logs
builds_that_lack_something causes_in_front chains_of_exceptions code_older_than_python community_wheels compare compiler_limits contradicting_pins
cpu_beside_a_gpu cures_* damaged_download dockerfile_order driver_cures environment_files_of_other_systems environments_of_logs exception_lines
failure_modes_* first_lines fixes_apply fixes_copy fixes_folders fixes_plans fixes_restore fixes_restore_processes fixes_safety fixes_step_runner
fixes_verify fixes_workflow foreign_requirements foresight frozen_wheels gpu_health here index_of_another_system indexes_and_requirements_that_fail
installed_by_command installer_choice installer_settings installers intel_mac judging knowledge_* late_imports listed_* log_outline logs logs_corpus
logs_long logs_unrecognised machine machine_claims machines no_gpu_roots other_systems output_below_a_project_file output_that_was_cut own_commands
own_program package_cures package_logs package_wheels pasted_environments pasted_pages plan_build_forecast plan_parts plan_properties platform_cures
platform_steps project_files published recommend report reproduction_recipes second_conditions* simulated_check stated_* steps tables torch_choice
torch_cures torch_in_one_place torch_steps torchtext_cures unknown_truth unseen_gpus unsigned_applied unsigned_wheels verdict version_cures
visible_gpus wheel_fetching wheel_proof wheel_proof_verdict wheels_command wheels_online whole_wheel windows_wheels yolo12_weights""".split()
# Tests that read the tables of all failure modes: none of them runs a line of the module that holds a table.
TABLES = tuple(
    f"tests/test_{name}.py"
    for name in ("reproduction_recipes", "failure_modes_catalogue", "failure_modes_shape", "judging")
)
SETTLED = ("-q", "-n", "0", "-p", "no:cacheprovider", "-W", "default")
PARTS = 16  # of the tests with coverage: each in a process of its own, as many at once as there are jobs
SLOWEST_FIRST_RUN = 3600  # seconds for the tests of one part with coverage
BUDGET = 20.0  # seconds of recorded time that the tests of one mutant may take together
SPARE = 30.0, 5.0  # a mutant has this many seconds, and this many times the recorded time of its tests: then it hangs


@dataclass(frozen=True)
class Tried:
    mutant: Mutant
    result: str  # "killed" | "survived" | "timeout" | "no test"
    tests: int


def files(only: list[str]) -> list[Path]:
    rooms = [ROOT / "attn_doctor" / room for room in ROOMS]
    found = sorted(path for room in rooms for path in ([room] if room.is_file() else room.rglob("*.py")))
    wanted = [Path(one).resolve() for one in only]
    return [
        path.relative_to(ROOT)
        for path in found
        if not wanted or any(path == one or one in path.parents for one in wanted)
    ]


def room_of(path: Path) -> str:
    return path.parts[2 if path.parts[1] == "knowledge" else 1].removesuffix(".py")


@dataclass
class Coverage:
    """Knows which tests run which line, and how long each takes."""

    seconds: dict[str, float]  # of each test that passed
    lines: dict[str, dict[int, set[str]]]  # file -> line -> node ids

    def tests_of(self, mutant: Mutant) -> list[str]:
        lines = self.lines.get(str(mutant.path), {})
        found = set().union(*(lines.get(number, set()) for number in range(mutant.line, mutant.end_line + 1)))
        slug = ""
        if not found:
            found = set().union(*lines.values())
            if "failure_modes" in mutant.path.parts:
                slug = mutant.path.stem.replace("_", "-")
                found |= {t for t in self.seconds if t.startswith(TABLES) and ("[" not in t or slug in t)}
        chosen, left = [], BUDGET
        for test in sorted(self.mixed(found), key=lambda test: slug not in test):
            left -= self.seconds[test]
            if left < 0 and chosen:
                break
            chosen.append(test)
        return chosen

    def mixed(self, tests: set[str]) -> list[str]:
        """Return one set of parameters of each test first, then a second one of each, and so on; the quickest first."""
        place: Counter[str] = Counter()
        ordered = []
        for test in sorted(tests, key=lambda test: (self.seconds[test], test)):
            function = test.partition("[")[0]
            ordered.append((place[function], self.seconds[test], test))
            place[function] += 1
        return [test for _, _, test in sorted(ordered)]


def test_files() -> list[str]:
    return sorted(
        {str(path.relative_to(ROOT)) for name in TESTS for path in (ROOT / "tests").glob(f"test_{name}.py")}
        | {f"tests/hostile/test_{name}.py" for name in ("leaks", "leaks_listings", "leaks_oracle")}
        - {"tests/test_knowledge_refresh.py"}
    )


def recorded(fresh: bool, jobs: int) -> Coverage:
    """Return the coverage of this tree: of the last run, or measured now where the code has changed since.

    Tests that were added since are not used: `--fresh`.
    """
    digest = hashlib.sha256()
    for path in sorted((ROOT / "attn_doctor").rglob("*.py")):
        digest.update(path.read_bytes())
    kept = Path(tempfile.gettempdir()) / f"attn-doctor-mutants-{digest.hexdigest()[:16]}"
    data, times = kept / "coverage", kept / "times.json"
    if fresh or not (data.is_file() and times.is_file()):
        kept.mkdir(exist_ok=True)
        print("coverage of the tests, once: some minutes", flush=True)
        with ThreadPoolExecutor(jobs) as pool:
            parts = list(pool.map(functools.partial(recorded_part, kept), range(PARTS)))
        subprocess.run(
            [sys.executable, "-m", "coverage", "combine", "--quiet", f"--data-file={data}", *(kept / f"{part}.coverage" for part in range(PARTS))],
            cwd=ROOT, check=True,
        )  # fmt: skip
        times.write_text(json.dumps({test: taken for part in parts for test, taken in part.items()}), "utf-8")
        print(f"{kept} has all", flush=True)
        print(f"per file: {sys.executable} -m coverage report --data-file={data}", flush=True)
    return read(data, times)


def recorded_part(kept: Path, part: int) -> dict[str, tuple[float, bool]]:
    """Run every `PARTS`-th file of tests with coverage, and return for each test its seconds and whether it passed."""
    settings, times = kept / f"{part}.settings", kept / f"{part}.times.json"
    settings.write_text(
        f"[run]\nbranch = true\nsource = attn_doctor\nrelative_files = true\ndata_file = {kept / f'{part}.coverage'}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_of_tree(Path(folder) / "tree")
        done = subprocess.run(
            [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", *SETTLED, "-p", "mutants_in_pytest",
             "--continue-on-collection-errors", *test_files()[part::PARTS]],
            cwd=tree, check=False, timeout=SLOWEST_FIRST_RUN, capture_output=True, text=True, env={**environment(tree), TIMES: str(times)},
        )  # fmt: skip
    (kept / f"{part}.pytest.txt").write_text(done.stdout + done.stderr, "utf-8")
    print(f"part {part + 1} of {PARTS}: {done.stdout.strip().splitlines()[-1]}", flush=True)
    taken: dict[str, tuple[float, bool]] = json.loads(times.read_text("utf-8"))
    return taken


def read(data: Path, times: Path) -> Coverage:
    import coverage

    taken: dict[str, tuple[float, bool]] = json.loads(times.read_text("utf-8"))
    seconds = {test: seconds for test, (seconds, passed) in taken.items() if passed}
    kept = coverage.CoverageData(basename=str(data))
    kept.read()
    lines = {
        file: {line: set(contexts) & seconds.keys() for line, contexts in kept.contexts_by_lineno(file).items()}
        for file in kept.measured_files()
    }
    return Coverage(seconds, lines)


def environment(tree: Path) -> dict[str, str]:
    """Return the environment of tests that run in a copy of the tree."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        "PYTHONPATH": f"{tree}{os.pathsep}{Path(__file__).parent}",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tree / "hypothesis"),
    }


def copy_of_tree(tree: Path) -> Path:
    """Return a copy of the tree: sources and tests are copied, fixtures and the rest are links."""
    tree.mkdir()
    for item in ROOT.iterdir():
        if item.name in {"attn_doctor", "tests"}:
            shutil.copytree(item, tree / item.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif item.name not in {".git", ".hypothesis"}:
            (tree / item.name).symlink_to(item)
    return tree


def tried(drawn: list[Mutant], covered: Coverage, jobs: int) -> Iterator[Tried]:
    """Yield each result as it comes: one pytest in a copy of the tree tries all mutants (mutants_in_pytest.py)."""
    chosen = [covered.tests_of(mutant) for mutant in drawn]
    wanted = []
    for number, (mutant, tests) in enumerate(zip(drawn, chosen, strict=True)):
        if not tests:
            yield Tried(mutant, "no test", 0)
        elif _runs_at_import(mutant):
            yield Tried(mutant, "killed", len(tests))
        else:
            seconds = SPARE[0] + SPARE[1] * sum(covered.seconds[test] for test in tests)
            wanted.append(
                {**asdict(mutant), "path": str(mutant.path), "number": number, "tests": tests, "seconds": seconds}
            )
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_of_tree(Path(folder) / "tree")
        asked = Path(folder) / "wanted.json"
        asked.write_text(json.dumps(wanted), "utf-8")
        ours, theirs = os.pipe()
        environ = {**environment(tree), WANTED: str(asked), RESULTS: str(theirs), JOBS: str(jobs)}
        running = subprocess.Popen(
            [sys.executable, "-m", "pytest", *SETTLED, "-p", "mutants_in_pytest", *test_files()],
            cwd=tree, env=environ, pass_fds=[theirs], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        os.close(theirs)
        missing = len(wanted)
        with os.fdopen(ours, encoding="utf-8") as results:
            for line in results:
                number, result = json.loads(line)
                missing -= 1
                yield Tried(drawn[number], result, len(chosen[number]))
        output, _ = running.communicate()
        if missing:
            sys.exit(f"{missing} mutants were not tried: {output[-3000:]}")


def _runs_at_import(mutant: Mutant) -> bool:
    """Return whether this change makes a module run as a program where it is imported. That of fixes/restore.py removes files."""
    return "__main__" in mutant.what


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=300, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATH", help="a file or folder of the code; may be given again"
    )
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--fresh", action="store_true", help="measure the coverage again")
    parser.add_argument("--list", action="store_true", help="show the drawn mutants, run nothing")
    said = parser.parse_args()
    every = [one for path in files(said.only) for one in Finder(path, (ROOT / path).read_bytes()).all()]
    drawn = random.Random(said.seed).sample(every, min(said.n, len(every)))
    print(f"{len(every)} mutants, {len(drawn)} drawn with seed {said.seed}", flush=True)
    if said.list:
        for one in drawn:
            print(f"{one.path}:{one.line}  {one.what}")
        return
    covered = recorded(said.fresh, said.jobs)
    started = time.monotonic()
    results = []
    for one in tried(drawn, covered, said.jobs):
        results.append(one)
        what = " ".join(one.mutant.what.split())[:150]
        print(f"{one.result:9} {one.tests:4} tests  {one.mutant.path}:{one.mutant.line}  {what}", flush=True)
    report(results, time.monotonic() - started)


def report(results: list[Tried], seconds: float) -> None:
    kinds = ["killed", "timeout", "survived", "no test"]
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for one in results:
        rooms[room_of(one.mutant.path)][one.result] += 1
        rooms["all"][one.result] += 1
    print(f"\n{'room':16}" + "".join(f"{kind:>10}" for kind in kinds) + f"{'noticed':>10}")
    for room, counts in rooms.items():
        noticed = (counts["killed"] + counts["timeout"]) / counts.total()
        print(f"{room:16}" + "".join(f"{counts[kind]:10}" for kind in kinds) + f"{noticed:10.0%}")
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
