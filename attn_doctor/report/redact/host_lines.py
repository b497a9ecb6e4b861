"""List lines in which programs print the name of a machine: NCCL, Open MPI, Slurm, ssh, curl, uname, journals, Ansible."""

from __future__ import annotations

import re

from attn_doctor.report.redact.line_forms import HOST, LABEL, LEAST_NUMBERED, MACHINES, NUMBERED, Form

# Programs of clusters, data bases, queues and file systems, which have other hosts than the public ones of the web.
_SCHEMES = (
    r"tcp|udp|tls|gloo|grpcs?|zmq|ray|dask|nccl|ssh|sftp|ftps?|nfs|smb|cifs|ipc|ucx|ucxx|spark|mesos|h?dfs|webhdfs|s?hdfs|viewfs|alluxio|thrift|k8s|kafka|amqps?|mqtts?|rediss?|"
    r"memcached?|postgres(?:ql)?(?:\+\w{1,20})?|mysql(?:\+\w{1,20})?|mariadb(?:\+\w{1,20})?|mongodb|mssql(?:\+\w{1,20})?|clickhouse(?:\+\w{1,20})?|hive2?|trino|presto|impala|cassandra|neo4j|bolt|nats|pulsar|etcd|zk|"
    r"zookeeper|consul|ldaps?|rsync|vnc|rdp|telnet|iscsi|nbd|ceph|rbd|gluster|beegfs|lustre|rtsp|rtmp|srt|git|svn(?:\+ssh)?|jdbc:\w{1,20}|syslog|statsd|socks[45]h?"
)

FORMS = (
    # hosts(5): a private address, then names.
    Form(
        "host",
        ("10.", "192.168.", "172."),
        re.compile(
            r"(?m)^[ \t]{0,8}(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}[ \t]{1,20}(?!nvidia|cuda|lib|torch)(?=[^\n]{0,80}[0-9-])"
            rf"(?P<many>{HOST}(?:[ \t]{{1,20}}{HOST}){{0,4}})[ \t\r]*(?:#[^\n]*)?$"
        ),
    ),
    # https://docs.open-mpi.org/en/main/launching-apps/scheduling.html: a file of machines, and the option of mpirun and horovodrun
    Form("host", ("slots",), re.compile(rf"(?m)^[ \t]{{0,8}}(?P<one>{HOST})[ \t]{{1,20}}(?:max[_-])?slots[ ]?=[ ]?\d")),
    Form(
        "host",
        ("mpirun", "mpiexec", "horovodrun"),
        re.compile(
            rf"\b(?:mpirun|mpiexec|horovodrun)\b[^\n]{{0,200}}?\s(?:-H|--?hosts?)[ =](?P<many>{HOST}(?::\d{{1,4}})?(?:,{HOST}(?::\d{{1,4}})?){{0,64}})"
        ),
    ),
    # Descriptions of InfiniBand nodes: https://github.com/linux-rdma/rdma-core/tree/master/infiniband-diags
    Form("host", ("mlx", "HCA", "hfi1"), re.compile(rf"[\"'](?P<one>{HOST}) (?:mlx\d|HCA-|hfi1_)")),
    Form("host", ("MF0;",), re.compile(rf"\bMF0;(?P<one>{HOST}):")),
    # A rendezvous, a launcher, NCCL, Open MPI: "tcp://box-2:29500", "[box-2]:29500", "box-2:12345:12360 [0] NCCL INFO", "[box-2:01234] ***".
    Form(
        "host",
        ("://",),
        re.compile(rf"(?i)\b(?:{_SCHEMES})://(?:[^\s/@'\"<>]{{1,100}}@)?(?P<one>{NUMBERED})(?=[:/?'\",;)\]\s]|\.\.|$)"),
    ),
    # A machine without a domain on the network of a cluster: "http://box-2:6006"
    Form(
        "host",
        ("://",),
        re.compile(rf"(?i)\b(?:https?|wss?)://(?:[^\s/@'\"<>]{{1,100}}@)?(?P<one>{LABEL})(?=[:/?'\",;)\]\s]|$)"),
    ),
    Form("host", ("Pool(host=",), re.compile(rf"HTTPS?ConnectionPool\(host='(?P<one>{LABEL})'")),
    Form(
        "host",
        ("]:",),
        re.compile(
            rf"(?:connect(?:ed)? to|listen(?:ing)? on|address|accept(?:ed)? from|peer) [(]?\[(?P<one>{HOST})\]:\d{{2,5}}"
        ),
    ),
    Form(
        "host",
        ("NCCL ", "RCCL "),
        re.compile(rf"(?m)(?:^|[\s\]|])(?P<one>{HOST}):\d{{1,8}}:\d{{1,8}} \[\d{{1,3}}\] [NR]CCL "),
    ),
    Form(
        "host",
        ("]",),
        re.compile(
            rf"(?m)^\[(?!rank|pid|gpu|core|device|cuda|worker|epoch|step|node\d{{0,3}}:\d{{1,3}}\]){LEAST_NUMBERED}(?P<one>{HOST}):\d{{3,8}}\] "
        ),
    ),
    # Slurm: https://slurm.schedmd.com/scontrol.html, https://slurm.schedmd.com/srun.html
    Form(
        "host",
        ("Node", "Host"),
        re.compile(
            rf"\b(?:Nodes(?==\S{{0,60}}[\d\[])|NodeName|NodeAddr|NodeHostName|BatchHost|AllocNode:Sid|NodeList|ReqNodeList)=(?P<many>{MACHINES})"
        ),
    ),
    Form(
        "host",
        ("srun", "sbatch", "salloc"),
        re.compile(rf"\b(?:srun|sbatch|salloc)\b[^\n]{{0,200}}?\s(?:-w[ ]?|--nodelist[ =])(?P<many>{MACHINES})"),
    ),
    Form(
        "host",
        ("srun:", "slurmstepd", "CANCELLED", "scontrol"),
        re.compile(
            rf"(?:srun|sbatch|salloc|scontrol|slurmstepd(?:-{HOST})?): (?:error|warning|info)?:? ?(?:nodes? |task \d{{1,6}} )?(?P<one>{NUMBERED})(?:\[[\d,-]{{1,40}}\])?: "
        ),
    ),
    Form("host", (" ON ",), re.compile(rf"\b(?:STEP|JOB) [\w.+]{{1,30}} ON (?P<one>{HOST}) ")),
    # ssh, scp, rsync: https://man.openbsd.org/ssh.1
    Form(
        "host",
        ("ssh", "scp", "ost key", "onnect to host", "onnection ", "Timeout, server"),
        re.compile(
            rf"(?:connect to host|resolve hostname|Host key verification failed for|identification for|known hosts?:|Connection (?:closed|reset) by|Timeout, server) '?(?!(?:peer|remote|foreign|authenticating|invalid|the|user|unknown|server|client|host)\b)(?P<one>{HOST})(?= port| not|[.:'\s]|$)"
        ),
    ),
    Form(
        "host",
        ("ssh", "scp", "rsync", "sftp", "mosh"),
        re.compile(
            rf"(?m)(?:^|[$#>;&|] ?)(?:[\w./-]{{0,60}}/)?(?:ssh|scp|rsync|sftp|sshfs|ssh-copy-id|autossh|mosh)\b(?:\s+[^\s:'\"]{{1,200}}){{0,12}}?\s+(?:[\w.-]{{1,64}}@)?(?P<one>{NUMBERED})(?=:|\s|$)"
        ),
    ),
    # uname -a, the prompt of sudo, journals: https://man7.org/linux/man-pages/man1/uname.1.html
    Form(
        "host",
        ("Linux ", "Darwin "),
        re.compile(
            rf"\b(?:Linux (?!version |kernel )(?P<one>{HOST}) \d\.\d{{1,2}}\.\d|Darwin (?P<mac>{HOST}) \d{{2}}\.\d)"
        ),
    ),
    Form(
        "host",
        ("kernel:", "systemd[", "sshd[", "]: "),
        re.compile(
            rf"(?m)^[ \t]{{0,8}}(?:[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d|\d{{4}}-\d\d-\d\dT\S{{8,40}}) (?P<one>{HOST}) [\w./()-]{{1,40}}(?:\[\d{{1,8}}\])?: "
        ),
    ),
    Form("host", ("ogin",), re.compile(rf"Last (?:failed )?login: [^\n]{{8,60}} from (?P<one>{HOST})")),
    # torch.distributed.elastic: "The node 'box-2_991_0' has failed", "  host      : box-2"
    Form(
        "host", ("The node '",), re.compile(rf"The node '(?P<one>{HOST}?)(?:\.\w{{1,60}}){{0,5}}_\d{{1,8}}_\d{{1,6}}'")
    ),
    Form(
        "host",
        ("host ", "Host", "ode", "orker", "achine", "ank ", "tarted on", "unning on"),
        re.compile(
            rf"(?m)^[ \t|]{{0,12}}(?i:host|node|hostname|machine|compute node|running on(?: host| node)?|started on|worker|rank[ ]?\d{{1,4}} on|job [\d_]{{1,12}} on)(?:[ \t]{{0,12}}[:=][ \t]{{0,12}}|[ \t])(?P<one>{NUMBERED})(?=[\s:,]|\.(?:\s|$)|$)"
        ),
    ),
    Form(
        "host",
        ("unning on", "node ", "ank "),
        re.compile(
            rf"(?i)\b(?:running on|on (?:the )?(?:node|host|machine)|rank[ ]?\d{{1,4}} on|compute node|(?<=, )node) (?P<one>{NUMBERED})(?=[\s:,)]|\.(?:\s|$)|$)"
        ),
    ),
    # Windows: https://learn.microsoft.com/windows-server/administration/windows-commands/whoami. A name that setup chose begins with DESKTOP- or LAPTOP-.
    Form(
        "host",
        ("DESKTOP-", "LAPTOP-", "desktop-", "laptop-"),
        re.compile(r"(?i)(?<![\w-])(?P<one>(?:desktop|laptop|win)-(?=[a-z]{0,10}\d)[a-z0-9]{6,12})(?![\w-])"),
    ),
    # A list of machines behind a key: "sysMgmtdHost = stor-1", "TPU_WORKER_HOSTNAMES=a-0,a-1", "bootstrap.servers: k-1:9092"
    Form(
        "host",
        (
            "ost",
            "OST",
            "erver",
            "ERVER",
            "ode",
            "ODE",
            "eer",
            "PEER",
            "aster",
            "ASTER",
            "roker",
            "ROKER",
            "mgmtd",
            "head",
            "HEAD",
            "mon",
            "worker",
            "WORKER",
            "ddr",
            "ADDR",
        ),
        re.compile(
            rf"(?i)(?<![\w.-])[\w.-]{{0,40}}?(?:host(?:name)?s?|host[-_]?(?:list|file)|node[-_]?(?:list|names?)|nodes|servers?|mgmtd|brokers?|masters?|peers?|head[-_]?(?:node|ip)|workers|quorum|addr(?:ess(?:es)?)?|mon[-_](?:host|addr))"
            rf"[\"']?\s{{0,40}}[=:]\s{{0,8}}[\"'\[({{]{{0,3}}(?P<many>(?:{HOST}(?::\d{{2,5}})?[\"']?, ?[\"']?){{0,64}}{NUMBERED})(?![\w(/\\\[=.-]|:(?!\d{{2,5}}(?![\w:])))"
        ),
    ),
    # What a client says of a connection: curl, ping, nc, Go, getaddrinfo
    Form(
        "host",
        ("onnect", "resolv", "PING ", "ping", "lookup ", "route to", "find ", "reach", "ailed to ", "refused"),
        re.compile(
            rf"(?:[Cc]ould not resolve(?: host(?:name)?)?:?|[Cc]annot resolve(?: host(?:name)?)?:?|[Ff]ailed to (?:connect to|resolve)(?: host)?|[Tt]emporary failure resolving|[Cc]onnect(?:ed|ing|ion)? (?:to|with|refused by|closed by|from)(?: (?:host|server|node|machine|remote host|address|master|proxy|broker|scheduler|database))?|"
            rf"[Cc]onnection to|\bPING|\bping:?|\blookup|[Nn]o route to(?: host)?:?|can't find|[Cc]annot reach|[Uu]nable to (?:connect to|reach|resolve)(?: host| proxy| server)?|[Cc]onnect call failed|[Uu]nreachable:?) [\"'(\[]{{0,2}}"
            rf"(?P<one>{NUMBERED})(?=[:\s,;)\]'\"/]|\.(?:\s|$)|\.\.|$)"
        ),
    ),
    # An option of a launcher or a tunnel: "--address=box-2:6379", "ssh -L 8888:box-2:8888"
    Form(
        "host",
        ("--",),
        re.compile(
            rf"\s--?[\w-]{{0,24}}(?:address|url|addr|master|head|join|server|servers|connect|scheduler|host|hosts|hostname|node|nodes|target|endpoint|coordinator)[= ][\"']?(?P<one>{NUMBERED})(?=[:,\"'\s]|$)"
        ),
    ),
    Form(
        "host",
        ("-L", "-R", "-J"),
        re.compile(
            rf"\s-(?:[LR][ ]?(?:[\w.*]{{1,40}}:)?\d{{2,5}}:|J[ ]?(?:[\w.-]{{1,40}}@)?)(?P<one>{NUMBERED})(?=[:,\s]|$)"
        ),
    ),
    # known_hosts: https://man.openbsd.org/sshd.8#SSH_KNOWN_HOSTS_FILE_FORMAT
    Form(
        "host",
        (" ssh-", " ecdsa-"),
        re.compile(rf"(?m)^(?P<many>{NUMBERED}(?:,[\w.:\[\]-]{{2,80}}){{0,8}}) (?:ssh-|ecdsa-|sk-)"),
    ),
    # Programs that do the same on many machines: Ansible, pdsh, clush
    Form(
        "host",
        (": [",),
        re.compile(
            rf"(?m)^[ \t]{{0,8}}(?:ok|changed|failed|fatal|unreachable|skipping|included): \[(?P<one>{HOST})(?: -> [^\]\n]{{1,80}})?\]"
        ),
    ),
    Form(
        "host",
        ("ok=", " | "),
        re.compile(
            rf"(?m)^(?P<one>{HOST})(?:[ \t]{{1,40}}:[ \t]{{1,8}}ok=\d| \| (?:SUCCESS|FAILED|UNREACHABLE|CHANGED)\b)"
        ),
    ),
    Form(
        "host",
        ("pdsh", "clush", "pdcp", "dsh", "pssh", "parallel-ssh"),
        re.compile(
            rf"\b(?:pdsh|clush|pdcp|rpdcp|dsh|pssh|parallel-ssh)\b[^\n]{{0,120}}?\s-[wHm][ ]?(?P<many>{MACHINES})"
        ),
    ),
    # Queues and clusters: `kubectl get nodes`, "exec_host = box-2/0*4", "gpu.q@box-2", "8*box-2" of LSF, "[ray] ... node box-2"
    Form(
        "host",
        ("Ready",),
        re.compile(rf"(?m)^[ \t]{{0,8}}(?P<one>{HOST})[ \t]{{1,40}}(?:Not)?Ready(?:,SchedulingDisabled)?[ \t]"),
    ),
    Form(
        "host",
        ("exec_", "_host", "vnode"),
        re.compile(
            rf"\b(?:exec_(?:host|vnode)2?|vnode)\s{{0,4}}=\s{{0,4}}\(?(?P<many>{HOST}(?:[/:*+()=,A-Za-z0-9.-]){{0,400}})"
        ),
    ),
    Form("host", (".q@",), re.compile(rf"\b[\w-]{{1,30}}\.q@(?P<one>{HOST})")),
    Form("host", ("*",), re.compile(rf"(?<![\w.*)\]])\d{{1,4}}\*(?P<one>{LABEL})(?=[:\s]|$)")),
    # `sinfo`, MVAPICH, the first words of ssh
    Form(
        "host",
        ("idle", "alloc", "mix", "down", "drain", "drng", "comp", "resv", "maint", "unk"),
        re.compile(
            rf"(?m)\s(?:idle|alloc(?:ated)?|mix(?:ed)?|down|drain(?:ed|ing)?|drng|comp|resv|maint|unk|inval|plnd)[*~#!%$@^+-]?[ \t]{{1,20}}(?=\S{{0,60}}\d)(?P<many>{MACHINES})[ \t\r]*$"
        ),
    ),
    Form("host", ("mpi_rank",), re.compile(rf"\[(?P<one>{HOST}):mpi_rank_\d")),
    Form(
        "host",
        ("of host '", "added '"),
        re.compile(rf"(?:authenticity of host|[Pp]ermanently added) '\[?(?P<one>{HOST})"),
    ),
    # What a system tells of itself: systeminfo and msinfo32 of Windows, system_profiler, help texts of Open MPI
    Form(
        "host",
        ("ost", "omputer", "achine", "ame", "erver"),
        re.compile(
            r"(?im)^[ \t|*]{0,16}(?:local host ?name|local host|remote host|(?:operating system )?host ?name|computer ?name|machine name|system name|server name|dns (?:host ?)?name|netbios name|logon server|node ?name|localhostname)"
            r"(?:[ \t]{0,40}[:=][ \t]{0,40}|[ ]{3,40}|\t)\\{0,4}(?P<one>(?!(?:str|string|auto|null|any|default|required|optional|true|false|text|is|not)\b)[A-Za-z][\w.-]{1,62})[ \t\r]*$"
        ),
    ),
    Form(
        "host",
        ("Mac",),
        re.compile(
            r"(?<![\w.-])(?P<one>[A-Za-z0-9][A-Za-z0-9-]{0,40}-(?:MacBook|iMac|Mac-mini|Mac-Studio|Mac-Pro)(?:-[A-Za-z0-9]{1,8}){0,3})(?![\w-])"
        ),
    ),
)
