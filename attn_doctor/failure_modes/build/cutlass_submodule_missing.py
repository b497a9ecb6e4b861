"""The source of flash-attn is there, but CUTLASS, which it needs, is missing.

What it is
    flash-attn's kernels need NVIDIA's CUTLASS, a git submodule in the folder csrc/cutlass. That folder is empty.

How it shows
    "fatal error: cutlass/numeric_types.h: No such file or directory" (or cute/tensor.hpp, in any language), or, from newer
    releases, "AssertionError: csrc/cutlass is missing, please use source distribution or git clone".

Why it happens
    GitHub's "Download ZIP" and a plain `git clone` do not download submodules. Or the machine could not reach GitHub
    to get them.

    Beware: "error: pathspec 'csrc/cutlass' did not match" and "fatal: not a git repository" are also printed by
    builds from PyPI that succeed.

What to do
    Run `git submodule update --init --recursive` in the checkout. Or build from PyPI: its archive contains CUTLASS.

How to reproduce
    `attn-doctor reproduce cutlass-submodule-missing` runs flash-attn's own setup.py in a source without csrc/cutlass.
    It downloads 13 MB, and a CPU build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/331
    https://github.com/Dao-AILab/flash-attention/issues/1013
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import BUILD_TOOLS, INSTALL_SOURCE, Recipe, Source, Torch
from attn_doctor.failure_modes.shared import building, not_found_words, subject
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity, fact

_HEADERS = r"(?:cutlass|cute)/[\w/]{1,80}\.(?:h|hpp|cuh)"

MODE = FailureMode(
    code="AD111",
    slug="cutlass-submodule-missing",
    title="CUTLASS is missing from the source",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "cuda-headers-incomplete"),
    signs=(
        *(
            Sign(pattern=not_found_words.missing_header(_HEADERS), literal=literal, sample=sample)
            for literal, sample in (
                (
                    ": cutlass/",
                    "csrc/flash_attn/src/utils.h:17:10: fatal error: cutlass/array.h: No such file or directory",
                ),
                (
                    ": cute/",
                    "csrc/flash_attn/src/utils.h:13:10: fatal error: cute/tensor.hpp: No such file or directory",
                ),
                ("：cutlass/", "csrc/flash_attn/src/utils.h:17:10: 致命错误：cutlass/array.h：没有那个文件或目录"),
                ("：cute/", "csrc/flash_attn/src/utils.h:13:10: 致命错误：cute/tensor.hpp：没有那个文件或目录"),
                (
                    "'cutlass/",
                    "utils.h(17): fatal error C1083: Cannot open include file: 'cutlass/array.h': No such file or directory",
                ),
                (
                    "'cute/",
                    "utils.h(13): fatal error C1083: Cannot open include file: 'cute/tensor.hpp': No such file or directory",
                ),
                ('"cutlass/', 'utils.h(17): catastrophic error: cannot open source file "cutlass/array.h"'),
                ('"cute/', 'utils.h(13): catastrophic error: cannot open source file "cute/tensor.hpp"'),
            )
        ),
        # Sources of a third party in other projects: glm of diff-gaussian-rasterization, json and fmt of tiny-cuda-nn.
        *(
            Sign(
                pattern=not_found_words.missing_header(
                    r"(?:glm/glm|json/json|nlohmann/json|fmt/\w+|cmrc/cmrc)\.(?:h|hpp)"
                ),
                literal=literal,
                sample=sample,
            )
            for literal, sample in (
                (
                    "glm/glm.hpp",
                    "cuda_rasterizer/auxiliary.h:16:10: fatal error: glm/glm.hpp: No such file or directory",
                ),
                (
                    "json/json.hpp",
                    "include/tiny-cuda-nn/common.h:33:10: fatal error: json/json.hpp: No such file or directory",
                ),
                (
                    "fmt/",
                    "include/tiny-cuda-nn/common_host.h:37:10: fatal error: fmt/format.h: No such file or directory",
                ),
            )
        ),
        # An empty folder of a submodule has no setup.py.
        Sign(
            pattern=r"(?:Directory|File) '?(?P<empty>\S*(?:submodules|third_party|thirdparty|extern)[\\/][\w./\\-]+?)'? is not installable\. Neither 'setup\.py' nor",
            literal=" is not installable. Neither",
            sample="ERROR: Directory 'submodules/simple-knn' is not installable. Neither 'setup.py' nor 'pyproject.toml' found.",
        ),
        # The same for AMD's Composable Kernel. clang writes: 'fmha_bwd.hpp' file not found.
        Sign(
            pattern=r"fatal error: '(?P<header>(?:fmha_\w+|(?:ck|ck_tile)/[\w/.]+)\.hpp)' file not found",
            literal="' file not found",
            sample="csrc/flash_attn_ck/mha_bwd.hip:8:10: fatal error: 'fmha_bwd.hpp' file not found",
        ),
        Sign(
            pattern=r"ninja: error: '[^']{0,300}?[\\/](?P<filled>(?:third_party|thirdparty|3rdparty|extern(?:al)?|submodules|deps)[\\/][\w.-]{1,60})[\\/][^']{0,300}', needed by",
            literal="ninja: error: '",
            sample="ninja: error: '/src/fast-ops/third_party/flash-attention/csrc/flash_api.cpp', needed by '/src/fast-ops/build/flash_api.o', missing and no known rule to make it",
        ),
        Sign(
            pattern=r"csrc/cutlass is missing",
            literal="csrc/cutlass is missing",
            sample="AssertionError: csrc/cutlass is missing, please use source distribution or git clone",
        ),
        Sign(
            pattern=r"(?P<submodule>\w[\w.-]{1,40}) submodule not found\. Did you forget",
            literal=" submodule not found",
            sample="RuntimeError: CUTLASS submodule not found. Did you forget to run `git submodule update --init --recursive` ?",
        ),
    ),
    recipe=Recipe(
        does="runs flash-attn's own setup.py in a source without csrc/cutlass",
        of=(Torch(), BUILD_TOOLS, Source(without=("csrc/cutlass",))),
        run=(INSTALL_SOURCE,),
        shows="csrc/cutlass is missing",
        seconds=20,
    ),
)


def detect(facts: Facts) -> Hit | None:
    project = facts.project
    if not every(
        lambda: known(project.source_checkout) == "flash-attention", lambda: known(project.cutlass_missing) is True
    ):
        return None
    return Hit(
        message="This folder is flash-attn's source, and its folder csrc/cutlass is empty: this source cannot be built.",
        evidence=(fact(facts, "project.source_checkout"), fact(facts, "project.cutlass_missing")),
    )


class OfOthers(Variant, frozen=True):
    """Mark the sources of another project than flash-attn."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    header = seen.group("header")
    submodule = seen.group("submodule")
    of = "Composable Kernel (csrc/composable_kernel)" if header and header.startswith(("fmha", "ck")) else "CUTLASS"
    if header and not header.startswith(("fmha", "ck", "cutlass", "cute")):
        message = (
            f"{header} is missing: it belongs to a submodule, and the source was downloaded without its submodules."
        )
        return Hit(message=message, evidence=evidence, variant=OfOthers())
    if (filled := seen.group("filled")) is not None:
        message = f"Files of the submodule {filled} are missing: the source was downloaded without its submodules, or they are of another commit."
        return Hit(message=message, evidence=evidence, variant=OfOthers())
    if (empty := seen.group("empty")) is not None:
        message = f"The folder {empty} is empty: the source was downloaded without its submodules."
        return Hit(message=message, evidence=evidence, variant=OfOthers())
    what = f"{header} of {of} is missing" if header else "csrc/cutlass is empty"
    if submodule and not header:
        what = f"The submodule {submodule} is missing"
    return Hit(message=f"{what}: the source was downloaded without its submodules.", evidence=evidence)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, OfOthers):
        return _of_others(facts)
    fetch = commands.run(
        ("git", "submodule", "update", "--init", "--recursive"),
        why=f"run this in the folder of the checkout of {subject.words(facts)}",
        changes="fills the folders of the submodules",
        risk="low",
        takes="about 100 MB",
    )
    fetched = Fix(title="Fetch the submodules", steps=(fetch,), verify=("git", "submodule", "status", "--recursive"))
    if subject.package(facts) is None:
        return (fetched,)
    whole = Fix(title="Build from PyPI instead", steps=(building.build(facts),), verify=building.verify(facts))
    return (*building.without_compiling(facts), fetched) if not subject.is_flash_attn(facts) else (fetched, whole)


def _of_others(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that fetches the submodules of a project other than flash-attn."""
    fetch = commands.by_hand(
        ("git", "submodule", "update", "--init", "--recursive"),
        "in the folder that `git clone` made. A folder from GitHub's 'Download ZIP' has no submodules: clone the project instead, with `git clone --recursive` and its address",
        "fills the folders of the submodules",
        takes="minutes",
    )
    built = building.build(facts, "builds it again, with all sources")
    return (Fix(title="Fetch the submodules", steps=(fetch, built), verify=building.verify(facts)),)
