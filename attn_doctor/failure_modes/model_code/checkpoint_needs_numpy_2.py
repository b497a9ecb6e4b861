"""A file was written with NumPy 2, and NumPy 1 cannot read it.

What it is
    Checkpoints (`.pt`), label caches (`.cache`) and pickles can contain NumPy arrays or numbers. NumPy 2 writes the module name
    `numpy._core` into the file, and NumPy 1 has no such module.

How it shows
    "ModuleNotFoundError: No module named 'numpy._core'" (or 'numpy._core.numeric', 'numpy._core.multiarray') below torch.load or
    pickle.load.

Why it happens
    The file comes from another machine, or from an environment with NumPy 2. Examples: the checkpoint of a colleague, a `labels.cache`
    in the folder of the images, a metric in a checkpoint that was saved as a NumPy number.

What to do
    A label cache: delete it, the next training writes it again. A checkpoint: install NumPy 2 if torch is 2.3 or newer. Or save the
    checkpoint again on a machine with NumPy 2, with only the weights in it. A torch older than 2.3 is built for NumPy 1 and does not
    work with NumPy 2.

How to reproduce
    `attn-doctor reproduce checkpoint-needs-numpy-2` writes a pickle with NumPy 2, and reads it with NumPy 1 (downloads 35 MB). It needs
    Python 3.10 to 3.12, because both have wheels for these.

References
    https://numpy.org/devdocs/numpy_2_0_migration_guide.html#numpy-core-to-numpy-core-renaming
    https://github.com/icey-zhang/SuperYOLO/issues/133
    https://github.com/ray-project/ray/issues/48053
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import File, Packages, Recipe
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD605",
    slug="checkpoint-needs-numpy-2",
    title="A file was written with NumPy 2",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"No module named '?numpy\._core",
            literal="numpy._core",
            sample="ModuleNotFoundError: No module named 'numpy._core'",
        ),
        Sign(
            pattern=r"(?P<cache>[\w.-]{1,80}\.cache)\b|\bcache_path\b|np\.load\(str\(path\)",
            literal="cache",
            sample="    cache = torch.load(cache_path)  # load",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="writes a pickle with NumPy 2, and reads it with NumPy 1",
        of=(
            Packages(
                requirements=("numpy==2.2.6",),
                megabytes=17,
                options=("--target", "{folder}/newer", "--only-binary", ":all:"),
            ),
            Packages(requirements=("numpy==1.26.4",), megabytes=18, options=("--only-binary", ":all:")),
            File(
                path="write.py",
                # A pickle of protocol 5 contains the name numpy._core.numeric. NumPy 1.26 has modules for the names in older protocols:
                # https://github.com/numpy/numpy/tree/v1.26.4/numpy/_core
                text="import sys\nsys.path.insert(0, '{folder}/newer')\nimport pickle, numpy\n"
                "pickle.dump(numpy.ones(2), open('weights.pkl', 'wb'), protocol=5)\n",
            ),
        ),
        run=(
            ("{python}", "write.py"),
            ("{python}", "-c", "import pickle; pickle.load(open('weights.pkl', 'rb'))"),
        ),
        shows=r"No module named 'numpy\._core",
        goal=Goal.TRAIN,
        seconds=15,
    ),
)

_NUMPY_2 = (2, 3)  # the first torch that is built for NumPy 2, https://github.com/pytorch/pytorch/releases/tag/v2.3.0


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not any(m.strength == "proof" for m in seen.matches):
        return None
    return Hit(
        message="The file that was read was written with NumPy 2. The installed NumPy is older and has no module numpy._core.",
        evidence=tuple(e for e in evidence if "numpy._core" in e.text) or evidence,
        confidence=Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    torch = facts.torch.version
    takes = isinstance(torch, str) and (pair(torch) or _NUMPY_2) >= _NUMPY_2
    delete = commands.by_hand(
        (),
        "if the traceback names a .cache file (labels.cache in the folder of the images): delete it, the next training writes it again",
        "the label cache",
        "none",
    )
    upgrade = commands.install(
        "numpy>=2,<3",
        why=f"torch {torch} is built for NumPy 2"
        if takes
        else "torch 2.3 and newer are built for NumPy 2; an older torch needs NumPy 1",
        changes="numpy",
        risk="medium",
        risk_text="packages that were built for NumPy 1 stop working",
    )
    resave = commands.by_hand(
        (),
        "on a machine with NumPy 2: load the checkpoint, turn its NumPy values into Python values (float(x), x.tolist()), and save it again",
        "a copy of the checkpoint",
        "none",
    )
    cures = [
        Fix(title="Delete a cache that NumPy 2 wrote", steps=(delete,), verify=verify),
        Fix(title="Save the checkpoint again without NumPy values", steps=(resave,), verify=verify),
    ]
    newer = Fix(title="Install NumPy 2", steps=(upgrade,), verify=verify)
    old = isinstance(torch, str) and not takes
    return tuple(cures) if old else (cures[0], newer, cures[1])
