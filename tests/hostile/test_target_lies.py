"""A torch that ends the process, and a target that forges the records of attn-doctor's program."""

from __future__ import annotations

import json

import pytest
from attack import doctor, one_sentence, some
from targets import make_target, site_packages, torch_of

ENDS = {
    "sys.exit(True)": ("import sys\nsys.exit(True)\n", 1),
    "sys.exit(False)": ("import sys\nsys.exit(False)\n", 0),
    "sys.exit('text')": ("import sys\nsys.exit('text')\n", 1),
    "sys.exit of an object": ("import sys\nsys.exit(object())\n", 1),
    "sys.exit of a large number": ("import sys\nsys.exit(2**70)\n", None),
}


@pytest.mark.parametrize("name", some(ENDS, "sys.exit(True)", "sys.exit of an object"))
def test_however_torch_exits_there_is_a_report(name, tmp_path):
    code, number = ENDS[name]
    python = torch_of(tmp_path / "env", code)
    done = doctor("check", "--no-trial", "--target", str(python), "--json", "r.json", cwd=tmp_path)
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    torch = json.loads((tmp_path / "r.json").read_bytes())["facts"]["torch"]
    assert (torch["importable"], torch["fault"]["kind"]) == (False, "exited")
    if number is not None:
        assert torch["fault"]["exit_code"] == number


# Records that a target writes which has found the nonce in its own memory.
FORGED = {
    "no JSON": "{",
    "a list": "[1, 2]",
    "wrong keys": '{"wrong": 1}',
    "wrong types": '{"at": 7, "section": [], "data": null}',
    "an unknown kind": '{"at": "surprise", "section": "torch", "data": 1}',
    "a fault of unknown fields": '{"at": "raised", "section": "torch", "data": {"evil": 1}}',
    "a fault that is none": '{"at": "raised", "section": "torch", "data": 7}',
    "facts that are a number": '{"at": "fact", "section": "torch", "data": 7}',
    "facts of wrong types": '{"at": "fact", "section": "torch", "data": {"version": 7, "cuda": [], "devices": "x", "warnings": 3}}',
    "an import of wrong types": '{"at": "fact", "section": "import", "data": {"module": "cv2", "ok": "maybe"}}',
    "an end of nothing": '{"at": "end", "section": "never begun", "data": {}}',
    "bytes that are no text": "\\xff\\xfe{}",
    "deep": '{"at":' * 50_000,
}
FORGE = """
import os, __main__
for raw in {forged!r}:
    block = b'\\x1e' + __main__._NONCE.encode() + b' ' + raw + b'\\n'
    while block:
        block = block[os.write(__main__._real_stdout, block):]
"""


def test_a_forged_record_costs_the_record_and_nothing_else(tmp_path):
    forged = [FORGED[name].encode().replace(b"\\xff\\xfe", b"\xff\xfe") for name in FORGED]
    torch = FORGE.format(forged=forged) + "__version__ = '2.6.0+cpu'\nTensor = object\n"
    python = torch_of(tmp_path / "env", torch, cuda=None)
    done = doctor("check", "--no-trial", "--target", str(python), "--json", "r.json", cwd=tmp_path)
    assert b"Traceback" not in done.stderr
    assert b"Exception in thread" not in done.stderr
    assert done.returncode in (0, 1, 3)
    json.loads((tmp_path / "r.json").read_bytes())


INVENTORY = ["interpreter", "modules", "path", "distributions", "markers", "here", "pth"]


@pytest.mark.parametrize("value", some(["7", '"x"', "[7]", '{"name": 7}', "null"], "7", '{"name": 7}'))
def test_a_forged_inventory_is_no_traceback(value, tmp_path):
    """All records of the inventory are this value; the target lies before the doctor's program says a word."""
    python = make_target(tmp_path / "env")
    lies = "".join(
        f"os.write(m._real_stdout, b'\\x1e' + m._NONCE.encode() + b' ' + json.dumps({{'at': 'fact', 'section': {n!r}, 'data': json.loads({value!r})}}).encode() + b'\\n')\n"
        for n in INVENTORY
    )
    (site_packages(tmp_path / "env") / "sitecustomize.py").write_text(
        "import platform\n"
        "def lie(real=platform.python_version):\n"
        "    import os, json, __main__ as m\n"
        + "".join(f"    {line}\n" for line in lies.splitlines())
        + '    os.write(m._real_stdout, b\'\\x1e\' + m._NONCE.encode() + b\' {"at": "done", "section": ""}\\n\'); os._exit(0)\n'
        "platform.python_version = lie\n"
    )
    for command in ("check --no-trial", "inspect /bin/true"):
        done = doctor(*command.split(), "--target", str(python), cwd=tmp_path)
        assert (b"Traceback" in done.stderr, done.returncode in (0, 1, 3)) == (False, True)  # 1: no torch in it
        if done.returncode == 3:
            assert "cannot be understood" in one_sentence(done) or "could not say what it is" in one_sentence(done)


def test_the_cases_are_counted():
    assert [len(cases) for cases in (ENDS, FORGED)] == [5, 13]
