r"""List the words for a password in the languages of the people who write reports, and the words that give a value away in them.

A row has the beginnings of the words of one language, in small letters, so that an ending is free: "hasła", "паролем". `\b` stands before a
beginning that other words contain. English has rules of its own (`sentences`), because programs write it.
"""

from __future__ import annotations

import re

LANGUAGES: dict[str, tuple[str, ...]] = {
    "German": ("passwort", "passwört", "kennwort", "kennwört", "losungswort", "zugangscode"),
    "Dutch": ("wachtwoord", "toegangscode"),
    "Afrikaans": ("wagwoord",),
    "Frisian": (r"\bwachtwurd",),
    "Luxembourgish": ("passwuert",),
    "French": ("mot de passe", "mots de passe", r"\bmdp\b", "phrase secrète"),
    "Spanish": ("contraseña", "contrasena", r"\bclave de acceso", r"palabra clave"),
    "Catalan": ("contrasenya", r"mot de pas\b"),
    "Galician": ("contrasinal",),
    "Basque": ("pasahitz",),
    "Portuguese": (r"\bsenha", "palavra-passe", "palavra passe", "palavra-chave"),
    "Italian": ("parola d'ordine", r"\bparola chiave", r"\bpassword del", "chiave di accesso"),
    "Romanian": (r"\bparol", r"\bparola"),
    "Swedish": ("lösenord", "losenord", "lösenfras"),
    "Norwegian": (r"\bpassord",),
    "Danish": ("adgangskode", "kodeord"),
    "Icelandic": ("lykilorð", "aðgangsorð", "leyniorð"),
    "Faroese": ("loyniorð",),
    "Finnish": ("salasan", "tunnussana", "salalause"),
    "Estonian": (r"\bparool", "salasõna"),
    "Latvian": (r"\bparol",),
    "Lithuanian": ("slaptažod", "slaptazod"),
    "Polish": (r"\bhasł", r"\bhasla", r"\bhaslo", r"\bhasle", r"\bhaseł"),
    "Czech and Slovak": (r"\bheslo", r"\bhesla", r"\bheslu", r"\bhesle", r"\bhesel"),
    "Slovenian": (r"\bgeslo", r"\bgesla", r"\bgeslu"),
    "Croatian, Bosnian, Serbian": ("lozink", "zaporka", "zaporku", r"\bšifra", r"\bšifru", r"\bsifra\b", "лозинк", "шифра", "шифру"),
    "Macedonian": ("лозинк",),
    "Bulgarian": ("парола",),
    "Russian, Ukrainian, Belarusian": ("парол", "гасло"),
    "Hungarian": ("jelszó", "jelszav", "jelmondat"),
    "Albanian": ("fjalëkalim", "fjalekalim"),
    "Greek": ("κωδικ", "συνθηματικ"),
    "Maltese": (r"\bil-password",),
    "Irish": ("focal faire", "pasfhocal"),
    "Scottish Gaelic": ("facal-faire", "facal faire"),
    "Welsh": ("cyfrinair", "gyfrinair", "chyfrinair"),
    "Breton": ("ger-tremen",),
    "Esperanto": ("pasvort",),
    "Latin": ("tessera",),
    "Turkish and Azerbaijani": ("şifre", "sifre", "şifrə", r"\bparola"),
    "Uzbek": (r"\bparol", "махфий сўз"),
    "Kazakh": ("құпиясөз", "құпия сөз"),
    "Kyrgyz": ("сырсөз", "сыр сөз"),
    "Tatar": ("серсүз",),
    "Mongolian": ("нууц үг",),
    "Tajik": ("рамз", "гузарвожа"),
    "Armenian": ("գաղտնաբառ",),
    "Georgian": ("პაროლ",),
    "Persian and Dari": ("رمز عبور", "گذرواژه", "گذرواژ", "کلمه عبور", "رمزعبور"),
    "Pashto": ("پټنوم", "پاسورډ"),
    "Urdu": ("پاس ورڈ", "پاسورڈ", "خفیہ لفظ"),
    "Kurdish": ("şîfre", "تێپەڕەوشە", "وشەی نهێنی"),
    "Arabic": ("كلمة المرور", "كلمة السر", "كلمة مرور", "كلمة سر", "الرقم السري", "الباسورد", "باسورد"),
    "Hebrew": ("סיסמ", "ססמ"),
    "Yiddish": ("פאראל", "שפרעכוואָרט", "פּאַראָל"),
    "Hindi, Marathi, Nepali": ("पासवर्ड", "कूटशब्द", "संकेतशब्द", "गोप्यशब्द", "कूट शब्द"),
    "Bengali and Assamese": ("পাসওয়ার্ড", "পাসওয়ার্ড", "পাছৱৰ্ড", "গুপ্তশব্দ"),
    "Gujarati": ("પાસવર્ડ",),
    "Punjabi": ("ਪਾਸਵਰਡ",),
    "Odia": ("ପାସୱାର୍ଡ", "ପ୍ରବେଶ ସଙ୍କେତ"),
    "Tamil": ("கடவுச்சொ", "கடவுச் சொ"),
    "Telugu": ("పాస్‌వర్డ్", "పాస్వర్డ్", "సంకేతపదం"),
    "Kannada": ("ಪಾಸ್‌ವರ್ಡ್", "ಪಾಸ್ವರ್ಡ್", "ಗುಪ್ತಪದ"),
    "Malayalam": ("പാസ്‌വേഡ്", "പാസ്വേഡ്", "രഹസ്യവാക്ക്", "പാസ്‌വേർഡ്"),
    "Sinhala": ("මුරපද",),
    "Thai": ("รหัสผ่าน", "รหัสลับ"),
    "Lao": ("ລະຫັດຜ່ານ", "ລະຫັດລັບ"),
    "Khmer": ("ពាក្យសម្ងាត់", "លេខសម្ងាត់"),
    "Burmese": ("စကားဝှက်", "လျှို့ဝှက်နံပါတ်"),
    "Vietnamese": ("mật khẩu", "mat khau", "mật mã"),
    "Indonesian, Malay, Javanese": ("kata sandi", "kata laluan", "kata kunci", "tembung sandi", "sandi na", "kecap sandi"),
    "Tagalog": (r"\bang password", "hudyat"),
    "Chinese": ("密码", "密碼", "口令", "通行码"),
    "Japanese": ("パスワード", "パスフレーズ", "暗証", "合言葉"),
    "Korean": ("비밀번호", "암호", "패스워드", "비번"),
    "Amharic": ("የይለፍ ቃል", "የይለፍቃል", "የሚስጥር ቃል", "ሚስጥራዊ ቃል"),
    "Somali": ("furaha sirta", "erayga sirta"),
    "Swahili": ("nenosiri", "neno la siri", "nywila"),
    "Hausa": ("kalmar sirri", "kalmar shiga"),
    "Yoruba": ("ọ̀rọ̀ aṣínà", "ọrọ aṣina", "ọrọigbaniwọle"),
    "Igbo": ("okwuntughe", "paswọọdụ"),
    "Zulu and Xhosa": ("iphasiwedi", "igama lokungena", "iphasiwodi"),
    "Haitian": ("modpas", "mo de pas"),
}  # fmt: skip

BEGINNINGS = tuple(dict.fromkeys(one for row in LANGUAGES.values() for one in row))
HINTS = tuple(dict.fromkeys(one.replace(r"\b", "") for one in BEGINNINGS))
ASCII_HINTS = tuple(hint for hint in HINTS if hint.isascii())
OTHER_HINTS = tuple(hint for hint in HINTS if not hint.isascii())
WORDS = re.compile("(?i)" + "|".join(sorted(BEGINNINGS, key=len, reverse=True)))

# "is", "reads", "now" and "currently" in these languages, before a value: "ist zurzeit X", "est désormais X", "is nu X"
_IS = (
    r"is|ist|sei|lautet|heißt|heisst|war|wird|bleibt|wurde|est|reste|devient|es|sigue siendo|será|é|è|era|sarà|diventa|este|e|är|er|hefur verið|heter|blir|blev|on|oli|ir|yra|jest|to|brzmi|je|jsou|bude|znie|zní|znamená|"
    r"van|lett|është|është|είναι|hija|hu|da|estas|est|eshte|adalah|ialah|yaitu|yaiku|là|ay|ni|ngu|ne|bu|это|теперь|стал|будет|є|це|буде|је|сега|гэта|auf|zu|à|a|en|su|na|til|på|naar|в|на"
)
_NOW = (
    r"jetzt|nun|zurzeit|derzeit|momentan|aktuell|gerade|vorerst|weiterhin|immer noch|noch|ab heute|seit heute|seit gestern|vorläufig|désormais|maintenant|actuellement|toujours|encore|ahora|actualmente|todavía|por ahora|agora|atualmente|"
    r"ainda|adesso|ora|attualmente|ancora|acum|ara|agora mesmo|nu|thans|momenteel|tegenwoordig|voorlopig|nog steeds|nå|för närvarande|fortfarande|lige nu|núna|nyt|nykyään|nüüd|praegu|tagad|dabar|teraz|obecnie|nadal|teď|nyní|momentálně|"
    r"zdaj|sada|trenutno|most|jelenleg|mostantól|şimdi|şu anda|artık|теперь|сейчас|пока|тепер|зараз|поки|сега|в момента|τώρα|orain|nun|sekarang|saat ini|bây giờ|hiện tại|ngayon|sasa|currently|now"
)
GIVES = re.compile(
    rf"(?i)(?<![^\W_])(?:{_IS})(?: (?:{_NOW})){{0,2}}(?: :|:)? {{1,2}}[\"'`«»„“”]?$|[:=：→] {{0,3}}[\"'`«»„“”]?$"
)
# The same beside the English word: "la password è X". Of the words above, those that are English too are left out.
GIVES_BESIDE_ENGLISH = re.compile(
    rf"(?i)(?<![^\W_])(?:ist|lautet|est|es|é|è|este|är|er|blir|ir|jest|brzmi|je|është|είναι|hija|adalah|ialah|yaitu|yaiku|là|ay|это|теперь|будет|є|це|је)(?: (?:{_NOW})){{0,2}} {{1,2}}[\"'`«»„“”]?$"
)
# A value without a digit, which is no word of any language: parts with capitals inside, as "Wolke_QrTz"
ODD = re.compile(r"(?=[^\s]{0,60}[-_+~.])(?=[^\s]{0,60}[^\W\d_A-Z][A-Z])(?![\w.]{1,40}\()[^\W\d_][\w+~.-]{7,60}")
