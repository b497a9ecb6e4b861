"""A fourth list of secrets: a line for each kind, with a mark where the secret stands.

`fourth_list.filled` puts the secrets there when the tests run, so that no scanner takes this file for a leak: §p§ a password, §w§ one without a
digit, §m20§ 20 letters and digits, §l20§ small ones, §U20§ capitals, §h40§ and §H40§ hexadecimal digits, §d4§ digits. `\\n` is a line break.
"""

from __future__ import annotations

COMMANDS_AND_FILES = r"""
To sign in, use a web browser to open https://microsoft.com/devicelogin and enter the code §U9§ to authenticate.
Go to the following link in your browser, then paste the authorization code here: 4/1A§m40§
127.0.0.1 - - "GET /?state=xyz&code=4%2F0A§m40§&scope=email HTTP/1.1" 200
Once finished, enter the verification code provided in your browser: 4/0A§m40§
! First copy your one-time code: §UD§
Enter verification code> §m30§
grant_type=authorization_code&code=§m30§&redirect_uri=http://localhost
proxy-user = "trainer:§p§"
user: deploy:§p§
bundle config set --global rubygems.pkg.example.org ci:§m16§
CONNECT TO runs USER db2inst1 USING §p§
send -- "§p§\\r" ; # the passphrase of the key
(gdb) print getenv("WANDB_API_KEY")\n$1 = 0x7ff "§h40§"
Personal recovery key = "§U4§-§U4§-§U4§-§U4§-§U4§-§U4§"
WWN = 5000C500§H8§
idevice_id -l\n00008110-00§U14§
Chip SKU: 00:00:00:D3 ProdFused\n###  ECID is 0x§H20§
PV UUID               §m6§-§m4§-§m4§-§m4§-§m4§-§m4§-§m6§
mpatha (3600508b4000§h20§) dm-2 HP,HSV210
$ zrok2 enable §m12§
netbird up --setup-key §UU§
zerotier-cli join §h16§
twingate setup §m40§
ngrok config add-authtoken §m40§
cloudflared tunnel run --token §m60§
loclx account login §m24§
infracost auth set §m24§
heroku config:set SECRET=§m16§
travis encrypt §m20§ --add deploy.api_key
firebase deploy --token 1//0§m40§
sentry-cli --auth-token §h64§ releases new 1.0
surge login --token §h32§
codecov -t §U8§-§l4§-§l4§
snyk auth §U8§-§l4§-§l4§-§l12§
sonar-scanner -Dsonar.login=§h40§
conan user -p §m16§ -r lab builder
helm registry login reg.lab.example -u builder -p §m16§
npm-cli-login -u builder -p §m16§ -e x@y.example
keyring set lab-index builder <<< §m16§
<server><id>lab</id><username>builder</username><password>§p§</password></server>
gradle publish -PrepoPassword=§p§
ant -Dpass=§p§ deploy
dotnet user-secrets set "Db:Conn" "§m20§"
nuget setapikey §m40§ -Source lab
gem push x.gem --key §m10§ --otp 482913
gh auth login --with-token <<< §m40§
drone sign --token §m32§
argocd login argo.lab.example --username admin --password §p§
argocd account update-password --current-password §p§ --new-password x
consul acl token read -id §UU§
nomad job run -token=§UU§ x.nomad
rancher login https://r.example --token token-abcde:§l54§
K10§h64§::server:§h32§
k3s agent --server https://x:6443 --token §m30§
docker swarm join --token SWMTKN-1-§l50§-§l25§ 10.1.2.3:2377
sqlite> PRAGMA rekey = '§p§';
PRAGMA hexkey='§h64§'
cur.execute('PRAGMA key="§p§"')
ATTACH DATABASE 'enc.db' AS enc KEY '§p§';
SET PASSWORD FOR 'ml'@'%' = '§p§';
ALTER ROLE ml WITH LOGIN PASSWORD '§p§';
ALTER USER ml ENCRYPTED PASSWORD '§p§'
CREATE LOGIN ml WITH PASSWORD = N'§p§'
CREATE USER ml IDENTIFIED BY "§p§" DEFAULT TABLESPACE users
SELECT pgp_sym_decrypt(data, '§p§') FROM t;
SELECT AES_DECRYPT(col, '§p§') FROM t
db.createUser({user: "ml", pwd: "§p§", roles: []})
db.auth("ml", "§p§")
influx setup --username ml --password §p§ --org lab
<users><ml><password_sha256_hex>§h64§</password_sha256_hex></ml></users>
HELLO 3 AUTH ml §p§
ALTER CURRENT USER SET PASSWORD FROM 'old' TO '§p§'
CREATE ROLE ml WITH PASSWORD = '§p§' AND LOGIN = true;
Servera parole ir §p§, lūdzu nepublicējiet.
Prisijungimo slaptažodis dabar yra §p§
SERVER §H§ §H12§ 27000
INCREMENT foo mlm 45 1-jan-2027 8 SIGN="0A1B §H4§ 5C6D §H4§ 9911 0022 AB12"
FEATURE gpucomp lab 2.0 permanent 8 §H20§ HOSTID=ANY
signature: §m86§==
LicenseKey=§U5§-§U5§-§U5§-§U5§
WLSSECRET=§UU§
KEY=§l8§-§l8§
FEATURE PTS MOSEKLM 10 01-jan-2027 uncounted VENDOR_STRING=8 \\n    SIGN="§H4§ 3045 A5B7"
LICENSE foo bar 1.0 permanent uncounted hostid=§H12§ sig="§l60§"
https://cloud.lab.example/dav trainer §p§
/mnt/dav  trainer  "§p§"
username=trainer\npassword=§p§\ndomain=LAB
machine data.example login trainer password §p§
default login anonymous password §p§
trainer  pptpd  "§p§"  *
trainer * §p§ 10.0.0.8
# Secrets for authentication using PAP\ntrainer\t*\t§p§
%any %any : PSK "§p§"
trainer : XAUTH "§p§"
: RSA lab.key "§p§"
network={\n ssid="Lab"\n psk=§h64§\n}
 identity="§u§"\n password="§p§"
[Security]\nPreSharedKey=§h64§
auth-user-pass\ntrainer\n§p§
trainer:$apr1$ab12cd34$§m22§
trainer:$y$j9T$§m22§$§m43§:19000:0:99999:7:::
# rsyncd.secrets\ntrainer:§p§
trainer:1007:§H32§:§H32§:[U ]:LCT-60A1B2C3:
account lab\nuser trainer\npassword §p§
poll mail.lab.example proto imap user "trainer" pass "§p§"
set imap_pass="§p§"
[smtp.lab.example]:587 trainer@lab.example:§p§
smtp.lab.example:trainer:§p§
vncpasswd -f <<< §p§
x11vnc -passwd §p§ -display :0
xfreerdp /u:trainer /p:§p§ /v:box
wlfreerdp -u trainer -p §p§ box
password=§m24§==
lftp -e "open -u trainer,§p§ ftp.example"
wget --user=trainer --password=§p§ https://x
aria2c --http-passwd=§p§ https://x
echo §p§ | gocryptfs enc plain
RESTIC_PASSWORD=§p§
BORG_PASSCOMMAND='echo §p§'
mount -t ecryptfs -o passwd=§p§ a b
echo '§p§' | zfs load-key tank/enc
veracrypt -t -p §p§ --pim=0 v.hc /mnt
ansible-playbook x.yml -e ansible_become_pass=§p§
expect "assword:"\nsend "§p§\r"
gpg --batch --passphrase §p§ -d x.gpg
ssh-keygen -t ed25519 -N '§p§' -f k
keytool -genkey -storepass §p§ -keystore x
openssl pkcs12 -in a.p12 -passin pass:§p§
curl --proxy-user trainer:§p§ https://x
mc config host add lab https://s3.example trainer01 §m32§
pass = §m43§
Running on runner-§m9§-project-12-concurrent-0 via §H§...
BITBUCKET_STEP_TRIGGERER_UUID={§uu§}
{"username":"§u§","key":"§h32§"}
node.session.auth.password = §p§
ctr image pull --user trainer:§p§ reg.example/x
crane auth login reg.example -u trainer -p §p§
skopeo copy --src-creds trainer:§p§ docker://a dir:b
docker build --secret id=x,env=TOK --build-arg TOK=§m30§
{"auths":{"reg.example":{"auth":"§m40§"}}}
SINGULARITY_DOCKER_PASSWORD=§p§
machine nvcr.io login $oauthtoken password §m80§
dvc remote modify lab password §p§
dvc remote modify --local lab secret_access_key §m40§
lakectl config --secret §m40§
gs_secret_access_key = §m40§
az login --service-principal -u app -p §p§ --tenant t
X-Goog-Api-Key: §m39§
CF_API_KEY=§h37§
https://sqs.eu-west-1.amazonaws.com/812345678901/q?X-Amz-Signature=§h64§
KafkaClient { org.apache.kafka.common.security.plain.PlainLoginModule required username="trainer" password="§p§"; };
mosquitto_sub -u trainer -P §p§ -t x
nats sub --user trainer --password §p§ x
rabbitmqctl add_user trainer §p§
broker=amqp://trainer:§p§@box//
CONNECT\nlogin:trainer\npasscode:§p§
/msg NickServ IDENTIFY §p§
PASS §p§\nNICK trainer
USER trainer\nPASS §p§
C: PASS §p§
a1 LOGIN trainer §p§
AUTH PLAIN §m24§==
Digest username="trainer", response="§h32§"
Cookie: sessionid=§l32§; csrftoken=§m32§
userPassword:: §m24§=
kinit trainer@LAB.EXAMPLE <<< '§p§'
ktpass /princ x@LAB /pass §p§ /out x.keytab
net ads join -U trainer%§p§
echo §p§ | realm join -U trainer lab.example
DefaultPassword    REG_SZ    §p§
<AutoLogon><Password><Value>§p§</Value></Password><Username>§u§</Username></AutoLogon>
password: §p§\nchpasswd: {expire: False}
rootpw --plaintext §p§
user --name=§u§ --password=§p§ --plaintext
d-i passwd/user-password password §p§
wpa_passphrase=§p§
password_pbkdf2 root grub.pbkdf2.sha512.10000.§H64§.§H64§
http 10.1.2.3 3128 trainer §p§
machine apt.lab.example login trainer password §p§
cache_peer px.lab.example parent 3128 0 login=trainer:§p§
http.proxy=http://trainer:§p§@px.lab.example:3128
Password for 'https://trainer@git.lab.example': §p§
svn co --username trainer --password §p§ https://x
lab.password = §p§
:pserver:trainer:§p§@cvs.lab.example:/x
P4PASSWD=§p§
oauth_token: §h40§
tea login add --token §h40§
Sys.setenv(LAB_TOKEN = "§m24§")
main.Config{Endpoint:"x", Token:"§m24§", Retries:3}
{Endpoint:x ApiKey:§m24§ Retries:3}
#<Client:0x0000 @endpoint="x", @token="§m24§">
["token"]=>\n  string(24) "§m24§"
$VAR1 = { 'api_key' => '§m24§' };
<key>ApiToken</key>\n<string>§m24§</string>
auth_token: "§m24§"
Namespace(batch=16, hf_token='§m24§', device='0')
+logger.wandb.api_key=§h40§
DictConfig({'tracker': {'token': '§m24§'}})
[src/main.rs:8:5] cfg.token = "§m24§"
Config { secret_key: "§m24§", region: "x" }
Config(user=trainer, password=§p§, url=x)
data class Auth(val token: String = "§m24§")
auth.token = '§m24§'
reg add HKCU\Environment /v LAB_TOKEN /t REG_SZ /d §m24§ /f
    LAB_TOKEN    REG_SZ    §m24§
spark.hadoop.fs.s3a.secret.key §m40§
spark-submit --conf spark.hadoop.fs.s3a.secret.key=§m40§ x.py
<property><name>fs.s3a.secret.key</name><value>§m40§</value></property>
<name>javax.jdo.option.ConnectionPassword</name>\n<value>§p§</value>
s3.secret-key: §m40§
fernet_key = §m43§=
APP_KEY=base64:§m43§=
NEXTAUTH_SECRET=§m32§
proxy_set_header Authorization "Bearer §m40§";
proxy_set_header Authorization "Basic §m24§==";
    user trainer insecure-password §p§
stats auth trainer:§p§
traefik.http.middlewares.a.basicauth.users=trainer:$$apr1$$ab12cd34$$§m22§
basic_auth {\n  trainer $2a$14$§m53§\n}
[client]\nuser=trainer\npassword=§p§
UID=trainer\nPWD=§p§
<user username="trainer" password="§p§" roles="manager"/>
<master>{§m42§=}</master>
ansible-vault encrypt_string '§p§' --name db
password => '§p§',
password '§p§'
- password: §p§
"Env": ["PATH=/usr/bin", "LAB_TOKEN=§m24§"]
      - LAB_TOKEN=§m24§
- name: LAB_TOKEN\n  value: §m24§
      LAB_TOKEN:  §m24§
auth:\n  rootPassword: §p§
+ token = "§m24§"
db_password = "§p§"
~ secret_key = "§m40§" -> "§m40§"
ParameterKey=DbPassword,ParameterValue=§p§
"adminPassword": {"value": "§p§"}
config:\n  lab:token: §m24§
  with:\n    token: §m24§
##[debug]Evaluating: token => '§m24§'
+ export LAB_TOKEN=§m24§
++ LAB_TOKEN=§m24§
trainer  8812  0.0 python x.py --auth-token §m24§
Environment=LAB_TOKEN=§m24§ MODE=x
LAB_TOKEN=§m24§\0MODE=x
  812  export LAB_TOKEN=§m24§
> X-Auth-Token: §m32§
> X-Vault-Token: hvs.§m24§
> PRIVATE-TOKEN: §m20§
> Ocp-Apim-Subscription-Key: §h32§
> X-RapidAPI-Key: §m50§
> X-Figma-Token: §m40§
> x-amz-security-token: §m80§
> CF-Access-Client-Secret: §h64§
> X-Gitlab-Token: §m20§
> X-Hub-Signature-256: sha256=§h64§
> apikey: §m32§
> X-Shopify-Access-Token: §h32§
GET https://api.example/v1/run?api_key=§m32§&x=1
https://api.example/hooks/§m32§
https://x.example/#access_token=§m60§&expires_in=3600
https://§m24§@git.example/x.git
https://oauth2:§m24§@git.example/x.git
https://discord.com/api/webhooks/8123456789012345678/§m68§
https://lab.webhook.office.com/webhookb2/§UU§@§UU§/IncomingWebhook/§h32§/§UU§
https://open.feishu.cn/open-apis/bot/v2/hook/§UU§
https://oapi.dingtalk.com/robot/send?access_token=§h64§
https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=§UU§
https://api.day.app/§m22§/done
curl -d done https://ntfy.sh/lab-§m16§
https://hc-ping.com/§UU§
http://www.pushplus.plus/send?token=§h32§
https://sctapi.ftqq.com/SCT§m32§.send
https://gotify.lab.example/message?token=A§m14§
https://hooks.zapier.com/hooks/catch/812345/§l7§/
https://maker.ifttt.com/trigger/done/with/key/§m22§
token=xoxp-812345678901-812345678901-§h32§
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI§m40§ §u§@§H§
https://conda.anaconda.org/t/§m20§/lab
https://lab.zoom.us/j/81234567890?pwd=§m32§
https://lab-my.sharepoint.com/:f:/g/personal/x/E§m40§?e=abc
PresharedKey = §m43§=
{"kty":"oct","k":"§m43§"}
{"kty":"EC","crv":"P-256","d":"§m43§"}
"""

CALLS = r"""
LinodeClient("§h64§")
client = Client(token="§m64§")
hcloud.Client("§m64§")
digitalocean.Manager('§h64§')
Github("§h40§")
gitlab.Gitlab('https://g.example', '§m20§')
TeleBot("7712345678:§m35§")
OpenAI("§m51§")
cohere.Client('§m40§')
Roboflow("§m20§")
MistralClient('§m32§')
InfluxDBClient("http://x:8086", "§m86§==")
Stripe('§m32§')
ssh.connect('box', 22, 'trainer', '§p§')
pymysql.connect('box', 'trainer', '§p§', 'runs')
SimpleConnectionPool(1, 8, "box", "trainer", "§p§")
Minio('s3.example:9000', 'trainer01', '§m32§')
FTP('ftp.example', 'trainer', '§p§')
server.login('trainer@lab.example', '§p§')
imap.login("trainer", "§p§")
oc.login('trainer', '§p§')
WebDAV(('trainer', '§p§'))
aiohttp.BasicAuth('trainer', '§p§')
httpx.get(u, auth=("trainer", "§p§"))
login("§m37§")
Zenodo('§m60§')
comet_ml.Experiment("§m25§")
neptune.init_run("lab/yolo", "§m60§")
WebClient("§m50§")
api.set_token("§m30§")
client.setApiKey('§m30§')
hub.HUB.from_token('§m30§')
Fernet(b"§m43§=")
hmac.new(b'§p§', msg, 'sha256')
jwt.encode({'sub': 1}, '§p§', algorithm='HS256')
URLSafeTimedSerializer('§p§')
zf.extractall(pwd=b'§p§')
zf.setpassword(b"§p§")
"""
