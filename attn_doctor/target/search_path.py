# Computes the target's sys.path from its files, for --static, which runs no code of the target. Runs under -E -s -S: without
# site, so without sitecustomize, usercustomize and lines of .pth files.
#
# The rules are those of https://docs.python.org/3/library/site.html. The target's own site module gives the folders,
# because Debian's has others. Passes SEARCH_PATH, ISOLATED_PATH (without PYTHONPATH and the user site), USER_SITE,
# NOT_RUN and EDITABLE to the scripts after it. sys.path itself stays unchanged: nothing there is imported.
import ast
import re
import site

LONGEST_PTH = 1 << 20  # bytes
# setuptools writes one such line for each module: https://setuptools.pypa.io/en/latest/userguide/development_mode.html
FINDER = re.compile(r"import\s+(__editable___\w+_finder)\b")
MAPPING = re.compile(r"^MAPPING\b[^=\n]*=\s*(\{.*\})\s*$", re.MULTILINE)
# Files of setuptools, virtualenv and coverage. Their lines make no module importable, so no module is missed without them.
FINDS_NOTHING = ("distutils-precedence.pth", "_virtualenv.pth", "a1_coverage.pth")


def settings_of_venv(python):
    """Return folder and settings of the virtual environment of this interpreter; None if it is in none."""
    programs = os.path.dirname(os.path.abspath(python))
    for folder in (programs, os.path.dirname(programs)):
        try:
            with open(os.path.join(folder, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
                lines = [line.partition("=") for line in file]
        except OSError:
            continue
        settings = {key.strip().lower(): value.strip() for key, sign, value in lines if sign}
        return os.path.dirname(programs), settings
    return None


def holds_text(code, text):
    """Return whether a function, or a function inside it, contains this text as a constant."""
    return any(c == text or (hasattr(c, "co_consts") and holds_text(c, text)) for c in code.co_consts)


# Since 3.11.8 and 3.12.2 hidden files are left out: https://github.com/python/cpython/issues/113659
READS_HIDDEN = not holds_text(site.addsitedir.__code__, ".")


def read(path):
    """Return the text of a file; None if it cannot be read."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return file.read(LONGEST_PTH)
    except OSError:
        return None


class Path:
    """Build the sys.path that an interpreter would have, from files. Its module `site` is not run."""

    def __init__(self, entries):
        self.entries = []
        self.not_run = []  # names of .pth files
        self.editable = {}  # module -> folder or file
        for entry in entries:
            self.add(entry)

    def add(self, entry):
        if os.path.normcase(os.path.abspath(entry)) not in map(os.path.normcase, self.entries):
            self.entries.append(os.path.abspath(entry))

    def add_site(self, folder):
        """Add a site-packages folder, and the folders that its .pth files name."""
        if not os.path.isdir(folder):
            return
        self.add(folder)
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return
        for name in names:
            if name.endswith(".pth") and (READS_HIDDEN or not name.startswith(".")):
                self.add_lines(folder, name, read(os.path.join(folder, name)) or "")

    def add_lines(self, folder, name, text):
        for line in text.splitlines():
            if line.startswith(("import ", "import\t")):
                if name not in FINDS_NOTHING and not self.add_editable(folder, line):
                    self.not_run.append(name)
            elif line.strip() and not line.startswith("#"):
                entry = os.path.join(folder, line.rstrip())
                if os.path.exists(entry):
                    self.add(entry)

    def add_editable(self, folder, line):
        """Read the table of a setuptools finder as text, for `editable`.

        Returns False if the line names none, or if it cannot be read.
        """
        finder = FINDER.match(line)
        written = MAPPING.search(read(os.path.join(folder, finder.group(1) + ".py")) or "") if finder else None
        if written is None:
            return False
        try:
            self.editable.update(ast.literal_eval(written.group(1)))
        except (SyntaxError, TypeError, ValueError):
            return False
        return True


def user_site_is_on(inside, settings):
    if inside is not None and settings.get("include-system-site-packages", "false").lower() != "true":
        return False
    if os.environ.get("PYTHONNOUSERSITE"):
        return False
    return not hasattr(os, "geteuid") or (os.geteuid(), os.getegid()) == (os.getuid(), os.getgid())


def folders_of(prefixes):
    try:
        return site.getsitepackages(prefixes)
    except (AttributeError, TypeError):
        return []


def whole(inside, settings, variable, user):
    """Return the Path of an interpreter. `inside`: the folder of its virtual environment, `settings`: those of its pyvenv.cfg.

    `variable`: the folders of PYTHONPATH. `user`: the folder of the user site. None: there is none.
    """
    path = Path(variable)
    for entry in sys.path:
        path.add(entry)
    base = [sys.base_prefix, sys.base_exec_prefix]
    if inside is not None:
        for folder in folders_of([inside]):
            path.add_site(folder)
    if user is not None:
        path.add_site(user)
    if inside is None or settings.get("include-system-site-packages", "false").lower() == "true":
        for folder in folders_of(list(dict.fromkeys(base))):
            path.add_site(folder)
    return path


PYTHON = CONFIG.get("python") or sys.executable
found = settings_of_venv(PYTHON)
inside, settings = found if found else (None, {})
if inside is not None:
    sys.prefix = sys.exec_prefix = inside  # as site.venv does it, and before sysconfig is imported
VARIABLE = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
USER_SITE = site.getusersitepackages() if user_site_is_on(inside, settings) else None
BUILT = whole(inside, settings, VARIABLE, USER_SITE)
SEARCH_PATH, NOT_RUN, EDITABLE = BUILT.entries, BUILT.not_run, BUILT.editable
ISOLATED_PATH = whole(inside, settings, [], None).entries
