"""Read from the source of the installed ultralytics how it computes YOLO12's attention. ultralytics is not imported."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

from attn_doctor.model.facts import AttentionCall, Unknown, Yolo, YoloLayout, all_unknown
from attn_doctor.probes.root import Root
from attn_doctor.system import files

_FLASH = frozenset({"flash_attn_func", "flash_attn_qkvpacked_func", "flash_attn_varlen_func"})
# bytes; ultralytics 8.4.190 has 78 kB. The tree of a megabyte of source takes 240 MB of memory
_LARGEST_SOURCE = 300 << 10
_SDPA = frozenset({"scaled_dot_product_attention", "sdpa"})


def yolo(location: Path | None) -> tuple[Yolo, dict[str, str]]:
    """Return the facts of ultralytics, and the source of each field (see `probes`).

    `location`: the folder of the package; None: not installed.
    """
    if location is None:
        return Yolo(
            version=None,
            kind=None,
            location=None,
            checkout=None,
            attention=None,
            calls=(),
            layout=None,
            flash_error=None,
        ), {}
    source = {"": "ultralytics/__init__.py and ultralytics/nn/modules/block.py, read as text"}
    block = location / "nn" / "modules" / "block.py"
    version = _version(location / "__init__.py")
    checkout = os.path.exists(location.parent / ".git")
    try:
        tree = _tree(block)
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError) as error:  # the last two: nested too deeply
        why = f"{block.name} of ultralytics cannot be read: {error}"
        return all_unknown(Yolo, why, version=version, location=str(location), checkout=checkout), source
    attention = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "AAttn"), None)
    fork = any("flash_attn" in name for name in _imported(tree))
    if attention is None:
        return (
            Yolo(
                version=version,
                kind="fork" if fork else "mainline",
                location=str(location),
                checkout=checkout,
                attention=None,
                calls=(),
                layout=None,
                flash_error=None,
            ),
            source,
        )
    record = Yolo(
        version=version,
        kind="fork" if fork else "mainline",
        location=str(location),
        checkout=checkout,
        attention=attention.name,
        calls=_calls(attention),
        layout=_layout(attention),
        flash_error=Unknown("not imported") if fork else None,
    )
    return record, source


def program(root: Root, python: str, search: str) -> str | None:
    """Return the word that starts the `yolo` beside an interpreter: its name if PATH (`search`) leads to it, else its path; None if it has none."""
    own = root.program("yolo", str(Path(python).parent))
    first = root.program("yolo", search)
    return "yolo" if own is not None and first is not None and root.resolve(first) == root.resolve(own) else own


def _tree(path: Path) -> ast.Module:
    """Return the parsed source. Raises OSError, SyntaxError, ValueError (too long, or a zero byte), MemoryError and RecursionError."""
    source = files.head(path, _LARGEST_SOURCE + 1)
    if len(source) > _LARGEST_SOURCE:
        raise ValueError(f"it has more than {_LARGEST_SOURCE >> 10} kB")
    return ast.parse(source)


def _version(path: Path) -> str | Unknown:
    try:
        match = re.search(r"^__version__\s*=\s*['\"]([^'\"]+)", files.text(path), re.MULTILINE)
    except OSError as error:
        return Unknown(f"{path.name} of ultralytics cannot be read: {error.strerror}")
    return match[1] if match else Unknown("ultralytics/__init__.py names no version")


def _imported(tree: ast.Module) -> set[str]:
    """Return the modules that the file imports at any place, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def _calls(attention: ast.ClassDef) -> tuple[AttentionCall, ...]:
    """Return the ways of computing attention in the forward method, whether or not a run uses them."""
    forward = next((n for n in attention.body if isinstance(n, ast.FunctionDef) and n.name == "forward"), None)
    if forward is None:
        return ()
    called = {_name(n.func) for n in ast.walk(forward) if isinstance(n, ast.Call)}
    products = any(isinstance(n, ast.BinOp) and isinstance(n.op, ast.MatMult) for n in ast.walk(forward))
    ways: list[AttentionCall] = []
    if called & _FLASH:
        ways.append("flash-attn")
    if called & _SDPA:
        ways.append("sdpa")
    if products or called & {"matmul", "bmm", "einsum", "baddbmm"}:
        ways.append("eager")
    return tuple(ways)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _layout(attention: ast.ClassDef) -> YoloLayout | None:
    """Return how the projections are stored: "qkv" (mainline) or "qk+v" (fork). Checkpoints with the other layout do not load."""
    assigned = {
        target.attr
        for node in ast.walk(attention)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute)
    }
    if "qkv" in assigned:
        return "qkv"
    return "qk+v" if {"qk", "v"} <= assigned else None
