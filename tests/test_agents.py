"""The tools for agents: what they answer, and over the protocol itself with the client of the official SDK."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from targets import broken_torch

from attn_doctor.cli.agent_tools import MOST, Failed, Tools, bounded

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def patient(tmp_path_factory) -> str:
    return str(broken_torch(tmp_path_factory.mktemp("patient") / "env", "segfaults"))


def test_check_names_the_cause_and_its_commands(patient):
    answer = asyncio.run(Tools(patient).check("no-trial", None, ["torch"]))
    assert (answer["outcome"], answer["exit_code"]) == ("sick", 1)
    first = answer["findings"][0]
    assert (first["slug"], first["root_cause"]) == ("torch-install-broken", True)
    assert "SIGSEGV" in first["message"]
    steps = [step for fix in first["fixes"] for step in fix["steps"]]
    assert any("torch" in " ".join(step.get("argv", ())) for step in steps)
    assert answer["facts"]["torch"]["version"] == "2.6.0+cu124"
    assert str(Path.home()) not in json.dumps(answer) or str(Path.home()) == "/root"


def test_a_wrong_request_is_said_in_a_sentence(tmp_path):
    with pytest.raises(Failed, match="does not exist"):
        asyncio.run(Tools(str(tmp_path / "python")).check("static", None, ()))
    with pytest.raises(Failed, match="no failure mode is called 'numpy-abbi'; did you mean numpy-abi"):
        asyncio.run(Tools(None).explain("numpy-abbi"))
    with pytest.raises(Failed, match="cannot be read"):
        asyncio.run(Tools(None).compare(str(tmp_path / "a.json"), "--json"))


def test_diagnose_and_explain():
    answer = asyncio.run(Tools(None).diagnose("AttributeError: _ARRAY_API not found\n", None))
    assert [one["slug"] for one in answer["findings"]] == ["numpy-abi"]
    assert asyncio.run(Tools(None).explain("AD311")).startswith("# numpy-abi (AD311)")
    assert "AD301" in asyncio.run(Tools(None).explain("undefined symbol"))


def test_wheels_of_given_versions():
    given = {
        "torch": "2.8.0",
        "cuda": "12.8",
        "python": "3.12",
        "abi": "TRUE",
        "platform": "linux_x86_64",
        "gpu": "8.9",
    }
    answer = asyncio.run(Tools(None).wheels(given))
    assert answer["fits"] is True
    assert len(json.dumps(answer)) <= MOST + 100


@pytest.mark.parametrize(
    "answer",
    [
        {"findings": ["x" * 50] * 200, "trials": ["y" * 50] * 200},
        {"facts": {"packages": ["z" * 100] * 100}, "findings": ["f"]},
        {"candidates": [["w" * 5000]]},
    ],
)
def test_answers_are_bounded(answer):
    made = bounded(answer, 2000)
    assert len(json.dumps(made)) <= 2100
    assert made["left_out"]
    assert bounded({"findings": ["x"]}, 2000) == {"findings": ["x"]}


def test_the_server_refuses_the_environment_that_it_would_examine():
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "mcp", "--target", sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "an environment of its own" in done.stderr


CLIENT = """
import asyncio, json, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    server = StdioServerParameters(command=sys.executable, args=["-m", "attn_doctor", "mcp", "--target", sys.argv[1]])
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        out = {"tools": [t.model_dump(mode="json", by_alias=True) for t in tools]}
        calls = {
            "check": {"mode": "no-trial", "facts": ["torch"]},
            "diagnose": {"text": "AttributeError: _ARRAY_API not found"},
            "explain": {"name": "AD311"},
            "wheels": {"torch": "2.8.0", "cuda": "12.8", "python": "3.12", "abi": "TRUE", "platform": "linux_x86_64"},
            "compare": {"before": sys.argv[2], "after": sys.argv[2]},
            "explain wrong": {"name": "numpy-abbi"},
        }
        for name, given in calls.items():
            out[name] = (await session.call_tool(name.split()[0], given)).model_dump(mode="json", by_alias=True)
    print(json.dumps(out))

asyncio.run(main())
"""


@pytest.mark.heavy
def test_the_protocol_with_the_client_of_the_sdk(patient, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "agent")], check=True)
    python = str(tmp_path / "agent" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[mcp]"], check=True)
    report = str(tmp_path / "r.json")
    subprocess.run(
        [python, "-m", "attn_doctor", "check", "--static", "--target", patient, "--json", report], check=False
    )
    environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [python, "-c", CLIENT, patient, report], capture_output=True, text=True, env=environ, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [tool["name"] for tool in answers["tools"]] == ["check", "diagnose", "explain", "wheels", "compare"]
    for tool in answers["tools"]:
        assert tool["annotations"]["readOnlyHint"] is True
        assert tool["description"]
    text = {name: answer["content"][0]["text"] for name, answer in answers.items() if name != "tools"}
    assert json.loads(text["check"])["findings"][0]["slug"] == "torch-install-broken"
    assert json.loads(text["diagnose"])["findings"][0]["slug"] == "numpy-abi"
    assert text["explain"].startswith("# numpy-abi (AD311)")
    assert json.loads(text["wheels"])["fits"] is True
    assert json.loads(text["compare"])
    assert answers["explain wrong"]["isError"] is True
    assert "did you mean numpy-abi" in text["explain wrong"]
    assert all(len(one) <= MOST * 2 for one in text.values())
