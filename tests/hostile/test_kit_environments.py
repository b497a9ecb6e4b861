"""Variables and limits of any kind: 16 variables with 9 values each, and 16 limits of the machine."""

from __future__ import annotations

import pytest
from attacked import attack

pytestmark = pytest.mark.heavy

LIMIT = 60.0
VALUES = (
    None,
    "",
    "/nowhere",
    "/dev/null",
    "/proc/self/mem",
    "0",
    "-1",
    "9" * 400,
    "\x1b]0;x\x07\u202e'\"$(touch /tmp/never)`;\n",
)
VARIABLES = (
    "PATH", "HOME", "LANG", "LC_ALL", "TERM", "COLUMNS", "LINES", "CUDA_HOME", "CUDA_PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
    "VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CACHE_HOME", "OMP_NUM_THREADS", "MAX_JOBS",
)  # fmt: skip
LIMITS = (
    "ulimit -n 16", "ulimit -n 24", "ulimit -n 40", "ulimit -v 150000", "ulimit -v 400000", "ulimit -v 1000000", "ulimit -f 0", "ulimit -f 8",
    "ulimit -t 2", "ulimit -s 256", "ulimit -d 100000", "ulimit -c unlimited", "ulimit -l 0", "umask 777", "exec 0<&-", "exec 2>&-",
)  # fmt: skip


@pytest.mark.parametrize("name", VARIABLES)
def test_no_variable_ends_or_hangs_a_check(name, healthy, tmp_path):
    shown = {}
    for number, value in enumerate(VALUES):
        argv = ["check", "--no-trial", "--timeout", "10", "--target", str(healthy / "bin/python")]
        found = attack(argv, tmp_path / f"t{number}", limit=LIMIT, environ={name: value})
        faults = found.faults(limit=LIMIT, codes=(0, 1, 2, 3))
        if faults:
            shown[repr(value)[:60]] = faults
    assert not shown, "\n".join(f"{case}: {'; '.join(faults)}" for case, faults in shown.items())


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_of_the_machine_is_said_in_one_sentence_or_does_not_matter(limit, healthy, tmp_path):
    argv = ["check", "--no-trial", "--timeout", "10", "--target", str(healthy / "bin/python")]
    found = attack(argv, tmp_path / "t", limit=LIMIT, before=["bash", "-c", f'{limit}; exec "$@"', "bash"])
    # Python itself ends with these before the doctor's first line: 1 (no room for its modules), 127, 134, a signal.
    early = found.out == "" and "attn-doctor" not in found.err
    faults = [] if early else found.faults(limit=LIMIT, codes=(0, 1, 3, 70))
    assert not faults, faults
