"""Runs inside pytest for mutants.py: records which test runs which line, or tries mutants in forks of one session.

pytest loads this file as a plugin, and collects all tests once. With `WANTED` in the environment, the process forks for each mutant:
the child exchanges the code of the function that is changed, or the tables of the module, runs the chosen tests, and ends at the first
that fails. That takes a tenth of the time of a process for each mutant. Nothing is written to the tree. Programs that a test starts run
the unchanged code.
"""

from __future__ import annotations

import ast
import functools
import gc
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

TIMES = "MUTANTS_TIMES"  # names the file into which the recording run writes how long each test took
WANTED, RESULTS, JOBS = "MUTANTS_WANTED", "MUTANTS_RESULTS", "MUTANTS_JOBS"
SURVIVED, KILLED = 10, 11  # exit codes of a child

if WANTED in os.environ:
    re._MAXCACHE = 1 << 20  # noqa: SLF001 - children compile the same patterns again

_CACHE = type(functools.cache(len))
_taken: dict[str, tuple[float, bool]] = {}

# -- recording


def pytest_runtest_logstart(nodeid: str) -> None:
    if TIMES not in os.environ:
        return
    import coverage

    if (measuring := coverage.Coverage.current()) is not None:
        measuring.switch_context(nodeid)


def pytest_runtest_logreport(report: Any) -> None:
    seconds, passed = _taken.get(report.nodeid, (0.0, False))
    # A test counts as passed where its call did, and neither its set-up nor its tear-down failed.
    good = report.passed if report.when == "call" else passed and not report.failed
    _taken[report.nodeid] = seconds + report.duration, good


def pytest_sessionfinish() -> None:
    if TIMES in os.environ:
        Path(os.environ[TIMES]).write_text(json.dumps(_taken), "utf-8")


# -- mutants


def pytest_runtestloop(session: Any) -> bool | None:
    if WANTED not in os.environ:
        return None
    wanted = json.loads(Path(os.environ[WANTED]).read_text("utf-8"))
    results = os.fdopen(int(os.environ[RESULTS]), "w", encoding="utf-8")
    items = {item.nodeid: item for item in session.items}
    functions = _functions()
    caches = [one for one in gc.get_objects() if isinstance(one, _CACHE) and _is_ours(one)]
    gc.freeze()
    running: dict[int, tuple[dict[str, Any], float]] = {}
    while wanted or running:
        while wanted and len(running) < int(os.environ[JOBS]):
            one = wanted.pop(0)
            pid = os.fork()
            if pid == 0:
                _child(one, session, [items[test] for test in one["tests"] if test in items], functions, caches)
            running[pid] = one, time.monotonic()
        for pid, (one, began) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                result = "survived" if os.waitstatus_to_exitcode(status) == SURVIVED else "killed"
            elif time.monotonic() - began > one["seconds"]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                result = "timeout"
            else:
                continue
            del running[pid]
            print(json.dumps([one["number"], result]), file=results, flush=True)
        time.sleep(0.02)
    return True


def _is_ours(function: Any) -> bool:
    """Return whether a cache has to be emptied in a child. Tables of knowledge are data, and reading them again takes seconds."""
    name = str(getattr(function, "__module__", ""))
    return name.startswith("attn_doctor.") and not name.startswith("attn_doctor.knowledge.tables")


def _functions() -> dict[tuple[str, str], list[FunctionType]]:
    found: dict[tuple[str, str], list[FunctionType]] = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and "/attn_doctor/" in one.__code__.co_filename:
            found.setdefault((one.__code__.co_filename, one.__code__.co_qualname), []).append(one)
    return found


def _child(one: dict[str, Any], session: Any, items: list[Any], functions: Any, caches: list[Any]) -> None:
    """Try one mutant, and end this process."""
    try:
        gc.disable()
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        _exchange(one, functions)
        for cache in caches:
            cache.cache_clear()
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                os._exit(KILLED)
        os._exit(SURVIVED)
    except BaseException:  # noqa: BLE001 - a module that no longer loads is noticed by whoever imports it
        os._exit(KILLED)


def _exchange(one: dict[str, Any], functions: dict[tuple[str, str], list[FunctionType]]) -> None:
    path = str(Path.cwd() / one["path"])
    source = Path(path).read_bytes()
    whole = compile(source[: one["start"]] + one["new"].encode() + source[one["end"] :], path, "exec")
    name = _function_around(source, one)
    if name is not None:
        code = _code_of(whole, name)
        for function in functions[path, name]:
            function.__code__ = code
        return
    module = sys.modules[one["path"].removesuffix(".py").replace("/", ".").removesuffix(".__init__")]
    fresh = {name: value for name, value in vars(module).items() if name.startswith("__")}
    exec(whole, fresh)
    for name, value in fresh.items():
        old = vars(module).get(name)
        if isinstance(value, FunctionType) and isinstance(old, FunctionType):
            old.__defaults__, old.__kwdefaults__ = value.__defaults__, value.__kwdefaults__
        elif not name.startswith("__") and not callable(value) and not isinstance(value, ModuleType) and value != old:
            setattr(module, name, value)  # classes stay: a test may hold the old one


def _function_around(source: bytes, one: dict[str, Any]) -> str | None:
    """Return the qualified name of the outermost function whose body holds the change; None: the change is in the module itself."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def within(body: list[ast.stmt], prefix: str) -> str | None:
        for node in body:
            if isinstance(node, ast.ClassDef) and (found := within(node.body, f"{prefix}{node.name}.")):
                return found
            if isinstance(node, ast.FunctionDef):
                first, last = node.body[0], node.body[-1]
                begin = starts[first.lineno - 1] + first.col_offset
                end = starts[(last.end_lineno or 1) - 1] + (last.end_col_offset or 0)
                if begin <= one["start"] and one["end"] <= end:
                    return f"{prefix}{node.name}"
        return None

    return within(ast.parse(source).body, "")


def _code_of(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == name:
                return constant
            if name.startswith(f"{constant.co_qualname}."):
                return _code_of(constant, name)
    raise LookupError(name)
