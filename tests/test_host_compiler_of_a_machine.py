"""A compiler on the machine that the headers of the installed torch refuse, before anything is compiled.

Limits by hand, from the wheels: c10/util/C++17.h of torch 2.2.1 says "We need GCC 5 or later", that of 2.2.2 "We need GCC 9 or later" and "Clang 9".
"""

from __future__ import annotations

import pytest
from one_rule import found
from whole_machines import RTX_4090, changed

from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import building
from attn_doctor.fixes.plan_builder import make
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Compiler, Facts, Toolkit, Unknown
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import SetVariable

SLUG = "host-compiler-too-old"
KIT = Toolkit(
    root="/usr/local/cuda-12.8",
    found_by=("/usr/local/cuda",),
    nvcc="/usr/local/cuda-12.8/bin/nvcc",
    version="12.8",
    problem=None,
    missing_headers=(),
    max_gcc=14,
)


def compiled(torch: str = "2.9.1+cu128", header: int = 17, name: str = "g++", version: str = "8.5.0") -> Facts:
    """A machine on which flash-attn would be compiled: no wheel is for this torch."""
    return changed(
        RTX_4090,
        torch__version=torch,
        torch__cuda="12.8",
        torch__header_cxx=header,
        toolchain__compilers=(Compiler(name=name, path=f"/usr/bin/{name}", version=version),),
        toolchain__toolkits=(KIT,),
        toolchain__cuda_home_by="/usr/local/cuda",
    )


@pytest.mark.parametrize(
    ("torch", "header", "name", "version", "floor"),
    [
        ("2.9.1+cu128", 17, "g++", "8.5.0", 9),
        ("2.9.1+cu128", 17, "g++", "9.1.0", None),
        ("2.9.1+cu128", 17, "gcc", "4.8.5", 9),
        ("2.9.1+cu128", 17, "clang++", "8.0.1", 9),
        ("2.9.1+cu128", 17, "clang++", "9.0.0", None),
        ("2.14.1+cu128", 20, "g++", "9.5.0", 10),
        ("2.14.1+cu128", 20, "g++", "10.2.0", None),
        ("2.2.2+cu128", 17, "g++", "8.5.0", 9),
        ("2.2.1+cu128", 17, "g++", "8.5.0", None),
    ],
)
def test_the_compiler_of_a_machine_is_measured_by_the_headers_of_its_torch(torch, header, name, version, floor):
    finding = found(SLUG, compiled(torch, header, name, version))
    assert (finding is not None) == (floor is not None)
    if finding is not None:
        assert finding.message.endswith(f"need {'clang' if 'clang' in name else 'gcc'} {floor} or newer.")
        assert finding.evidence[0].path == "toolchain.compilers.0.version"


def test_nothing_is_said_where_nothing_is_compiled_or_the_compiler_is_not_known():
    facts = compiled()
    assert found(SLUG, changed(facts, torch__cuda=None, torch__version="2.9.1+cpu")) is None
    assert found(SLUG, changed(facts, system__os="darwin")) is None
    assert found(SLUG, changed(facts, toolchain__compilers=())) is None  # host-compiler-missing says this
    unknown = changed(facts, toolchain__compilers=Unknown("not looked for"))
    assert found(SLUG, unknown) is None
    with pytest.raises(Unsure):
        building.host_compiler(unknown)


def steps(facts: Facts) -> list[str]:
    finding = found(SLUG, facts)
    assert finding is not None
    fix = next(fix for fix in finding.fixes if fix.title == "Use a newer gcc")
    return [f"{step.name}={step.value}" if isinstance(step, SetVariable) else " ".join(step.argv) for step in fix.steps]


@pytest.mark.parametrize(
    ("system", "first", "cxx"),
    [
        (("rhel", "8.10"), "sudo dnf install -y gcc-toolset-13", "/opt/rh/gcc-toolset-13/root/usr/bin/g++"),
        (("rocky", "9.4"), "sudo dnf install -y gcc-toolset-13", "/opt/rh/gcc-toolset-13/root/usr/bin/g++"),
        (("ubuntu", "20.04"), "sudo apt-get install -y gcc-10 g++-10", "/usr/bin/g++-10"),
    ],
)
def test_the_newer_compiler_is_that_of_the_distribution(system, first, cxx):
    name, version = system
    given = steps(changed(compiled(), system__distribution=name, system__distribution_version=version))
    assert given[0] == first
    assert f"CXX={cxx}" in given
    assert f"NVCC_PREPEND_FLAGS=-ccbin {cxx}" in given


def test_an_environment_of_conda_gets_the_compiler_of_conda_without_root():
    facts = changed(compiled(), interpreter__kind="conda", interpreter__installers=("pip 25.3", "conda 25.9.1"))
    assert steps(facts)[0].startswith("conda install --prefix /venv --yes -c conda-forge gxx_linux-64=13")


def test_a_way_that_compiles_on_a_cluster_loads_a_gcc_first():
    """Modules bring the newer gcc before the build. No finished wheel is for glibc 2.17: flash-attn is compiled."""
    facts = changed(compiled(), system__modules=True, system__distribution="rhel", system__distribution_version="8.10")
    facts = changed(facts, interpreter__version="3.9.21", interpreter__tag="cp39", torch__version="2.7.1+cu128")
    facts = changed(facts, system__glibc="2.17")
    plan = make(facts, diagnose(facts, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)
    lines = [[str(one.shown.get("bash")) for one in way.steps] for way in plan.ways]
    compiling = [way for way in lines if any("--no-build-isolation" in line for line in way)]
    assert compiling, lines
    for way in compiling:
        assert way.index("module load gcc/13.2.0") < next(i for i, s in enumerate(way) if "no-build-isolation" in s)
