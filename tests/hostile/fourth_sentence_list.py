"""Sentences that give a password away, in the languages of `password_words`, and in English. The marks are those of `fourth_list`."""

from __future__ import annotations

SENTENCES = r"""
Ühenduse parool on §p§ ja see vahetub homme.
Logi sisse kasutajana labor, salasõnaks on §p§
Aðgangsorðið á vélina er §p§
Is é §p§ an focal faire don fhreastalaí
Y cyfrinair ar gyfer y gweinydd yw §p§
Zerbitzariaren pasahitza §p§ da orain
La contrasenya del servidor és §p§
O contrasinal do servidor é §p§
Il-password tas-server hija §p§
Fjalëkalimi i serverit është §p§
Лозинката за серверот е §p§
Паролата за сървъра е §p§
Шифра за сервер је §p§
Lozinka za poslužitelj je §p§
Šifra servera je sada §p§
Geslo strežnika je zdaj §p§
Heslo na server je teraz §p§
Пароль ад сервера цяпер §p§
სერვერის პაროლი არის §p§
Սերվերի գաղտնաբառն է §p§
Serverin şifrəsi §p§ oldu
Сервердің құпия сөзі §p§
Server paroli hozir §p§
Серверийн нууц үг §p§
رمز عبور سرور §p§ است
سرور کا پاس ورڈ §p§ ہے
সার্ভারের পাসওয়ার্ড হল §p§
சேவையகத்தின் கடவுச்சொல் §p§
సర్వర్ పాస్‌వర్డ్ §p§
സെർവറിന്റെ പാസ്‌വേഡ് §p§ ആണ്
ಸರ್ವರ್ ಪಾಸ್‌ವರ್ಡ್ §p§
સર્વરનો પાસવર્ડ §p§ છે
सर्व्हरचा संकेतशब्द §p§ आहे
सर्भरको पासवर्ड §p§ हो
ਸਰਵਰ ਦਾ ਪਾਸਵਰਡ §p§ ਹੈ
සේවාදායක මුරපදය §p§
ពាក្យសម្ងាត់ម៉ាស៊ីនមេ §p§
ລະຫັດຜ່ານເຊີບເວີ §p§
ဆာဗာ စကားဝှက် §p§
የአገልጋዩ የይለፍ ቃል §p§ ነው
Nenosiri la seva ni §p§
Iphasiwedi yeseva ngu §p§
Die wagwoord vir die bediener is §p§
Ang password ng server ay §p§
Kata laluan pelayan ialah §p§
Tembung sandi server yaiku §p§
La pasvorto de la servilo estas §p§
Tessera servitoris est §p§
सर्वर का पासवर्ड अब §p§ है
הסיסמה לשרת היא §p§
Euer Kennwort lautet ab heute §w§, bitte ändern
Das Passwort vom Cluster ist momentan §w§.
Le mot de passe du serveur est désormais §w§
Het wachtwoord van de server is tegenwoordig §w§
La contraseña del clúster es ahora §w§
La password del nodo adesso è §w§
Hasło do klastra to teraz §w§
I set the password to §p§ last night
the pw is now §p§, don't share
§p§ is the password for the shared box
Just use §p§ to log in on the node
changed the root password from hunter to §p§ yesterday
log in as trainer with §p§ and start the job
you can ssh as trainer, pass §p§
creds: trainer / §p§
the door pin is 48§d4§ for the server room
key passphrase: §p§
wifi is LabNet, password's §p§
btw passwd = §p§ (same as before)
The password should be §p§ if nobody changed it
IT reset my password, it's §p§ now
my password, §p§, does not work on the login node
I tried entering §p§ at the password prompt
try §p§ as password
Unlock the drive with §p§
Your one time password for login is 58§d4§
default credentials are admin:§p§
Le mdp du wifi c'est §p§ depuis lundi
Zugang: Benutzer labor, PW §p§
usa §p§ como contraseña del nodo
per entrare usa la password §p§
a senha agora virou §p§
log in met wachtwoord §p§ aub
zaloguj się hasłem §p§
зайди под паролем §p§
пароль змінили на §p§
přihlas se heslem §p§
şifreyi §p§ yaptım
密码改成了 §p§
用密码§p§登录
パスワードを§p§に変更しました
비밀번호를 §p§(으)로 바꿨어요
غيّرت كلمة المرور إلى §p§
שיניתי את הסיסמה ל §p§
vaihdoin salasanaksi §p§
lösenordet bytte jag till §p§
a jelszót §p§ értékre állítottam
am schimbat parola în §p§
άλλαξα τον κωδικό σε §p§
đổi mật khẩu thành §p§
เปลี่ยนรหัสผ่านเป็น §p§
kata sandi saya ganti jadi §p§
Temporary password: §p§ (expires Friday)
pw: §p§
The new one (password) is §p§.
password -> §p§
Password for the box = "§p§"
I'll DM you, but the pass is §p§ anyway
username trainer password §p§ works for me
User: trainer, PW: §p§
ssh trainer@box (password §p§)
pass phrase of my key would be "§p§"
We rotated it: old password hunter, new password §p§
sudo pw on that VM - §p§
credentials for minio: access trainer, secret §p§
the admin account's password got changed to §p§ by ops
you need to type §p§ when asked for the passphrase
it asked for a password and I gave it §p§
Root password for the container image: §p§
my token is §m24§ so feel free to test
here is my key §m32§ for the API
I set HF_TOKEN to §m34§ and it still fails
the API key I use is §m32§
wifi password at the lab: §p§
passcode for the meeting is 81§d4§
"""
