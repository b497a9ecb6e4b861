"""The output of a build from which lines were taken away: it is asked for whole, and a package for Linux alone has its way on Windows."""

from __future__ import annotations

import pytest
from told_cures import told

LOG = """{prompt}pip install {name}
Looking for {name} ...
Error: no {name} here, installing it
  Building wheel for {name} (setup.py) ... error
  × python setup.py bdist_wheel did not run successfully.
  ╰─> [{promised} lines of output]
      running bdist_wheel
      running build_ext
      subprocess.CalledProcessError: Command '['cmake', '--build', '.']' returned non-zero exit status 1.
      [end of output]
  ERROR: Failed building wheel for {name}
"""
WINDOWS, LINUX = "D:\\ComfyUI>", "$ "


def test_the_lines_that_are_missing_are_asked_for():
    answer = told(LOG.format(prompt=LINUX, name="torch-points-kernels", promised=88))
    assert answer.slug == "build-failed-unspecified"
    assert answer.message.endswith("pip printed 88 lines, and 3 of them are here.")
    assert answer.titles == ["Write the whole log, and let attn-doctor read it"]


@pytest.mark.parametrize("promised", [3, 4])
def test_a_whole_output_is_not_called_cut(promised):
    assert "lines, and" not in told(LOG.format(prompt=LINUX, name="natten", promised=promised)).message


@pytest.mark.parametrize(
    ("prompt", "name", "titles"),
    [
        (WINDOWS, "natten", ["Write the whole log, and let attn-doctor read it", "Use natten in WSL2"]),
        (WINDOWS, "mamba-ssm", ["Write the whole log, and let attn-doctor read it", "Use mamba-ssm in WSL2"]),
        (WINDOWS, "gsplat", ["Write the whole log, and let attn-doctor read it"]),
        (LINUX, "natten", ["Write the whole log, and let attn-doctor read it"]),
    ],
)
def test_a_package_with_wheels_for_linux_alone_has_its_way_on_windows(prompt, name, titles):
    assert told(LOG.format(prompt=prompt, name=name, promised=95)).titles == titles
