"""Where the reports of a fleet come from: files, folders, streams of lines, and what is no report; and the names of the nodes."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
from planted_fleets import facts, healthy, old_driver, report, written

from attn_doctor.errors import NotExamined
from attn_doctor.fleet.compare import compare
from attn_doctor.fleet.files import answers, lines, places
from attn_doctor.fleet.names import apart, folded, natural, numbered
from attn_doctor.model.facts import lookup
from attn_doctor.model.fleet import Fleet, Node, NodeAnswer
from attn_doctor.model.report import Unreadable, encode
from attn_doctor.report.fleet_names import anonymous


@pytest.fixture(scope="module")
def data() -> bytes:
    return encode(report(facts()))


def standings(fleet: Fleet) -> dict[str, tuple[str, str]]:
    return {name: (row.standing, row.said) for row in fleet.rows for name in row.nodes}


def test_a_folder_is_read_to_its_bottom_and_nodes_are_called_as_their_files(tmp_path, data):
    for name in ("gpu-1.json", "rack-2/gpu-2.json", "rack-2/deep/er/gpu-10.JSON", "notes.txt", "rack-2/core.1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert [place.name for place in places([str(tmp_path)])] == ["gpu-1", "gpu-10", "gpu-2"]
    assert [answer.report == data for answer in answers(places([str(tmp_path)]))] == [True] * 3


def test_nodes_are_called_as_their_folders_where_all_files_have_one_name(tmp_path, data):
    for node in ("gpu-1", "gpu-2"):
        (tmp_path / node).mkdir()
        (tmp_path / node / "report.json").write_bytes(data)
    assert [place.name for place in places([str(tmp_path)])] == ["gpu-1", "gpu-2"]
    assert [place.name for place in places([str(tmp_path / "gpu-2" / "report.json")])] == ["gpu-2"]


def test_equal_names_in_several_folders_are_told_apart_by_the_folders(tmp_path, data):
    for path in ("a/x/gpu-1.json", "b/x/gpu-1.json", "a/x/gpu-2.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    names = [place.name for place in places([str(tmp_path)])]
    assert len(set(names)) == 3
    assert [name for name in names if name.endswith(str(Path("a", "x", "gpu-1")))]
    assert "gpu-2" in names


def test_a_file_that_is_named_twice_is_one_node(tmp_path, data):
    path = tmp_path / "gpu-1.json"
    path.write_bytes(data)
    assert len(places([str(path), str(path), str(tmp_path)])) == 1


def test_what_does_not_exist_and_an_empty_folder(tmp_path):
    with pytest.raises(Unreadable, match="cannot be read"):
        places([str(tmp_path / "nothing.json")])
    with pytest.raises(NotExamined, match="has no file whose name ends in"):
        places([str(tmp_path)])


UNREADABLE = {
    "empty": (b"", "it is empty"),
    "cut": (b'{"schema_version": 2, "tool": {"name": "at', "it ends too early (a truncated file?)"),
    "other": (b'{"name": "left-pad", "version": "1.0.0"}', "it is no report of attn-doctor"),
    "text": (b"Traceback (most recent call last):\n", "it is not JSON"),
    "deep": (b"[" * 100_000, "it is"),
    "deep-facts": (b'{"schema_version": 2, "facts": ' + b'{"a":' * 100_000, "it is"),
    "newer": (b'{"schema_version": 999, "facts": {}}', "it was written by a newer attn-doctor"),
    "large": (b" " * (8 << 20) + b"{}", "it is larger than 8 MB"),
    "binary": (bytes(range(256)) * 10, "it is not JSON"),
    "surrogate": (rb'{"schema_version": 2, "tool": "\ud800"}', "it "),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_report_is_a_row_with_the_reason(name):
    content, reason = UNREADABLE[name]
    found = compare([NodeAnswer(node=Node(name=name), end="answered", report=content)]).fleet
    (row,) = found.rows
    assert row.standing == "unreadable"
    assert row.said.startswith(reason)
    assert found.exit_code == 3


def test_a_report_with_broken_sections_is_unreadable_and_changes_nothing_for_the_others(data):
    plain = json.loads(data)
    plain["facts"]["graphics"]["gpus"] = [{"name": 7}]
    broken = NodeAnswer(node=Node(name="bad"), end="answered", report=json.dumps(plain).encode())
    good = [NodeAnswer(node=Node(name=f"gpu-{i}"), end="answered", report=data) for i in range(3)]
    found = compare([broken, *good]).fleet
    assert standings(found)["bad"][0] == "unreadable"
    assert {row.standing for row in found.rows[1:]} == {"healthy"}


def test_a_report_that_is_not_utf_8_and_one_of_a_version_with_other_values_are_read(data):
    latin = data.replace(b"Ubuntu 24.04.3 LTS", "Ubuntu é".encode("latin-1"))
    future = data.replace(b'"os": "linux"', b'"os": "haiku"')
    assert future != data
    assert latin != data
    sent = {"a": data, "b": data, "c": data, "latin": latin, "future": future}
    found = compare(NodeAnswer(node=Node(name=n), end="answered", report=d) for n, d in sent.items()).fleet
    assert found.answered == 5
    paths = {name: [o.path for o in row.outliers] for row in found.rows for name in row.nodes}
    assert paths["latin"] == ["system.distribution_name"]
    assert "system.os" in paths["future"]


def test_a_file_that_is_no_regular_file_and_one_that_may_not_be_read(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe.json")
        (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.json").mkdir()
    found = compare(answers(places([str(tmp_path)]))).fleet
    said = standings(found)
    assert said["a"][0] == "healthy"
    if sys.platform != "win32":
        assert said["pipe"] == ("unreadable", "it cannot be read: it is not a regular file")
        assert said["gone"][0] == "unreadable"


def test_lines_of_a_stream(data):
    one = msgspec.json.encode(msgspec.json.decode(data))
    stream = b"\n".join(
        [
            b"",
            one,
            b'{"node": "gpu-17", "report": ' + one + b"}",
            b'{"node": {"name": "gpu-18", "labels": {"partition": "a"}}, "end": "died", "said": "exit code 137"}',
            data.rstrip(),  # over several lines, as check writes it
            b"not json",
            b'{"node": "gpu-19", "report": null}',
            b"{",
            b'"cut": 1',
        ]
    )
    got = list(lines(io.BytesIO(stream), "line"))
    assert [answer.node.name for answer in got[:3]] == ["line-2", "gpu-17", "gpu-18"]
    assert got[2].node.labels == {"partition": "a"}
    assert (got[2].end, got[2].said) == ("died", "exit code 137")
    assert got[3].node.name == "line-5"
    found = standings(compare(got).fleet)
    assert found["line-2"][0] == found["gpu-17"][0] == found["line-5"][0] == "healthy"
    assert found["gpu-19"] == ("silent", "it gave no report")
    assert [said for said, _ in found.values()].count("unreadable") == 2


def test_a_line_that_has_no_end_is_one_unreadable_node(data):
    one = msgspec.json.encode(msgspec.json.decode(data))
    got = list(lines(io.BytesIO(one + b"\n" + b"x" * (40 << 20) + b"\n" + one + b"\n"), "line"))
    assert [standing for standing, _ in standings(compare(got).fleet).values()].count("unreadable") == 1
    assert [answer.node.name for answer in got] == ["line-1", "line-2", "line-3"]
    assert max(len(answer.report or b"") for answer in got) <= (8 << 20) + 2


def test_a_file_of_lines_in_a_folder(tmp_path, data):
    one = msgspec.json.encode(msgspec.json.decode(data))
    (tmp_path / "rack.jsonl").write_bytes(one + b"\n" + one + b"\n")
    assert [answer.node.name for answer in answers(places([str(tmp_path)]))] == ["rack-1", "rack-2"]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["gpu-02", "gpu-01", "gpu-03", "gpu-07"], "gpu-[01-03,07]"),
        (["gpu-9", "gpu-10", "gpu-11"], "gpu-[9-11]"),
        (["gpu-09", "gpu-10", "gpu-11"], "gpu-[09-11]"),
        (["a1.lan", "a2.lan", "login"], "a[1-2].lan, login"),
        (["one"], "one"),
        (["x[1]", "x[2]"], "x[1], x[2]"),
        ([], ""),
    ],
)
def test_names_are_folded_to_ranges(names, text):
    assert folded(names) == text


def test_a_long_list_of_names_is_cut_and_counted():
    names = [f"gpu-{i:03d}" for i in range(0, 400, 2)]
    assert folded(names, 24) == "gpu-000 and 199 more"
    assert len(folded(["n" * 5000], 24)) <= 24
    assert sorted(["gpu-10", "gpu-2", "gpu-1"], key=natural) == ["gpu-1", "gpu-2", "gpu-10"]
    assert apart(["a", "a", "a (2)", "a"]) == ["a", "a (3)", "a (2)", "a (4)"]


def test_the_numbers_of_nodes_are_those_of_their_names():
    assert numbered(["gpu-10", "gpu-2", "gpu-1"]) == {"gpu-1": "node-1", "gpu-2": "node-2", "gpu-10": "node-3"}
    assert numbered(["gpu-1", "gpu-10", "gpu-2"]) == numbered(["gpu-10", "gpu-2", "gpu-1"])


def test_names_are_taken_out_of_texts_and_common_words_are_not():
    ends = [
        NodeAnswer(node=Node(name="athena"), end="died", said="srun: error: athena: task 0: Killed; see ATHENA."),
        NodeAnswer(
            node=Node(name="gpu-7.cluster.lan"),
            end="died",
            said="ssh: connect to host gpu-7.cluster.lan: gpu-7 refused",
        ),
        NodeAnswer(node=Node(name="n1"), end="died", said="ssh: n1: connection lost; n10 is well"),
        NodeAnswer(node=Node(name="Rechner № 3"), end="died", said="Rechner № 3 is off"),
    ]
    fleet = compare(ends).fleet
    numbers = numbered(name for row in fleet.rows for name in row.nodes)
    clean = anonymous(fleet, numbers)
    said = {row.nodes[0]: row.said for row in clean.rows}
    assert said[numbers["athena"]] == "srun: error: {0}: task 0: Killed; see {0}.".format(numbers["athena"])
    assert said[numbers["gpu-7.cluster.lan"]] == "ssh: connect to host {0}: {0} refused".format(
        numbers["gpu-7.cluster.lan"]
    )
    kept = {
        "athena2": "athena2",
        "athena.log": "node-1.log",
        "6.1.athena": "6.1.node-1",
        "my-athena_env": "my-node-1_env",
    }
    for text, expected in kept.items():
        (row,) = anonymous(
            compare([NodeAnswer(node=Node(name="athena"), end="died", said=text)]).fleet, {"athena": "node-1"}
        ).rows
        assert row.said == expected
    assert said[numbers["n1"]] == f"ssh: {numbers['n1']}: connection lost; n10 is well"
    assert said[numbers["Rechner № 3"]] == f"{numbers['Rechner № 3']} is off"


def test_written_fleets_are_read_back(tmp_path):
    found = compare(answers(places([str(written(tmp_path / "fleet", healthy(4)))]))).fleet
    assert [(row.nodes, row.standing) for row in found.rows] == [(("gpu-01", "gpu-02", "gpu-03", "gpu-04"), "healthy")]


@pytest.mark.parametrize("part", ["²", "9" * 5_000, "٣", "-1", "99999"])
def test_a_path_of_a_report_names_no_item(part):
    """What int() refuses, or reads otherwise than the path was meant: the report is read all the same."""
    made = report(old_driver(facts()))
    first = made.findings[0]
    evidence = msgspec.structs.replace(first.evidence[0], kind="fact", path=f"packages.distributions.{part}.version")
    found = (msgspec.structs.replace(first, evidence=(evidence,)), *made.findings[1:])
    data = encode(msgspec.structs.replace(made, findings=found))
    (row,) = compare([NodeAnswer(node=Node(name="n"), end="answered", report=data)]).fleet.rows
    assert row.nodes == ("n",)
    with pytest.raises(LookupError):
        lookup(made.facts, f"graphics.gpus.{part}")


def test_the_name_of_a_kind_is_not_taken_for_the_name_of_a_node():
    """Nodes called as their GPU is: the rows still name the kinds that stand in the answer."""
    fleet = {f"A100-{number}": given for number, given in enumerate(healthy(3).values())} | {"SXM4": facts()}
    made = compare(
        NodeAnswer(node=Node(name=name), end="answered", report=encode(report(given))) for name, given in fleet.items()
    ).fleet
    clean = anonymous(made, numbered(name for row in made.rows for name in row.nodes))
    assert {row.kind_name for row in clean.rows} <= {kind.name for kind in clean.kinds}
