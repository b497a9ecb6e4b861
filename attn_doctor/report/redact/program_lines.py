"""Find the names of users and machines in lines of programs whose form shows where a name stands.

Examples: `ls -l`, `who`, NCCL ("box-2:12345:12360 [0] NCCL INFO"), `scontrol`, `ssh`, `uname -a`, `mount`. There no key stands beside the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attn_doctor.report.redact import (
    account_lines,
    host_commands,
    host_lines,
    machine_lines,
    mount_lines,
    serial_lines,
    user_lines,
)
from attn_doctor.report.redact.hinted import Hinted
from attn_doctor.report.redact.names import NOBODY

_FORMS = Hinted(
    (form.hints, form)
    for forms in (user_lines, account_lines, host_lines, machine_lines, host_commands, mount_lines, serial_lines)
    for form in forms.FORMS
)
_NAME = re.compile(r"(?<![\w.-])[A-Za-z_][\w.@+-]*")
# Accounts of services and groups of everybody, and words that stand at the place of a name.
_NO_PERSON = frozenset(
    "reboot runlevel shutdown local broadcasthost ip6-localhost ip6-loopback postgres mysql mariadb redis mongodb git jenkins nginx apache httpd http hdfs yarn spark hive hadoop zookeeper kafka airflow slurm munge "
    "ray minio elasticsearch prometheus grafana gitlab-runner buildkite-agent sshd messagebus ntp chrony tomcat backup news www wwwrun bin sys sync games lp uucp dbus polkitd syslog avahi gdm lightdm sddm nfsnobody "
    "system everyone administrators authenticated supergroup wheel sudo video render staff dialout container kube kubernetes service services true false yes no none null string str name username password".split()
)

# Hosts of everybody: a line about them identifies nobody.
_PUBLIC = re.compile(
    r"(?i)(?:[\w-]{1,40}\.){0,4}(?:github|githubusercontent|gitlab|bitbucket|huggingface|hf|pytorch|nvidia|pypi|pythonhosted|anaconda|docker|google|googleapis|kernel|debian|ubuntu|fedoraproject|wandb|ultralytics|kaggle|"
    r"cloudflare|quay|ghcr|nvcr|gcr|conda|python|microsoft|apple|example|openai|jsdelivr|npmjs|crates|launchpad|archlinux)\.(?:com|org|io|co|net|ai|dev)"
)


def found(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each private name in the lines of programs. The kinds are user, host and serial."""
    for form in _FORMS.of(text):
        for match in form.pattern.finditer(text):
            for group, place in ((name, match.span(name)) for name in form.pattern.groupindex):
                places = [one.span() for one in _NAME.finditer(text, *place)] if group == "many" else [place]
                yield from (
                    (start, end, form.of) for start, end in places if start >= 0 and is_private(text[start:end])
                )


def is_private(name: str) -> bool:
    """Return whether a name is of one person or machine, not of every system: root, reboot, localhost."""
    return name.lower() not in NOBODY and name.lower() not in _NO_PERSON and not _PUBLIC.fullmatch(name)
