"""List the commands that take a token or a password as a word at a fixed place: tunnels, services for code, clouds for GPUs, registries of packages."""

from __future__ import annotations

from attn_doctor.report.redact.command_lines import VALUE, option, place

# A word that is no subcommand: it has a digit, or many letters.
_WORD = r"[\"']?((?=[^\s\"']{0,60}\d)[^\s\"'-][^\s\"']{7,400})"

_TUNNELS = (
    r"zrok2? (?:enable|invite)|zerotier-cli (?:join|orbit)|twingate setup|loclx account login|(?:ngrok|expose|pinggy|inlets|bore|frpc|sish|localtonet|playit) (?:authtoken|token|config add-authtoken|set-token|login|auth|secret set)|"
    r"netmaker join|netclient join(?: -t)?|nordvpn login|mullvad account login|warp-cli (?:registration )?(?:license|token|set-license)|husarnet join|nebula join|headscale nodes register|teleport join|cloudflared (?:tunnel run|access token)"
)
_SERVICES = (
    r"infracost (?:auth set|configure set api_key)|travis (?:encrypt|login)|snyk (?:auth|config set api=?)|sonar-?cloud login|codacy login|deepsource config|surge token|netlify login|railway login|render login|vercel login|okteto login|koyeb login|"
    r"pulumi login|doppler configure set token|bws config|op signin|infisical login|akeyless auth|conjur login|dotenvx \w{2,10}|sentry-cli login|rollbar-cli login|logdna (?:login|conf -k)|bugsnag-cli login|loggly-cli auth|"
    r"linode-cli configure|doctl auth init|vultr-cli login|scw init|civo apikey (?:add|save) \S{1,40}|exo config add|upctl login|hcloud context create \S{1,40}|flyctl auth|turso auth|pscale auth|supabase login|neonctl auth|atlas auth"
)
_OF_TRAINING = (
    r"vast(?:ai)? set api-key|runpodctl config|runpod config|jarvislabs login|jl login|prime (?:login|config set-api-key)|gradient (?:apiKey|login)|paperspace login|floyd login|grid login|brev login|beam configure|baseten login|truss login|banana auth|cog login|"
    r"replicate auth login|trackio login|polyaxon login|labelbox login|darwin authenticate|encord login|supervisely login|roboflow (?:auth|login)|fiftyone login|swanlab login|dagshub login|dvc studio login|zenml (?:login|connect)|neptune login|comet login|aim login|"
    r"lightning login|determined login|det user login \S{1,40}|openxlab login|modelscope login|pai login|dlc config|ngc config set|hub login|together login|anyscale auth set|sky api login|salad login|lambda-?cloud login|octoai login|fal auth|modal token"
)
_PASSWORDS = (
    r"conan (?:remote )?(?:login|user|auth)|npm-cli-login|npm (?:login|adduser)|yarn npm login|devpi (?:login|user)|(?:flit|poetry|uv|pdm|twine|hatch|maturin|rye) (?:publish|upload)|jf(?:rog)?(?: \w{1,8}){1,2}|helm (?:registry login|repo add|push|cm-push)|"
    r"veracrypt|truecrypt|zuluCrypt-cli|(?:cf|ibmcloud|bx|oc|odo|rhc|faas-cli|openshift|tkn|wsk|rancher|kubelogin|argocd|harbor|quay|gcloud|nuget|choco|dput|osc|curlftpfs|mc|mbsync) login|vsce|ovsx|tfx|appcenter|cosign|notation login|regctl registry (?:set|login)|ctr images? (?:pull|push)|nexus|swift|svnadmin|svn|hg|mutt|imapsync|getmail|smbget|smbmap|crackmapexec|evil-winrm|impacket-\w{2,12}|wmic|winexe|rpcclient|net rpc|onedrive|megaput|megaget|mega-login|gdrive|curlew"
)

RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("enable", "invite", "join", "orbit", "setup", "ogin", "oken", "register", "license", "set", "run", "auth"), place(f"{_TUNNELS}|{_SERVICES}|{_OF_TRAINING}", 0, _WORD)),
    (("auth", "ogin", "onfig", "api", "ncrypt", "onnect", "init", "oken", "create", "dotenvx", "onfigure"), place(_SERVICES, 0, _WORD)),
    (("-p", "-P"), option(_PASSWORDS, "p|P|-pass", rf"(?=[^\s]{{0,60}}[\d!#$%&*@^~+?=]){VALUE}")),
    (("mega-login", "megalogin"), place("mega-?login", 1)),
    (("user-secrets set",), place("dotnet user-secrets set", 1)),
    (("codecov", "gem push", "coveralls", "codeclimate"), r"\b(?:codecov|gem push|coveralls|cc-test-reporter)\b[^\n]{0,80}? (?:-t|--key|-r|-k)[ =][\"']?([^\s\"'-][^\s\"']{7,200})"),
    (("-D", "/p:", "-P"), r"\s(?:-D|/[pd]:|-P)[\w.]{0,40}?(?:[lL]ogin|[pP]ass(?:word|wd|phrase)?|[tT]oken|[kK]ey|[sS]ecret)=[\"']?(?=[^\s\"']{0,60}\d)([^\s\"'$/][^\s\"']{5,200})"),
)  # fmt: skip
