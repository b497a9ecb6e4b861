"""Wheels that other people built: the table, names and addresses, and which file is named for which key."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from attn_doctor.knowledge.community_wheels import candidates, community, judge
from attn_doctor.knowledge.wheel_key import Key
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.report.blocks import Problem
from attn_doctor.report.wheels_outline import outline
from attn_doctor.wheels.answer import Wanted, answer

WINDOWS = Key(python="3.12", torch="2.8.0+cu128", cuda="12.8", cxx11_abi=Unknown("x"), platform="win_amd64", glibc=None, gpus=("8.9",))  # fmt: skip
LINUX = Key(python="3.12", torch="2.11.0+cu130", cuda="13.0", cxx11_abi=True, platform="linux_x86_64", glibc="2.39", gpus=("8.6",))  # fmt: skip
PAGES = "https://github.com/mjun0812/flash-attention-prebuild-wheels/releases/download"


def key(base: Key, **parts) -> Key:
    return Key(**{**{name: getattr(base, name) for name in base.__struct_fields__}, **parts})


def fitting(of: Key) -> list[str]:
    return [c.filename for c in candidates(of) if c.fits]


def reasons(of: Key, release: str = "2.8.3") -> tuple[bool | None, tuple[str, ...]]:
    found = next(c for c in candidates(of, release=release) if c.package == "flash_attn")
    return found.fits, found.reasons


def test_the_table_holds_what_its_source_lists():
    """The list of 2026-08-22 has 3,567 files; 273 are for Windows, of which 236 different names are of FlashAttention 2."""
    listed = [wheel for wheel in community() if wheel.builder == "mjun0812"]
    windows = [wheel for wheel in listed if wheel.platform == "win_amd64"]
    assert (len(listed), len(windows)) == (3567, 273)
    assert len({wheel.filename for wheel in windows if wheel.package == "flash_attn"}) == 236
    assert all(wheel.listed for wheel in listed)
    assert {wheel.builder for wheel in community() if not wheel.listed} == {"kingbri1", "lldacing"}


@pytest.mark.parametrize(
    ("filename", "url"),
    [
        (
            "flash_attn-2.8.3+cu128torch2.8-cp312-cp312-win_amd64.whl",
            f"{PAGES}/v0.7.11/flash_attn-2.8.3%2Bcu128torch2.8-cp312-cp312-win_amd64.whl",
        ),
        (
            "flash_attn-2.8.3+cu130torch2.11-cp313-cp313t-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
            f"{PAGES}/v0.9.31/flash_attn-2.8.3%2Bcu130torch2.11-cp313-cp313t-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        ),
        (
            "flash_attn-2.7.4.post1+cu128torch2.7.0cxx11abiFALSE-cp311-cp311-win_amd64.whl",
            "https://github.com/kingbri1/flash-attention/releases/download/v2.7.4.post1/flash_attn-2.7.4.post1%2Bcu128torch2.7.0cxx11abiFALSE-cp311-cp311-win_amd64.whl",
        ),
        (
            "flash_attn-2.7.4+cu124torch2.6.0cxx11abiFALSE-cp310-cp310-win_amd64.whl",
            "https://huggingface.co/lldacing/flash-attention-windows-wheel/resolve/main/flash_attn-2.7.4%2Bcu124torch2.6.0cxx11abiFALSE-cp310-cp310-win_amd64.whl",
        ),
    ],
)
def test_each_builder_has_names_and_addresses_of_his_own(filename, url):
    assert url in {wheel.url for wheel in community() if wheel.filename == filename}


def test_a_windows_machine_gets_the_newest_release_first():
    assert fitting(WINDOWS) == [
        "flash_attn-2.8.3+cu128torch2.8-cp312-cp312-win_amd64.whl",
        "flash_attn-2.8.2+cu128torch2.8-cp312-cp312-win_amd64.whl",
        "flash_attn-2.7.4+cu128torch2.8-cp312-cp312-win_amd64.whl",
    ]
    assert candidates(WINDOWS)[0].source == "built by mjun0812, unsigned"


@pytest.mark.parametrize(
    ("changed", "fits", "why"),
    [
        ({"python": "3.9"}, False, "built for Python 3.1"),
        ({"cuda": "12.9", "torch": "2.8.0+cu129"}, None, "built for CUDA 12.8, your torch is built for CUDA 12.9: within one major it mostly loads"),
        ({"cuda": "13.0", "torch": "2.8.0+cu130"}, False, "built for CUDA 12.8, your torch is built for CUDA 13.0"),
        ({"cuda": None, "torch": "2.8.0+cpu"}, False, "built for CUDA 12.8, your torch is built without CUDA"),
        ({"cuda": Unknown("not asked")}, None, "built for CUDA 12.8, and the CUDA of torch is not known: not asked"),
        ({"torch": "2.8.0.dev20250601+cu128"}, None, "built for releases of torch, yours is the pre-release 2.8.0.dev20250601+cu128: undefined symbols are possible"),
        ({"torch": None}, False, "built for torch 2.13, and there is no torch here"),
        ({"gpus": ("7.5",)}, False, "FlashAttention 2 needs compute capability 8.0 or newer, the GPU is 7.5"),
        ({"gpus": Unknown("no answer")}, None, "the GPU here is not known: no answer"),
        ({"gpus": ("7.5", "8.9")}, True, None),
        ({"gpus": ()}, True, None),
        ({"python": "3.13t"}, False, "built for Python 3.1"),
    ],
)  # fmt: skip
def test_what_speaks_against_a_file_for_windows(changed, fits, why):
    said, against = reasons(key(WINDOWS, **changed))
    assert said is fits
    assert (against == ()) if why is None else any(text.startswith(why) for text in against), against


@pytest.mark.parametrize(
    ("changed", "fits", "why"),
    [
        ({"glibc": "2.24"}, True, None),
        ({"glibc": "2.23"}, None, "built on glibc 2.28; whether it needs that is not known, here 2.23"),
        ({"glibc": None}, False, "needs glibc, and the C library here is not glibc"),
        ({"cxx11_abi": False}, False, "built with a torch of cxx11abi TRUE, your torch has FALSE"),
        ({"gpus": ("12.0",)}, True, None),
    ],
)
def test_what_speaks_against_a_file_for_linux(changed, fits, why):
    said, against = reasons(key(LINUX, **changed))
    assert (said, against) == (fits, () if why is None else (why,))


def test_a_file_without_a_manylinux_tag_needs_the_glibc_of_the_system_that_built_it():
    """flash_attn 2.6.3 for torch 2.4 was built before there were manylinux images."""
    old = key(LINUX, torch="2.4.1+cu124", cuda="12.4", cxx11_abi=False, python="3.11")
    assert reasons(key(old, glibc="2.35"), "2.6.3") == (True, ())
    assert reasons(key(old, glibc="2.34"), "2.6.3") == (
        None,
        ("built on glibc 2.35; whether it needs that is not known, here 2.34",),
    )


def test_the_compiler_of_an_old_cuda_knows_no_blackwell():
    of = key(WINDOWS, torch="2.6.0+cu124", cuda="12.4", gpus=("12.0",), python="3.11")
    there = {
        (w.release, w.cuda): w for w in community() if (w.torch, w.python, w.platform) == ("2.6", "3.11", "win_amd64")
    }
    fits, against = judge(there["2.8.3", "12.4"], of)
    assert fits is False
    assert any("12.0" in why for why in against), against
    assert judge(there["2.8.3", "12.8"], key(of, torch="2.6.0+cu128", cuda="12.8")) == (True, ())
    assert (
        judge(there["2.6.3", "12.8"], key(of, torch="2.6.0+cu128", cuda="12.8"))[0] is False
    )  # it compiles for 8.0 and 9.0 alone
    unlisted = judge(there["2.7.4.post1", "12.4"], key(of, gpus=("8.9",)))
    assert unlisted == (True, ())


def test_nothing_is_named_for_a_platform_that_nobody_built_for():
    assert candidates(key(LINUX, platform="musllinux_1_2_x86_64")) == ()
    assert candidates(key(LINUX, platform="macosx_11_0_arm64")) == ()


def test_flash_attention_3_comes_last_and_is_for_hopper():
    hopper = candidates(key(LINUX, gpus=("9.0",)))
    assert [c.package for c in hopper if c.fits][-1] == "flash_attn_3"
    assert hopper[0].package == "flash_attn"
    three = next(c for c in candidates(LINUX) if c.package == "flash_attn_3")
    assert three.fits is False or three.fits is None
    free = next(c for c in candidates(key(LINUX, python="3.13t", gpus=("9.0",))) if c.package == "flash_attn_3")
    assert "built for the stable ABI, which a free-threaded Python lacks: you have 3.13t" in free.reasons


def test_for_the_key_of_each_file_a_file_is_named_that_exists_and_is_no_older():
    """Draw 200 files: for the key that a file was built for, the best one fits, is in the table, and is of no older release."""
    names = {wheel.filename for wheel in community()}
    every = [
        wheel for wheel in community() if wheel.package == "flash_attn" and wheel.listed and wheel.release != "1.0.9"
    ]
    for wheel in random.Random(29).sample(every, 200):
        platform = (
            "win_amd64"
            if wheel.platform == "win_amd64"
            else "linux_aarch64"
            if wheel.platform.endswith("aarch64")
            else "linux_x86_64"
        )
        of = Key(
            python=wheel.python,
            torch=f"{wheel.torch}.0+cu{wheel.cuda.replace('.', '')}",
            cuda=wheel.cuda,
            cxx11_abi=Unknown("not named"),
            platform=platform,
            glibc=None if platform == "win_amd64" else "2.39",
            gpus=("8.6",),
        )
        best = candidates(of)[0]
        assert best.fits, (wheel, best)
        assert best.filename in names
        assert release(best.release) >= release(wheel.release), (wheel, best)


def release(text: str) -> tuple[int, ...]:
    """2.7.4.post1 -> (2, 7, 4, 1); 2.7.4 -> (2, 7, 4, 0)."""
    plain, _, post = text.partition(".post")
    return (*map(int, plain.split(".")), int(post or 0))


# --- the answer


def asked(**parts):
    return answer(Wanted(**parts), None)


THERE = {"python": "3.12", "torch": "2.8.0+cu128", "platform": "win_amd64", "gpus": ("8.9",)}


@pytest.mark.parametrize(
    ("parts", "fits", "official"),
    [
        (THERE, True, False),
        (
            {"python": "3.12", "torch": "2.8.0", "platform": "linux_x86_64", "glibc": "2.35", "gpus": ("8.9",)},
            True,
            True,
        ),
        ({**THERE, "torch": "2.8.0+cu129"}, None, None),  # built for CUDA 12.8
        ({**THERE, "torch": "2.15.0+cu132"}, False, None),
        ({**THERE, "gpus": ("7.5",)}, False, None),
        ({"python": "3.12", "torch": "2.8.0+cu128", "platform": "win_amd64"}, None, None),  # no GPU named
    ],
)
def test_whether_a_finished_wheel_fits_and_whose(parts, fits, official):
    found = asked(**parts)
    assert (found.fits, found.official) == (fits, official)


def test_an_official_wheel_comes_before_one_that_somebody_else_built():
    found = asked(python="3.12", torch="2.8.0", platform="linux_x86_64", glibc="2.35", gpus=("8.9",))
    kinds = [c.kind for c in found.candidates if c.fits and c.filename]
    assert kinds[0] == "official"
    assert kinds == sorted(kinds, key=["official", "community"].index)
    assert "community" in kinds


def shown(found) -> str:
    return "\n".join(map(str, outline(found, None)))


def test_the_screen_never_calls_a_strangers_wheel_proven():
    said = shown(asked(**THERE))
    assert (
        "No wheel of flash-attn's authors fits. By its name, a wheel that somebody else built fits: flash-attn 2.8.3."
        in said
    )
    assert "nobody guarantees its content" in said
    assert said.index("attn-doctor wheels --prove https://") < said.index("pip install https://")


@pytest.mark.parametrize(
    ("parts", "there"),
    [
        ({}, "the wheels of flash-attn's authors: none of the 29 releases has one for win_amd64 (--json gives each reason)"),
        ({"release": "2.8.3"}, "the wheels of flash-attn's authors: release 2.8.3 has none for win_amd64 (--json gives each reason)"),
        ({"platform": "linux_x86_64", "glibc": "2.35"}, None),
    ],
)  # fmt: skip
def test_a_platform_for_which_the_authors_build_nothing_is_told_in_one_sentence(parts, there):
    said = shown(asked(**{**THERE, **parts}))
    assert ("the nearest wheel of each release" in said) is (there is None)
    assert there is None or there in said


def test_the_command_that_reads_a_wheel_names_the_target_and_a_gpu_that_was_typed():
    facts = facts_of("windows-11-rtx-4070")
    file = "https://github.com/mjun0812/flash-attention-prebuild-wheels/releases/download/v0.4.19/flash_attn-2.8.3%2Bcu126torch2.6-cp311-cp311-win_amd64.whl"
    target = r"--target C:\Users\user\project\.venv\Scripts\python.exe"
    for parts, line, elsewhere in (
        ({}, f"attn-doctor wheels --prove {file} {target}", False),
        ({"gpus": ("8.6", "RTX 4090")}, f"attn-doctor wheels --prove {file} {target} --gpu 8.6 --gpu 8.9", False),
        ({"cuda": "12.6"}, f"attn-doctor wheels --prove {file} {target}", True),
    ):
        commands = [
            command
            for block in outline(answer(Wanted(**parts), facts), facts)
            if isinstance(block, Problem)
            for cure in block.cures
            for command in cure.commands
        ]
        assert commands[0].line == line
        assert ("Run it in the environment that has the torch and the Python above" in commands[0].note) is elsewhere


def test_a_path_with_a_space_is_quoted_for_powershell():
    facts = facts_of("windows-11-rtx-4070")
    python = r"C:\Users\Ana Ruiz\yolo\.venv\Scripts\python.exe"
    facts = msgspec.structs.replace(facts, interpreter=msgspec.structs.replace(facts.interpreter, python=python))
    said = shown_with(facts)
    assert f'--target "{python}"' in said
    assert f'& "{python}" -m pip install https://' in said


def shown_with(facts: Facts) -> str:
    blocks = outline(answer(Wanted(), facts), facts)
    return "\n".join(str(c.line) for b in blocks if isinstance(b, Problem) for cure in b.cures for c in cure.commands)


def facts_of(machine: str) -> Facts:
    path = Path(__file__).parents[1] / "fixtures" / "machines" / machine / "facts.json"
    return msgspec.json.decode(path.read_bytes(), type=Facts)


def test_an_old_card_is_told_at_once():
    found = asked(python="3.12", torch="2.8.0", platform="linux_x86_64", glibc="2.35", gpus=("Tesla T4",))
    assert found.too_old.startswith(
        "flash-attn 2 never runs on a GPU of compute capability 7.5: it needs 8.0 (Ampere) or newer."
    )
    said = shown(found)
    assert "flash-attention-turing (may serve)" in said
    assert "flash-attention-v100 (not here): is for compute capability 7.0, your GPU is 7.5" in said
    for gpus in (("7.5", "8.6"), ("8.0",), ()):
        assert asked(python="3.12", torch="2.8.0", platform="linux_x86_64", glibc="2.35", gpus=gpus).too_old is None
