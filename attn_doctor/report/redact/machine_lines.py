"""List lines in which services print the name of a machine: Docker, mail, CI, editors over SSH, queues, licence servers, Remote Desktop."""

from __future__ import annotations

import re

from attn_doctor.report.redact.line_forms import HOST, NUMBERED, PERSON, Form

FORMS = (
    # `docker info`, `docker node ls`
    Form("host", ("Name: ",), re.compile(rf"(?m)^[ ]{{0,2}}Name: (?P<one>{HOST})[ \t\r]*\n(?=[ ]{{0,2}}(?:ID|Docker Root Dir|Total Memory|Labels|Debug Mode|Experimental):)|^[ ]{{0,2}}Total Memory: [^\n]{{3,20}}\n[ ]{{0,2}}Name: (?P<two>{HOST})[ \t\r]*$|^[ ]{{0,2}}Server Version: [^\n]{{3,40}}\n[ ]{{0,2}}Name: (?P<three>{HOST})")),
    Form("host", (" Ready", " Down"), re.compile(rf"(?m)^\S{{3,30}} (?:\* )?[ ]{{1,4}}(?P<one>{HOST})[ ]{{1,40}}(?:Ready|Down)(?:[ ]{{1,12}}(?:Active|Drain|Pause)\b|[ \t\r]*$)")),
    # Headers of mail
    Form("host", ("Received: ", "eceived: from"), re.compile(rf"\bReceived: from \[?(?P<one>{HOST})(?:[^\n]{{0,160}}(?:\n[ \t]{{1,8}})?\bby (?P<by>{HOST})(?= ))?")),
    Form("host", (" by ",), re.compile(rf"(?m)^[ \t]{{0,8}}by (?P<one>{HOST}) (?:\([^()\n]{{1,60}}\) )?with (?:E?SMTPS?A?|LMTP|HTTPS?)\b")),
    Form("host", ("HELO", "EHLO", "helo="), re.compile(rf"\b(?:HELO|EHLO|helo)[ =]<?(?P<one>{NUMBERED})")),
    # Settings of web servers and of licence servers
    Form("host", ("ServerName", "server_name", "ServerAlias"), re.compile(rf"(?m)^[ \t]{{0,12}}(?:ServerName|ServerAlias|server_name)[ \t]{{1,8}}(?P<one>{NUMBERED})(?=[\s;:]|$)")),
    Form("host", ("SERVER ",), re.compile(rf"(?m)^[ \t]{{0,8}}SERVER (?P<one>{HOST}) (?=[0-9A-Fa-f]{{8,12}}\b|<mac|ANY\b|INTERNET=|ID=|COMPOSITE=|HOSTNAME=)")),
    Form("serial", ("SERVER ", "HOSTID=", "hostid="), re.compile(r"(?m)^[ \t]{0,8}SERVER \S{1,100} (?P<one>[0-9A-Fa-f]{8,12})\b|\b(?:HOSTID|hostid)=(?:[A-Z_]{2,20}=)?[\"']?(?P<two>(?=[0-9a-fA-F]{0,16}\d)[0-9a-fA-F]{8,16})\b")),
    # Editors and terminals on another machine
    Form("host", ("ssh-remote", "wsl+", "tunnel+"), re.compile(rf"\b(?:ssh-remote|tunnel)\+(?P<one>(?!remote){HOST})")),
    Form("host", ("omputerName ", "PSSession ", "/v:", "address:s:"), re.compile(rf"-ComputerName (?P<one>(?!localhost){HOST})|\b(?:mstsc|xfreerdp|wlfreerdp|sdl-freerdp)\b[^\n]{{0,120}}? /v:(?P<two>{HOST})|\b(?:full|alternate full) address:s:(?P<three>{HOST})|\bEnter-PSSession (?P<four>{HOST})(?=\s|$)")),
    # CI: Jenkins, TeamCity, Azure, GitHub, GitLab, Buildkite
    Form(
        "host",
        ("uilding remotely", "gent", "unner name", "achine name", "concurrent-"),
        re.compile(
            rf"\bBuilding remotely on (?P<one>{HOST})|(?m:^[ \t]{{0,8}})(?:[Aa]gent|[Bb]uild [Aa]gent)(?: name)?: (?P<two>{NUMBERED})(?=[ \n(,]|$)|\b(?:[Aa]gent machine name|[Rr]unner name|[Mm]achine name|[Aa]gent name): '(?P<three>(?!GitHub Actions|Hosted Agent|fv-az){HOST})'|"
            rf"\bagent[-_]name[\"']?\s?[:=]\s?[\"']?(?P<four>{NUMBERED})|\bRunning on runner-\S{{1,80}} via (?P<five>{HOST}?)\.\.\."
        ),
    ),
    # Queues and trainers: LSF, Lightning, Ray, TensorBoard
    Form("host", (" on ", "on host"), re.compile(rf"\b(?:[Ss]tarted|[Dd]ispatched|[Ee]xecuted|[Rr]an) (?:\d{{1,5}} Task\(s\) )?on (?:Host\(s\) )?<(?:\d{{1,4}}\*)?(?P<one>{HOST})>|\bMEMBER: \d{{1,5}}/\d{{1,5}} on (?P<two>{HOST})|(?<![\w-])(?:actor|replica|raylet|CPER) on (?:host |node )?(?P<three>{NUMBERED})(?=[\s,;:)]|$)")),
    Form("host", ("ubmitted by ",), re.compile(rf"\b[Ss]ubmitted by \S{{1,64}} (?:from|on|at) (?:host )?(?P<one>{NUMBERED})(?=[\s,;:)]|$)")),
    Form("host", ("tfevents",), re.compile(r"\btfevents\.\d{9,10}\.(?P<one>[A-Za-z][\w-]{1,62}(?:\.(?!v2\b)[A-Za-z][\w-]{0,62}){0,6})(?=\.\d|\.v2|$)")),
    # Virtual machines: multipass, virsh, lxc
    Form("host", ("multipass ", "virsh ", "lxc ", "incus ", "vagrant ssh", "machinectl "), re.compile(rf"\b(?:multipass (?:exec|shell|start|stop|info|restart)|virsh (?:start|console|shutdown|destroy|dominfo|domifaddr|dumpxml|reboot)|(?:lxc|incus) (?:exec|shell|info|start|stop)|vagrant ssh|machinectl (?:shell|login))(?: --?[\w-]{{1,20}}){{0,3}} (?P<one>{NUMBERED})(?=[\s:]|$)")),
    Form("host", ("Client name: ", "Client host: "), re.compile(rf"(?m)^Client (?:name|host): (?P<one>{HOST})[ \t\r]*$")),
    # What was typed at a prompt, and its answer
    Form("host", ("hostname", "uname -n"), re.compile(rf"(?m)^[^\n]{{0,80}}[$#>%] ?(?:hostname(?: -[sfA])?|uname -n)[ \t\r]*\n(?P<one>{HOST})[ \t\r]*$")),
    Form("host", ("tached)", "tached\t"), re.compile(rf"(?m)^[ \t]{{1,8}}\d{{2,8}}\.(?:pts-\d{{1,4}}|tty\w{{1,6}}|[\w-]{{1,40}})\.(?P<one>{HOST})[ \t]{{1,8}}\(")),
    Form("host", ("desktop is ", "New '"), re.compile(rf"\bNew '(?P<one>{HOST}):\d{{1,3}} \(|\bdesktop (?:at :\d{{1,3}} on machine |is )(?P<two>{HOST})(?=:\d|\s|$)")),
    # Tools of networks: arp, nmap, ping, dig, Tailscale, a file of leases
    Form("host", (" (1", " (f"), re.compile(rf"(?<![\w./@:-])(?P<one>(?!nvidia|lib|cuda|nccl|pytorch|triton){NUMBERED}) \((?=(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])|169\.254)(?:\.\d{{1,3}}){{2,3}}\)|fe80:|fd\w\w:)")),
    Form("host", ("100.", "fd7a:"), re.compile(rf"(?m)^100(?:\.\d{{1,3}}){{3}}[ \t]{{1,12}}(?P<one>{HOST})[ \t]")),
    Form("host", ("host-name", "client-hostname"), re.compile(rf"\b(?:client-hostname|host-name|ddns-hostname) \"(?P<one>{HOST})\"")),
    Form("host", ("IN ", "IN\t"), re.compile(rf"(?m)^[ \t;]{{0,8}}(?P<one>{NUMBERED})\.?[ \t]{{1,40}}(?:\d{{1,8}}[ \t]{{1,20}})?IN[ \t]{{1,20}}(?:A|AAAA|CNAME|PTR|ANY)\b")),
    # Certificates, and errors about a name
    Form("host", ("CN", "DNS:"), re.compile(rf"\bCN ?= ?(?P<one>{NUMBERED})|\bDNS:(?P<two>{NUMBERED})")),
    Form("host", ("ostname '", "for host '", "ENOTFOUND", "EAI_AGAIN", "UnknownHost"), re.compile(rf"\b(?:[Hh]ostname|for host) '(?P<one>{NUMBERED})'|\b(?:ENOTFOUND|EAI_AGAIN|UnknownHostException:) (?P<two>{NUMBERED})")),
    Form("host", ("'@'", "`@`"), re.compile(rf"['`]@['`](?P<one>(?!localhost){HOST})['`]")),
    # Monitors, journals and reports of a system: Prometheus, RFC 5424, sar(1), lshw(1), UCX, Intel MPI, glog
    Form("host", ("instance=", "node=", "nodename=", "host="), re.compile(rf"\b(?:exported_)?(?:instance|node|nodename|hostname|host)=\"(?P<one>{NUMBERED})(?::\d{{2,5}})?\"")),
    Form("host", (">1 ",), re.compile(rf"(?m)^<\d{{1,3}}>1 \S{{10,40}} (?P<one>{HOST}) ")),
    Form("host", ("Linux ",), re.compile(rf"(?m)^Linux \d[\w.+~-]{{2,60}} \((?P<one>{HOST})\)[ \t]")),
    Form("host", ("description: ",), re.compile(rf"(?m)^(?P<one>{HOST})[ \t\r]*\n[ ]{{4}}description: ")),
    Form("host", ("] [",), re.compile(rf"(?m)^\[\d{{10}}\.\d{{3,6}}\] \[(?P<one>{HOST}):\d{{1,8}}[ ]{{0,4}}:\d{{1,4}}\]")),
    Form("host", ("startup():", "on machine: "), re.compile(rf"\bMPI startup\(\):[ ]{{1,8}}\d{{1,6}}[ ]{{1,12}}\d{{1,8}}[ ]{{1,8}}(?P<one>{HOST})(?=[ ]|$)|\b[Rr]unning on machine: (?P<two>{HOST})")),
    Form("host", ("PD ", "R ", "CG "), re.compile(rf"(?m)^[ ]{{0,20}}\d{{2,10}} {PERSON} (?:R|PD|CG) [\d:-]{{3,14}} (?P<one>{NUMBERED})[ \t\r]*$")),
    Form("host", ("MCW", "***", "mca", "PMIX", "ORTE", "PRTE"), re.compile(rf"(?m)^\[(?P<one>{HOST}):\d{{3,8}}\] (?:MCW|\*\*\*|mca|PMIX|ORTE|PRTE)")),
)  # fmt: skip
