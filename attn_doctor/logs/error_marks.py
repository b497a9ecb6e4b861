"""Define the lines that show how a log ended: errors of any tool, success, a pasted description of an environment.

Patterns only; no judgement.

The reader searches for them together with the signs of failure modes, in one pass over the log (`logs.Reader`).
"""

from __future__ import annotations

import re

from attn_doctor.knowledge import translated_messages
from attn_doctor.knowledge.translated_messages import translations
from attn_doctor.logs.reader import Pattern

ERROR, WEAK, GOOD, ENVIRONMENT, DOUBT = "mark error", "mark weak error", "mark good", "mark environment", "mark doubt"

# Docker's own log files hold one JSON object in each line.
_JSON = r'^(?:\{?"(?:log|message|msg)":\s?")?'
_MORE = r"(?:fatal |catastrophic |internal compiler |internal |Command line )?"
_CODE = r"(?:LNK|MSB|TS|CS|RC|NU|NETSDK|CVT|[CDAU])\d{3,5}"

# (texts that a line must contain, the pattern): errors that name their cause.
_ERRORS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("ERROR: ", "Error: ", "error: ", "FATAL: ", "Fatal: ", "fatal: ", "error[", "rror:\t", "FATAL ERROR: "),
        # Left out: "error: 0.031", a number that a training prints, and pip's note about its resolver, which is not a failure.
        _JSON
        + r"(?:ERROR|Error|error|FATAL|Fatal|fatal|FATAL ERROR|(?:fatal|internal|syntax) error)(?:\[[A-Z]{1,4}\d{1,6}\])?:\s"
        r"(?!\s*[-+]?[\d.]+(?:e[-+]?\d+)?%?\s*(?:$|[,;|]))(?!\s*(?:none|no errors?|null|nil|false)\b\W*$)"
        r"(?!pip's dependency resolver does not currently)(?!.{0,200}\(ignored\)$)\s*\S",
    ),
    # A compiler's FILE:LINE: error: or FILE(LINE): error C2065:
    (
        ("error: ", " error C", " error TS", " error CS", "rror #"),
        r"(?:\(\d{1,7}(?:[,:]\d{1,5})?\)|:\d{1,7}(?::\d{1,5})?)\s?: "
        + _MORE
        + r"error(?: #?[A-Z]{0,6}\d{1,5})?:? (?!0\b)\S",
    ),
    ((": ERROR: ", ": Error: "), r"^[^\s:'\"]{1,200}:\d{1,7}(?::\d{1,5})?: (?:ERROR|Error): \S"),
    # An error of a program: "g++: fatal error:", "ninja: error:", "train.py: error:", "LINK : fatal error LNK1181:"
    (("error: ",), _JSON + r"(?:[A-Za-z]:)?[\w./\\+-]{1,160}(?: [\w./-]{1,40}){0,4}\s?: " + _MORE + r"error: (?!\d+(?:\.\d+)?$)\S"),
    (
        (" error LNK", " error MSB", " error D", " error RC", " error C", " error NETSDK", " error NU", " error U"),
        r": " + _MORE + r"error " + _CODE + r"\s?: ",
    ),
    (
        ("nvcc fatal", "nvcc error", "ptxas fatal", "ptxas error", "nvlink fatal", "nvlink error", "fatbinary fatal"),
        r"(?:nvcc|ptxas|nvlink|fatbinary) (?:fatal|error)\s*: ",
    ),
    (("; error", "; fatal"), r"line \d{1,7}; (?:error|fatal)\s*: "),
    (
        ("ld: ", "ld.lld: ", "ld.gold: ", "ld.bfd: ", "ld.exe: "),
        r"(?:^|[/\\ ])ld(?:\.\w{2,5})?: (?:cannot |error|.{0,200}(?:undefined reference|not recognized|No such file|incompatible))",
    ),
    (
        (": undefined reference to ", "Undefined symbols for arch", "multiple definition of "),
        r": undefined reference to |Undefined symbols for architecture|: multiple definition of ",
    ),
    ((": *** ",), r"^(?:\S{0,100}[/\\])?(?:g|mingw32-|n)?make(?:\[\d+\])?: \*\*\* (?!Waiting|\[)"),
    (("CMake Error",), r"^CMake Error(?: at |: | in |\b)"),
    (("npm ERR! ", "npm error "), r"^npm (?:ERR!|error) (?!code 1$|A complete|To see|path|errno|command|syscall)\S"),
    (("error An ", "error Command ", "error Couldn't "), r"^error (?:An unexpected|Command|Couldn't)\b"),
    (("ERR_PNPM_",), r"ERR_PNPM_\w+"),
    (
        ("Error in ", "Error response from", "Error processing ", "Error executing ", "Error parsing "),
        r"^(?:docker: )?Error (?:in |response from |processing |executing |parsing )",
    ),
    (("docker: ",), r"^docker: (?!Error response)[^'\"]{3,80}(?:not|invalid|unknown|error|denied)\b"),
    (("E: ",), r"^E: [A-Z]"),
    (("Exception in thread ",), r"^Exception in thread "),
    (("panic: ", "panicked at "), r"^panic: |^thread '[^']{0,80}' (?:\(\d+\) )?panicked at "),
    (("command not found",), r": command not found$|^command not found: "),
    ((": can't open file ", ": cannot open "), r"^\S{1,200}: (?:can't open file|cannot open) "),
    (("is not recognized as ",), r"is not recognized as (?:an internal|(?:the|a) name of a)"),
    ((": line ", "sh: "), r"(?:^|: )(?:line )?\d{1,5}: .{1,200}: (?:No such file or directory|Permission denied|not found|cannot execute.*)$"),
    # cuDNN prints these before it ends the process. TensorFlow's "Could not load dynamic library" is a warning, and left out.
    (("Could not load library ",), r"(?:^|\] ?)Could not load library lib\S{1,80}\. Error: \S"),
    (("Could not load library ", "Could not load symbol ", "Could not locate ", "Invalid handle. Cannot load symbol"),
     r"(?:^|\] ?)(?:Could not load (?:library|symbol) \S{1,80}?\.? Error: \S|Could not locate \S{1,80}\.dll|Invalid handle\. Cannot load symbol)"),
    (("Could not find module '",), r"Could not find module '[^']{1,300}' \(or one of its dependencies\)"),
    (
        ("terminate called ", "Segmentation fault", "segmentation fault", "Bus error", "Illegal instruction", "Aborted", "core dumped)"),
        r"^terminate called (?:after|without)|(?:^|\d+ |: )(?:[Ss]egmentation fault|Bus error|Illegal instruction|Aborted)(?: \(core dumped\)|$|\s{2,})",
    ),
    (("No solution found when", "× Failed to ", "x No solution found", "x Failed to "), r"(?:×|^\s*x) (?:No solution found when|Failed to )"),
    (("version solving failed",), r"version solving failed"),
    (
        ("NotFoundError: ", "ResolvePackageNotFound:", "UnsatisfiableError: ", "CondaHTTPError: ", "CondaError: ",
         "CondaValueError: ", "NameNotFound: ", "LocationNotFound: ", "InvalidArchiveError", "InvalidMatchSpec: ",
         "CondaVerificationError: ", "CondaSSLError: ", "critical libmamba ", "error    libmamba "),
        (r"^(?:PackagesNotFoundError|ResolvePackageNotFound|(?:LibMamba)?UnsatisfiableError|Conda\w{0,30}Error|EnvironmentNameNotFound|"
        r"EnvironmentLocationNotFound|InvalidArchiveError|InvalidMatchSpec)\b|^(?:critical|error {4}) ?libmamba "),
    ),
    (("curl: (",), r"^curl: \(\d+\) "),
    (("FullyQualifiedErrorId",), r"FullyQualifiedErrorId : (?!NativeCommandError)"),
    (("[ERROR] ",), r"^\[ERROR\] (?!\s*$)(?:COMPILATION ERROR|Failed |/|[A-Z])"),
    ((" failed in ", " failed, ", " error in ", " errors in "), r"^(?:=+ )?(?:\d+ \w+, ){0,6}[1-9]\d* (?:failed|errors?)\b.{0,80} in \d"),
    (("FAILED ",), r"^FAILED \S+::\S"),
    (("Error occurred in ", "rrors occurred"), r"-- Configuring incomplete, errors occurred"),
    (("Permission denied (",), r"Permission denied \((?:publickey|password)"),
)  # fmt: skip

# The word "error" in the translations of gcc: https://gcc.gnu.org/git/?p=gcc.git;a=tree;f=gcc/po
_GCC_ERRORS = (
    "错误：",
    "錯誤：",
    "エラー: ",
    "오류: ",
    "Fehler: ",
    "erreur: ",
    "erreur : ",
    "erro: ",
    "errore: ",
    "ошибка: ",
)
_TRANSLATED: tuple[tuple[tuple[str, ...], str], ...] = (
    (translations("command not found"), rf"[:：]\s?{translated_messages.pattern('command not found')}\.?$"),
    (
        translations("is not recognized as an internal or external command"),
        rf"['\"]\s?{translated_messages.pattern('is not recognized as an internal or external command')}",
    ),
    (
        translations("is not recognized as the name of a cmdlet"),
        rf" : .{{1,200}}{translated_messages.pattern('is not recognized as the name of a cmdlet')}",
    ),
    (translations("(core dumped)"), rf"{translated_messages.pattern('(core dumped)')}(?:$|\s{{2,}})"),
    (translations("No space left on device"), rf": {translated_messages.pattern('No space left on device')}"),
    (_GCC_ERRORS, rf":\d{{1,7}}(?::\d{{1,5}})?: .{{0,20}}(?:{'|'.join(_GCC_ERRORS)})\S"),
)

# The last line that a tool prints after any failure: it does not name the cause.
_WEAK: tuple[tuple[tuple[str, ...], str], ...] = (
    ((": *** ",), r"^(?:\S{0,100}[/\\])?(?:g|mingw32-|n)?make(?:\[\d+\])?: \*\*\* \[(?!.*\(ignored\)$)"),
    (("ninja: build stopped",), r"^ninja: build stopped"),
    (("FAILED: ",), r"^(?:ninja: )?FAILED: (?:\[code=\d+\] )?\S"),
    (("##[error]", "::error"), r"^(?:##\[error\]|::error\b)"),
    (("FAILURE: Build failed", "BUILD FAILED", "BUILD FAILURE"), r"(?:FAILURE: Build failed|BUILD FAIL(?:ED|URE))"),
)

# Lines after which a program may continue, but which may be the only lines of an error that a person copied. They count if a log shows nothing else.
_DOUBTS: tuple[tuple[tuple[str, ...], str], ...] = (
    ((": cannot open shared object file",), r"(?<!dlerror: )\blib\S{1,100}: cannot open shared object file"),
    (("BUG REPORT",), r"^=+ ?BUG REPORT ?=+"),
    (("WARNING: CUDA", "Warning: CUDA", "warning: CUDA"), r"^(?:\S{0,60} )?(?i:warning): CUDA\b.{0,120}\b(?:not|no|fail\w*|unable)\b"),
    (
        (" not found", "Not found", " cannot open", "Cannot open", " failed", "Failed ", "failed to", "Could not ", "could not ", "Unable to ", "unable to ", "not supported", "undefined symbol"),
        r"\b(?:not found|[Cc]annot open|(?<![\d,] )failed\b(?!\s?[=:]\s?0)|Failed\b(?!\s?[=:]\s?0)|[Cc]ould not (?:find|load|locate|open|import|create|initiali[sz]e|run)|[Uu]nable to|not supported|undefined symbol)",
    ),
    (("无法", "失败", "找不到", "不支持", "失敗", "無法", "エラー", "見つかりません", "실패", "오류", "찾을 수 없", "не найден", "ошибка", "Ошибка", "fehlgeschlagen", "nicht gefunden", "échoué", "introuvable", "no se pudo", "No se pudo", "não foi possível"), r"无法|失败|找不到|不支持|失敗|無法|エラー|見つかりません|실패|오류|찾을 수 없|не найден|[Оо]шибка|fehlgeschlagen|nicht gefunden|échoué|introuvable|[Nn]o se pudo|não foi possível"),
)  # fmt: skip
# Words that show that such a line is harmless: the program continues without something optional, or searches in the next place.
NO_DOUBT = re.compile(
    r"(?i)\b(?:skipp\w*|ignor\w*|fall(?:ing)? ?back|fallback|using .{0,40} instead|instead|optional|0 failed|none failed|(?:failed|failures?|errors?)(?: \w{1,20}){0,3}: 0\b|retry\w*|will be (?:created|downloaded)|"
    r"download\w*|searching further|tensorrt|tf-trt|dlerror|xla_|NET/Plugin|cuda_dnn\.cc|factory for plugin|deprecat\w*)\b|failed program was|with the following output|module verification failed|AMP: checks failed|nable to plot"
)

_GOOD: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Successfully ",), r"^Successfully (?:installed|built|tagged|uninstalled|created|copied|deployed)\b"),
    (
        ("exit code", "exit status", "exited with ", "exit 0", "ExitCode", "return code"),
        r"(?:exit|return) (?:code|status)\s?[:=]?\s?0\b(?!x)|exited with (?:code|status) 0\b|^configure: exit 0|ExitCode\W{1,3}0\b",
    ),
    (("Results saved to ",), r"^Results saved to "),
    ((" epochs completed in ",), r"^\d+ epochs completed in "),
    (("Export complete", "raining complete", "raining finished", "raining done"), r"^(?:Export|Training|.{0,40}\b[Tt]raining) (?:complete|finished|done)"),
    (("train_runtime'", "`Trainer.fit` stopped"), r"'train_runtime'|`Trainer\.fit` stopped: `max_"),
    (("Installed ", "Audited ", "Uninstalled "), r"^(?:Installed|Audited|Uninstalled) \d+ packages? in "),
    (("Executing transaction: ", "To activate this environment"), r"^Executing transaction: .{0,80}done|To activate this environment, use"),
    (("Writing lock file", "Installing the current project", "No dependencies to install"), r"^(?:Writing lock file|Installing the current project: |No dependencies to install)"),
    (("[100%] Built target ", "Build files have been written"), r"^\[100%\] Built target |^-- Build files have been written to"),
    (("ninja: no work to do",), r"^ninja: no work to do"),
    (("BUILD SUCCESS", "Build succeeded"), r"BUILD SUCCESS|Build succeeded"),
    (("target(s) in ",), r"^Finished .{0,80}target\(s\) in "),
    (("packages in ", "package in ", "found 0 vulnerabilities"), r"^(?:added|changed|removed|up to date).{0,80} packages? in \d|^found 0 vulnerabilities"),
    (("naming to ", ") FINISHED"), r"naming to \S{1,200} (?:\d+\.\d+s )?done|\(\d+/\d+\) FINISHED"),
    ((" passed in ", " passed, "), r"^(?:=+ )?(?!.*\b(?:[1-9]\d* failed|[1-9]\d* errors?)\b)(?:\d+ \w+, ){0,6}\d+ passed\b"),
    (("0 errors", "0 Error(s)", "0 error(s)", "no errors", "0 failed"), r"(?:\b0 [Ee]rror(?:s|\(s\))|\bno errors)\b(?!.*\b[1-9]\d* (?:failed|errors?))|\b0 failed\b(?!.*\b[1-9]\d* errors?)"),
    (("ms preprocess", "Speed: "), r"^Speed: [\d.]+ms preprocess"),
    (("Application startup complete", "Uvicorn running on"), r"Application startup complete|Uvicorn running on"),
    (("Processing triggers for ", "newly installed, "), r"^Processing triggers for |^\d+ upgraded, \d+ newly installed"),
    (("Finished processing dependencies",), r"^Finished processing dependencies for "),
    # setup.py build_ext --inplace copies the finished extension last.
    (("copying build",), r"^copying build\S{1,200}\.(?:so|pyd) -> "),
    (("Build step 'finish", "Finished: SUCCESS", "Job succeeded"), r"^(?:Finished: SUCCESS|Job succeeded)"),
)  # fmt: skip

_ENVIRONMENT: tuple[tuple[tuple[str, ...], str], ...] = (
    (("PyTorch version: ", "Versions of relevant libraries", "Collecting environment info"), r"^(?:PyTorch version: |Versions of relevant libraries|Collecting environment info)"),
    (("Package ",), r"^Package\s+Version(?:\s|$)"),
    (("# packages in environment",), r"^# packages in environment at"),
    (("NVIDIA-SMI ",), r"NVIDIA-SMI \d"),
    ((".whl",), r"^[A-Za-z][\w.-]* @ (?:https?|file)://\S{1,600}\.whl(?=$|[#?\s])"),  # a row of `pip freeze`
    (("Setup complete",), r"^Setup complete .{0,4}\(\d+ CPUs, "),  # `yolo checks`
    # `ds_report`, collect_env of detectron2 and of OpenMMLab
    (("DeepSpeed general env", "sys.platform"), r"^(?:DeepSpeed general environment info|sys\.platform(?::| {2,}))"),
)  # fmt: skip

PATTERNS = tuple(
    Pattern(slug, literal.encode(), pattern, "context")
    for slug, table in (
        (ERROR, _ERRORS),
        (ERROR, _TRANSLATED),
        (WEAK, _WEAK),
        (GOOD, _GOOD),
        (ENVIRONMENT, _ENVIRONMENT),
        (DOUBT, _DOUBTS),
    )
    for literals, pattern in table
    for literal in literals
)
