"""A report in a notebook: what IPython is given, and two cells in a real kernel."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from pages import machine

import attn_doctor
from attn_doctor.model.report import Report, decode_report, encode
from attn_doctor.report.notebook import Examination, shown

FACTS = str(Path(__file__).parents[1] / "fixtures" / "machines" / "rtx-3090-torch-upgraded" / "facts.json")


class Page:
    """Stands for IPython's printer."""

    said = ""

    def text(self, text: str) -> None:
        self.said += text


def test_examine_returns_a_report_that_shows_itself_in_three_forms():
    report = attn_doctor.examine(facts=FACTS)
    assert isinstance(report, Report)
    assert report.findings[0].slug == "abi-mismatch-torch-version"
    markup = report._repr_html_()
    assert markup.lstrip().startswith('<div class="attn-doctor cell">')
    assert "abi-mismatch-torch-version" in markup
    assert "Map of the machine" in markup
    assert "abi-mismatch" in report._repr_markdown_()
    printer = Page()
    report._repr_pretty_(printer, False)
    assert "abi-mismatch-torch-version" in printer.said
    assert "Report(" not in printer.said


def test_it_is_the_record_that_check_writes():
    plain = machine("rtx-3090-torch-upgraded")
    made = shown(plain)
    assert isinstance(made, Examination)
    assert msgspec.structs.asdict(made) == msgspec.structs.asdict(plain)
    assert decode_report(encode(made), "x") == plain
    with pytest.raises(AttributeError):
        made.goal = None  # frozen, as every record


def test_what_a_notebook_saves_has_no_private_data(monkeypatch):
    facts = machine("rtx-3090-torch-upgraded")
    home = Path.home()
    report = shown(
        msgspec.structs.replace(
            facts,
            command=("attn-doctor", f"{home}/secret-project"),
            target=msgspec.structs.replace(facts.target, python=f"{home}/env/bin/python"),
        )
    )
    printer = Page()
    report._repr_pretty_(printer, False)
    for text in (report._repr_html_(), report._repr_markdown_(), printer.said):
        assert f"{home}/" not in text


@pytest.mark.heavy
def test_two_lines_in_a_real_kernel(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is in the extra `pages`")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="ipykernel is in the extra `pages`")
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_code_cell("import attn_doctor\nattn_doctor.examine(trial=False)"),
        nbformat.v4.new_code_cell("report = _\nprint(type(report).__name__, report.outcome, report.target.python)"),
    ]
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbclient.NotebookClient(book, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (answer,) = [out for out in book.cells[0].outputs if out.output_type == "execute_result"]
    assert '<div class="attn-doctor cell">' in answer.data["text/html"]
    assert "Map of the machine" in answer.data["text/html"]
    assert answer.data["text/markdown"]
    assert answer.data["text/plain"].startswith("attn-doctor")
    assert [out.text for out in book.cells[0].outputs if out.output_type == "stream"] == []  # nothing is printed
    (printed,) = [out.text for out in book.cells[1].outputs if out.output_type == "stream"]
    assert printed.split()[0] == "Examination"
    assert Path(printed.split()[2]).name.startswith("python")
    nbformat.validate(book)
