"""List lines in which programs print the name of a user: accounts, processes, queues, owners of files, profiles of people on the web."""

from __future__ import annotations

import re

from attn_doctor.report.redact.line_forms import PERSON, Form

# What stands at the place of a user in an address: an organisation, or a page of the site
_OF_KAGGLE = (
    r"(?i:(?:ultralytics|kaggle|google|tensorflow|keras|nvidia|pytorch|metaresearch|meta|facebook|microsoft|openai|qwen-lm|deepseek-ai|mistral-ai|docs|discussions?|competitions?|datasets?|models?|code|kernels?|notebooks?|"
    r"learn|settings|account|static|terms|privacy|c|me|search|rankings|benchmarks|organizations|work|status|list|download|files|init|create|version|push|pull|metadata|get|api)(?![\w-]))"
)
_OF_SITES = r"(?i:(?:site|home|login|logout|signup|settings|authorize|quickstart|docs?|guides?|pricing|blog|wandb|api|static|about|terms|privacy|search|explore|user|users|ultralytics|pytorch|nvidia|starter|gallery|fully-connected|assets|images|public)(?![\w-]))"

# A full name, as "Ada B. Lovelace"
FULL_NAME = r"[^\W\d_][\w.'\u2019-]{0,30}(?: [^\W\d_][\w.'\u2019-]{0,30}){0,3}"
NO_USER = (
    r"(?!(?:input|code|data|defined|space|mode|interaction|action|names?|accounts?|agent|settings|preferences|packages?|site|install|profile|error|session|id|root|group|groups|and|or|is|has|in|on|to|with|"
    r"config|confirmation|response|feedback|query|queries|messages?|limit|nobody|str|string|int|none|null|true|false|unknown|default|the|an?|all|any|n/a)(?![\w-]|\.\w))"
)

FORMS = (
    # who(1), last(1): the terminal follows the name.
    Form(
        "user",
        ("pts/", "tty", " :"),
        re.compile(r"(?m)^(?P<one>[A-Za-z_][\w.+-]{1,63})[ \t]{1,40}(?:[+-][ \t]{1,4})?(?:pts/\d|tty\w?\d|:\d)"),
    ),
    # `ls -l`
    Form(
        "user",
        ("rw",),
        re.compile(
            r"(?m)^[ \t]{0,8}[dlcbsp-](?:[r-][w-][xsStT-]){3}[.+@]?[ \t]{1,8}\d{1,6}[ \t]{1,8}(?P<one>[A-Za-z_][\w.-]{1,63}) "
        ),
    ),
    # group(5) and passwd(5), as `getent` prints them: members, the account of a person (from 1000 on), and the full name.
    Form(
        "user",
        (":x:", ":*:", ":!:"),
        re.compile(r"(?m)^[\w.-]{1,64}:[x*!]:\d{1,10}:(?P<many>[A-Za-z_][\w.,@+-]{1,2000})[ \t\r]*$"),
    ),
    Form("user", (":x:", ":*:"), re.compile(r"(?m)^(?P<one>[A-Za-z_][\w.@+-]{1,63}):[x*]:\d{4,10}:\d{1,10}:")),
    Form(
        "user",
        (":x:", ":*:"),
        re.compile(r"(?m)^[\w.@+-]{1,64}:[x*]:\d{4,10}:\d{1,10}:(?P<one>[^\W\d][^:,\n]{2,80}),{0,5}:/"),
    ),
    Form(
        "user",
        ("\\",),
        re.compile(
            r"(?i)(?<![\w\\-])(?:desktop|laptop|win)-[a-z0-9]{6,12}\\{1,2}(?P<one>[a-z][\w. -]{1,40}?)(?=[\s\"',:;)]|$)"
        ),
    ),
    Form(
        "user",
        ("ser name", "ser Name", "sername"),
        re.compile(
            r"(?m)^[ \t]{0,8}(?i:user ?name)(?:[ ]?:[ ]{1,20}|[ ]{3,40})(?P<one>(?!(?:str|int|bool|None|string|Optional|Any)\b)[A-Za-z_][\w.\\@-]{1,60})[ \t\r]*$"
        ),
    ),
    Form(
        "user",
        ("sudo",),
        re.compile(
            r"\bsudo(?:\[\d{1,8}\])?:[ ]{1,20}(?P<one>[A-Za-z_][\w.-]{1,63}) : |\[sudo\] \w[^\n:]{0,40}? (?:for|für|de|para|di) (?P<asked>[A-Za-z_][\w.-]{1,63})\s?:"
        ),
    ),
    Form("user", ("sudoers",), re.compile(r"(?m)(?:^|: )(?P<one>[A-Za-z_][\w.-]{1,63}) is not in the sudoers file")),
    # Lines of queues without their heading: qstat of PBS and of Grid Engine, `squeue -h`
    Form(
        "user",
        (".", "\t", "  "),
        re.compile(
            rf"(?m)^[ \t]{{0,8}}\d{{1,10}}(?:\[\d{{0,6}}\])?\.[\w-]{{1,40}}[ \t]{{1,40}}[^\s:]{{1,40}}[ \t]{{1,40}}(?P<one>{PERSON})[ \t]{{1,40}}(?:\d{{1,5}}:\d\d(?::\d\d)?|\d{{1,6}}|-{{1,2}})[ \t]{{1,20}}[A-Z][ \t]{{1,20}}\S"
        ),
    ),
    Form(
        "user",
        ("  ",),
        re.compile(
            rf"(?m)^[ \t]{{0,12}}\d{{1,10}}[ \t]{{1,8}}\d\.\d{{3,6}}[ \t]{{1,8}}[^\s:]{{1,40}}[ \t]{{1,40}}(?P<one>{PERSON})[ \t]{{1,20}}(?:E?d?[rtqhwsS]{{1,3}})[ \t]{{1,8}}\d\d/\d\d/\d{{4}}"
        ),
    ),
    Form(
        "user",
        (":", "-"),
        re.compile(
            rf"(?m)^[ \t]{{0,20}}\d{{1,10}}(?:_\d{{1,6}}|_\[[\d,%-]{{1,40}}\])?[ \t]{{1,20}}[\w,.-]{{1,40}}[ \t]{{1,20}}\S{{1,40}}[ \t]{{1,20}}(?P<one>{PERSON})[ \t]{{1,20}}(?:R|PD|CG|CD|CF|F|S|TO|NF|CA|PR|RUNNING|PENDING|COMPLETING|COMPLETED|FAILED|TIMEOUT)[ \t]{{1,20}}(?:\d-)?\d{{1,3}}:\d\d"
        ),
    ),
    Form("user", ("ID: ",), re.compile(rf"(?m)^(?P<one>{PERSON})[ \t]{{1,20}}ID: \d{{1,10}}[ \t]")),
    # Processes without their heading: `ps aux`, `ps -ef`, top, gpustat
    Form(
        "user",
        ("pts/", "tty", "?"),
        re.compile(
            rf"(?m)^(?P<one>{PERSON}\+?)[ \t]{{1,20}}\d{{1,8}}[ \t]{{1,8}}(?:\d{{1,5}}\.\d[ \t]{{1,8}}\d{{1,3}}\.\d[ \t]{{1,8}}\d{{1,12}}[ \t]{{1,8}}\d{{1,12}}|\d{{1,8}}[ \t]{{1,8}}\d{{1,3}}[ \t]{{1,8}}(?:\d\d:\d\d(?::\d\d)?|[A-Z][a-z]{{2}} ?\d\d))[ \t]{{1,8}}(?:\?|pts/\d|tty)"
        ),
    ),
    Form(
        "user",
        ("  ",),
        re.compile(
            rf"(?m)^[ \t]{{0,8}}\d{{1,8}}[ \t]{{1,8}}(?P<one>{PERSON}\+?)[ \t]{{1,12}}(?:\d{{1,3}}|rt)[ \t]{{1,8}}-?\d{{1,2}}[ \t]{{1,8}}[\d.]{{1,12}}[gmt]?[ \t]{{1,8}}[\d.]{{1,12}}[gmt]?[ \t]{{1,8}}[\d.]{{1,12}}[gmt]?[ \t]{{1,8}}[A-Z][ \t]"
        ),
    ),
    Form(
        "user",
        ("MB |", "MiB |"),
        re.compile(
            r"\d Mi?B \|(?P<many>(?: [A-Za-z_][\w.+-]{1,40}(?::[\w./-]{1,40})?(?:/\d{1,8})?\(\d{1,8}Mi?B?\)){1,20})"
        ),
    ),
    # Owners of files: `tar -tv`, stat(1)
    Form(
        "user",
        ("rw",),
        re.compile(rf"(?m)^[dlhcbsp-](?:[r-][w-][xsStT-]){{3}} (?P<one>{PERSON})/[\w.-]{{1,64}}[ \t]{{1,20}}\d"),
    ),
    Form("user", ("id: (",), re.compile(rf"\b[UG]id: \([ \t]{{0,8}}\d{{1,10}}/[ \t]{{0,8}}(?P<one>{PERSON})\)")),
    # Accounts of Amazon: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html, and the profiles of SageMaker
    Form(
        "user",
        ("arn:",),
        re.compile(
            r"\barn:aws[a-z-]{0,12}:[a-z0-9-]{2,40}:[a-z0-9-]{0,30}:(?:\d{0,12}|<[a-z]{2,11}-\d{1,6}>):(?:user-profile|user|dbuser|federated-user|assumed-role|mfa|sms-mfa|space|app|u2f)[:/](?:[^\s/\"',]{1,100}/){0,4}(?P<one>[A-Za-z_][\w+=.@-]{1,63})"
        ),
    ),
    Form(
        "user",
        ("ser-profile", "serProfile"),
        re.compile(
            rf"(?i:--user-profile-name |\buser[-_]?profile(?:[-_]?name)?[\"']?\s?[=:]\s?)[\"']?(?P<one>(?!arn:){PERSON})"
        ),
    ),
    # Pages and data of a person: https://www.kaggle.com/docs/api
    Form(
        "user",
        ("kaggle",),
        re.compile(
            rf"(?i:kaggle\.com/(?:api/v1/)?(?:(?:datasets?|kernels?|code|models?|notebooks?|competitions?)/(?:(?:download|status|list|view|pull|get|metadata|files|create|push|output)/(?:file/)?)?|(?=[\w-]{{1,60}}/?(?:[\s\"')>]|$)))|\bkaggle (?:datasets|kernels|models)[^\n]{{0,80}}?\s(?:-d|-k|-m|--dataset|--kernel)?[ =]?|"
            rf"/kaggle/input/(?:datasets|models)/|/kagglehub/(?:datasets|models|notebooks)/|\bkagglehub\.\w{{1,40}}\([\"'])(?P<one>(?!{_OF_KAGGLE})[A-Za-z0-9][\w-]{{2,40}})(?=/[\w-]|[\s\"')>]|/?$)"
        ),
    ),
    Form(
        "user",
        (
            "wandb.ai/",
            "comet.com/",
            "neptune.ai/",
            "dagshub.com/",
            "linkedin.com/in/",
            "docker.com/u/",
            "orcid.org/",
            "lightning.ai/",
            "observablehq.com/@",
        ),
        re.compile(
            rf"(?i:\b(?:wandb\.ai|comet\.com|(?:app\.)?neptune\.ai|dagshub\.com|linkedin\.com/in|hub\.docker\.com/u|lightning\.ai|observablehq\.com/@)/(?:o/)?)(?P<one>(?!{_OF_SITES})[A-Za-z0-9][\w.-]{{2,60}})(?=[/?#\s\"'<>)\]]|$)"
        ),
    ),
    # The owner of a computer: system_profiler of macOS, systeminfo of Windows
    Form("user", ("User Name: ",), re.compile(r"\bUser Name: (?P<one>[^\n(]{2,60}?) \((?P<login>[\w.-]{1,60})\)")),
    Form(
        "user",
        ("Registered Owner", "Registered Organization"),
        re.compile(
            r"(?m)^[ \t]{0,8}Registered (?:Owner|Organization):[ \t]{1,40}(?!N/A)(?P<one>[^\s][^\n]{1,60}?)[ \t\r]*$"
        ),
    ),
    Form(
        "user",
        ("\u2019s ", "'s "),
        re.compile(
            r"(?<![\w.-])(?P<one>(?!Apple\b|Intel\b)[A-Z][\w.-]{1,30}(?: [A-Z][\w.-]{1,30}){0,2})['\u2019]s (?:MacBook|iMac|Mac (?:mini|Studio|Pro)|iPhone|iPad)"
        ),
    ),
    # A person beside an address for mail: `git log`, trailers of commits, headers of mail
    Form(
        "user",
        (" <",),
        re.compile(
            rf"\b(?:Author|Committer|Commit|From|To|Cc|Signed-off-by|Co-authored-by|Reported-by|Reviewed-by|Tested-by|Acked-by|Maintainer|Merge author)[:=][ \t]{{1,12}}[\"']?(?P<one>{FULL_NAME})[\"']? <(?=[^\s<>]{{1,80}}@|<email-\d)"
        ),
    ),
    # The name in the settings of git: `git config -l`, and in a file
    Form(
        "user",
        ("user.name",),
        re.compile(
            rf"(?m)(?:(?<![\w.])user\.name=|\bgit config(?: --?[\w-]{{1,20}}){{0,3}} user\.name )[\"']?(?P<one>{FULL_NAME})[\"']?[ \t\r]*$"
        ),
    ),
    Form(
        "user",
        ("[user]",),
        re.compile(
            rf"\[user\][ \t\r]*\n(?:[ \t]{{1,8}}\w{{1,20}} = [^\n]{{0,120}}\n){{0,3}}?[ \t]{{1,8}}name = [\"']?(?P<one>{FULL_NAME})[\"']?[ \t\r]*(?:\n|$)"
        ),
    ),
    # A line with nothing but a user: "Owner: NAME", "Login: NAME   Name: Full Name"
    Form(
        "user",
        ("ser", "wner", "ogin", "ubmitter", "ubmitted by"),
        re.compile(
            rf"(?m)^[ \t|*-]{{0,12}}(?i:(?:job |file |run )?(?:user|owner|submitter|login|login ?name|submitted by|started by|created by|launched by))[ \t]{{0,20}}:[ \t]{{1,20}}(?P<one>{NO_USER}{PERSON})(?:[ \t]{{1,40}}Name: (?P<full>{FULL_NAME}))?[ \t\r]*$"
        ),
    ),
    Form(
        "user",
        ("user ", "ubmitted by "),
        re.compile(
            rf"\b(?:(?:by|of|for|as|from) user|[Ss]ubmitted by(?: user)?) (?:[\"'](?P<quoted>{PERSON})[\"']|(?P<one>{NO_USER}{PERSON})(?=[ \t\r]*(?:$|\n|[;,(:]|on\b|at\b)|\.(?:\s|$)))"
        ),
    ),
)
