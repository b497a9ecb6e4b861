"""A file that came damaged: the lines that download it whole, by the reader's own tool."""

from __future__ import annotations

import pytest
from told_cures import told

HASHES = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, please update the hashes.\n"
FILE = "torch-2.6.0%2Bcu124-cp312-cp312-{}.whl"
URL = "https://download.pytorch.org/whl/cu124/" + FILE


def log(platform: str, *, before: str = "", promised: str = "a" * 64, got: str = "b" * 64) -> str:
    url = URL.format(platform)
    return f"{before}{HASHES}    torch from {url}#sha256={promised}:\n        Expected sha256 {'a' * 64}\n             Got        {got}\n"


@pytest.mark.parametrize(("platform", "curl"), [("win_amd64", "curl.exe"), ("linux_x86_64", "curl")])
def test_the_file_is_downloaded_where_it_broke_off(platform, curl):
    answer = told(log(platform))
    assert answer.slug == "wheel-download-failed"
    plain = FILE.format(platform).replace("%2B", "+")  # pip refuses a file with %2B in its name
    first, second = answer.lines[0]
    assert first == f"{curl} -L -C - --retry 20 -o {plain} {URL.format(platform)}"
    assert second.endswith(f"-m pip install ./{plain}")


def test_a_file_from_the_cache_is_downloaded_again_first():
    before = (
        "$ pip install torch torchvision\n  Using cached torch-2.6.0+cu124-cp312-cp312-linux_x86_64.whl (768.5 MB)\n"
    )
    answer = told(log("linux_x86_64", before=before))
    assert answer.titles[0] == "Download again, without pip's cache"
    assert answer.lines[0][-1] == "pip install --no-cache-dir --retries 20 --timeout 120 torch torchvision"


def test_a_dockerfile_gets_its_line_again():
    before = "#9 [3/4] RUN pip install -r requirements.txt\n"
    answer = told(before + "".join(f"#9 40.1 {line}\n" for line in log("linux_x86_64").splitlines()))
    assert answer.titles == ["Download again, without pip's cache"]
    assert "--no-cache-dir --retries 20 --timeout 120 -r requirements.txt" in answer.lines[0][-1]


def test_a_whole_file_means_that_the_list_of_hashes_is_old():
    answer = told(log("linux_x86_64", promised="b" * 64))
    assert answer.titles == ["Renew the hashes in the file of requirements"]
    assert "curl" not in answer.words


def test_uv_and_poetry_get_their_own_lines():
    mismatch = "  × Failed to download `torch==2.7.0`\n  ╰─▶ Hash mismatch for `torch==2.7.0`\n"
    clean, lock = "uv cache clean torch", "uv lock --refresh-package torch --upgrade-package torch"
    assert told(f"$ uv pip install torch\n{mismatch}").lines == [[clean], [lock]]
    # `uv sync` compares with uv.lock: its hashes are more often wrong than the file.
    assert told(f"$ uv sync\n{mismatch}").lines == [[lock, "uv sync"], [clean]]
    slow = "$ uv sync\n  × Failed to download `torch==2.7.0`\n  ╰─▶ Failed to download distribution due to network timeout. Try increasing UV_HTTP_TIMEOUT (current value: 30s).\n"
    assert told(slow).titles == ["Give uv more time for a file"]
    poetry = "$ poetry install\n  RuntimeError\n  Hash for torch (2.0.1) from archive torch-2.0.1-cp310-cp310-manylinux1_x86_64.whl not found in known hashes (was: sha256:4f7b)\n"
    assert told(poetry).lines[0] == ['sh -c rm -rf "$(poetry config cache-dir)/artifacts"', "poetry install"]


def test_an_installation_that_went_on_is_no_failure():
    assert told(log("linux_x86_64") + "$ pip install torch\nSuccessfully installed torch-2.6.0+cu124\n").slug is None
