"""Changes one condition at a time in the code that decides, and counts the changes that no test notices.

    python benchmarks/mutants.py [-n 300] [--seed 11] [--only PATH ...] [--jobs N] [--fresh]

It needs the extras `test` and `mutants`. The first run records which test runs which line (`coverage run`, one context a test), and keeps
that in the temporary folder. A mutant is one change in one line, for example `<` for `<=`. It is drawn by the seed, written into a copy of
the tree, and tried with the tests that run its line, the quickest first. A mutant that all of them pass is a survivor. A line that runs
only at import, such as a table, is tried with the tests that run anything else of its file. The exit code is always 0: survivors are
read by people, see docs/testing.md.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
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
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "judging", "failure_modes", "wheels", "fixes", "report/redact.py", "knowledge/finder.py", "knowledge/nearest_torch.py",
)  # fmt: skip
# Tests that run in this process and start few others: a child's lines are not recorded, so its tests would not be found.
TESTS = """best causes_in_front compare conditions_* failure_modes_* fixes_plans judging knowledge_* listed_* machine_claims machines
plan_properties prescription recommend report second_conditions stated_facts steps unknown_truth wheels_command""".split()
SETTLED = ("-q", "-n", "0", "-p", "no:cacheprovider", "-W", "default")
SLOWEST_FIRST_RUN = 3600  # seconds for all tests with coverage

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

    seconds: dict[str, float]  # node id, without parameters
    lines: dict[str, dict[int, set[str]]]  # file -> line -> node ids

    def tests_of(self, mutant: Mutant) -> list[str]:
        lines = self.lines.get(str(mutant.path), {})
        found = set().union(*(lines.get(number, set()) for number in range(mutant.line, mutant.end_line + 1)))
        if not found:
            found = set().union(*lines.values())
        return sorted(found, key=lambda test: (self.seconds.get(test, 0), test))


def test_files() -> list[str]:
    return sorted(
        {str(path.relative_to(ROOT)) for name in TESTS for path in (ROOT / "tests").glob(f"test_{name}.py")}
        - {"tests/test_knowledge_refresh.py"}
    )


def recorded(fresh: bool) -> Coverage:
    """Return the coverage of this tree: of the last run, or measured now where the code or the tests have changed since."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "attn_doctor").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]):
        digest.update(path.read_bytes())
    kept = Path(tempfile.gettempdir()) / f"attn-doctor-mutants-{digest.hexdigest()[:16]}"
    data, times = kept / "coverage", kept / "times.xml"
    if fresh or not (data.is_file() and times.is_file()):
        kept.mkdir(exist_ok=True)
        settings = kept / "settings"
        settings.write_text(
            f"[run]\nbranch = true\ndynamic_context = test_function\nsource = attn_doctor\nrelative_files = true\ndata_file = {data}\n"
        )
        print("coverage of the tests, once: some minutes", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", *SETTLED, "--continue-on-collection-errors",
             f"--junitxml={times}", *test_files()],
            cwd=ROOT, check=False, timeout=SLOWEST_FIRST_RUN, capture_output=True, text=True,
        )  # fmt: skip
        print(done.stdout.strip().splitlines()[-1], flush=True)
        print(f"per file: {sys.executable} -m coverage report --rcfile={settings}", flush=True)
    return read(data, times)


def read(data: Path, times: Path) -> Coverage:
    import coverage

    seconds: dict[str, float] = defaultdict(float)
    passed = set()
    for case in ET.parse(times).iter("testcase"):
        test = node_id(f"{case.get('classname', '').removeprefix('tests.')}.{case.get('name', '').partition('[')[0]}")
        seconds[test] += float(case.get("time", "0"))
        if case.find("failure") is None and case.find("error") is None:
            passed.add(test)
    failed = set(seconds) - passed
    kept = coverage.CoverageData(basename=str(data))
    kept.read()
    lines: dict[str, dict[int, set[str]]] = {}
    for file in kept.measured_files():
        path = Path(file)
        name = str(path.relative_to(ROOT) if path.is_absolute() else path)
        lines[name] = {
            line: {test for context in contexts if context and (test := node_id(context)) in seconds} - failed
            for line, contexts in kept.contexts_by_lineno(file).items()
        }
    return Coverage(seconds, lines)


def node_id(context: str) -> str:
    module, _, rest = context.partition(".")
    return f"tests/{module}.py::{rest.replace('.', '::')}"


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


def tried(mutant: Mutant, covered: Coverage, free: SimpleQueue[Path], most: float) -> Tried:
    tests = covered.tests_of(mutant)
    if not tests:
        return Tried(mutant, "no test", 0)
    limit = min(most, 30 + 5 * sum(covered.seconds.get(test, 0) for test in tests))
    tree = free.get()
    target = tree / mutant.path
    source = target.read_bytes()
    try:
        target.write_bytes(changed(source, mutant))
        environ = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(tree / "hypothesis"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *SETTLED, "-x", *tests],
            cwd=tree, env=environ, check=False, timeout=limit, capture_output=True, text=True,
        )  # fmt: skip
        result = {0: "survived", 5: "no test"}.get(done.returncode, "killed")
    except subprocess.TimeoutExpired:
        result = "timeout"
    finally:
        target.write_bytes(source)
        free.put(tree)
    return Tried(mutant, result, len(tests))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=300, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATH", help="a file or folder of the code; may be given again"
    )
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument(
        "--most", type=float, default=300, metavar="SECONDS", help="a limit for the tests of one mutant"
    )
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
        for one in pool.map(lambda mutant: tried(mutant, covered, free, said.most), drawn):
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
