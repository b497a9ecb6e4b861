"""A program opens a window, and the installed OpenCV was built without windows.

What it is
    There are four OpenCV packages. opencv-python-headless and opencv-contrib-python-headless cannot open windows: with them cv2.imshow
    raises an error.

How it shows
    "The function is not implemented. Rebuild the library with Windows, GTK+ 2.x or Cocoa support ... in function 'cvShowImage'".

Why it happens
    Another package required the headless build. All four packages put their files into the same folder, so the package that was installed
    last is used. The error also comes from an OpenCV that was compiled without GTK.

What to do
    On a machine with a screen: remove all OpenCV packages, and install only opencv-python. On a server or in a container: write the picture
    into a file (cv2.imwrite; for yolo: save=True, show=False).

How to reproduce
    There is no recipe: it needs a program that opens a window. With opencv-python-headless, `python -c "import cv2; cv2.imshow('a', cv2.UMat(9,
    9, 0))"` shows it.

References
    https://pypi.org/project/opencv-python/
    https://github.com/opencv/opencv-python/issues/18
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD327",
    slug="opencv-without-windows",
    title="OpenCV was built without windows",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    says="The program opens a window (cv2.imshow), and the installed OpenCV is a build without windows: opencv-python-headless.",
    signs=(
        # modules/highgui/src/window.cpp of OpenCV
        Sign(
            pattern=r"The function is not implemented\. Rebuild the library with Windows, GTK\+",
            literal="Rebuild the library with Windows, GTK+",
            sample="cv2.error: OpenCV(4.9.0) /io/opencv/modules/highgui/src/window.cpp:1272: error: (-2:Unspecified error) The function is not "
            "implemented. Rebuild the library with Windows, GTK+ 2.x or Cocoa support.",
        ),
    ),
)
# There is no `detect`: the facts do not show whether a program opens windows.

_ALL = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    steps: tuple[Step, ...] = (
        commands.uninstall(*_ALL, why="all four packages share one folder: removing only one damages the others"),
        commands.install(
            "opencv-python", why="only this package, the build that can open windows", changes="opencv-python"
        ),
    )
    files = commands.by_hand(
        (),
        "if there is no screen (a server, a container, SSH): write the picture into a file, with cv2.imwrite instead of cv2.imshow; for yolo: "
        "save=True show=False",
        "your program",
        "none",
    )
    window = Fix(title="Install only the OpenCV with windows", steps=steps, verify=verify)
    file = Fix(title="Write the picture into a file", steps=(files,), verify=verify)
    return (file, window) if isinstance(facts.system.container, str) else (window, file)
