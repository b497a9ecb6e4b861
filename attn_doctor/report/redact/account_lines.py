"""List lines in which settings, access lists, commands and logs of services print the name of a user: Hadoop, Samba, cron, sshd, Windows, CI."""

from __future__ import annotations

import re

from attn_doctor.report.redact.line_forms import PERSON, Form
from attn_doctor.report.redact.user_lines import FULL_NAME, NO_USER

_DOMAIN = r"[A-Za-z][\w.-]{0,30}\\{1,2}"  # of Windows: "CORP\\name"
_ACCOUNT = rf"(?:{_DOMAIN})?(?P<one>(?!S-1-\d|NT\b|SYSTEM\b|LOCAL\b|NETWORK\b|Local|Network){PERSON})"
_SCHEDULED = r"[\d*][\d*/,-]{0,30}(?:[ \t]{1,8}[\d*][\d*/,-]{0,30}){4}[ \t]{1,8}"
_PROGRAM = r"(?!(?:python[\d.]*|bash|sh|zsh|cd|test|nice|flock|env|timeout|curl|wget|docker|conda|source|echo|nvidia-smi|rsync|find|rm|perl|node|sudo|tar|cp|mv|run-parts|mkdir|git|make|srun|sbatch|export|php|ruby|java)\b)"
_OPTIONS = r"(?: -{1,2}[\w-]{1,30}(?:[ =](?!-)[^\s;&|]{1,60})?){0,6}?"
_END = r"(?=[ \t\r]*(?:$|[\n;&|)#]))"

FORMS = (
    # Hadoop and Spark: https://spark.apache.org/docs/latest/security.html, https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/HdfsPermissionsGuide.html
    Form("user", ("acls",), re.compile(r"\b(?:view|modify|admin|ui)[ .]acls(?: to:|[ =:]) ?(?P<many>(?!groups|disabled|enabled|to\b)[A-Za-z_][\w.,@+-]{1,400})")),
    Form("user", (" permissions: ",), re.compile(r"\bwith (?:view|modify|admin) permissions: (?:Set\()?(?P<many>(?!EMPTY\b|Set\()[A-Za-z_][\w.@+-]{0,63}(?:, ?[A-Za-z_][\w.@+-]{0,63}){0,30})")),
    Form("user", ("x ", "- ", "+ "), re.compile(rf"(?m)^[ \t]{{0,8}}[d-](?:[r-][w-][xt-]){{3}}\+?[ \t]{{1,8}}(?:-|\d{{1,3}})[ \t]{{1,8}}(?P<one>{PERSON})[ \t]{{1,20}}[\w.-]{{1,40}}[ \t]{{1,20}}\d")),
    Form("user", ("application_",), re.compile(rf"\bapplication_\d{{4,16}}_\d{{2,8}}[ \t]{{1,20}}[^\n\t]{{1,60}}?[ \t]{{1,20}}(?:SPARK|MAPREDUCE|YARN|TEZ|Apache Flink|DASK|RAY)[ \t]{{1,20}}(?P<one>{PERSON})(?=[ \t])")),
    # Kubernetes: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
    Form("user", ('" cannot ',), re.compile(rf"\bUser \"(?P<one>(?!system:){PERSON})\" cannot (?=[a-z]{{2,20}} )")),
    # Access lists of files: getfacl(1), setfacl(1), nfs4_getfacl(1), icacls of Windows
    Form("user", ("user:",), re.compile(rf"(?m)(?:^|[ ,\t])(?:default:)?user:(?P<one>{PERSON}):[rwxX-]{{1,3}}(?![\w:])")),
    Form("user", ("setfacl", "chacl"), re.compile(rf"\b(?:setfacl|chacl)\b[^\n]{{0,80}}?[ ,'\"](?:d(?:efault)?:)?u(?:ser)?:(?P<one>{PERSON}):")),
    Form("user", ("# owner",), re.compile(rf"(?m)^# owner: (?P<one>{PERSON})[ \t\r]*$")),
    Form("user", (":(",), re.compile(rf"(?<![\w.-])[A-Za-z][\w-]{{1,15}}\\{{1,2}}(?P<one>(?!SYSTEM\b|Administrators\b|Users\b|Authenticated\b){PERSON}):\((?:[A-Z]{{1,4}}|[A-Z]{{1,4}}(?:,[A-Z]{{1,4}}){{1,8}})\)")),
    # Settings: smb.conf(5), nginx, Apache, ssh_config(5), sshd_config(5), sudoers(5), wpa_supplicant, crontab(5)
    Form("user", (" user = ", " users = ", " users=", " list = ", "force user", "guest account", "admin users"), re.compile(r"(?im)^[ \t]{0,12}(?:force user|(?:in)?valid users|write list|read list|admin users|guest account|hide users|veto users) ?= ?(?P<many>[@+&]?[A-Za-z_][^\n=]{1,300})$")),
    Form("user", ("user ", "user\t"), re.compile(rf"(?m)^[ \t]{{0,8}}user[ \t]{{1,8}}(?P<one>{NO_USER}{PERSON})(?:[ \t]{{1,8}}(?P<group>{PERSON}))?;")),
    Form("user", ("User ",), re.compile(rf"(?m)^[ \t]{{0,8}}User[ \t]{{1,8}}(?P<one>{NO_USER}(?!\w{{1,20}}(?:ed|ing)\b|Guide|Manual|Interface|Agent|Data){PERSON})[ \t\r]*$")),
    Form("user", ("Users ", "SuexecUserGroup", "DenyUser"), re.compile(r"(?m)^[ \t]{0,8}(?:AllowUsers|DenyUsers|SuexecUserGroup)[ \t]{1,8}(?P<many>[A-Za-z_][^\n]{1,300})$")),
    Form("user", ("ALL",), re.compile(rf"(?m)^[ \t]{{0,8}}(?P<one>{PERSON})[ \t]{{1,8}}ALL[ \t]?=[ \t]?\(")),
    Form("user", ("identity=",), re.compile(r"(?m)^[ \t]{0,8}(?:anonymous_)?identity=\"(?P<one>[^\"\n]{2,80})\"")),
    Form("user", (" * ", "/", "@"), re.compile(rf"(?m)^[ \t]{{0,8}}(?:{_SCHEDULED}|@(?:reboot|hourly|daily|weekly|monthly)[ \t]{{1,8}})(?P<one>{_PROGRAM}{PERSON})[ \t]{{1,8}}(?:/|[A-Za-z_][\w.-]{{0,30}}[ =])")),
    Form("user", (") CMD", ") RELOAD", ") LIST", ") BEGIN EDIT", ") REPLACE", ") ORPHAN"), re.compile(rf"\((?P<one>{PERSON})\) (?:CMD|RELOAD|LIST|BEGIN EDIT|END EDIT|REPLACE|ORPHAN)\b")),
    # Logs of sshd, PAM and systemd-logind
    Form(
        "user",
        ("nvalid user", "ailed ", "user slice", "session ", "authenticating user", "isconnected from user", "ccepted ", "not allowed because"),
        re.compile(
            rf"(?:\b[Ii]nvalid user|\b[Ff]ailed (?:password|publickey|none|keyboard-interactive/pam) for(?: (?:invalid|illegal) user)?|\b(?:authenticating|[Dd]isconnected from) user|[Ss]ession (?:opened|closed) for(?: user)?|[Ss]ession \w{{1,12}} of user|\buser slice (?:for|of)|"
            rf"\b[Aa]ccepted [\w/-]{{1,40}} for|\b[Uu]ser Slice of|\b[Uu]ser (?={PERSON} from \S{{1,80}} not allowed because)|[Uu]ser [Mm]anager for UID \d{{1,8}} \() ?(?P<one>(?!user\b|the\b|UID\b|a ){PERSON})"
        ),
    ),
    Form("user", ("seat", "tty", "pts"), re.compile(rf"(?m)^[ \t]{{0,12}}[c\d]\d{{0,6}}[ \t]{{1,8}}\d{{3,10}}[ \t]{{1,8}}(?P<one>{PERSON})[ \t]{{1,8}}(?:seat\d|-|tty\d|pts/\d|$)")),
    Form("user", (" : ",), re.compile(rf"(?m)^(?P<one>{PERSON}) : (?P<two>(?P=one))(?=[ \t\r]|$)")),
    Form("user", ("UID: ", "GID: "), re.compile(rf"\b(?:UID|GID|Owner UID): \d{{1,10}} \((?P<one>{PERSON})\)")),
    # Commands about an account
    Form("user", ("useradd", "adduser", "usermod", "userdel", "deluser", "chage ", "-linger", "lslogins"), re.compile(rf"\b(?:useradd|adduser|usermod|userdel|deluser|chage|lslogins|loginctl (?:enable|disable)-linger)\b{_OPTIONS} (?P<one>(?!root\b){PERSON})(?: (?:docker|video|render|sudo|wheel|audio|slurm|users))?{_END}")),
    Form("user", ("chown",), re.compile(rf"\bchown\b(?: -{{1,2}}[\w-]{{1,20}}){{0,4}} (?P<one>{PERSON})(?::[\w.-]{{0,40}})? (?=[/~.$\w\"'])")),
    Form("user", ("sacctmgr",), re.compile(rf"\bsacctmgr\b[^\n]{{0,40}}? (?:add|create|modify|delete|show|remove) user (?:name=|where name=)?(?P<one>(?!where\b|set\b){PERSON})")),
    Form("user", (" -u ", "--uid"), re.compile(rf"\b(?:sudo|runuser|crontab|quota|edquota|setquota|pkill|pgrep|squeue|sacct|scancel|qstat|qselect|bjobs|bkill|htop|nvitop|lsof|killall|sprio|sshare)\b[^\n|;&]{{0,60}}? -u (?P<one>{PERSON})(?=[\s;&|]|$)|\s--uid[= ](?P<uid>{PERSON})")),
    Form("user", (" -c",), re.compile(rf"\bsu (?:-l |- |--login )?(?P<one>{PERSON}) (?:-s \S{{1,40}} )?(?:-c|--command)[ =]")),
    # Windows: schtasks, events, services, `query user`, `tasklist /v`, tasks in XML, an automatic log-on, a file of Remote Desktop
    Form("user", ("</",), re.compile(rf"(?i)<(?:UserId|RunAsUser|User_?Name|User|Owner|LoginName|AccountName|SamAccountName)(?: [^<>]{{0,60}})?>(?!DOMAIN\\|S-1-){_ACCOUNT}(?=</)|<Author>{_DOMAIN}(?P<author>{PERSON})(?=</)")),
    Form(
        "user",
        ("Run As User", "Account Name", "SERVICE_START_NAME", "ccount:", "Owner", "Author", "User", "Security ID", "logged on"),
        re.compile(
            rf"(?im)^[ \t|*-]{{0,12}}(?:(?:run as user|account name|service_start_name|logon account)[ \t]{{0,40}}:[ \t]{{1,40}}{NO_USER}{_ACCOUNT}|"
            rf"(?:user(?: ?id| ?name)?|owner|author|last logged on user|current user|primary user|security id|job owner|run as)[ \t]{{0,40}}[:=][ \t]{{0,40}}(?!NT |BUILTIN){_DOMAIN}(?P<two>{PERSON}))[ \t\r]*$"
        ),
    ),
    Form("user", ("Active", "Disc"), re.compile(rf"(?m)^[ >](?P<one>{PERSON})[ ]{{1,30}}(?:console|rdp-tcp#?\d{{0,4}}|[ ])[ ]{{1,30}}\d{{1,3}}[ ]{{1,8}}(?:Active|Disc)\b")),
    Form("user", ("\\",), re.compile(rf"(?<![\w\\.-])[A-Z][A-Z0-9-]{{1,14}}\\{{1,2}}(?P<one>{PERSON})[ ]{{1,40}}\d{{1,4}}:\d\d:\d\d")),
    Form("user", ("REG_SZ",), re.compile(r"\b(?:Alt)?(?:DefaultUserName|LastUsedUsername|LastLoggedOn(?:SAM)?User|RegisteredOwner|RegisteredOrganization|DefaultDomainName)[ \t]{1,40}REG_SZ[ \t]{1,40}(?:\.\\|[\w-]{1,15}\\)?(?P<one>[^\s\\][^\n\\]{1,60})")),
    Form("user", ("username:s:",), re.compile(rf"\busername:s:{_ACCOUNT}")),
    Form("user", ("serName: ",), re.compile(rf"(?m)^[ \t]{{0,8}}UserName: (?P<one>{PERSON})[ \t\r]*$")),
    # Installers: kickstart, preseed
    Form("user", ("--name=",), re.compile(rf"(?m)^[ \t]{{0,8}}user [^\n]{{0,80}}?--name=(?P<one>{PERSON})")),
    Form("user", ("passwd/user",), re.compile(r"\bpasswd/user(?:-full)?name string (?P<one>[^\s][^\n]{1,60})")),
    # Version control: `svn log`, `git blame`, `git shortlog`, `hg log`
    Form("user", ("| ",), re.compile(rf"(?m)^r\d{{1,8}} \| (?P<one>{PERSON}) \| \d{{4}}-\d\d")),
    Form("user", (" (",), re.compile(rf"(?m)^\^?[0-9a-f]{{7,40}} (?:[\w./-]{{1,120}} {{1,20}})?\((?P<one>{FULL_NAME}) {{1,20}}\d{{4}}-\d\d-\d\d \d\d:\d\d")),
    Form("user", ("\t",), re.compile(r"(?m)^[ ]{2,6}\d{1,6}\t(?P<one>[^\W\d_][\w.'-]{1,30}(?: [^\W\d_][\w.'-]{0,30}){1,2})(?: <[^<>\n]{3,80}>)?[ \t\r]*$")),
    Form("user", ("user:   ", "AUTHOR"), re.compile(rf"(?m)(?:^user:[ ]{{3,12}}|\b(?:CI_COMMIT_AUTHOR|TRAVIS_COMMIT_AUTHOR|[A-Z_]{{0,30}}COMMIT_AUTHOR(?:_NAME)?)=[\"']?)(?P<one>{FULL_NAME})(?=[\"']? <|[\"']?[ \t\r]*$)")),
    # Variables and events of CI
    Form(
        "user",
        ("GITLAB_USER", "BUILD_", "_ACTOR", "USERNAME", "CHANGE_AUTHOR", "REQUESTEDFOR", "NB_USER", "REMOTE_USER", "_AUTHOR"),
        re.compile(
            rf"(?m)\b(?:(?:GITLAB_USER_NAME|BUILD_USER(?:_FIRST_NAME|_LAST_NAME)?|BUILDKITE_BUILD_(?:CREATOR|AUTHOR)|BUILD_REQUESTEDFOR|RELEASE_REQUESTEDFOR|CHANGE_AUTHOR_DISPLAY_NAME)[\"']?\s?[=:]\s?[\"']?(?P<full>{FULL_NAME})(?=[\"',;]|[ \t\r]*$)"
            rf"|(?:GITHUB_(?:TRIGGERING_)?ACTOR|GITLAB_USER_LOGIN|CIRCLE_(?:PR_)?USERNAME|BUILD_USER_ID|CHANGE_AUTHOR|DRONE_(?:COMMIT_|BUILD_)?AUTHOR|NB_USER|REMOTE_USER|KAGGLE_USERNAME|DOCKER(?:HUB)?_USERNAME|RUNNER_USER|VERCEL_GIT_COMMIT_AUTHOR_LOGIN)[\"']?\s?[=:]\s?[\"']?(?P<one>(?!dependabot|github-actions|renovate){PERSON}))"
        ),
    ),
    Form(
        "user",
        ("actor", "sername", "ser_name", "serName", "fullname", "ull_name", '_by"', "_by'", "ubmitter", "'user'", '"user"'),
        re.compile(
            rf"[\"'](?:(?:triggering_)?actor|user_?name|userName|user_login|submitter|(?:launched|created|started|run|submitted)_by)[\"']\s?:\s?[\"'](?P<one>(?!string\b|str\b|your|my_?user|\w{{1,20}}\[bot\]){PERSON})[\"']"
            rf"|[\"'](?:full_?name|real_?name)[\"']\s?:\s?[\"'](?P<full>{FULL_NAME})[\"']|[\"']type[\"']: [\"']user[\"'], (?:[\"']id[\"']: [\"'][^\"'\n]{{1,60}}[\"'], )?[\"']name[\"']: [\"'](?P<hub>{PERSON})[\"']"
        ),
    ),
    Form("user", ("Started by", "tarted by user"), re.compile(rf"(?m)\bStarted by (?:user|GitHub push by|remote host) (?P<one>{FULL_NAME})[ \t\r]*$")),
    # Servers of notebooks, trackers and queues
    Form("user", ("user/",), re.compile(rf"(?<![\w-])(?:hub/)?user/(?P<one>{PERSON})/(?:lab|tree|api|notebooks?|terminals?|files|edit|doc|proxy|vscode|rstudio|oauth_callback|server)\b")),
    Form("user", ("User ", "ser logged"), re.compile(rf"\bUser (?P<one>{NO_USER}{PERSON}) (?:took \d|logged (?:in|out)|is not running|requested|server (?:started|stopped)|pending|running)|\bUser logged (?:in|out): (?P<in>{PERSON})".replace("?P<in>", "?P<two>"))),
    Form("user", ("rsession-",), re.compile(rf"\brsession-(?P<one>{PERSON})")),
    Form("user", ("User <", "ser <"), re.compile(rf"\b[Uu]ser <(?P<one>(?!user){PERSON})>")),
    Form("user", ('wner = "',), re.compile(rf"\bOwner = \"(?P<one>{PERSON})\"")),
    Form("user", ("mlflow", "ubmitted by "), re.compile(rf"\bmlflow\.user[\"']?\s?[:=,]\s?[\"']?(?P<one>{PERSON})|\b[Jj]ob (?:\S{{1,20}} )?submitted by (?P<by>{NO_USER}{PERSON})(?= (?:from|on|at)\b)")),
    # Processes: nvitop, lsof(8), fuser(1)
    Form("user", ("iB",), re.compile(rf"(?<!\S)\d{{2,8}} {{1,4}}[CG+]{{1,3}} {{1,4}}(?P<one>{PERSON}) {{1,12}}\d{{1,7}}(?:\.\d{{1,3}})?[MGK]iB")),
    Form("user", ("REG", "DIR", "CHR", "IPv", "unix"), re.compile(rf"(?m)^\S{{1,20}} {{1,12}}\d{{1,8}} {{1,12}}(?:\d{{1,8}} {{1,12}}\S{{1,20}} {{1,12}})?(?P<one>{PERSON}) {{1,12}}(?:cwd|rtd|txt|mem|DEL|\d{{1,5}}[rwu]\w?) {{1,12}}(?:REG|DIR|CHR|unix|IPv[46]|FIFO|sock|a_inode)\b")),
    Form("user", ("/dev/",), re.compile(rf"(?m)^/dev/[\w/-]{{1,40}}: {{1,20}}(?P<one>{PERSON}) {{1,12}}\d{{1,8}} [F.][.\w]{{2,6}} ")),
    # What was typed at a prompt, and its answer
    Form("user", ("whoami", "logname", "id -un", "$USER", "%USERNAME%", "ls /home"), re.compile(rf"(?m)^[^\n]{{0,80}}[$#>%] ?(?:whoami|logname|id -un|echo (?:\"?\$USER(?:NAME)?\"?|%USERNAME%|\$env:USERNAME)|ls(?: -1)? /home/?)[ \t\r]*\n(?:{_DOMAIN})?(?P<one>{PERSON})(?=[ \t\r]{{0,20}}(?:$|{PERSON}))")),
    # Answers of data bases and file systems
    Form("user", ('user "', 'role "', "user '", "for usr "), re.compile(rf"\b(?:user|role) \"(?P<one>{NO_USER}{PERSON})\"|\bfor user '(?P<two>{NO_USER}{PERSON})'|\bfor usr (?P<three>{PERSON}) \(uid")),
    Form("user", (" is not in ",), re.compile(rf"\buser (?P<one>{NO_USER}{PERSON}) is not in\b")),
    Form("user", ("||",), re.compile(rf"(?m)^[ ]{{1,20}}(?P<one>{PERSON})\|\|[ ]{{0,8}}\d{{1,10}}\|\|")),
    Form("user", ("@ ", "desktop is"), re.compile(rf"(?m)^100(?:\.\d{{1,3}}){{3}}[ \t]{{1,12}}\S{{1,80}}[ \t]{{1,40}}(?P<one>{PERSON})@[ \t]|\bNew '[^'\s]{{1,80}}:\d{{1,3}} \((?P<two>{PERSON})\)'")),
    Form("user", ("COMPLETED", "FAILED", "RUNNING", "TIMEOUT", "CANCELLED", "OUT_OF_ME", " R ", " PD "), re.compile(rf"(?m)^[ ]{{0,20}}\d{{2,10}}(?:[_.]\w{{1,10}})?[ ]{{1,12}}(?:\S{{1,40}}[ ]{{1,20}}){{1,2}}(?P<one>{PERSON})[ ]{{1,20}}(?:COMPLETED|FAILED|RUNNING|TIMEOUT|CANCELLED|OUT_OF_ME\w{{0,5}}|NODE_FAIL)\b|^[ ]{{0,20}}\d{{2,10}} (?P<two>{PERSON}) (?:R|PD|CG) \d")),
)  # fmt: skip
