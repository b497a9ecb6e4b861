"""The maintainers' script: how it reads its sources, and that it says what it cannot reach."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from attn_doctor.knowledge import tables

SCRIPTS = Path(__file__).parent.parent / "scripts"
SETUP = """
        if bare_metal_version < Version("11.7"):
            raise RuntimeError("FlashAttention is only supported on CUDA 11.7 and above.")
        if "80" in cuda_archs():
            cc_flag.append("-gencode")
            cc_flag.append("arch=compute_80,code=sm_80")
        if bare_metal_version >= Version("11.8") and "90" in cuda_archs():
            cc_flag.append("-gencode")
            cc_flag.append("arch=compute_90,code=sm_90")
    nvcc_threads = os.getenv("NVCC_THREADS") or "3"
    return os.getenv("FLASH_ATTN_CUDA_ARCHS", "80;90").split(";")
    "nvcc": ["-O3", "-std=c++20"]
def get_wheel_url():
        torch_cuda_version = parse("11.8") if torch_cuda_version.major == 11 else parse("12.3")
        cuda_version = f"{torch_cuda_version.major}"
    python_requires=">=3.10",
"""
WORKFLOW = """
      matrix:
          os: [ubuntu-22.04, ubuntu-22.04-arm]
          python-version: ['3.10', "3.11"]
          torch-version: ['2.5.1', '2.6.0.dev20241001']
          cuda-version: ['11.8.0', '12.4.1']
          cxx11_abi: ['FALSE', 'TRUE']
          exclude:
            # a comment: with a colon
            - torch-version: '2.5.1'
              python-version: '3.11'
            - torch-version: '2.6.0.dev20241001'
              os: ubuntu-22.04-arm
            - cxx11_abi: 'FALSE'
    steps:
      - name: Checkout
"""


@pytest.fixture
def sources(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import knowledge_sources

    return knowledge_sources


@pytest.fixture
def script(sources):
    import refresh_knowledge

    return refresh_knowledge


def test_a_setup_py(sources):
    assert sources.release_facts(SETUP) == {
        "requires_python": ">=3.10",
        "min_nvcc": "11.7",
        "archs": {"80": "11.7", "90": "11.8"},
        "archs_variable": True,
        "nvcc_threads": 3,
        "nvcc_threads_variable": True,
        "sets_max_jobs": False,
        "cxx": 20,
        "wheel_tag": {"11": "cu11", "12": "cu12", "else": "cu12"},
    }
    full = SETUP.replace('f"{torch_cuda_version.major}"', 'f"{torch_cuda_version.major}{torch_cuda_version.minor}"')
    assert sources.wheel_tag(full) == {"11": "cu118", "12": "cu123", "else": "cu123"}
    with pytest.raises(sources.NotReached):
        sources.release_facts("setup(name='something else')")


def test_a_workflow(sources):
    assert sources.wheel_rows(WORKFLOW, {"11": "cu11", "12": "cu12", "else": "cu13"}) == {
        "pythons": ["3.10", "3.11"],
        "torch": {"2.5": "2.5.1", "2.6": "2.6.0.dev20241001"},
        "cuda": {"cu11": "11.8.0", "cu12": "12.4.1"},
        "cxx11_abi": [False, True],
        "platforms": ["linux_x86_64", "linux_aarch64"],
        "excludes": [
            {"torch": "2.5", "python": "3.11"},
            {"torch": "2.6", "platform": "linux_aarch64"},
            {"cxx11_abi": False},
        ],
    }


def test_requirements_in_old_and_new_spelling(sources):
    old = [
        'nvidia-cuda-runtime-cu11 (==11.7.99) ; platform_system == "Linux"',
        'triton (==2.0.0) ; platform_machine == "x86_64"',
    ]
    new = ['cuda-toolkit[cublas,cudart]==13.2.2; platform_system == "Linux"', "triton~=3.9.0; python_version < '3.16'"]
    assert sources.cuda_of(old) == "11.7"
    assert sources.cuda_of(new) == "13.2"
    assert sources.cuda_of(["numpy>=2"]) is None
    assert sources.required(old, "triton") == "triton==2.0.0"
    assert sources.required(new, "triton") == "triton~=3.9.0"
    assert sources.required(["torch (>=2.14.0)"], "torch") == "torch>=2.14.0"


def test_a_release_page_and_an_index(sources):
    page = json.dumps({"assets": [{"name": "flash_attn-2.8.3+cu12torch2.8.whl"}, {"name": "notes.txt"}]}).encode()
    assert sources.asset_names(page) == {"flash_attn-2.8.3+cu12torch2.8.whl"}
    index = (
        '<a href="/whl/cu130/torch-2.11.0%2Bcu130-cp312-cp312-manylinux_2_28_x86_64.whl#sha256=0">x</a>'
        '<a href="/whl/cu126/torch-2.11.0%2Bcu126-cp312-cp312-win_amd64.whl">x</a>'
        '<a href="/whl/cpu/torch-2.11.0%2Bcpu-cp312-cp312-manylinux_2_28_x86_64.whl">x</a>'
    )
    assert sources.index_builds(index) == {("2.11", "13.0")}


def test_the_files_of_a_builder(sources):
    at = "https://github.com/mjun0812/flash-attention-prebuild-wheels/releases/download"
    page = f"""
| 3.10 | 2.5 | 12.4 | [Download1]({at}/v0.4.11/flash_attn-2.8.3%2Bcu124torch2.5-cp310-cp310-linux_x86_64.whl) |
| 3.11 | 2.5 | 12.4 | [Download1]({at}/v0.4.11/flash_attn-2.8.3%2Bcu124torch2.5-cp311-cp311-linux_x86_64.whl), [2]({at}/v0.5.0/flash_attn-2.8.3%2Bcu124torch2.5-cp311-cp311-linux_x86_64.whl) |
| 3.13t | 2.11 | 13.0 | [Download1]({at}/v0.9.31/flash_attn-2.7.4.post1%2Bcu130torch2.11-cp313-cp313t-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl) |
| 3.9+ | 2.11 | 13.0 | [Download1]({at}/v0.9.0/flash_attn_3-3.0.0%2Bcu130torch2.11gite2743ab-cp39-abi3-win_amd64.whl) |
| a page | {at}/v0.4.11/checksums.txt |
"""
    assert sources.community_files(page) == {
        ("flash_attn", "2.8.3"): [
            ["v0.4.11", "12.4", "2.5", "", "linux_x86_64", "cp310-cp310 cp311-cp311"],
            ["v0.5.0", "12.4", "2.5", "", "linux_x86_64", "cp311-cp311"],
        ],
        ("flash_attn", "2.7.4.post1"): [
            ["v0.9.31", "13.0", "2.11", "", "manylinux_2_24_x86_64.manylinux_2_28_x86_64", "cp313-cp313t"]
        ],
        ("flash_attn_3", "3.0.0"): [["v0.9.0", "13.0", "2.11", "gite2743ab", "win_amd64", "cp39-abi3"]],
    }


def test_the_wheels_of_other_builders_are_kept(script, monkeypatch):
    old = json.loads((tables.DATA / "community_wheels.json").read_text(encoding="utf-8"))["rows"]
    page = b"/releases/download/v1.0/flash_attn-2.9.0%2Bcu132torch2.15-cp314-cp314-win_amd64.whl"
    monkeypatch.setattr(script, "fetch", lambda _: page)
    rows = script.community_wheels(old)
    assert rows[: len(old)] == old
    (new,) = rows[len(old) :]
    assert (new["builder"], new["release"], new.get("verified", True)) == (
        "mjun0812",
        "2.9.0",
        True,
    )
    assert new["files"] == [["v1.0", "13.2", "2.15", "", "win_amd64", "cp314-cp314"]]


def test_a_table_is_written_as_it_stands(script, tmp_path, monkeypatch):
    """What is unchanged leaves no trace in a diff."""
    monkeypatch.setattr(script, "DATA", tmp_path)
    for name in ("torch", "torchvision", "flash_attn", "flash_attn_wheels", "community_wheels", "gpus"):
        before = (tables.DATA / f"{name}.json").read_text(encoding="utf-8")
        script.write(name, json.loads(before))
        assert (tmp_path / f"{name}.json").read_text(encoding="utf-8") == before


def test_it_says_what_it_cannot_reach(tmp_path):
    argv = [
        sys.executable,
        SCRIPTS / "refresh_knowledge.py",
        "--only",
        "flash_attn_wheels",
        "--flash-attention",
        tmp_path,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "flash_attn_wheels: not reached, kept as it is" in done.stdout


def test_it_finds_a_difference_in_a_real_repository(tmp_path, script, monkeypatch, capsys):
    clone = tmp_path / "clone"
    git = ["git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    (clone / ".github" / "workflows").mkdir(parents=True)
    (clone / ".github" / "workflows" / "publish.yml").write_text(WORKFLOW)
    (clone / "setup.py").write_text(SETUP)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "a release"], check=True)
    subprocess.run([*git, "tag", "v2.8.2"], check=True)
    table = (tables.DATA / "flash_attn_wheels.json").read_text(encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir()
    (data / "flash_attn_wheels.json").write_text(table, encoding="utf-8")
    monkeypatch.setattr(script, "DATA", data)
    assert script.refresh("flash_attn_wheels", lambda old: script.flash_attn_wheels(old, clone), save=True)
    assert "1 differ" in capsys.readouterr().out
    rows = {
        row["release"]: row for row in json.loads((data / "flash_attn_wheels.json").read_text(encoding="utf-8"))["rows"]
    }
    before = {row["release"]: row for row in json.loads(table)["rows"]}
    assert rows["2.8.2"]["pythons"] == ["3.10", "3.11"]
    assert rows["2.8.2"]["really"] == before["2.8.2"]["really"]  # what no source gives is kept
    assert rows["2.8.3"] == before["2.8.3"]
