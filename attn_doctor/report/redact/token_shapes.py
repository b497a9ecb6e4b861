"""List the secrets that can be recognised by their shape: a prefix, an alphabet and a length.

Each row has the source of its fact. The lengths are lower bounds, below those of the sources, because a token that is cut off is
a secret too. If the prefix is short, or is also a word, the row requires the full length of its source.

Sources: "gitleaks: ID" is the rule of that name in https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml,
"detect-secrets: NAME" the module in https://github.com/Yelp/detect-secrets/tree/master/detect_secrets/plugins, "trufflehog: NAME" the folder
in https://github.com/trufflesecurity/trufflehog/tree/main/pkg/detectors. Other rows have the page of the service. What no row names is
searched by `unnamed_tokens`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from attn_doctor.report.redact import unnamed_tokens
from attn_doctor.report.redact.hinted import Hinted


class Shape(NamedTuple):
    """Describe one kind of token. `hint` is in every token of the kind: the pattern is tried only on texts that have it."""

    name: str
    hint: str
    pattern: str
    source: str
    loose: bool = False  # may begin inside of a word


_GOOGLE = "https://cloud.google.com/docs/authentication/token-types"
_AWS = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"
_SUPABASE = "https://supabase.com/docs/guides/api/api-keys"

# fmt: off
SHAPES: tuple[Shape, ...] = (
    Shape("GitHub", "gh", r"gh[pousr]_[A-Za-z0-9_]{16,}", "gitleaks: github-pat", loose=True),
    Shape("GitHub, fine-grained", "github_pat_", r"github_pat_\w{16,}", "gitleaks: github-fine-grained-pat", loose=True),
    Shape("GitLab", "gl", r"gl(?:pat|ptt|rt|imt|imat|imit|agent|oas|dt|cbt|ffct|ft|soat|rtr|wt)-[\w.-]{16,}", "gitleaks: gitlab-pat"),
    Shape("GitLab, runner", "GR1348941", r"GR1348941[\w-]{16,}", "gitleaks: gitlab-rrt"),
    Shape("Hugging Face", "hf_", r"hf_[A-Za-z0-9]{20,}", "gitleaks: huggingface-access-token"),
    Shape("Hugging Face, organisation", "api_org_", r"api_org_[A-Za-z0-9]{20,}", "gitleaks: huggingface-organization-api-token"),
    Shape("OpenAI and others", "sk-", r"sk-(?=[\w-]{0,60}\d)[\w-]{20,}", "gitleaks: openai-api-key"),
    Shape("Anthropic", "sk-ant-", r"sk-ant-[\w-]{16,}", "gitleaks: anthropic-api-key"),
    Shape("Groq", "gsk_", r"gsk_[A-Za-z0-9]{20,}", "https://console.groq.com/docs/quickstart"),
    Shape("xAI", "xai-", r"xai-[A-Za-z0-9]{20,}", "https://docs.x.ai/docs/tutorial"),
    Shape("Perplexity", "pplx-", r"pplx-[A-Za-z0-9]{20,}", "gitleaks: perplexity-api-key"),
    Shape("Replicate", "r8_", r"r8_[A-Za-z0-9]{20,}", "https://replicate.com/docs/topics/security/api-tokens"),
    Shape("NVIDIA NGC", "nvapi-", r"nvapi-[\w-]{20,}", "https://docs.nvidia.com/ngc/gpu-cloud/ngc-user-guide/index.html"),
    Shape("NVIDIA NGC, older", "", r"(?=[A-Za-z]{0,40}\d)[A-Za-z0-9+/]{82,110}={2}", "https://docs.nvidia.com/ngc/gpu-cloud/ngc-user-guide/index.html"),
    Shape("Weights & Biases", "wandb_v1_", r"wandb_v1_\w{20,}", "https://docs.wandb.ai/models/quickstart"),
    Shape("Kaggle", "KGAT_", r"KGAT_[A-Za-z0-9]{16,}", "https://www.kaggle.com/docs/api"),
    Shape("Pinecone", "pcsk_", r"pcsk_\w{20,}", "https://docs.pinecone.io/guides/projects/manage-api-keys"),
    Shape("LangSmith", "lsv2_", r"lsv2_(?:pt|sk)_\w{20,}", "https://docs.langchain.com/langsmith/create-account-api-key"),
    Shape("RunPod", "rpa_", r"rpa_[A-Z0-9]{20,}", "https://docs.runpod.io/get-started/api-keys"),
    Shape("Databricks", "dapi", r"dapi[a-f0-9]{32}(?:-\d)?", "gitleaks: databricks-api-token"),
    Shape("AWS, access key", "A", r"(?:A3T[A-Z0-9]|A(?:KIA|SIA|BIA|CCA|ROA|IDA|GPA|NPA|NVA|IPA))[A-Z0-9]{16}", "gitleaks: aws-access-token"),
    Shape("AWS, Bedrock", "ABSK", r"ABSK[A-Za-z0-9+/]{60,}={0,2}", "gitleaks: aws-amazon-bedrock-api-key-long-lived"),
    Shape("AWS, Bedrock, short", "bedrock-api-key-", r"bedrock-api-key-[A-Za-z0-9+/=]{20,}", "gitleaks: aws-amazon-bedrock-api-key-short-lived"),
    Shape("AWS, session token", "Qo", r"(?:FwoGZXIvYXdz|FQoGZXIvYXdz|IQoJb3JpZ2lu)[A-Za-z0-9+/=%]{20,}", _AWS),
    Shape("Google, API key", "AIza", r"AIza[\w-]{30,}", "gitleaks: gcp-api-key"),
    Shape("Google, access token", "ya29.", r"ya29\.[\w.-]{16,}", _GOOGLE),
    Shape("Google, refresh token", "1//", r"1//0[\w-]{20,}", _GOOGLE),
    Shape("Google, client secret", "GOCSPX-", r"GOCSPX-[\w-]{16,}", _GOOGLE),
    Shape("Google, HMAC key", "GOOG", r"GOOG1?[A-Z0-9]{20,}", "https://cloud.google.com/storage/docs/authentication/hmackeys"),
    Shape("Azure, client secret", "Q~", r"[\w~.]{3}\dQ~[\w~.-]{24,}", "gitleaks: azure-ad-client-secret"),
    Shape("Azure, storage key", "==", r"(?<!sha512-)[A-Za-z0-9+/]{86}==", "detect-secrets: azure_storage_key"),
    Shape("Azure, DevOps", "AZDO", r"[A-Za-z0-9]{60,}AZDO[A-Za-z0-9]{4}", "https://learn.microsoft.com/azure/devops/organizations/accounts/use-personal-access-tokens-to-authenticate"),
    Shape("Azure, with a signature", "JQQJ99", r"[A-Za-z0-9]{40,}JQQJ99[A-Za-z0-9]{10,}", "https://learn.microsoft.com/purview/sit-defn-azure-ai-common"),
    Shape("Alibaba", "LTAI", r"LTAI[A-Za-z0-9]{12,}", "gitleaks: alibaba-access-key-id"),
    Shape("Tencent", "AKID", r"AKID[A-Za-z0-9]{28,}", "https://www.tencentcloud.com/document/product/598/32675"),
    Shape("Yandex, API key", "AQVN", r"AQVN[\w-]{30,}", "gitleaks: yandex-api-key"),
    Shape("Yandex, token", "t1.", r"t1\.[A-Z0-9a-z_-]{20,}={0,2}\.[\w-]{60,}={0,2}", "gitleaks: yandex-access-token"),
    Shape("DigitalOcean", "_v1_", r"do[opr]_v1_[a-f0-9]{32,}", "gitleaks: digitalocean-pat"),
    Shape("Scaleway", "SCW", r"SCW[A-Z0-9]{17}", "https://www.scaleway.com/en/docs/iam/how-to/create-api-keys/"),
    Shape("Heroku", "HRKU-", r"HRKU-[\w-]{30,}", "gitleaks: heroku-api-key-v2"),
    Shape("Fly.io", "fo1_", r"fo1_[\w-]{30,}", "gitleaks: flyio-access-token"),
    Shape("Fly.io, macaroon", "fm", r"fm[12][ar]?_[A-Za-z0-9+/]{60,}={0,3}", "gitleaks: flyio-access-token"),
    Shape("Cloudflare", "v1.0-", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{60,}", "gitleaks: cloudflare-origin-ca-key"),
    Shape("Vault", "hv", r"hv[sbr]\.[\w-]{20,}", "gitleaks: vault-service-token"),
    Shape("Vault, older", "s.", r"s\.(?=[A-Za-z]{0,23}\d)[A-Za-z0-9]{24}(?![\w.])", "gitleaks: vault-service-token"),
    Shape("Terraform", "atlasv1", r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{30,}", "gitleaks: hashicorp-tf-api-token"),
    Shape("Pulumi", "pul-", r"pul-[a-f0-9]{30,}", "gitleaks: pulumi-api-token"),
    Shape("Doppler", "dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{20,}", "gitleaks: doppler-api-token"),
    Shape("1Password", "ops_eyJ", r"ops_eyJ[A-Za-z0-9+/=_-]{20,}", "gitleaks: 1password-service-account-token"),
    Shape("1Password, secret key", "A3-", r"A3-[A-Z0-9]{6}-[A-Z0-9]{6,11}(?:-[A-Z0-9]{5,6}){3,4}", "gitleaks: 1password-secret-key"),
    Shape("age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}", "gitleaks: age-secret-key"),
    Shape("Slack", "xox", r"xox[a-zA-Z](?:\.xox[a-z])?-[\w-]{8,}", "gitleaks: slack-bot-token"),
    Shape("Slack, app", "xapp-", r"xapp-\d-[\w-]{10,}", "gitleaks: slack-app-token"),
    Shape("Slack, webhook", "hooks.slack.com", r"(?i:hooks\.slack\.com)/(?i:services|workflows|triggers)/[\w/+-]{6,}", "gitleaks: slack-webhook-url", loose=True),
    Shape("Teams, webhook", "webhook.office.com", r"[\w-]{1,60}\.webhook\.office\.com/webhookb2/[\w@/-]{10,}", "gitleaks: microsoft-teams-webhook"),
    Shape("Discord, webhook", "/api/webhooks/", r"/api/webhooks/\d{5,}/[\w-]{20,}", "https://discord.com/developers/docs/resources/webhook", loose=True),
    Shape("Discord, bot", ".", r"(?=[A-Za-z_-]{0,25}\d)[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}", "detect-secrets: discord"),
    Shape("Telegram", ":A", r"\d{5,16}:A[\w-]{32,}", "gitleaks: telegram-bot-api-token", loose=True),
    Shape("Telegram, older", ":", r"\d{8,10}:[\w-]{35}(?![\w-])", "detect-secrets: telegram_token"),
    Shape("Stripe", "k_", r"(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,}", "gitleaks: stripe-access-token"),
    Shape("Stripe, webhook", "whsec_", r"whsec_[A-Za-z0-9+/=]{16,}", "https://docs.stripe.com/webhooks/signature"),
    Shape("Twilio", "", r"(?:SK|AC)[0-9a-z]{32}(?![0-9A-Za-z])", "detect-secrets: twilio"),
    Shape("SendGrid", "SG.", r"SG\.[\w-]{16,}\.[\w-]{16,}", "detect-secrets: sendgrid"),
    Shape("Mailgun", "key-", r"(?:pub)?key-[0-9a-f]{32}", "gitleaks: mailgun-private-api-token"),
    Shape("Mailchimp", "-us", r"[0-9a-z]{32}-us\d{1,2}", "detect-secrets: mailchimp"),
    Shape("Sendinblue", "xkeysib-", r"xkeysib-[a-f0-9]{32,}-\w{8,}", "gitleaks: sendinblue-api-token"),
    Shape("npm", "npm_", r"npm_[A-Za-z0-9]{30,}", "gitleaks: npm-access-token"),
    Shape("PyPI", "pypi-", r"pypi-(?:Ag)?[\w-]{20,}", "detect-secrets: pypi_token"),
    Shape("RubyGems", "rubygems_", r"rubygems_[a-f0-9]{30,}", "gitleaks: rubygems-api-token"),
    Shape("crates.io", "cio", r"cio[A-Za-z0-9]{32}(?![A-Za-z0-9])", "https://github.com/rust-lang/crates.io/blob/main/crates/crates_io_database/src/utils/token.rs"),
    Shape("NuGet", "oy2", r"oy2[a-z0-9]{43}", "https://learn.microsoft.com/nuget/nuget-org/publish-a-package"),
    Shape("Clojars", "CLOJARS_", r"CLOJARS_[A-Za-z0-9]{30,}", "gitleaks: clojars-api-token"),
    Shape("Docker Hub", "dckr_", r"dckr_(?:pat|oat)_[\w-]{16,}", "https://docs.docker.com/security/access-tokens/"),
    Shape("Artifactory", "AKC", r"AKC[a-zA-Z0-9]{10,}", "detect-secrets: artifactory"),
    Shape("Artifactory, reference", "cmVm", r"cmVm[A-Za-z0-9]{40,}", "gitleaks: artifactory-reference-token"),
    Shape("Anaconda, channel", "conda", r"(?<=/t/)[\w-]{10,}(?=/)", "https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html", loose=True),
    Shape("Grafana", "gl", r"(?:glc_[A-Za-z0-9+/=]{20,}|glsa_[A-Za-z0-9_]{20,})", "gitleaks: grafana-service-account-token"),
    Shape("Sentry", "sntry", r"sntry[su]_[A-Za-z0-9+/=_-]{20,}", "gitleaks: sentry-user-token"),
    Shape("New Relic", "NR", r"NR(?:AK|II|JS|AL|SP|RA|PR)-[A-Za-z0-9-]{16,}", "gitleaks: new-relic-user-api-key"),
    Shape("Dynatrace", "dt0", r"dt0[a-z]\d{2}\.[A-Z0-9a-z]{20,}\.[A-Z0-9a-z]{30,}", "gitleaks: dynatrace-api-token"),
    Shape("PostHog", "ph", r"ph[cxs]_[A-Za-z0-9]{30,}", "https://posthog.com/docs/api"),
    Shape("Linear", "lin_", r"lin_(?:api|oauth)_[A-Za-z0-9]{20,}", "gitleaks: linear-api-key"),
    Shape("Notion", "ntn_", r"ntn_[A-Za-z0-9]{30,}", "gitleaks: notion-api-token"),
    Shape("Notion, older", "secret_", r"secret_[A-Za-z0-9]{30,}", "https://developers.notion.com/reference/authentication"),
    Shape("Figma", "figd_", r"figd_[\w-]{20,}", "https://www.figma.com/developers/api#access-tokens"),
    Shape("Airtable", "pat", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{32,}", "gitleaks: airtable-personnal-access-token"),
    Shape("Atlassian", "AT", r"AT(?:ATT3|CTT3)[\w=-]{20,}", "gitleaks: atlassian-api-token"),
    Shape("Bitbucket", "ATBB", r"ATBB[A-Za-z0-9]{20,}", "https://support.atlassian.com/bitbucket-cloud/docs/app-passwords/"),
    Shape("Dropbox", "sl.", r"sl\.(?:u\.)?[\w=-]{60,}", "gitleaks: dropbox-short-lived-api-token"),
    Shape("Facebook", "EAA", r"EAA[A-Za-z0-9]{60,}", "gitleaks: facebook-page-access-token"),
    Shape("Shopify", "shp", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{24,}", "gitleaks: shopify-access-token"),
    Shape("Square", "sq0", r"sq0[a-z]{3}-[\w\\-]{20,}", "gitleaks: square-access-token"),
    Shape("Postman", "PMAK-", r"PMAK-[A-Za-z0-9-]{30,}", "gitleaks: postman-api-token"),
    Shape("PlanetScale", "pscale_", r"pscale_(?:tkn|oauth|pw)_[\w=.-]{20,}", "gitleaks: planetscale-api-token"),
    Shape("Supabase", "sb", r"(?:sbp_[a-f0-9]{30,}|sb_secret_[\w-]{20,})", _SUPABASE),
    Shape("Tailscale", "tskey-", r"tskey-[\w-]{10,}", "https://tailscale.com/kb/1085/auth-keys"),
    Shape("CircleCI", "CCIPAT_", r"CCI(?:PAT|PRJ)_[\w-]{20,}", "https://circleci.com/docs/managing-api-tokens/"),
    Shape("Buildkite", "bk", r"bk(?:ua|ct|aj|at)_[A-Za-z0-9]{20,}", "https://buildkite.com/docs/apis/managing-api-tokens"),
    Shape("Sourcegraph", "sgp_", r"sgp_[\w]{32,}", "gitleaks: sourcegraph-access-token"),
    Shape("Infracost", "ico-", r"ico-[A-Za-z0-9]{32}", "gitleaks: infracost-api-token"),
    Shape("Prefect", "pnu_", r"pnu_[A-Za-z0-9]{30,}", "gitleaks: prefect-api-token"),
    Shape("ReadMe", "rdme_", r"rdme_[a-z0-9]{40,}", "gitleaks: readme-api-token"),
    Shape("Typeform", "tfp_", r"tfp_[\w.=-]{40,}", "gitleaks: typeform-api-token"),
    Shape("Octopus Deploy", "API-", r"API-[A-Z0-9]{26}", "gitleaks: octopus-deploy-api-key"),
    Shape("OpenShift", "sha256~", r"sha256~[\w-]{30,}", "gitleaks: openshift-user-token"),
    Shape("Aiven", "AVNS_", r"AVNS_[\w-]{10,}", "https://aiven.io/docs/platform/concepts/authentication-tokens"),
    Shape("Adobe", "p8e-", r"p8e-[A-Za-z0-9]{32}", "gitleaks: adobe-client-secret"),
    Shape("EasyPost", "EZ", r"EZ[AT]K[A-Za-z0-9]{40,}", "gitleaks: easypost-api-token"),
    Shape("Shippo", "shippo_", r"shippo_(?:live|test)_[a-f0-9]{30,}", "gitleaks: shippo-api-token"),
    Shape("Duffel", "duffel_", r"duffel_(?:test|live)_[\w=-]{30,}", "gitleaks: duffel-api-token"),
    Shape("Harness", "at.", r"(?:pat|sat)\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}", "gitleaks: harness-api-key"),
    Shape("ClickHouse", "4b1d", r"4b1d[A-Za-z0-9]{38}", "gitleaks: clickhouse-cloud-api-secret-key"),
    Shape("JSON web token", "eyJ", r"eyJ[\w-]{16,}", "detect-secrets: jwt"),
    Shape("JSON web token, encoded again", "ZXlK", r"ZXlK[A-Za-z0-9+/=_-]{40,}", "gitleaks: jwt-base64"),
    Shape("key of a private key file", "MII", r"MII[A-Za-z0-9+/]{50,}={0,2}", "https://www.rfc-editor.org/rfc/rfc7468"),
    Shape("OpenSSH key", "b3BlbnNzaC1rZXk", r"b3BlbnNzaC1rZXk[A-Za-z0-9+/=]{20,}", "https://www.rfc-editor.org/rfc/rfc4716"),
    Shape("SSH public key", "AAAA", r"AAAA[BCE][A-Za-z0-9+/]{40,}={0,3}", "https://www.rfc-editor.org/rfc/rfc4253#section-6.6"),
    Shape("hash of a password", "$", r"\$(?:2[abxy]|1|5|6|y|7|apr1|argon2(?:id|i|d)|scrypt|pbkdf2-sha\d+)\$[A-Za-z0-9./$=,+-]{20,}", "https://manpages.debian.org/crypt.5", loose=True),
    Shape("hash of a password, of Django", "pbkdf2_", r"pbkdf2_sha\d+\$\d+\$[A-Za-z0-9./$=+]{20,}", "https://docs.djangoproject.com/en/stable/topics/auth/passwords/"),
    Shape("SonarQube", "sq", r"sq[pua]_[0-9a-f]{40}", "https://docs.sonarsource.com/sonarqube-server/user-guide/managing-tokens/"),
    Shape("certificate or key, encoded", "LS0tLS1CRUdJTi", r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{20,}", "gitleaks: kubernetes-secret-yaml"),
    Shape("Discord, two factors", "mfa.", r"mfa\.[\w-]{60,}", "https://discord.com/developers/docs/reference#authentication"),
    Shape("Firebase", ":APA91b", r"[\w-]{11,}:APA91b[\w-]{60,}", "https://firebase.google.com/docs/cloud-messaging/manage-tokens"),
    Shape("Oracle cloud", "ocid1.", r"ocid1\.[a-z0-9]{2,30}\.oc\d[\w.-]{10,}", "https://docs.oracle.com/iaas/Content/General/Concepts/identifiers.htm"),
    Shape("Authress", ".acc", r"(?:sc|ext|scauth|authress)_[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][a-z0-9-]{8,}\.[\w+/=-]{20,}", "gitleaks: authress-service-client-access-key"),
    Shape("Close", "api_", r"api_[A-Za-z0-9]{20,}\.[A-Za-z0-9]{20,}", "trufflehog: closecrm"),
    Shape("PASETO", ".local.", r"v[1-4]\.local\.[\w-]{20,}", "https://github.com/paseto-standard/paseto-spec"),
    Shape("PASETO, signed", ".public.", r"v[1-4]\.public\.[\w-]{20,}", "https://github.com/paseto-standard/paseto-spec"),
    Shape("Defined networking", "dnkey-", r"dnkey-[\w=-]{20,}", "gitleaks: defined-networking-api-token"),
    Shape("Facebook, app", "|", r"\d{15,16}\|[\w-]{20,}", "gitleaks: facebook-access-token"),
    Shape("Finage", "API_KEY", r"API_KEY[0-9A-Z]{28,}", "trufflehog: finage"),
    Shape("Flutterwave", "FLW", r"FLW(?:SECK|PUBK)(?:_TEST)?-[0-9a-z]{12,}(?:-X)?", "gitleaks: flutterwave-secret-key"),
    Shape("Frame.io", "fio-u-", r"fio-u-[\w=-]{30,}", "gitleaks: frameio-api-token"),
    Shape("Intra 42", "s-s4t2", r"s-s4t2(?:ud|af)-[a-f0-9]{30,}", "gitleaks: intra42-client-secret"),
    Shape("Klaviyo", "pk_", r"pk_[0-9a-f]{34}", "trufflehog: klaviyo"),
    Shape("Lob", "_", r"(?:live|test)_(?:pub_)?[a-f0-9]{31,35}", "gitleaks: lob-api-key"),
    Shape("Mailgun, signing", "-", r"[a-h0-9]{32}-[a-h0-9]{8}-[a-h0-9]{8}", "gitleaks: mailgun-signing-key"),
    Shape("New Relic, query", "NRIQ-", r"NRIQ-[\w-]{16,}", "trufflehog: newrelicinsightsquerykey"),
    Shape("Neon", "npg_", r"npg_[A-Za-z0-9]{12,}", "https://neon.com/docs/manage/roles"),
    Shape("Square, production", "EAAA", r"EAAA[\w-]{50,}", "gitleaks: square-access-token"),
    Shape("Zhipu", ".", r"[0-9a-f]{32}\.[A-Za-z0-9]{16}", "https://docs.bigmodel.cn/cn/guide/develop/http/introduction"),
    Shape("Jenkins", "11", r"11[0-9a-f]{32}(?![0-9a-zA-Z])", "https://www.jenkins.io/doc/book/system-administration/authenticating-scripted-clients/"),
    Shape("key of 32 bytes", "=", r"(?<![+/=_:-])(?=[+/A-Z0-9]{0,42}[a-z])(?=[+/a-z0-9]{0,42}[A-Z])(?=[+/A-Za-z]{0,42}\d)[A-Za-z0-9+/]{43}=(?![=A-Za-z0-9])", "https://learn.microsoft.com/azure/event-grid/get-access-keys"),
    Shape("hash of a password, of PostgreSQL", "SCRAM-SHA-", r"SCRAM-SHA-\d{1,3}\$\d{1,9}:[A-Za-z0-9+/=]{8,}\$[A-Za-z0-9+/=:]{20,}", "https://www.postgresql.org/docs/current/catalog-pg-authid.html"),
    Shape("hash of a password, of LDAP", "{S", r"\{S?SHA\d{0,3}\}[A-Za-z0-9+/]{20,}={0,2}", "https://www.openldap.org/doc/admin26/security.html#Password%20Storage", loose=True),
    Shape("hash of a password, of MySQL", "*", r"\*(?=[0-9A-F]{0,39}[A-F])(?=[0-9A-F]{0,39}[1-9])[0-9A-F]{40}(?![0-9A-Za-z])", "https://dev.mysql.com/doc/refman/8.4/en/password-hashing.html"),
    Shape("Rootly", "rootly_", r"rootly_[a-f0-9]{40,}", "trufflehog: rootly"),
    Shape("Sourcegraph, Cody", "slk_", r"slk_[a-f0-9]{40,}", "trufflehog: sourcegraphcody"),
    Shape("E2B", "e2b_", r"e2b_[a-f0-9]{40}", "https://e2b.dev/docs/api-key"),
    Shape("Fireworks", "fw_", r"fw_[A-Za-z0-9]{22,}", "https://docs.fireworks.ai/api-reference/introduction"),
    Shape("Resend", "re_", r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}", "https://resend.com/docs/dashboard/api-keys/introduction"),
    Shape("Google, code of a log-in", "4/", r"4/[01][A-Za-z][\w-]{20,}", "https://developers.google.com/identity/protocols/oauth2/native-app"),
    Shape("hash of a password, of GRUB", "grub.pbkdf2", r"grub\.pbkdf2\.sha\d+\.\d+\.[0-9A-Fa-f]{32,}\.[0-9A-Fa-f]{32,}", "https://www.gnu.org/software/grub/manual/grub/html_node/Security.html"),
    Shape("K3s", "K10", r"K10[0-9a-f]{64}::\w[\w.:-]{7,}", "https://docs.k3s.io/cli/token"),
    Shape("NATS, seed", "S", r"S[ACNOUX][A-Z2-7]{56}(?![A-Z0-9])", "https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth"),
    Shape("licence key", "-", r"(?=[A-Z-]{0,28}\d)[A-Z0-9]{5}(?:-[A-Z0-9]{5}){4}(?![\w-])", "https://support.microsoft.com/windows/find-your-windows-product-key-aaa2bf69-7b2b-9f13-f581-a806abf0a886"),
    Shape("Windows account", "S-1-5-21-", r"S-1-5-21(?:-\d{3,}){3,}", "https://learn.microsoft.com/windows-server/identity/ad-ds/manage/understand-security-identifiers"),
    Shape("AWS account", "arn:", r"(?<=:)\d{12}(?=:)", _AWS, loose=True),
    Shape("AWS registry", ".dkr.ecr", r"\d{12}(?=\.dkr\.ecr)", "https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html", loose=True),
)
# fmt: on

_LONGEST = 400  # characters for one quantifier: without a limit, a text of many beginnings is read from each to its end


def _compiled(shape: Shape) -> re.Pattern[str]:
    limited = re.sub(r"\{(\d+),\}", rf"{{\1,{_LONGEST}}}", shape.pattern)
    return re.compile(limited if shape.loose else rf"(?<![A-Za-z0-9]){limited}")


_COMPILED = Hinted(((shape.hint,), _compiled(shape)) for shape in SHAPES)
_REST = re.compile(r"[\w-]*(?:[.+/=~%]+[\w-]+)*=*")  # of a token that is longer than its pattern
# 40 letters of base64 in both cases, with a digit and a slash or plus: https://docs.aws.amazon.com/IAM/latest/UserGuide/security-creds-programmatic-access.html
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=._-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=._-])")
# A line of a private key without its first line, as a log quotes it: https://www.rfc-editor.org/rfc/rfc7468#section-2
_KEY_LINE = re.compile(r"(?m)^[ \t]{0,8}([A-Za-z0-9+/]{64}|[A-Za-z0-9+/]{70}|[A-Za-z0-9+/]{76})[ \t\r]{0,8}$")
_BEGIN = re.compile(
    r"-{4,5} ?BEGIN[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)? ?-{4,5}|PuTTY-User-Key-File-\d|Private-Lines: \d+|\$ANSIBLE_VAULT;[\d.]+;AES256"
)
_BEGINNINGS = ("PRIVATE KEY", "PuTTY", "Private-Lines", "ANSIBLE_VAULT")
_END = re.compile(r"-{4,5} ?END[ A-Z0-9_-]{0,60}KEY(?: BLOCK)? ?-{4,5}|Private-MAC: \w+")
_BODY = re.compile(r"[\sA-Za-z0-9+/=\\:,.-]*")


# The hash of a file, with its algorithm before it: https://www.w3.org/TR/SRI/, https://packaging.python.org/specifications/recording-installed-packages/
_DIGEST = re.compile(
    r"(?i)(?<![a-z0-9])(?:sha-?(?:1|224|256|384|512)|md5|blake(?:2b|2s|3)|h1)[-=:]:?(?![0-9a-f]{8,})(?-i:[A-Za-z0-9_-]{22,86}|[A-Za-z0-9+/]{22,86})={0,2}(?![A-Za-z0-9+/=_-])"
)


# Numbers of a tensor or an image, encoded, with the word for them on the same line
_BASE_64 = re.compile(r"[A-Za-z0-9+/=]{20,}")
_OF_DATA = re.compile(
    r"(?i)(?:\b(?:tensor|ndarray|array|dtype|shape|pixels?|mask|embeddings?|features?|weights?|histogram|arch_list|image|img|thumbnail|plot|figure|frame|payload of)(?:\b|_)[^\n]{0,80}|data:[\w/+.-]{1,40};base64,)$"
)


def tokens(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each secret that is known by its shape, and of each that `unnamed_tokens` finds. The hash of a file is none."""
    lowered = text.lower()
    hashed = (
        [match.span() for match in _DIGEST.finditer(text)]
        if any(one in lowered for one in ("sha", "md5", "blake", "h1:"))
        else []
    )
    data = "b64" in lowered or "base64" in lowered or "dtype" in lowered
    for start, end in _shaped(text):
        if any(begin <= start and end <= stop + 2 for begin, stop in hashed):
            continue
        if data and _BASE_64.fullmatch(text, start, end) and _OF_DATA.search(text, max(start - 120, 0), start):
            continue
        yield start, end


def _shaped(text: str) -> Iterator[tuple[int, int]]:
    for pattern in _COMPILED.of(text):
        done = 0
        for match in pattern.finditer(text):
            if match.start() >= done:
                rest = _REST.match(text, match.end())
                done = rest.end() if rest else match.end()
                yield match.start(), done
    for match in _AWS_SECRET.finditer(text):
        if unnamed_tokens.is_mixed(match[0]) and ("+" in match[0] or "/" in match[0]) and match[0].count("/") < 4:
            yield match.span()
    for match in _KEY_LINE.finditer(text):
        if unnamed_tokens.is_mixed(match[1]):
            yield match.span(1)
    yield from unnamed_tokens.tokens(text)


def private_keys(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each private key, from its first line to its last.

    If the last line is missing, the key ends where a character follows that no key contains.
    """
    done, ended = 0, True
    for begin in _BEGIN.finditer(text) if any(hint in text for hint in _BEGINNINGS) else ():
        if begin.start() < done:
            continue
        end = _END.search(text, begin.end()) if ended else None
        ended = end is not None
        body = _BODY.match(text, begin.end())
        done = end.end() if end else body.end() if body else begin.end()
        yield begin.start(), done
