"""Build the cures for a certificate with wrong dates, for a log of a download that is cut, and for a computer without a network."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.shared import building
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

_NOW = "import datetime; print(datetime.datetime.now(datetime.timezone.utc))"


def of_a_date(facts: Facts, host: str | None) -> tuple[Fix, ...]:
    """Return the fixes for a certificate that has run out, or is not valid yet.

    Set the clock, or install without a look at the certificate. The second only if the log shows the command and
    `host`, the server of the certificate ("pypi.org"); None: not known.
    https://pip.pypa.io/en/stable/cli/pip/#cmdoption-trusted-host,
    https://docs.astral.sh/uv/reference/settings/#allow-insecure-host
    """
    verify = building.verify(facts)
    set_it = (
        "Settings, Time and language, Date and time, Sync now"
        if facts.system.os == "windows"
        else "sudo timedatectl set-ntp true; in a container or a WSL, that of its host"
    )
    look = commands.by_hand(
        (*commands.starting(facts), "-c", _NOW),
        f"must print the date and the time of now, in UTC. If it does not, set the clock ({set_it}) and install again",
        "nothing",
        "none",
    )
    wait = commands.by_hand(
        (),
        "if the clock is right, the operator of the server has to renew the certificate: install again after some hours, or from a mirror",
        "nothing",
        "none",
    )
    made = [Fix(title="Look at the clock of that machine", steps=(look, wait), verify=verify)]
    command = facts.subject.command
    if isinstance(command, str) and host is not None and (typed := _INSTALLS.match(command)):
        option = ("--allow-insecure-host", host) if command.startswith("uv") else ("--trusted-host", host)
        trust = commands.by_hand(
            (*typed["program"].split(), *option, *typed["rest"].split()),
            f"installs without a look at the certificate of {host}: nobody then proves that the files are from there",
            "what you install",
            risk="medium",
            risk_text="someone in between could send other files",
        )
        made.append(Fix(title="Install now, without a check of the certificate", steps=(trust,), verify=verify))
    return tuple(made)


_INSTALLS = re.compile(r"(?P<program>(?:uv pip|pip3?|python3? -m pip|py -m pip) install) (?P<rest>[^\"'|&;<>]+)$")
_ASK = "import urllib.request as u; print(u.urlopen('https://pypi.org/simple/pip/', timeout=10).status)"


def of_a_cut_log(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a log that ends before the error: a command that shows the cause, and a variable that keeps Ultralytics offline.

    https://docs.ultralytics.com/reference/utils/__init__/ (YOLO_OFFLINE)
    """
    look = commands.by_hand(
        (*commands.starting(facts), "-c", _ASK),
        "if it prints 200, the network works now, and the host in the log did not answer. Else its last line shows the cause: name resolution means no "
        "network, CERTIFICATE_VERIFY_FAILED or 407 means a proxy (set HTTPS_PROXY and SSL_CERT_FILE)",
        "nothing",
        "none",
    )
    offline = commands.variable(
        "YOLO_OFFLINE", "true", "Ultralytics then uses no network; first copy the weights and the data to this machine"
    )
    verify = commands.check(facts)
    return (
        Fix(title="See whether Python reaches the network", steps=(look,), verify=verify),
        Fix(title="Use Ultralytics offline", steps=(offline,), verify=verify),
    )


def carried_over(package: str) -> tuple[Step, ...]:
    """Return the steps that download a package (not torch) on a machine with internet, copy it, and install it here."""
    fetch = commands.by_hand(
        ("python", "-m", "pip", "download", "-d", "wheels", package),
        "on a machine that has internet, with the same Python and system",
        "a folder of wheels, there",
        "none",
    )
    copy = commands.by_hand((), "copy the folder wheels to this machine", "the folder wheels, here", "none")
    put = commands.install(package, from_folder="wheels", why="from the folder that you copied", changes=package)
    return fetch, copy, put


def dataset(facts: Facts, name: str) -> Fix:
    """Return the fix for a dataset that ultralytics could not download: bring it by hand.

    ultralytics looks in the folder `datasets_dir` of its settings before it downloads: https://docs.ultralytics.com/quickstart/#ultralytics-settings
    """
    look = commands.by_hand(
        ("yolo", "settings"), "shows datasets_dir, the folder in which ultralytics looks for data", "nothing", "none"
    )
    words = (
        f"download the archive of {name}, whose address stands in the error, on a machine with a network, and unpack it below datasets_dir; "
        "the same for a file of weights (*.pt), which belongs into the folder of the training"
    )
    return Fix(
        title="Bring the data by hand",
        steps=(look, commands.by_hand((), words, "adds the data", "none")),
        verify=commands.check(facts),
    )
