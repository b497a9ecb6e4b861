"""The lines of programs with the names of machines and users, one text for each form, and harmless lines that look like them."""

from __future__ import annotations

import pytest
from program_names import HOSTS, KEPT, MOUNTS, SERIALS, USERS

from attn_doctor.report.redact import Own, redact

OWN = Own(home="/home/owner1", user="owner1", host="ownhost-9")
ROWS = {
    f"{of}: {name}": row
    for of, rows in (("host", HOSTS), ("mount", MOUNTS), ("user", USERS), ("table", SERIALS))
    for name, row in rows.items()
}


def cleaned(text):
    return redact({"x": text}, OWN)["x"]


@pytest.mark.parametrize(("text", "private"), ROWS.values(), ids=ROWS)
def test_the_form_of_a_line_shows_the_name(text, private):
    assert all(one in text for one in private)
    made = cleaned(text)
    assert [one for one in private if one in made] == []


@pytest.mark.parametrize("text", KEPT)
def test_a_line_that_looks_like_it_is_kept(text):
    assert cleaned(text) == text
