"""Changes one condition at a time in the code that decides, and counts the changes that no test notices.

    python benchmarks/mutants.py [-n 300] [--seed 11] [--only PATH ...] [--jobs N] [--fresh]

It needs the extras `test` and `mutants`. The first run records which test runs which line, and keeps that in the temporary folder: it
runs all tests once in a copy of the tree, with a context of coverage.py for each test and each set of parameters. Tests that fail there
are not used. A mutant is one change in one line, for example `<` for `<=`. It is drawn by the seed, written into a copy of the tree,
and tried with the tests that run its line, as many as run in BUDGET seconds. A mutant that all of them pass is a survivor. A line that runs only at import, such as a table, is tried with the tests that run anything else of its file. The exit code is
always 0: survivors are read by people, see docs/testing.md.
"""

from __future__ import annotations

import argparse
import ast
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "judging", "failure_modes", "wheels", "fixes", "report/redact.py", "knowledge/finder.py", "knowledge/nearest_torch.py",
)  # fmt: skip
# Tests that run in this process and start few others: a child's lines are not recorded, so its tests would not be found.
TESTS = """best causes_in_front compare failure_modes_* fixes_plans fixes_safety judging knowledge_* listed_* log_outline logs
logs_corpus logs_unrecognised machine_claims machines no_gpu_roots plan_properties recommend report reproduction_recipes
second_conditions* stated_facts steps unknown_truth wheels_command""".split()
# Tests that read the tables of all failure modes: none of them runs a line of the module that holds a table.
TABLES = tuple(
    f"tests/test_{name}.py"
    for name in ("reproduction_recipes", "failure_modes_catalogue", "failure_modes_shape", "judging")
)
SETTLED = ("-q", "-n", "0", "-p", "no:cacheprovider", "-W", "default")
SLOWEST_FIRST_RUN = 3600  # seconds for all tests with coverage
BUDGET = 40.0  # seconds of recorded time that the tests of one mutant may take together
SPARE = 30.0, 5.0  # a mutant has this many seconds, and this many times the recorded time of its tests: then it hangs
TIMES = "MUTANTS_TIMES"  # names the file into which the recording run writes how long each test took

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    path: Path  # below the root
    line: int
    end_line: int
    start: int  # bytes of the file
    end: int
    new: str
    what: str


@dataclass(frozen=True)
class Tried:
    mutant: Mutant
    result: str  # "killed" | "survived" | "timeout" | "no test"
    tests: int


class Finder(ast.NodeVisitor):
    """Collects every mutant of a file."""

    def __init__(self, path: Path, source: bytes) -> None:
        self.path, self.source, self.found = path, source, list[Mutant]()
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.optional = ""  # what stands for nothing, where the function being read returns something

    def span(self, node: ast.AST) -> tuple[int, int]:
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    def add(self, node: ast.AST, new: str, what: str, span: tuple[int, int] | None = None) -> None:
        start, end = span or self.span(node)
        self.found.append(Mutant(self.path, node.lineno, node.end_lineno, start, end, new, what))

    def condition(self, test: ast.expr) -> None:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return  # dropping the `not` is the same change
        if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
            return
        self.add(test, f"(not ({self.text(test)}))", f"not ({self.text(test)})")

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self.condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self.condition(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.condition(test)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Change one `and` to `or`, or the other way round; brackets keep the order of evaluation."""
        new = "or" if isinstance(node.op, ast.And) else "and"
        for index in range(1, len(node.values)):
            last, first = node.values[index - 1], node.values[index]
            before, after = self.bracketed(node.values[:index]), self.bracketed(node.values[index:])
            old = "and" if new == "or" else "or"
            self.add(
                node,
                f"(({before}) {new} ({after}))",
                f"{self.text(last)} {old} -> {new} {self.text(first)}",
            )
        self.generic_visit(node)

    def bracketed(self, values: list[ast.expr]) -> str:
        """Return these operands as they stand; brackets around the first or the last are no part of a node, so each gets its own."""
        word = "and" if isinstance(self.parent_of(values), ast.And) else "or"
        return f" {word} ".join(f"({self.text(value)})" for value in values)

    def parent_of(self, values: list[ast.expr]) -> ast.boolop:
        return self.operators[id(values[0])]

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            between = self.span(left)[1], self.span(right)[0]
            old = self.source[slice(*between)].decode()
            bare = old.strip("() \n\t")
            if bare in {"<", "<=", ">", ">=", "==", "!=", "in", "not in", "is", "is not"}:
                new = COMPARISONS[type(operator)]
                self.add(node, old.replace(bare, new), f"{self.text(node)}: {bare} -> {new}", between)
            left = right
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self.add(node, f"({self.text(node.operand)})", f"{self.text(node)}: without not")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "Sign":
            return  # a table of patterns, each with its own sample
        if isinstance(node.func, ast.Name) and node.func.id in NAMES:
            new = NAMES[node.func.id]
            self.add(node.func, new, f"{self.text(node)}: {node.func.id} -> {new}")
        arguments = sorted([*node.args, *node.keywords], key=lambda one: (one.lineno, one.col_offset))
        for before, one in zip([None, *arguments], arguments, strict=False):
            if isinstance(one, ast.keyword) and one.arg is not None and not self.is_text(one.value):
                start, end = self.span(one)
                start = self.span(before)[1] if before is not None else start
                tail = self.source[end:].lstrip()
                comma = before is None and tail.startswith(b",")
                end = end + self.source[end:].index(b",") + 1 if comma else end
                if before is None or self.source[start : self.span(one)[0]].strip() == b",":
                    self.add(one, "", f"{self.text(node.func)}(...): without {self.text(one)}", (start, end))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) is int:
            step = 1 if (node.lineno + node.col_offset) % 2 else -1
            self.add(node, f"({node.value + step})", f"{node.value} -> {node.value + step}")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave messages alone."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name == "__repr__":
            return
        outer, self.optional = self.optional, self.nothing(node.returns)
        for one in [node.args, *node.body]:
            self.visit(one)
        self.optional = outer

    def nothing(self, returns: ast.expr | None) -> str:
        text = self.text(returns) if returns is not None else ""
        if "None" in text:
            return "None"
        return {"t": "()", "l": "[]", "s": '""' if text == "str" else "", "d": "{}"}.get(text[:1].lower(), "") if (
            text == "str" or text.startswith(("tuple[", "list[", "dict["))
        ) else ""  # fmt: skip

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and self.optional and self.text(node.value) != self.optional:
            self.add(node.value, self.optional, f"return {self.optional} for {self.text(node.value)}")
        self.generic_visit(node)

    @staticmethod
    def is_text(value: ast.expr) -> bool:
        return isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))

    def all(self) -> list[Mutant]:
        tree = ast.parse(self.source)
        self.operators = {
            id(value): node.op for node in ast.walk(tree) if isinstance(node, ast.BoolOp) for value in node.values
        }
        self.visit(tree)
        return [one for one in self.found if self.compiles(one)]

    def compiles(self, one: Mutant) -> bool:
        try:
            compile(changed(self.source, one), str(self.path), "exec")
        except (SyntaxError, ValueError):
            return False
        return True


def changed(source: bytes, mutant: Mutant) -> bytes:
    return source[: mutant.start] + mutant.new.encode() + source[mutant.end :]


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
        if not found:
            found = set().union(*lines.values())
            found |= {test for test in self.seconds if test.startswith(TABLES)}
        chosen, left = [], BUDGET
        for test in self.mixed(found):
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


# -- the recording run, in which pytest loads this file as a plugin


def pytest_runtest_logstart(nodeid: str) -> None:
    import coverage

    if (measuring := coverage.Coverage.current()) is not None:
        measuring.switch_context(nodeid)


_taken: dict[str, tuple[float, bool]] = {}


def pytest_runtest_logreport(report: Any) -> None:
    seconds, passed = _taken.get(report.nodeid, (0.0, False))
    # A test counts as passed where its call did, and neither its set-up nor its tear-down failed.
    good = report.passed if report.when == "call" else passed and not report.failed
    _taken[report.nodeid] = seconds + report.duration, good


def pytest_sessionfinish() -> None:
    if TIMES in os.environ:
        Path(os.environ[TIMES]).write_text(json.dumps(_taken), "utf-8")


# -- the tests


def test_files() -> list[str]:
    return sorted(
        {str(path.relative_to(ROOT)) for name in TESTS for path in (ROOT / "tests").glob(f"test_{name}.py")}
        - {"tests/test_knowledge_refresh.py"}
    )


def recorded(fresh: bool) -> Coverage:
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
        settings = kept / "settings"
        settings.write_text(f"[run]\nbranch = true\nsource = attn_doctor\nrelative_files = true\ndata_file = {data}\n")
        print("coverage of the tests, once: some minutes", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            tree = trees(1, Path(folder)).get()
            environ = environment(tree)
            environ["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
            done = subprocess.run(
                [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", *SETTLED, "-p", "mutants",
                 "--continue-on-collection-errors", *test_files()],
                cwd=tree, check=False, timeout=SLOWEST_FIRST_RUN, capture_output=True, text=True, env={**environ, TIMES: str(times)},
            )  # fmt: skip
        (kept / "pytest.txt").write_text(done.stdout + done.stderr, "utf-8")
        print(f"{done.stdout.strip().splitlines()[-1]}; {kept / 'pytest.txt'} has all", flush=True)
        print(f"per file: {sys.executable} -m coverage report --rcfile={settings}", flush=True)
    return read(data, times)


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
        "PYTHONPATH": str(tree),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tree / "hypothesis"),
    }


def trees(jobs: int, folder: Path) -> SimpleQueue[Path]:
    """Return copies of the tree, one a job: sources and tests are copied, fixtures and the rest are links."""
    free: SimpleQueue[Path] = SimpleQueue()
    for number in range(jobs):
        tree = folder / str(number)
        tree.mkdir()
        for item in ROOT.iterdir():
            if item.name in {"attn_doctor", "tests"}:
                shutil.copytree(item, tree / item.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif item.name not in {".git", ".hypothesis"}:
                (tree / item.name).symlink_to(item)
        free.put(tree)
    return free


def check_unchanged(covered: Coverage, free: SimpleQueue[Path]) -> None:
    """Check that pytest finds every test in an unchanged copy: a test that is not there would count as one that fails."""
    tree = free.get()
    listed = tree / "chosen_tests"
    listed.write_text("\n".join(covered.seconds), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *SETTLED, "--collect-only", "-q", f"@{listed}"],
        cwd=tree, env=environment(tree), check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(
            f"the recorded tests are no longer those of this tree, take --fresh: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    free.put(tree)


def tried(mutant: Mutant, covered: Coverage, free: SimpleQueue[Path]) -> Tried:
    tests = covered.tests_of(mutant)
    if not tests:
        return Tried(mutant, "no test", 0)
    most = SPARE[0] + SPARE[1] * sum(covered.seconds[test] for test in tests)
    tree = free.get()
    target = tree / mutant.path
    source = target.read_bytes()
    listed = tree / "chosen_tests"
    try:
        without_bytecode(target)
        target.write_bytes(changed(source, mutant))
        listed.write_text("\n".join(tests), "utf-8")  # pytest reads arguments from a file: there may be thousands
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *SETTLED, "-x", f"@{listed}"],
            cwd=tree, env=environment(tree), check=False, timeout=most, capture_output=True, text=True,
        )  # fmt: skip
        result = {0: "survived", 5: "no test"}.get(done.returncode, "killed")
    except subprocess.TimeoutExpired:
        result = "timeout"
    finally:
        target.write_bytes(source)
        without_bytecode(target)
        free.put(tree)
    return Tried(mutant, result, len(tests))


def without_bytecode(source: Path) -> None:
    """Remove the compiled file of a source: a change within one second that keeps the size would not be seen."""
    for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"):
        compiled.unlink()


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
    covered = recorded(said.fresh)
    started = time.monotonic()
    results = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(said.jobs) as pool:
        free = trees(said.jobs, Path(folder))
        check_unchanged(covered, free)
        for one in pool.map(lambda mutant: tried(mutant, covered, free), drawn):
            results.append(one)
            print(
                f"{one.result:9} {one.tests:4} tests  {one.mutant.path}:{one.mutant.line}  {' '.join(one.mutant.what.split())[:150]}",
                flush=True,
            )
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
