"""List lines in which a mount of a file system of another machine is printed: NFS, CIFS, Ceph, Gluster, Lustre, BeeGFS.

They are those of mount(8), fstab(5), df(1), findmnt(8), showmount(8), exports(5), systemd.mount(5) and the kernel.
"""

from __future__ import annotations

import re

from attn_doctor.report.redact.line_forms import HOST, LABEL, NUMBERED, Form

_SERVERS = rf"(?:[\w.-]{{1,40}}@)?{HOST}(?::\d{{1,5}})?(?:[,:](?:[\w.-]{{1,40}}@)?{HOST}(?::\d{{1,5}})?){{0,12}}"
_NFS = rf"(?P<many>{_SERVERS}):(?:/[^\s:'\"]{{0,200}}|[\w-]{{1,60}})"
_SHARE = rf"//(?P<one>{HOST})/[^\n'\"]{{1,200}}?"
_TYPE = r"(?:nfs[34]?|cifs|smb[23]?|smbfs|ceph|glusterfs|lustre|fuse\.[a-z]{2,20}|sshfs|wekafs|quobyte|9p|afs|davfs)"
_SIZE = r"[\d.]{1,20}(?:[KMGTPE]i?B?)?"
# "HOST:/x on /y", "HOST:/x /y nfs4", and of df: "HOST:/x 10T 2T", where a long name has a line of its own
_BEHIND = rf"(?: on /[^\n]{{1,200}}?(?: type | \()|[ \t]{{1,40}}/\S{{0,200}}[ \t]{{1,40}}{_TYPE}\b|[ \t]{{1,40}}{_TYPE}\b|(?:[ \t]{{0,80}}\n)?[ \t]{{1,80}}{_SIZE}[ \t]{{1,20}}{_SIZE}[ \t])"
_LINE = r"(?m)(?:^|[|└├─│])[ \t]{0,8}(?:/[^\s:]{0,200}[ \t]{1,40})?"

FORMS = (
    Form("host", (":",), re.compile(rf"{_LINE}{_NFS}{_BEHIND}")),
    Form("host", ("//",), re.compile(rf"{_LINE}{_SHARE}{_BEHIND}")),
    # The commands that mount, and what they say: "mount.nfs: access denied by server while mounting HOST:/x"
    Form(
        "host",
        ("mount", "umount", "sshfs"),
        re.compile(
            rf"\b(?:u?mount(?:\.\w{{1,12}})?|mounting|automount|mount_\w{{1,8}}|sshfs)\b[^\n]{{0,120}}?[\s'\"](?:(?P<one>{NUMBERED})(?:[:,](?P<other>{NUMBERED}))?:/|//(?P<share>{LABEL})/\w)"
        ),
    ),
    Form(
        "host",
        ("nfs", "NFS", "mounting"),
        re.compile(
            rf"\b(?:(?:u?mount|mount_)[^\n]{{0,40}}?(?:-t[ ]?nfs4?|\.nfs4?|_nfs)|(?i:nfs):|while mounting|(?i:nfs) (?:server|mount|share|export))[ :][^\n]{{0,120}}?[\s'\"]?(?<![\w.-])(?P<one>{HOST}):/"
        ),
    ),
    Form(
        "host",
        ("smbclient", "rpcclient", "smbget", "cifs", "CIFS", "smb"),
        re.compile(
            rf"\b(?:smbclient|rpcclient|smbget|smbmount|smbtree|mount|(?i:cifs))\b[^\n]{{0,120}}?(?<![:\w/])//(?P<one>{HOST})(?=/)"
        ),
    ),
    Form("host", ("smbclient", "nmblookup"), re.compile(rf"\b(?:smbclient -L|nmblookup)[ ]?(?P<one>{HOST})(?=\s|$)")),
    Form("host", ("xport", "showmount", "rpcinfo"), re.compile(
        rf"(?:\b(?i:exports?) list (?:for|on) |\bshowmount (?:-{{1,2}}\w{{1,20}} ){{0,3}}|\brpcinfo (?:-\w{{1,3}} ){{0,2}})(?P<one>{HOST})(?=[:\s]|$)"
    )),
    Form("host", ("(r",), re.compile(
        rf"(?P<one>{HOST})\((?:rw|ro),(?:sync|async|no_|root_|all_|wdelay|sec=|insecure|secure|hide|nohide|crossmnt|fsid|anon)"
    )),
    # systemd.mount(5): "What=HOST:/x". The same in volumes of Docker and Kubernetes.
    Form("host", (":/",), re.compile(
        rf"\b(?:What|[Ss]ource|src|[Dd]evice|share|export|remote|nfs(?:[-_]?path)?)[\"']?\s?[=:]\s?[\"']?:?(?P<one>{NUMBERED}):/"
    )),
    # What the kernel says: "nfs: server HOST not responding, still trying"
    Form("host", ("server ", "Server "), re.compile(
        rf"\b(?i:nfs4?|rpc|lockd|statd|cifs|smb3?|ceph|nlm)\w{{0,10}}(?: VFS)?: [^\n]{{0,40}}?\b[Ss]erver (?P<one>{HOST})(?= (?:not|OK|is|has|does|requires|error)\b|[,:;])"
    )),
    # BeeGFS: `beegfs-ctl --listnodes`; Lustre: NID@NETWORK of a machine with a name
    Form("host", ("[ID: ",), re.compile(rf"(?m)^[ \t]{{0,8}}(?P<one>{HOST}) \[ID: \d{{1,6}}\]")),
    Form("host", ("@tcp", "@o2ib", "@kfi", "@gni"), re.compile(rf"(?<![\w.@-])(?P<one>{HOST})@(?:tcp|o2ib|kfi|gni)\d{{0,3}}(?!\w)")),
    Form("host", ("mds", "oss", "OST", "MDT", "filesystem"), re.compile(
        rf"\b(?:mgs(?:node)?|mdsnode|failnode|servicenode|failover\.node)[=:]\s?(?P<one>{HOST})"
    )),
    # Gluster: `gluster volume info`; BeeGFS: its files of settings; GPFS: `mmlscluster`; iSCSI: names and portals
    Form("host", ("Brick",), re.compile(rf"\bBrick\d{{0,4}}:? (?P<one>{HOST}):/")),
    Form("host", ("Host",), re.compile(rf"\bsys(?:Mgmtd|Mon|Admon)Host\s{{0,40}}=\s{{0,8}}(?P<one>{HOST})")),
    Form("host", (".",), re.compile(rf"(?m)^[ \t]{{0,8}}\d{{1,5}}[ \t]{{1,12}}(?P<one>{HOST})[ \t]{{1,40}}\d{{1,3}}(?:\.\d{{1,3}}){{3}}[ \t]{{1,40}}(?P<other>{HOST})")),
    Form("host", ("iqn.",), re.compile(r"\biqn\.\d{4}-\d\d\.(?P<one>[\w.:-]{4,200})(?<![.:-])")),
    Form("host", ("portal",), re.compile(rf"\b[Pp]ortal:? (?P<one>{NUMBERED})(?=[:,\s]|$)")),
    # An address whose scheme is used inside of a house only, and the folder of autofs(5)
    Form("host", ("://",), re.compile(rf"(?i)\b(?:nfs|smb|cifs|afp|vnc|rdp|iscsi)://(?:[^\s/@'\"<>]{{1,100}}@)?(?P<one>{HOST})(?=[:/?'\",;)\s]|$)")),
    Form("host", ("/net/",), re.compile(rf"(?<![\w.~:/-])/net/(?P<one>(?!(?:http|core|ipv[46]|ethernet|wireless|sched|drivers|x|tmp)/){HOST})(?=/)")),
    Form("host", ("nfs", "NFS"), re.compile(rf"\b(?i:nfs(?:v?4)?): (?P<one>{HOST}): (?=lost|state|v\d|referral|trunking|server|lease|bad|callback|delegation)")),
)  # fmt: skip
