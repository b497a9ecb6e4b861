"""The folders that an installer writes to, and the packages in them that belong to the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from environment_places import places_of

from attn_doctor.fixes.target_paths import Root, ask, freeze, own, versions
from attn_doctor.model.facts import Distribution, Facts, Interpreter, Packages, Unknown, Variable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the patients are Linux, with stub drivers")

# -- folders


def test_the_folders_that_an_installer_writes(tmp_path):
    prefix = tmp_path / "env"
    places = places_of(prefix, user=("/home/me/.local/lib",), scripts=f"{prefix}/share/bin")
    (prefix / "share").mkdir(parents=True)
    found = [root.path for root in places.roots()]
    inside = [f"{prefix}/{name}" for name in ("include", "share", "etc", "man", "pipx_metadata.json", ".lock")]
    assert found == [places.purelib, *inside, "/home/me/.local/lib"]  # its scripts lie in share
    assert places.home == prefix / ".attn-doctor"

    bare = places_of(prefix, base_prefix=str(prefix))
    assert (bare.kind, bare.home) == ("bare", Path(bare.purelib).parent / ".attn-doctor")
    assert f"{prefix}/include" in [root.path for root in bare.roots()]
    assert f"{prefix}/pipx_metadata.json" not in [root.path for root in bare.roots()]

    system = places_of(Path("/usr"), base_prefix="/usr")
    assert [root.path for root in system.roots()] == [os.path.realpath(system.purelib), os.path.realpath("/usr/bin")]

    (prefix / "conda-meta").mkdir()
    conda = places_of(prefix)
    assert conda.kind == "conda"
    assert conda.roots() == (Root(path=str(prefix), skip=(".attn-doctor", "conda-bld", "envs", "pkgs")),)


def test_a_python_that_does_not_say_its_folders_is_an_error(tmp_path):
    from attn_doctor.errors import NoAnswer

    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    with pytest.raises(NoAnswer):
        ask(str(silent), os.environ)


@pytest.mark.parametrize(
    ("named", "prefix", "expected"),
    [
        (None, "/env", ["/env/lib", "/beside"]),
        ("/beside", "/env", ["/env/lib"]),
        ("/beside:/env/lib", "/env", ["/env/lib"]),  # in the environment all the same
        ("/other::", "/env", ["/env/lib", "/beside"]),
        ("/beside:/env/lib", Unknown("x"), []),
        ("/env/lib", "/envelope", ["/beside"]),
    ],
)
def test_packages_beside_the_environment_are_not_its_own(named, prefix, expected):
    listed = tuple(Distribution(name="a", version="1", location=place) for place in ("/env/lib", "/beside"))
    variables = (
        () if named is None else (Variable(name="OTHER", value="/env/lib"), Variable(name="PYTHONPATH", value=named))
    )
    facts = Facts(
        packages=Packages(distributions=listed), environment=variables, interpreter=Interpreter(prefix=prefix)
    )
    assert [item.location for item in own(facts)] == expected


def test_of_two_records_the_first_is_imported_and_a_list_tells_the_source():
    listed = (
        Distribution(name="a", version="1", location="/x", direct_url="file:///a.whl"),
        Distribution(name="a", version="2", location="/y"),
        Distribution(name="b", version=Unknown("x"), location="/z"),
    )
    assert versions(listed) == {"a": "1", "b": ""}
    assert freeze(listed[:2]) == "a==1  # /x  file:///a.whl\na==2  # /y\n"
    assert own(Facts(packages=Packages(distributions=Unknown("x")))) == ()
    assert own(Facts(packages=Packages(distributions=listed), environment=Unknown("x"))) == listed
