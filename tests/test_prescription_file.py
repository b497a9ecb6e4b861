"""The prescription in the cache folder: for one machine and torch, of one's own hand, and read by programs without msgspec."""

from __future__ import annotations

import json
import os
import stat

import pytest

from attn_doctor.prescription import prescription_file as kept
from attn_doctor.prescription.launch import PRESCRIPTION, WITHOUT, NothingToRun, prescribed


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made(**more):
    return {
        "version": kept.VERSION,
        "machine": kept.here(),
        "torch": "2.8.0+cpu",
        "model": {"name": "yolo12n.yaml", "structure": "ab"},
        "training": {"attention": "sdpa-flash", "threads": 2, "heap": True, "bf16": True},
        "predicting": {"attention": "sdpa-flash", "nondeterministic": True},
        **more,
    }


def test_it_is_written_for_this_user_alone_and_read_again():
    place = kept.write(made())
    assert place == kept.place()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert kept.read() == json.loads(json.dumps(made()))
    assert list(place.parent.iterdir()) == [place]
    assert kept.forget() == 1
    assert not place.parent.exists()
    with pytest.raises(kept.Refused, match=r"there is no prescription at .* trial --tune makes one"):
        kept.read()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"machine": {**kept.here(), "cores": 512}}, "for another machine .cores 512, here"),
        ({"machine": None}, "does not say for which machine"),
        ({"version": 99}, "is no prescription that this attn-doctor can read"),
        (
            {"training": {"LD_PRELOAD": "/x.so"}},
            "a change that this version of attn-doctor does not support .LD_PRELOAD",
        ),
        ({"training": {"threads": "2; rm"}}, "does not support .threads"),
        ({"predicting": []}, "does not hold the changes"),
    ],
)
def test_what_is_not_for_here_is_refused_with_the_reason(change, text):
    kept.write(made(**change))
    with pytest.raises(kept.Refused, match=text):
        kept.read()


def test_a_file_that_others_may_write_to_is_refused():
    place = kept.write(made())
    place.chmod(0o666)
    with pytest.raises(kept.Refused, match="not a file that you alone can write to"):
        kept.read()


def test_a_folder_that_others_may_write_to_is_not_used():
    kept.place().parent.mkdir(parents=True)
    kept.place().parent.chmod(0o777)
    with pytest.raises(PermissionError):
        kept.write(made())


def test_another_torch_is_refused():
    with pytest.raises(kept.Refused, match=r"measured with torch 2.8.0\+cpu, and the installed torch is 2.9.1"):
        kept.refuse_other_torch(made(), "2.9.1")


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (["yolo", "train", "model=x"], "training"),
        (["yolo", "detect", "predict", "model=x"], "predicting"),
        (["python", "mine.py"], "training"),
    ],
)
def test_the_kind_of_pass_of_a_command(argv, what):
    assert kept.of_command(argv) == what


def test_a_program_is_started_with_all_of_it_and_changes_are_switched_off_by_name():
    kept.write(made())
    start = prescribed(["yolo", "train"], {"PATH": "/bin"}, None, [])
    assert start.environ["MALLOC_MMAP_THRESHOLD_"] == str(2**30)
    assert start.environ["ATTN_DOCTOR_ATTENTION"] == "sdpa-flash"
    assert (start.environ[PRESCRIPTION], start.environ[WITHOUT]) == (str(kept.place()), "")
    assert "MALLOC_MMAP_THRESHOLD_" not in prescribed(["yolo", "predict"], {}, None, []).environ
    start = prescribed(["yolo", "train"], {}, None, ["heap", "attention"])
    assert "MALLOC_MMAP_THRESHOLD_" not in start.environ
    assert start.environ["ATTN_DOCTOR_ATTENTION"] == "eager"
    assert start.environ[WITHOUT] == "heap,attention"
    with pytest.raises(NothingToRun, match="there is no change 'heaps' to switch off: use attention, threads,"):
        prescribed(["yolo"], {}, None, ["heaps"])


def test_an_allocator_is_put_before_what_is_preloaded_already_and_cores_are_kept():
    kept.write(made(training={"tcmalloc": "/lib/libtcmalloc.so.4", "pinning": [0]}))
    start = prescribed(["yolo", "train"], {"LD_PRELOAD": "/mine.so"}, None, [])
    assert start.environ["LD_PRELOAD"] == "/lib/libtcmalloc.so.4:/mine.so"
    assert start.cores == (0,)
    assert prescribed(["yolo", "train"], {}, None, ["pinning"]).cores == ()


def test_a_torch_that_was_changed_since_is_seen_before_the_program_starts(tmp_path):
    (tmp_path / "version.py").write_text("__version__ = '2.9.1+cpu'\n")
    kept.write(made(torch_file=str(tmp_path / "__init__.py")))
    with pytest.raises(NothingToRun, match=r"installed torch is 2.9.1\+cpu"):
        prescribed(["yolo"], {}, None, [])


def test_what_a_running_process_cannot_change_is_left_out_with_the_reason():
    found = dict(kept.left_out(made(), {}))
    assert set(found) == {"heap", "nondeterministic"}
    assert found["heap"].endswith("attn-doctor run --prescribed -- your program")
    assert found["nondeterministic"] == "it is an argument of ultralytics: deterministic=False"
    assert "heap" not in dict(kept.left_out(made(), {**os.environ, **kept.variables("heap", True)}))
