"""Find the names of this machine (home folder, user, host) in any case, quoting and compound, and the home folders of other people.

A name of fewer than four letters, or a word of this subject (torch, cuda, data, gpu, dev), counts only if a path or a variable
gives it to a user or a machine. Otherwise every "gpu" in a report would count as a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from attn_doctor.system.own_names import Own

# Accounts and host names that identify nobody, in any place.
NOBODY = frozenset(
    "root user users username ubuntu debian fedora centos admin administrator docker jovyan colab kaggle runner runneradmin vscode codespace nobody "
    "localhost localhost6 home host hostname conda linuxbrew sagemaker-user ec2-user azureuser rocky opc guest default public shared none unknown "
    "example localdomain systemd www-data daemon nvidia azurecontainer_user workspace appuser app node builder build test".split()
)
# Words of reports and of this subject: as a name they are looked for in paths only.
_COMMON = NOBODY | frozenset(
    "torch cuda data dev gpu cpu python pytorch flash attention attn model models train training trainer yolo vision learn learning deep machine "
    "server worker work master main head compute cluster cloud login node nodes lab labs student students research science team project projects "
    "space scratch local remote system kernel driver device image images file files report check trial result results error warning info debug "
    "memory disk cache temp tmp code source share lib bin opt env venv base conda mamba pip package packages version release linux windows darwin "
    "mac macbook desktop laptop server01 tower box workstation pc office personal intel nvidia amd apple arch mint suse alpine name path folder "
    "token secret key email mail serial uuid credentials ip note notes what with from this that here there have been will your other about into "
    "when where which would could should does done made make more most only some such than then they them these those very well were each both "
    "fix fixes show list help run runs step steps fast slow time date text word line lines table block blocks good best better install installed "
    "import imports library libraries wheel wheels build builds module modules graph graphs tensor tensors matrix batch size shape float half "
    "backend backends eager sdpa triton forward backward gradient loss epoch layer layers weights weight bias conv pool linear norm".split()
)
_SHORTEST = 4
_RARE = 6  # letters from which a name is found inside of a longer word too

_SHARED_BY_ALL = frozenset(
    "tmp temp data dataset datasets models model shared share common public cache local conda miniconda miniconda3 anaconda3 miniforge3 mambaforge micromamba envs env venv lib lib64 "
    "bin src build software apps app modules containers images logs log runs run train val test tests output outputs results code repo repos checkpoints "
    "weights coco imagenet yolo torch cuda input inputs working work workspace home usr opt etc var dev c d e gdrive drive drives cdrom nvme ssd disk "
    "scratch projects project users user feedstock_root main _temp pip uv hf huggingface downloads backup archive system nfs efs s3 gcs http www site "
    "site-packages python python3 flash-attention ultralytics yolov12 pytorch vision triton vllm".split()
)
# "/home/a/alice": many universities put homes below a folder of one letter. "/home/a/envs": there the letter is the user.
_LETTER = rf"[a-z][/\\]{{1,2}}(?!(?:{'|'.join(sorted(map(re.escape, _SHARED_BY_ALL)))}|\.[\w-]{{1,40}})(?![\w.-]))"
# Folders that have a folder for each user: at any depth of a path, or at its root alone.
_USER_FOLDERS = (
    r"home\d?|(?-i:Users)|export[/\\]home|documents and settings|afs[/\\][\w.-]{1,40}[/\\]users?|rds[/\\]user"
)
_USER_FOLDERS_AT_ROOT = (
    r"users?\d{0,2}|homes\d?|people|profiles|accounts|userdata|userhomes?|zhome/\w{2}/\d|[a-gi-y]{1,4}home|nethomes?|nfshome|homefs|eos/user/[a-z]|p/home/jusers|storage/home/h\w{2,8}/\d{1,2}|"
    r"dcs/(?:pg|ug|staff|\d\d)\d{0,2}|auto/(?:users?|homes?)|net/(?:users?|homes?)|pscratch/sd/[a-z]|run/media|home-\w{1,6}|fsx/home"
)
_SHARED_FOLDERS = r"scratch\d*|lscratch|nobackup\d?|lustre\d?|gpfs|beegfs|fsx|ceph|u|work\d?|projects?|proj|storage|media|workspaces?|data\d?|mnt|groups?|vol\d?|nfs|srv|stash|store|persist"
_PART = r"[^/\\\s'\"`:;,<>|*?(){}\[\]=&]"
# "C:\Users\First Surname\x": words with a space between them, if the path goes on behind them, or ends there.
_HOMES = re.compile(
    rf"(?i)(?P<before>(?:[/\\]{{1,2}}(?:{_USER_FOLDERS})|(?:(?<![\w.~/\\-])|(?<=[a-z]:))[/\\]{{1,2}}(?:{_USER_FOLDERS_AT_ROOT}))[/\\]{{1,2}}(?:(?:users|home)[/\\]{{1,2}}|{_LETTER})?)"
    rf"(?P<name>{_PART}{{1,64}}(?:(?: {_PART}{{1,40}}){{1,3}}(?=[/\\])|(?-i: [A-Z]{_PART}{{0,40}})(?=\s{{0,4}}$|[\"'`\n)\],;]))?)"
)
_SHARED = re.compile(
    rf"(?i)(?<![\w.~-])(?P<before>(?:/(?:{_SHARED_FOLDERS})){{1,3}}/)(?P<name>{_PART}{{1,64}})(?=/|$|[\s'\"`:;,)])"
)
_SCRATCH = re.compile(
    rf"(?i)(?P<before>/(?:scratch\d*|lscratch|nobackup\d?)/)(?P<name>{_PART}{{1,64}})(?=/|$|[\s'\"`:;,)])"
)
# The label of a disk of macOS, which often has the name of its owner: "/Volumes/Anna T7/x"
_VOLUME = re.compile(
    rf"(?<![\w.~-])(?P<before>/Volumes/)(?P<name>(?!(?:Macintosh HD|Data|Preboot|Recovery|VM|Update|System|Untitled|NO NAME|BOOTCAMP|EFI|USB\w{{0,6}}|SSD\w{{0,6}}|HDD\w{{0,6}}|Backups?|Time Machine\w{{0,8}}|Extreme(?: SSD| Pro)?|T[1-9]|Samsung[ _]T\d|SanDisk|Seagate|LaCie|My Passport|Elements)(?: \d)?(?=/|$|[\s'\"`:;,)]))"
    rf"{_PART}{{1,64}}(?:(?: {_PART}{{1,40}}){{1,4}}(?=[/\\]))?)"
)
# What stands behind the dot in a name of a folder that is no account
_OF_FILES = (
    r"(?:egg|data|dist|git|app|framework|venv|env|conda|zarr|lmdb|cache|local|old|bak|tmp|runs|logs|train|val|test|yolo|torch|ckpt|ckpts|models?|datasets?|images|labels|exp|out|output|results|bundle|lib|libs|src|build|parquet|tfrecord|"
    r"mlpackage|mlmodelc|xcodeproj|repo|engine|plan|mar|wheel|whl|info|files|dir|part|parts|chunks?|shards?|splits?|backup|ipynb|pytorch|onnx|openvino)"
)
_FIRST_LAST = re.compile(rf"[a-z]{{1,20}}\.(?!{_OF_FILES}(?![a-z]))[a-z][a-z-]{{2,24}}")
# Folders of users below a folder of data, or of any folder: "/srv/src/users/anna/x", "/nfs/group3/people/anna/x", "/opt/people/anna/x"
_USERS_BELOW = re.compile(
    rf"(?i)(?:(?<![\w.~:/-])|(?<=file://))(?P<before>/(?:{_SHARED_FOLDERS}|scratch\d*|export|shared?|cluster|disk\d*|hdd\d?|ssd\d?|nvme\d?|raid\d?|net|pool\d?|tank|archive|volume\d{{1,2}}|nas\d?|cephfs|gluster(?:fs)?|moosefs|weka(?:fs)?|zfs|hpc|cfs|panfs|lfs|auto|opt|usr|local|nobackup)(?:/{_PART}{{1,64}}){{0,4}}/(?:users?|homes?|people|staff|students?|members|personal|scratch|phd|interns?|postdocs?)/|/{_PART}{{1,40}}(?:/{_PART}{{1,40}}){{0,2}}/(?:homes|people|staff|students|members|postdocs|interns)/|/fsx/home-)(?P<name>{_PART}{{1,64}})(?=/)"
)
# Below the folder of a group, only a name in the form of an account: "/gpfs/projects/vision/f.last/x"
_GROUP_BELOW = re.compile(
    rf"(?i)(?:(?<![\w.~:/-])|(?<=file://))(?P<before>/(?:{_SHARED_FOLDERS}|scratch\d*|cluster|n|pscratch|lus)(?:/{_PART}{{1,64}}){{1,3}}/)(?P<name>[a-z]{{1,20}}\.(?!{_OF_FILES}(?![a-z]))[a-z][a-z-]{{2,24}})(?=/)"
)
# Folders for a session: the address of a bus, a socket of an agent, a cookie of a screen
_SESSION = re.compile(
    rf"(?P<before>\b(?:DBUS_SESSION_BUS_ADDRESS|XAUTHORITY|ICEAUTHORITY|SSH_AUTH_SOCK|PULSE_(?:SERVER|RUNTIME_PATH)|XDG_RUNTIME_DIR|XDG_CACHE_HOME|TMPDIR|TEMP|TMP|TORCHINDUCTOR_CACHE_DIR|TRITON_CACHE_DIR|MPLCONFIGDIR|RAY_TMPDIR|JOBLIB_TEMP_FOLDER|WANDB_(?:DIR|CACHE_DIR))[\"']?\s?[=:]\s?[\"']?"
    rf"(?:unix:(?:path|tmpdir|abstract)=)?(?:/var/tmp|/tmp|/dev/shm|/var/run|/run/user|/local|/localscratch|/ssd|/nvme)/)(?P<name>(?!tmp|pip|ssh-|dbus|torch|triton|cuda|keyring|launch-|com\.apple|slurm|ray|wandb|xdg){_PART}{{2,64}})(?=/|$|[\s'\",;])"
)
# Files that a system has for each user
_OF_ACCOUNTS = re.compile(
    rf"(?P<before>/var/(?:spool/)?mail/|/var/spool/cron/(?:crontabs/|tabs/)?|/var/lib/systemd/linger/|/var/lib/AccountsService/(?:users|icons)/|/var/lib/sss/\w{{1,20}}/|/var/lib/samba/usershares/|/tmp/runtime-|/run/screen/S-|/run/media/|/var/folders/\w{{2}}/(?=\w{{24,40}}/)|/var/run/screen/S-|/etc/sudoers\.d/(?:\d{{1,3}}-)?)(?P<name>(?!crontabs\b|tabs\b|README|cloud-init){_PART}{{2,64}})"
)
# A folder for temporary files with a name in the form of an account: "/var/tmp/s_yamada/x", "/tmp/yamada_s/x"
_ACCOUNT_FOLDER = re.compile(
    r"(?<![\w.~-])(?P<before>/(?:var/tmp|tmp|dev/shm|local|localscratch|ssd|nvme|opt|srv|var/scratch)/)(?P<name>[a-z][._](?!train|test|valid|data|build|cache|temp|file|model|input|output|batch|folder|label|image|src|env|venv)[a-z]{4,20}|(?!train|test|valid|data|build|cache|temp|file|model|input|output|batch|folder|label|image|phase|part|group|class|set|run|exp|step|split|fold|list|plan|task|team|type|case|type|mode|level|stage|series|vitamin)[a-z]{4,20}[._][a-z])(?=/)"
)
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9-])(?P<before>(?:torchinductor|pytest-of|spark|hsperfdata|ray_session|matplotlib|vscode-ipc|pulse|jupyter-user|ssh-user|nvidia-mps|triton_cache|tmux|screen|krb5cc)[_-])(?P<name>[A-Za-z][\w.-]{1,40})(?=/|$|[\s'\"`:;,)])"
)
_UNC = re.compile(
    r"(?<![\w\\:/.~+*?^$)\]-])\\\\(?![?.]\\)(?P<host>[A-Za-z0-9][\w.$-]{0,62})\\(?P<name>[^\\\s\"'`|<>*?:]{1,80})"
)
_KEYED = re.compile(
    r"(?<![A-Za-z])(?P<key>USER|LOGNAME|USERNAME|SUDO_USER|LNAME|USERDOMAIN|USERDNSDOMAIN|USERDOMAIN_ROAMINGPROFILE|COMPUTERNAME|HOSTNAME|HOST|NODENAME|NODE_NAME|POD_NAME|MASTER_ADDR|"
    r"MASTER_HOST|RDZV_ENDPOINT|LOGONSERVER|SLURMD_NODENAME|SLURM_NODELIST|SLURM_JOB_NODELIST|SLURM_SUBMIT_HOST|SLURM_LAUNCH_NODE_IPADDR|SLURM_TOPOLOGY_ADDR|SLURM_JOB_USER|"
    r"SLURM_JOB_ACCOUNT|LSB_HOSTS|PBS_O_HOST|PBS_O_LOGNAME|JUPYTERHUB_USER|JUPYTERHUB_HOST|NCCL_COMM_ID|GIT_(?:AUTHOR|COMMITTER)_NAME|KUBERNETES_SERVICE_HOST)"
    r"[\"']?\s?[=:]\s?[\"']?(?P<name>(?![a-z]{2,8}://)[A-Za-z0-9\\][\w.\\\[\],-]{0,80})"
)
# The same in other programs: torchrun, JUnit, hostnamectl, scontrol, gvfs, HTCondor. A name of a host has a digit or a hyphen there.
_KEYED_HOST = re.compile(
    r"(?i)(?<![a-z])(?:(?:static|transient|pretty) hostname: |(?:(?:master|head)[-_](?:addr(?:ess)?|host|node)|rdzv[-_]endpoint|hostname|host[-_]name|node[-_]?name(?=[\"']?:)|node[-_]?list|batch[-_]?host|alloc[-_]?node|remote[-_]?host|machine[-_]?name)"
    r"(?:[\"']?\s?[=:]\s?|[ ])[\"']?(?=[a-z0-9.]{0,60}[-\d])|/gvfs/[a-z-]{2,12}:(?:server|host)=)(?P<name>[a-z][a-z0-9-]{1,62}(?:\.[a-z0-9-]{1,62}){0,6})(?![\w(/\\])"
)
_KEYED_USER = re.compile(
    r"(?i)(?<![a-z_-])(?:(?:user[-_]?id|run[-_]?as|job[-_]?owner|euser)[\"']?\s?[=:]\s?[\"']?|logged in as:? [\"']?(?!(?:the|an?|another|your|this|that|any|same|different|guest|someone)(?![\w-]|\.\w))|accepted (?:publickey|password) for |(?:user|owner|account)(?: = \"|=[\"']?)|(?:user|login)[\"']:\s?[\"'])(?P<name>[a-z_][\w-]{1,30}(?:\.[a-z][\w-]{1,30})?|[a-z]\.[a-z][\w-]{2,30})(?=\(\d|@|[\"',;/\s&)\]}]|\.(?:\s|$)|$)"
)
# What code writes behind `user=`: a word of a language, or another variable.
_CODE_NAME = re.compile(
    r"(?:true|false|null|yes|no|on|off|optional|opt(?:ion)?s|params|context|ctx|data|new|self|cls|os|args|config|cfg|settings|request|session|getpass|env|str|int|bool|type|current|get|auto|any|all|default)(?:\.|$)"
    r"|(?:use|get|is|has|new|current|default|user)_|\w*_(?:user|name|id)$|[a-z_]+\.\w*_"
)
# nvidia-smi cuts a path from the left: "...e/NAME/miniconda3/envs/x/bin/python"
_CUT = re.compile(
    rf"(?<![\w.])\.\.\.(?:(?:/?home|ome|me|e|/?Users|sers|ers|rs|s)?[/\\])?(?P<name>(?![.]){_PART}{{2,64}})[/\\](?=\.?(?:mini|ana|mambaf|micromamba|v?envs?[/\\]|virtualenvs|conda|local[/\\]|cache[/\\]|pyenv|AppData|Documents|Desktop|Downloads|projects?[/\\]|src[/\\]|code[/\\]|repos[/\\]|work[/\\]))"
)
_COMPANY = re.compile(r"(?<=OneDrive - )(?P<name>[^\\/\r\n\"'<>|]{1,60})")
_ACCOUNT = re.compile(
    r"(?:uid|gid|euid)=\d+\((?P<name>[\w.@\\-]{1,64})\)|(?<=\d\()(?P<group>[\w.@\\-]{1,64})(?=\)[,\s]|\)$)"
)
_USER_KEYS = frozenset(
    (
        "USER",
        "LOGNAME",
        "USERNAME",
        "SUDO_USER",
        "LNAME",
        "SLURM_JOB_USER",
        "SLURM_JOB_ACCOUNT",
        "PBS_O_LOGNAME",
        "JUPYTERHUB_USER",
    )
)
_SEPARATORS = re.compile(r"[ ._+-]+")


class Found(NamedTuple):
    """Describe a name in a text. `label`: home, user or host.

    `placeholder`: for a name of this machine that is written in exactly its own spelling.
    """

    start: int
    end: int
    label: str
    placeholder: str | None = None


class Names:
    """Find the names of one machine, and the names that paths and variables give to other users and machines."""

    def __init__(self, own: Own, words: Iterable[str] = ()) -> None:
        """Prepare the patterns. `words`: common words besides those of this module; as a name, such a word counts in paths only."""
        self._common = frozenset(word.lower() for word in words)
        self._homes: list[tuple[re.Pattern[str], str]] = []
        for home in own.homes:
            parts = [re.escape(part) for part in re.split(r"[/\\]+", home.rstrip("/\\"))]
            if len(parts) > 1:
                # Not behind a letter, as in /opt/root/x, but behind -I and -L of a compiler.
                pattern = r"(?:(?<![\w.~-])|(?<=-[IL])|(?<=[a-z]:))" + r"[/\\]{1,4}".join(parts) + r"(?![\w-]|\.\w)"
                self._homes.append((re.compile(pattern, re.IGNORECASE), home))
        self._names: list[tuple[re.Pattern[str], str, str, str]] = []
        self._paths: dict[str, str] = {}  # names that count in paths only -> their kind
        for kind, names in (("user", own.users), ("host", own.hosts)):
            for name in names:
                if name.lower() in NOBODY or not name:
                    continue
                self._paths[name.lower()] = kind
                if len(name) >= _SHORTEST and not self._is_common(name):
                    pattern = _pattern(name)
                    numbered = (
                        re.fullmatch(r"(.{2,60}[-._a-z])\d{1,5}", name, re.IGNORECASE) if kind == "host" else None
                    )
                    if (
                        numbered
                    ):  # Slurm writes "node-[11-12]": https://slurm.schedmd.com/scontrol.html#SECTION_HOSTNAMES
                        pattern += rf"|{re.escape(numbered[1])}(?=\[)"
                    domain = r"(?:(?:\.[a-z0-9][a-z0-9-]{0,62}){2,5}(?![\w-]))?" if kind == "host" else ""
                    self._names.append(
                        (
                            re.compile(f"(?:{pattern}){domain}", re.IGNORECASE),
                            kind,
                            name,
                            f"<{kind}>" if name in own[:3] else "",
                        )
                    )

    def _is_common(self, name: str) -> bool:
        return name.lower() in self._common or is_common(name)

    def own(self, text: str) -> Iterator[Found]:
        """Yield the places of the names of this machine."""
        for home, exact in self._homes:
            for match in home.finditer(text):
                same = re.sub(r"[/\\]+", "/", match[0]) == re.sub(r"[/\\]+", "/", exact)
                yield Found(*match.span(), "home", "<home>" if same else None)
        for pattern, kind, name, placeholder in self._names:
            for match in pattern.finditer(text):
                if _stands_alone(text, match, name):
                    yield Found(*match.span(), kind, placeholder if placeholder and match[0] == name else None)

    def others(self, text: str) -> Iterator[Found]:
        """Yield the places of names that paths and variables give to users and machines."""
        if "/" in text or "\\" in text:
            for pattern in (_VOLUME, _SESSION, _OF_ACCOUNTS, _ACCOUNT_FOLDER, _USERS_BELOW, _GROUP_BELOW):
                for match in pattern.finditer(text):
                    if match["name"].lower() not in _SHARED_BY_ALL | NOBODY:
                        yield Found(*match.span("name"), "user", self.placeholder(match["name"]))
            for pattern in (_HOMES, _SCRATCH, _SHARED):
                for match in pattern.finditer(text):
                    if not self._is_harmless_folder(match, strict=pattern is _HOMES):
                        yield Found(*match.span("name"), "user", self.placeholder(match["name"]))
            for match in _UNC.finditer(text):
                if match["host"].lower() not in ("wsl$", "wsl.localhost", "localhost"):
                    yield Found(*match.span("host"), "host", self.placeholder(match["host"]))
                    yield Found(*match.span("name"), "user", self.placeholder(match["name"]))
            for match in _CUT.finditer(text) if "..." in text else ():
                if match["name"].lower() not in _SHARED_BY_ALL | NOBODY:
                    yield Found(*match.span("name"), "user", self.placeholder(match["name"]))
        for match in _COMPANY.finditer(text) if "OneDrive - " in text else ():
            yield Found(*match.span("name"), "user", None)
        for match in _PREFIXED.finditer(text):
            if match["name"].lower() not in NOBODY:
                yield Found(*match.span("name"), "user", self.placeholder(match["name"]))
        if "=" in text or ":" in text or "--" in text or "in as" in text:
            for kind, pattern in (("host", _KEYED_HOST), ("user", _KEYED_USER)):
                for match in pattern.finditer(text):
                    name = match["name"].lower()
                    if not self._is_common(name) and not _CODE_NAME.match(name):
                        yield Found(*match.span("name"), kind, self.placeholder(match["name"]))
            for match in _KEYED.finditer(text):
                if match["name"].lower() not in NOBODY and not re.fullmatch(r"[\d.]+|true|false", match["name"]):
                    yield Found(
                        *match.span("name"),
                        "user" if match["key"] in _USER_KEYS else "host",
                        self.placeholder(match["name"]),
                    )
        if "id=" in text:
            for match in _ACCOUNT.finditer(text):
                group = "name" if match["name"] else "group"
                if match[group].lower() not in NOBODY:
                    yield Found(*match.span(group), "user", self.placeholder(match[group]))

    def placeholder(self, name: str) -> str | None:
        """Return the placeholder of a name of this machine in its own spelling, or None."""
        return next((mark for _, _, own, mark in self._names if own == name and mark), None)

    def _is_harmless_folder(self, match: re.Match[str], *, strict: bool) -> bool:
        """Return whether a folder below /home, /scratch or the like belongs to no user.

        `strict`: each folder there belongs to a user.
        """
        name = match["name"].lower()
        if name in NOBODY or name.startswith("<"):
            return True
        if strict:
            return _is_in_address(match.string, match.start())
        if name in self._paths:
            return False
        if (
            name in _SHARED_BY_ALL
            or ("." in name[1:] and not _is_person(match))
            or name.startswith((".", "$", "python", "cuda", "site-packages"))
        ):
            return True
        first = re.split(r"/", match["before"].strip("/"))[-1].lower()
        return re.fullmatch(
            r"data\d?|mnt|vol\d?|nfs|srv|stash|store|persist|workspaces?|groups?", first
        ) is not None or match.end() == len(match.string)


def _is_person(match: re.Match[str]) -> bool:
    """Return whether a folder is named as "first.last" or "f.last" below a folder of work; a file or an environment is not."""
    return match.string[match.end() : match.end() + 1] == "/" and _FIRST_LAST.fullmatch(match["name"]) is not None


def is_common(name: str) -> bool:
    """Return whether a name of a user or a machine is also a word of reports, or a number."""
    return name.lower() in _COMMON or name.isdigit()


def _pattern(name: str) -> str:
    """Return the pattern of a name.

    It allows other characters between the words of the name. For a long name it also matches the short form of Windows
    (FIRSTS~1).
    """
    joined = r"[ ._+-]{0,2}".join(re.escape(part) for part in _SEPARATORS.split(name) if part)
    compact = _SEPARATORS.sub("", name)
    short = rf"|{re.escape(compact[:6])}~\d" if len(compact) > 8 else ""
    return f"{joined}{short}" if joined else re.escape(name)


def _stands_alone(text: str, match: re.Match[str], name: str) -> bool:
    """Return whether a name is not a part of another word: "alice" in "alice_env", "ALICE2" and "myAlice", not in "malice"."""
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    first, last = match[0][0], match[0][-1]
    if (last.isdigit() and after.isdigit()) or (first.isdigit() and (before.isdigit() or before == ".")):
        return False
    if len(name) >= _RARE and name.isalpha():
        return True
    begins = not before.isalpha() or not first.isalpha() or (before.islower() and first.isupper())
    ends = not after.isalpha() or not last.isalpha() or (last.islower() and after.isupper())
    return begins and ends


def _is_in_address(text: str, at: int) -> bool:
    """Return whether a place is in a web address, such as https://example.org/users/guide."""
    begin = max(text.rfind(sign, max(at - 300, 0), at) for sign in " \t\n\"'<(,")
    word = text[begin + 1 : at]
    return "://" in word and not word.lower().startswith("file:")
