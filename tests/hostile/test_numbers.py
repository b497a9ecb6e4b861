"""Numbers of 4,400 digits in place of a log's own: int() of Python refuses them, and no command may end by that.

https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
"""

from __future__ import annotations

import io
import re

import pytest
from recorded_logs import LOGS

from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.not_a_log import checked
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Goal

LONG = "7" * 4400
MOST = 3000  # characters of a log: more of them would be 10 MB with these numbers
SLUGS = sorted(folder.name for folder in LOGS.iterdir() if any(folder.glob("*.log")))


@pytest.fixture(scope="module")
def reader():
    return log_reader()


@pytest.mark.parametrize("part", range(8))
def test_no_number_of_a_log_is_too_long(reader, part):
    ended = {}
    for slug in SLUGS[part::8]:
        path = min((LOGS / slug).glob("*.log"))
        text = re.sub(r"\d+", LONG, path.read_text(errors="replace")[:MOST])
        try:
            log = reader.read(checked(io.BytesIO(text.encode()), path.name), path.name)
            diagnose(facts_of_logs([log]), Goal.TRAIN, logs=[log])
        except ValueError as error:
            ended[slug] = error
    assert ended == {}
