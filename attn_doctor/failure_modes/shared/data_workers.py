"""Make the fixes that several failures of DataLoader workers share: no workers, and a larger page file of Windows. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix


def larger_page_file(facts: Facts) -> Fix:
    """Return the fix that makes the page file of Windows larger.

    https://learn.microsoft.com/en-us/troubleshoot/windows-client/performance/introduction-to-the-page-file
    """
    step = commands.by_hand(
        ("SystemPropertiesPerformance.exe",),
        "in the window that opens: Advanced, Virtual memory, Change. Clear the first box, choose a drive with free space, Custom size: initial "
        "16384 MB, maximum 32768 MB or more, Set, OK. Then restart Windows",
        "the size of the page file",
        risk_text="a restart of Windows",
    )
    return Fix(title="Make the page file larger", steps=(step,), verify=commands.check(facts))


def none(facts: Facts) -> Fix:
    """Return the fix that loads the data in the main process, without workers, so that the program shows the error of a worker."""
    words = (
        "repeat the command with workers=0 (ultralytics), --workers 0 (YOLOv5 to YOLOv9) or num_workers=0 (a DataLoader): the program then loads the "
        "data itself and shows the error that a worker hid. If it works with 0, try 1 or 2 workers"
    )
    step = commands.by_hand((), words, "the settings of the training", "none")
    return Fix(title="Load the data without workers", steps=(step,), verify=commands.check(facts))
