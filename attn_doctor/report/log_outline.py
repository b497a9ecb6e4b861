"""Build the outline of `diagnose`: the findings of logs, or a sentence if there are none. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attn_doctor.logs.errors import log_end
from attn_doctor.logs.machine_claims import disagreements
from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts import is_environment, stated_facts
from attn_doctor.logs.stated_facts.summary import words
from attn_doctor.model.facts import Facts, Unknown, lookup
from attn_doctor.model.findings import Diagnosis, Finding, Severity
from attn_doctor.model.project_file import ProjectFile
from attn_doctor.report.blocks import Block, Notes, Verdict
from attn_doctor.report.outline import not_recognised, problems, undetermined

_FEWEST = 2  # facts about a machine: one fact alone ("Linux") is not worth a line


def of_diagnosis(
    diagnosis: Diagnosis, facts: Facts, logs: Sequence[Log], files: Sequence[ProjectFile] = ()
) -> list[Block]:
    """Return the blocks of `diagnose`: findings, unknown errors, and differences between logs and facts."""
    blocks: list[Block] = []
    if not any(f.root_cause for f in diagnosis.findings):
        blocks.append(_of_files(facts, files) if files and not logs else _verdict(diagnosis, facts, logs))
    blocks += problems(_of_interest(diagnosis, facts, logs), facts)
    blocks += not_recognised(diagnosis.unrecognised)
    if facts.grade != "stated":
        wrong = disagreements(facts, logs)
        blocks += [Notes("The log and this machine disagree", wrong)] if wrong else []
        blocks += undetermined(diagnosis.undetermined)
    else:
        blocks += [Notes("The log comes from", (of_machine(log),)) for log in logs if of_machine(log)]
    return blocks


_FLASH_ATTN = re.compile(r"(?i)flash[-_ ]?att")


def _of_interest(diagnosis: Diagnosis, facts: Facts, logs: Sequence[Log]) -> Sequence[Finding]:
    """Return the findings to show.

    A note that a GPU is too old for flash-attn is left out if neither logs nor facts mention flash-attn.
    """
    version = facts.flash_attention.version
    if (
        facts.grade != "stated"
        or isinstance(version, str)
        or any(_FLASH_ATTN.search(t) for log in logs for _, t in log.end)
    ):
        return diagnosis.findings
    return [f for f in diagnosis.findings if f.severity is not Severity.INFO or f.slug != _TOO_OLD]


_TOO_OLD = "gpu-arch-unsupported-by-flash-attn"


def of_machine(log: Log) -> str:
    """Return one line about the machine of a log: "Windows 11, Python 3.11 (line 3, 8)"; empty if the log states too little."""
    said = words(stated_facts([log]))
    if len(said) < _FEWEST:
        return ""
    lines = ", ".join(map(str, sorted({word.place.line for word in said})))
    return f"{', '.join(word.text for word in said)} ({log.file}, line {lines})"


# The facts that decide whether an environment works, as a person calls them.
_DECISIVE = {
    "system.os": "the system",
    "interpreter.version": "Python",
    "torch.version": "torch",
    "torch.cuda": "torch's build (CUDA, ROCm or CPU)",
    "graphics.gpus": "the GPU",
    "graphics.driver": "the NVIDIA driver",
}


def _not_stated(facts: Facts) -> str:
    """Return a sentence that names the missing parts of a description of an environment; empty if nothing is missing."""
    missing = [name for path, name in _DECISIVE.items() if isinstance(lookup(facts, path), Unknown)]
    if isinstance(facts.packages.distributions, Unknown) and not facts.packages.named:
        missing.append("the other packages")
    return f" Not stated: {', '.join(missing)}." if missing else ""


def _of_files(facts: Facts, files: Sequence[ProjectFile]) -> Verdict:
    names = ", ".join(file.file for file in files)
    return Verdict(f"Nothing that {names} would install keeps training from working.{_not_stated(facts)}", "")


def _verdict(diagnosis: Diagnosis, facts: Facts, logs: Sequence[Log]) -> Verdict:
    """Return one sentence for a diagnosis without an error. Its tone is "good" only if no log contains an error line."""
    number = sum(log.lines for log in logs)
    lines = f"{number} line{'' if number == 1 else 's'}"
    if diagnosis.unrecognised:
        last = diagnosis.unrecognised[-1]
        return Verdict(f"Not recognised. The last error in {lines}, line {last.line}: {last.text}", "warn")
    ends = [(log, log_end(log)) for log in logs]
    if any(end.errors for _, end in ends):
        return Verdict(f"{lines} read: none of the failures below keeps training from working.", "warn")
    caught = next(((log, end.continued) for log, end in ends if end.continued), None)
    if caught:
        log, error = caught
        return Verdict(
            f"The log ends without an error ({lines}). Line {error.line} shows an error, after which the program went on: "
            f"{log.file}:{error.line}: {error.text}",
            "warn",
        )
    if facts.grade == "stated" and is_environment(logs):
        return Verdict(f"Nothing that these {lines} state keeps training from working.{_not_stated(facts)}", "")
    doubtful = [(log, error) for log, end in ends for error in end.doubtful]
    if doubtful:
        word = "this line" if len(doubtful) == 1 else f"{len(doubtful)} lines"
        said = "; ".join(f"line {error.line}: {error.text}" for _, error in doubtful)
        return Verdict(
            f"No error that attn-doctor knows in {lines}. It may be {word}, in {doubtful[0][0].file}: {said}", "warn"
        )
    return Verdict(f"No error in {lines}.", "good")
