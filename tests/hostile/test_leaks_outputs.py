"""The files of real commands on a hostile machine: none holds a secret, a name of the machine, or a character that acts on a terminal."""

from __future__ import annotations

import html
import json
import re
import zipfile

import pytest
import second_secret_list as second
import secret_kinds as first
import third_secret_list as third
from attack import doctor
from targets import add_metadata, torch_of

from attn_doctor.report.formats import FORMATS

USER, HOST = "zquser", "zqhost-17"
TOKEN = "gh" + "p_" + "zqTOKENaB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW"
ACTS = "\x1b]0;pwn\x07\x1b[2J\x9b31m\u202e"
SECRETS = (
    f"\n{TOKEN} password='zqPASSx1y2' Bearer zqBEARER1234567 https://me:zqURLPW1@h.example/x 10.77.66.55 fd00::77:66 52:54:00:77:66:55 "
    f"zqmail@corp.example C:\\Users\\zqother\\x /tmp/torchinductor_{USER}/x {USER.upper()} {HOST}-gpu Serial: ZQ77665544"
)
# Nothing of this may be in a file that leaves the machine.
GONE = re.compile(
    r"(?i)zqtoken|zqpass|zqbearer|zqurlpw|77\.66\.55|fd00::77|77:66:55|zqmail|zqother|zquser|zqhost|77665544|zqcanary"
)
NO_CHARACTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A home folder with an ill environment, logs, a wheel and a library, on a machine whose names are planted."""
    home = tmp_path_factory.mktemp("machine") / "home" / USER
    home.mkdir(parents=True)
    python = torch_of(home / "env", f"raise ImportError({(SECRETS + ACTS)!r})\n", cuda=None)
    info = add_metadata(home / "env", "torchvision", "0.21.0")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: torchvision\nVersion: 0.21.0+{TOKEN}{ACTS}\n\n", "utf-8"
    )
    (home / "zquser.log").write_text(
        f"/home/zqother/x.py: {SECRETS}\nImportError: libcudnn.so.9: cannot open shared object file: No such file or directory {TOKEN}\n"
        f"RuntimeError: zork {SECRETS!r}\n"
    )
    (home / f"{USER}.so").write_bytes(b"\x7fELF is none")
    (home / "requirements.txt").write_text(
        f"--index-url https://me:zqURLPW1@pypi.corp.example/simple\ntorch==2.6.0  # {TOKEN}\n"
    )
    return home, python


@pytest.fixture(scope="module")
def run(place):
    """Run a command there, and return the bytes of the files that it wrote, by their names."""
    home, _ = place
    environ = dict.fromkeys(("USER", "LOGNAME", "USERNAME"), USER) | {
        "HOME": str(home),
        "HOSTNAME": HOST,
        "HF_TOKEN": "zqCANARYtoken1",
        "PIP_INDEX_URL": "https://me:zqURLPW1@pypi.corp.example/simple",
        "CUDA_VISIBLE_DEVICES": "GPU-77665544",
        "CUDA_HOME": f"/scratch/{USER}/cuda",
        "LD_LIBRARY_PATH": "/scratch/zqother/lib",
        # taken by their prefix
        "NCCL_HOSTID": f"{HOST}-gpu",
        "NCCL_COMM_ID": "10.77.66.55:1234",
        "TORCH_HOME": f"/scratch/{USER}/torch",
        "TRITON_CACHE_DIR": "/home/zqother/triton",
        "YOLO_API_KEY": "zqCANARYkey1",
        "PYTORCH_RELEASE_TOKEN": "zqCANARYtoken2",
        "CUDA_CACHE_PATH": f"\\\\server\\{USER}\\cache",
        "HTTP_PROXY": "http://me:zqURLPW1@10.77.66.55:3128",
    }

    def made(*argv, files):
        done = doctor(*argv, cwd=home, environ=environ)
        assert done.returncode in (0, 1, 3), done.stderr.decode()
        assert b"Traceback" not in done.stderr
        return {name: (home / name).read_bytes() for name in files}, done

    return made


def leaks(files):
    found = []
    for name, content in files.items():
        text = content.decode()
        if name.endswith("json"):
            json.loads(text)
            text += "".join(json.dumps(json.loads(text), ensure_ascii=False))
        found += [(name, hit[0], text[max(hit.start() - 60, 0) : hit.end() + 20]) for hit in GONE.finditer(text)]
        found += [(name, repr(hit[0]), "") for hit in NO_CHARACTER.finditer(content.decode())]
    return found


@pytest.fixture(scope="module")
def checked(run, place):
    outputs = [word for one in FORMATS for word in (f"--{one.option}", f"check.{one.option}")]
    files, _ = run(
        "check",
        "--no-trial",
        "--target",
        str(place[1]),
        "--log",
        "zquser.log",
        *outputs,
        files=[f"check.{one.option}" for one in FORMATS],
    )
    return files


def test_check(checked):
    assert leaks(checked) == []
    counted = json.loads(checked["check.json"])["redacted"]
    assert {"home", "token", "secret", "credentials", "ip", "mac", "email", "user", "serial"} <= set(counted)


def test_show_and_compare_of_a_report_that_was_not_redacted(run, checked, place):
    """As an attacker, or an older version, would write it: with a count that says it was redacted."""
    raw = json.loads(checked["check.json"])
    raw["redacted"] = {"zqcanary": 1}
    raw["target"]["python"] = f"/home/zqother/{SECRETS}{ACTS}"
    raw["facts"]["torch"]["version"] = f"2.6.0+{TOKEN}{ACTS}"
    raw["facts"]["system"]["kernel"] = f"6.8.0-{USER}"
    (place[0] / f"{USER}-raw.json").write_text(json.dumps(raw))
    outputs = [word for one in FORMATS for word in (f"--{one.option}", f"show.{one.option}")]
    files, _ = run("show", f"{USER}-raw.json", *outputs, files=[f"show.{one.option}" for one in FORMATS])
    compared, _ = run(
        "compare",
        "check.json",
        f"{USER}-raw.json",
        "--json",
        "compare.json",
        "--markdown",
        "compare.md",
        files=["compare.json", "compare.md"],
    )
    assert leaks({**files, **compared}) == []


PLANTED = {
    **{name: (prefix + secret, secret) for name, (prefix, secret) in {**first.SHAPES, **second.SHAPES}.items()},
    **{
        name: (text.format(secret := second.KEYED_SECRET.get(name, second.PASSWORD)), secret)
        for name, text in second.KEYED.items()
    },
    **{
        f"third, {name}": (third.DRESSES[number % len(third.DRESSES)].format(prefix + secret + end), secret)
        for number, (name, (prefix, secret, end, _)) in enumerate(third.SHAPES.items())
    },
    **{f"third, {name}": (text.format(third.PASSWORD), third.PASSWORD) for name, text in third.KEYED.items()},
}


def secrets_left(files):
    """Return (kind, file) for each secret of which twelve letters stand in a file."""
    written = {name: html.unescape(content.decode()) for name, content in files.items()}
    pieces = {
        name: [p for line in secret.split("\n") if "-----" not in line and len(p := line[:12]) > 7]
        for name, (_, secret) in PLANTED.items()
    }
    return [(n, f) for n, p in pieces.items() for f, text in written.items() if any(piece in text for piece in p)]


def test_each_kind_of_secret_in_each_format(run, checked, place):
    """Each kind stands in the last lines of a log, in the error of an import, and in the value of a variable."""
    raw = json.loads(checked["check.json"])
    texts = [text for text, _ in PLANTED.values()]
    raw["log_ends"] = [{"file": "build.log", "lines": texts}]
    raw["facts"]["torch"]["chatter"] = "\n".join(texts)
    raw["facts"]["environment"] += [{"name": f"NCCL_{number}", "value": text} for number, text in enumerate(texts)]
    (place[0] / "planted.json").write_text(json.dumps(raw))
    outputs = [word for one in FORMATS for word in (f"--{one.option}", f"planted-out.{one.option}")]
    names = [f"planted-out.{one.option}" for one in FORMATS]
    files, _ = run("show", "planted.json", *outputs, files=names)
    for form in ("pytorch", "flash-attn", "ultralytics", "xformers", "yolov12"):
        files |= run("show", "planted.json", "--markdown", f"{form}.md", "--for", form, files=[f"{form}.md"])[0]
    assert secrets_left(files) == []


@pytest.mark.heavy
def test_each_kind_of_secret_in_the_files_of_other_commands(run, checked, place):
    """Each kind in a log, in facts and in the error of an import: the files of the other commands that read them."""
    home = place[0]
    raw = json.loads(checked["check.json"])
    texts = [text for text, _ in PLANTED.values()]
    raw["log_ends"] = [{"file": "build.log", "lines": texts}]
    raw["facts"]["torch"]["chatter"] = "\n".join(texts)
    raw["facts"]["torch"]["fault"] = {"kind": "raised", "type": "ImportError", "message": "\n".join(texts)[:19000]}
    raw["facts"]["environment"] += [{"name": f"NCCL_{number}", "value": text} for number, text in enumerate(texts)]
    (home / "all.json").write_text(json.dumps(raw))
    (home / "all.log").write_text("\n".join(f"RuntimeError: zork {text}" for text in texts))
    files = {}
    for name, argv, kinds in (
        ("compare", ["compare", "check.json", "all.json"], ("json", "markdown")),
        ("diagnose", ["diagnose", "all.log"], ("json", "markdown")),
        ("diagnose-facts", ["diagnose", "all.log", "--facts", "all.json"], ("json", "markdown")),
        ("fix", ["fix", "--suggest", "--offline", "--report", "all.json"], ("json", "markdown")),
        ("check-facts", ["check", "--facts", "all.json", "--log", "all.log"], [one.option for one in FORMATS]),
        ("fleet", ["fleet", "check.json", "all.json"], ("json", "markdown", "html")),
        ("matrix", ["matrix", "check.json", "all.json"], ("json", "markdown", "html")),
    ):
        outputs = [word for kind in kinds for word in (f"--{kind}", f"{name}.{kind}")]
        made, _ = run(*argv, *outputs, files=[f"{name}.{kind}" for kind in kinds if (name, kind) not in NOT_WRITTEN])
        files |= made
    assert len(files) >= 16
    assert secrets_left(files) == []


NOT_WRITTEN = {("matrix", kind) for kind in ("json", "markdown", "html")}  # no report has a measurement: exit code 3
COMMANDS = {
    "diagnose": (["diagnose", "zquser.log"], False),
    "inspect": (["inspect", "zquser.so", "--target", "{python}"], False),
    "fix": (["fix", "--suggest", "--offline", "--target", "{python}"], True),
    "diagnose --here": (["diagnose", "zquser.log", "--here", "--target", "{python}"], True),
    "diagnose a project": (["diagnose", "requirements.txt"], True),
    "wheels": (["wheels", "--target", "{python}"], True),
    "list": (["list", "--here", "--target", "{python}"], True),
    "fix of a report": (["fix", "--suggest", "--offline", "--report", "check.json"], True),
    "static": (["check", "--static", "--target", "{python}"], True),
    "reproduce": (["reproduce", "no-gpu-present", "--target", "{python}"], True),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.heavy if heavy else ()) for name, (_, heavy) in COMMANDS.items()]
)
def test_the_other_commands(name, run, place, checked):
    argv = [word.format(python=place[1]) for word in COMMANDS[name][0]]
    more = [] if name.startswith("list") else ["--markdown", "out.md"]
    files, _ = run(*argv, "--json", "out.json", *more, files=["out.json", *more[1:]])
    assert leaks(files) == []


@pytest.mark.heavy
def test_the_log_of_a_reproduction(run, place):
    files, _ = run("reproduce", "no-gpu-present", "--target", str(place[1]), "--log", "out.log", files=["out.log"])
    assert leaks(files) == []


@pytest.mark.heavy
def test_each_kind_of_secret_in_what_a_torch_prints_and_raises(run, place):
    """The commands that start the target: its torch prints each kind and raises it, forty at a time."""
    home, texts = place[0], [text for text, _ in PLANTED.values()]
    for number, start in enumerate(range(0, len(texts), 40)):
        some = "\n".join(texts[start : start + 40])
        python = torch_of(
            home / f"env-{number}", f"print({some!r}, flush=True)\nraise ImportError({some!r})\n", cuda=None
        )
        add_metadata(home / f"env-{number}", "ultralytics", "8.4.1")
        (home / "data.yaml").write_text("path: nowhere\ntrain: a\nval: a\nnames: [a]\n")
        wheel = home / "torchy-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(
                "torchy-1.0.dist-info/METADATA",
                f"Metadata-Version: 2.1\nName: torchy\nVersion: 1.0\nSummary: {some!r}\n",
            )
            archive.writestr("torchy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("torchy/_C.so", b"\x7fELF is none")
        files = {}
        for name, argv, kinds in (
            ("check", ["check", "--trial"], [one.option for one in FORMATS]),
            ("trial", ["trial"], ("json", "markdown", "html")),
            ("study", ["study", "--data", "data.yaml", "--folder", f"study-{number}"], ("json", "markdown", "html")),
            ("reproduce", ["reproduce", "torch-install-broken"], ("json", "markdown", "log")),
            ("list", ["list", "--here"], ("json",)),
            ("wheels", ["wheels"], ("json", "markdown")),
            ("inspect", ["inspect", str(wheel)], ("json", "markdown")),
        ):
            outputs = [word for kind in kinds for word in (f"--{kind}", f"{name}.{kind}")]
            for kind in kinds:
                (home / f"{name}.{kind}").unlink(missing_ok=True)
            _, done = run(*argv, "--target", str(python), *outputs, files=[])
            left = [kind for kind in kinds if not (home / f"{name}.{kind}").exists()]
            assert not left or done.returncode == 3, (name, left, done.stderr)
            files |= {f"{name}.{kind}": (home / f"{name}.{kind}").read_bytes() for kind in kinds if kind not in left}
        assert {"check.json", "list.json", "wheels.json", "inspect.json"} <= set(files)
        assert secrets_left(files) == []
