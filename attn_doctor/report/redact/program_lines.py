"""Find the names of users and machines in lines of programs whose form shows where a name stands.

Examples: `ls -l`, `who`, NCCL ("box-2:12345:12360 [0] NCCL INFO"), `scontrol`, `ssh`, `uname -a`. There no key stands beside the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from attn_doctor.report.redact.names import NOBODY

_HOST = r"[A-Za-z][A-Za-z0-9.-]{1,100}"
# A name that is no word of a language: it has a digit. "redis://redis:6379" and "running on linux" stay.
_LEAST_NUMBERED = r"(?=[a-zA-Z.-]{0,60}\d)"
_NUMBERED = rf"{_LEAST_NUMBERED}(?!cuda|gpu|cpu|rank|cu\d|sm[_\d]|torch|python|ubuntu|linux|windows|debian|localhost|line|step|port|epoch|[a-z]\d?\b|h\d00|a\d00|rtx|gtx|v100|gfx|world|macos|wsl){_HOST}(?<![.-])"
_MACHINES = rf"{_HOST}(?:\[[\d,-]{{1,60}}\])?(?:,{_HOST}(?:\[[\d,-]{{1,60}}\])?){{0,64}}"


class _Form(NamedTuple):
    """Describe a line with names. It is tried only on texts that have one of its hints. `one` is a name, `many` has several."""

    of: str  # user, host, serial or secret
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


_FORMS = (
    # who(1), last(1): the terminal follows the name.
    _Form(
        "user",
        ("pts/", "tty", " :"),
        re.compile(r"(?m)^(?P<one>[A-Za-z_][\w.+-]{1,63})[ \t]{1,40}(?:[+-][ \t]{1,4})?(?:pts/\d|tty\w?\d|:\d)"),
    ),
    # `ls -l`
    _Form(
        "user",
        ("rw",),
        re.compile(
            r"(?m)^[ \t]{0,8}[dlcbsp-](?:[r-][w-][xsStT-]){3}[.+@]?[ \t]{1,8}\d{1,6}[ \t]{1,8}(?P<one>[A-Za-z_][\w.-]{1,63}) "
        ),
    ),
    # group(5) and passwd(5), as `getent` prints them: members, the account of a person (from 1000 on), and the full name.
    _Form(
        "user",
        (":x:", ":*:", ":!:"),
        re.compile(r"(?m)^[\w.-]{1,64}:[x*!]:\d{1,10}:(?P<many>[A-Za-z_][\w.,@+-]{1,2000})[ \t\r]*$"),
    ),
    _Form("user", (":x:", ":*:"), re.compile(r"(?m)^(?P<one>[A-Za-z_][\w.@+-]{1,63}):[x*]:\d{4,10}:\d{1,10}:")),
    _Form(
        "user",
        (":x:", ":*:"),
        re.compile(r"(?m)^[\w.@+-]{1,64}:[x*]:\d{4,10}:\d{1,10}:(?P<one>[^\W\d][^:,\n]{2,80}),{0,5}:/"),
    ),
    # hosts(5): a private address, then names.
    _Form(
        "host",
        ("10.", "192.168.", "172."),
        re.compile(
            r"(?m)^[ \t]{0,8}(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}[ \t]{1,20}(?!nvidia|cuda|lib|torch)(?=[^\n]{0,80}[0-9-])"
            rf"(?P<many>{_HOST}(?:[ \t]{{1,20}}{_HOST}){{0,4}})[ \t\r]*(?:#[^\n]*)?$"
        ),
    ),
    # https://docs.open-mpi.org/en/main/launching-apps/scheduling.html: a file of machines, and the option of mpirun and horovodrun
    _Form(
        "host", ("slots",), re.compile(rf"(?m)^[ \t]{{0,8}}(?P<one>{_HOST})[ \t]{{1,20}}(?:max[_-])?slots[ ]?=[ ]?\d")
    ),
    _Form(
        "host",
        ("mpirun", "mpiexec", "horovodrun"),
        re.compile(
            rf"\b(?:mpirun|mpiexec|horovodrun)\b[^\n]{{0,200}}?\s(?:-H|--?hosts?)[ =](?P<many>{_HOST}(?::\d{{1,4}})?(?:,{_HOST}(?::\d{{1,4}})?){{0,64}})"
        ),
    ),
    # Descriptions of InfiniBand nodes: https://github.com/linux-rdma/rdma-core/tree/master/infiniband-diags
    _Form("host", ("mlx", "HCA", "hfi1"), re.compile(rf"[\"'](?P<one>{_HOST}) (?:mlx\d|HCA-|hfi1_)")),
    _Form("host", ("MF0;",), re.compile(rf"\bMF0;(?P<one>{_HOST}):")),
    # A rendezvous, a launcher, NCCL, Open MPI: "tcp://box-2:29500", "[box-2]:29500", "box-2:12345:12360 [0] NCCL INFO", "[box-2:01234] ***".
    _Form(
        "host",
        ("://",),
        re.compile(
            rf"(?i)\b(?:tcp|gloo|grpc|zmq|ray|dask|nccl|ssh|sftp|nfs|smb|ipc|ucx)://(?:[\w.+-]{{1,64}}@)?(?P<one>{_NUMBERED})(?=[:/'\"\s]|$)"
        ),
    ),
    _Form(
        "host",
        ("]:",),
        re.compile(
            rf"(?:connect(?:ed)? to|listen(?:ing)? on|address|accept(?:ed)? from|peer) [(]?\[(?P<one>{_HOST})\]:\d{{2,5}}"
        ),
    ),
    _Form(
        "host",
        ("NCCL ", "RCCL "),
        re.compile(rf"(?m)(?:^|[\s\]|])(?P<one>{_HOST}):\d{{1,8}}:\d{{1,8}} \[\d{{1,3}}\] [NR]CCL "),
    ),
    _Form(
        "host",
        ("]",),
        re.compile(
            rf"(?m)^\[(?!rank|pid|gpu|core|device|cuda|worker|epoch|step|node\d{{0,3}}:\d{{1,3}}\]){_LEAST_NUMBERED}(?P<one>{_HOST}):\d{{3,8}}\] "
        ),
    ),
    # Slurm: https://slurm.schedmd.com/scontrol.html, https://slurm.schedmd.com/srun.html
    _Form(
        "host",
        ("Node", "Host"),
        re.compile(
            rf"\b(?:NodeName|NodeAddr|NodeHostName|BatchHost|AllocNode:Sid|NodeList|ReqNodeList)=(?P<many>{_MACHINES})"
        ),
    ),
    _Form(
        "host",
        ("srun", "sbatch", "salloc"),
        re.compile(rf"\b(?:srun|sbatch|salloc)\b[^\n]{{0,200}}?\s(?:-w[ ]?|--nodelist[ =])(?P<many>{_MACHINES})"),
    ),
    _Form(
        "host",
        ("srun:", "slurmstepd", "CANCELLED", "scontrol"),
        re.compile(
            rf"(?:srun|sbatch|salloc|scontrol|slurmstepd(?:-{_HOST})?): (?:error|warning|info)?:? ?(?:nodes? |task \d{{1,6}} )?(?P<one>{_NUMBERED})(?:\[[\d,-]{{1,40}}\])?: "
        ),
    ),
    _Form("host", (" ON ",), re.compile(rf"\b(?:STEP|JOB) [\w.+]{{1,30}} ON (?P<one>{_HOST}) ")),
    # ssh, scp, rsync: https://man.openbsd.org/ssh.1
    _Form(
        "host",
        ("ssh", "scp", "ost key"),
        re.compile(
            rf"(?:connect to host|resolve hostname|Host key verification failed for|identification for|known hosts?:|Connection (?:closed|reset) by|Timeout, server|ssh: connect to) '?(?P<one>{_HOST})(?= port| not|[.:'\s]|$)"
        ),
    ),
    _Form(
        "host",
        ("ssh", "scp", "rsync", "sftp"),
        re.compile(
            rf"(?m)(?:^|[$#>;&|] ?)(?:[\w./-]{{0,60}}/)?(?:ssh|scp|rsync|sftp|ssh-copy-id|autossh|mosh)\b(?:\s+[^\s:'\"]{{1,200}}){{0,12}}?\s+(?:[\w.-]{{1,64}}@)?(?P<one>{_NUMBERED})(?=:|\s|$)"
        ),
    ),
    # uname -a, the prompt of sudo, journals: https://man7.org/linux/man-pages/man1/uname.1.html
    _Form(
        "host",
        ("Linux ", "Darwin "),
        re.compile(
            rf"\b(?:Linux (?!version |kernel )(?P<one>{_HOST}) \d\.\d{{1,2}}\.\d|Darwin (?P<mac>{_HOST}) \d{{2}}\.\d)"
        ),
    ),
    _Form(
        "host",
        ("kernel:", "systemd[", "sshd[", "]: "),
        re.compile(
            rf"(?m)^[ \t]{{0,8}}(?:[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d|\d{{4}}-\d\d-\d\dT\S{{8,40}}) (?P<one>{_HOST}) [\w./()-]{{1,40}}(?:\[\d{{1,8}}\])?: "
        ),
    ),
    _Form("host", ("ogin",), re.compile(rf"Last (?:failed )?login: [^\n]{{8,60}} from (?P<one>{_HOST})")),
    # torch.distributed.elastic: "The node 'box-2_991_0' has failed", "  host      : box-2"
    _Form(
        "host", ("The node '",), re.compile(rf"The node '(?P<one>{_HOST}?)(?:\.\w{{1,60}}){{0,5}}_\d{{1,8}}_\d{{1,6}}'")
    ),
    _Form(
        "host",
        ("host ", "Host", "node"),
        re.compile(
            rf"(?m)^[ \t|]{{0,12}}(?i:host|node|hostname|machine|compute node|running on(?: host| node)?|started on|worker|rank[ ]?\d{{1,4}} on|job [\d_]{{1,12}} on)(?:[ \t]{{0,12}}[:=][ \t]{{0,12}}|[ \t])(?P<one>{_NUMBERED})(?=[\s:,.]|$)"
        ),
    ),
    _Form(
        "host",
        ("unning on", "node ", "ank "),
        re.compile(
            rf"(?i)\b(?:running on|on (?:the )?(?:node|host|machine)|rank[ ]?\d{{1,4}} on|compute node|(?<=, )node) (?P<one>{_NUMBERED})(?=[\s:,.)]|$)"
        ),
    ),
    # Windows: https://learn.microsoft.com/windows-server/administration/windows-commands/whoami. A name that setup chose begins with DESKTOP- or LAPTOP-.
    _Form(
        "host",
        ("DESKTOP-", "LAPTOP-", "desktop-", "laptop-"),
        re.compile(r"(?i)(?<![\w-])(?P<one>(?:desktop|laptop|win)-(?=[a-z]{0,10}\d)[a-z0-9]{6,12})(?![\w-])"),
    ),
    _Form(
        "user",
        ("\\",),
        re.compile(
            r"(?i)(?<![\w\\-])(?:desktop|laptop|win)-[a-z0-9]{6,12}\\{1,2}(?P<one>[a-z][\w. -]{1,40}?)(?=[\s\"',:;)]|$)"
        ),
    ),
    _Form(
        "user",
        ("ser name", "ser Name", "sername"),
        re.compile(
            r"(?m)^[ \t]{0,8}(?i:user ?name)(?:[ ]?:[ ]{1,20}|[ ]{3,40})(?P<one>[A-Za-z_][\w.\\@-]{1,60})[ \t\r]*$"
        ),
    ),
    _Form(
        "user",
        ("sudo",),
        re.compile(
            r"\bsudo(?:\[\d{1,8}\])?:[ ]{1,20}(?P<one>[A-Za-z_][\w.-]{1,63}) : |\[sudo\] \w[^\n:]{0,40}? (?:for|für|de|para|di) (?P<asked>[A-Za-z_][\w.-]{1,63})\s?:"
        ),
    ),
    _Form("user", ("sudoers",), re.compile(r"(?m)(?:^|: )(?P<one>[A-Za-z_][\w.-]{1,63}) is not in the sudoers file")),
)
_NAME = re.compile(r"(?<![\w.-])[A-Za-z_][\w.@+-]*")
_NO_PERSON = frozenset("reboot runlevel shutdown local broadcasthost ip6-localhost ip6-loopback".split())


def found(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each name. The kinds are user, host and serial."""
    for form in _FORMS:
        if not any(hint in text for hint in form.hints):
            continue
        for match in form.pattern.finditer(text):
            for group, place in ((name, match.span(name)) for name in form.pattern.groupindex):
                places = [one.span() for one in _NAME.finditer(text, *place)] if group == "many" else [place]
                yield from (
                    (start, end, form.of) for start, end in places if start >= 0 and is_private(text[start:end])
                )


def is_private(name: str) -> bool:
    """Return whether a name is of one person or machine, not of every system: root, reboot, localhost."""
    return name.lower() not in NOBODY and name.lower() not in _NO_PERSON
