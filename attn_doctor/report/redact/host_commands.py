"""List commands that a reader typed and that name a machine: clients of data bases, tools of networks, Kubernetes, queues."""

from __future__ import annotations

import re

from attn_doctor.report.redact.line_forms import HOST, MACHINES, NUMBERED, Form

_BEGIN = r"(?m)(?:^|[$#>;&|] ?|sudo )(?:[\w./-]{0,60}/)?"
_SOME = rf"(?=[^\s\"']{{0,80}}\d)(?P<many>{MACHINES})"  # machines, of which one has a number

FORMS = (
    # A data base: "-h HOST". There "-h" is no help.
    Form(
        "host",
        ("-h", "--host"),
        re.compile(
            rf"\b(?:(?:redis|valkey|keydb|influx|couchbase)-?cli|psql|pg_\w{{2,20}}|createdb|mysql\w{{0,12}}|mariadb(?:-\w{{1,12}})?|mongo\w{{0,8}}|clickhouse-client|beeline|impala-shell|snowsql|mosquitto_\w{{2,4}}|ldap\w{{3,8}}|ipmitool|influx)\b"
            rf"[^\n]{{0,120}}?\s(?:-[hH][ ]?|--host[= ])[\"']?(?P<one>{HOST})(?=[:\s\"',]|$)"
        ),
    ),
    Form(
        "host",
        ("nc", "ping", "telnet", "nslookup", "dig ", "host ", "trace", "mtr", "iperf", "nmap", "ib_", "rping", "qperf", "getent", "arping", "vncviewer", "wakeonlan", "pbsnodes"),
        re.compile(
            rf"{_BEGIN}(?:nc|ncat|netcat|i?b?ping6?|telnet|nslookup|dig|host|traceroute6?|tracepath|mtr|iperf3?|nmap|ib_\w{{2,20}}|rping|qperf|getent (?:hosts|ahosts)|arping|vncviewer|wakeonlan|pbsnodes|qnodes)"
            rf"(?: --?[\w-]{{1,20}}(?:[ =]\d[\w.]{{0,8}})?){{0,6}} (?P<one>{NUMBERED})(?=[:\s]|$)"
        ),
    ),
    Form(
        "host",
        ("kubectl", "oc ", "k9s", "Roles:", "assigned "),
        re.compile(
            rf"(?m)\b(?:kubectl|oc|k)\b[^\n\"`:]{{0,80}}? (?:(?:get|describe|label|annotate|taint|debug|top|edit|patch|delete) nodes?[ /]|(?:cordon|uncordon|drain) )(?P<one>{HOST})(?=[\s,]|$)|^Name:[ \t]{{1,40}}(?P<described>{HOST})[ \t]*\nRoles:|\bSuccessfully assigned \S{{1,120}} to (?P<assigned>{HOST})"
        ),
    ),
    Form(
        "host",
        ("sacct", "sinfo", "squeue", "scancel", "sreport", "salloc", "scontrol", "sattach", "sbcast"),
        re.compile(
            rf"\b(?:sacct|sinfo|squeue|scancel|sreport|salloc|sattach)\b[^\n]{{0,120}}?\s(?:-[wN][ ]?|--node(?:s|list)?[= ]){_SOME}"
        ),
    ),
    Form("host", ("scontrol show",), re.compile(rf"\bscontrol show (?:nodes?|hostnames?|hostlist(?:sorted)?|hostlistsorted) {_SOME}")),
    Form("host", ("bsub", "bhosts", "bmod"), re.compile(r"\b(?:bsub|bmod|bhosts|lshosts|lsload)\b[^\n]{0,120}?(?:\s-m |hosts )[\"']?(?=[^\n\"']{0,80}\d)(?P<many>[A-Za-z][\w.-]{1,62}(?: [A-Za-z][\w.-]{1,62}){0,12})")),
    Form("host", ("host=", "hostname="), re.compile(rf"\b(?:qsub|qlogin|qrsh)\b[^\n]{{0,120}}?\b(?:host|hostname|h)=(?P<one>{HOST})")),
    # What a program says of a node: "Node box-2 died", "Nodes box-[1-2] are ready", "unable to launch on box-2"
    Form(
        "host",
        ("ode ", "odes ", "osts "),
        re.compile(
            rf"\b(?:[Nn]odes?|[Hh]osts?) (?=[^\s\"']{{0,80}}\d)(?P<many>{MACHINES}) (?=(?:status|died|is|are|has|have|was|were|invalid|exited|failed|not|went|joined|left|down|drained|unreachable|added|removed|registered|lost|unresponsive|rebooted|marked)\b)"
        ),
    ),
    Form(
        "host",
        (" on ",),
        re.compile(
            rf"(?<![\w-])(?:launch(?:ed|ing)?|start(?:ed|ing)?|spawn(?:ed|ing)?|crash(?:ed|ing)|exit(?:ed|ing)?|died|killed|scheduled|allocated|daemons?|process(?:es)?|logged in|job \d{{1,10}}) on (?:the )?(?:host |node |machine )?(?P<one>{NUMBERED})(?=[\s:,)]|\.(?:\s|$)|$)"
        ),
    ),
    # A variable with the address of a service of the own network, whose host has no domain
    Form(
        "host",
        ("://",),
        re.compile(
            r"(?i)(?<![\w-])[\w-]{0,40}(?:URI|URL|HOST|PROXY|ENDPOINT|ADDR(?:ESS)?|SERVER|REGISTRY|MIRROR)[\"']?\s?[=:]\s?[\"']?https?://(?:[^\s/@'\"<>]{1,100}@)?"
            r"(?P<one>(?!(?:proxy|redis|db|database|postgres|mysql|mongo|mlflow|server|api|web|app|nginx|minio|ray|triton|vllm|ollama|tgi|gateway|registry|backend|frontend|service|storage|s3|kafka|rabbitmq|elasticsearch|prometheus|grafana|qdrant|milvus|"
            r"label-?studio|cvat|jupyter|tensorboard|your[\w-]*|my[\w-]*|some[\w-]*|hub|pypi|devpi|nexus|host\.docker|model|models|inference|internal|wandb|clearml|squid)(?![\w-]))[A-Za-z][A-Za-z0-9-]{1,62})(?=[:/\s\"',;]|$)"
        ),
    ),
)  # fmt: skip
