"""Qt cannot open a window: its plugin for X11 ("xcb") does not load, and it ends the program.

What it is
    Qt draws windows. It talks to the screen through a plugin, on Linux mostly "xcb". opencv-python for Linux brings a Qt of its own with
    that plugin, and PyQt, PySide and matplotlib's window use another Qt. If the plugin does not load, Qt ends the whole program.

How it shows
    'qt.qpa.plugin: Could not load the Qt platform plugin "xcb" in ".../cv2/qt/plugins" even though it was found.', then "This application
    failed to start because no Qt platform plugin could be initialized" and "Aborted (core dumped)"; 'Could not find the Qt platform plugin
    "xcb"'; "qt.qpa.xcb: could not connect to display".

Why it happens
    "cv2/qt/plugins" in the line: importing cv2 sets the variable QT_QPA_PLATFORM_PLUGIN_PATH to OpenCV's folder, and the Qt of PyQt or PySide
    cannot load the plugin of another Qt. "could not connect to display": there is no screen (a server, a container, SSH). Otherwise a
    library of the system is missing that the plugin needs, such as libxcb-cursor0 for Qt 6.5 and newer.

What to do
    Beside PyQt or PySide: replace opencv-python by opencv-python-headless, which brings no Qt. Without a screen: write pictures into files
    (yolo: `save=True show=False`), or start the program under `xvfb-run`. A missing library: install the packages of the system.

How to reproduce
    There is no recipe: it needs Qt and a screen. On a machine without a screen, with opencv-python:
    `python -c "import cv2; cv2.namedWindow('a')"` shows it.

References
    https://github.com/opencv/opencv-python/issues/386
    https://github.com/opencv/opencv-python/issues/729
    https://pypi.org/project/opencv-python-headless/
    https://doc.qt.io/qt-6/linux-requirements.html
    https://doc.qt.io/qt-6/qguiapplication.html#platform-specific-arguments
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places, system_tools
from attn_doctor.commands.places import Argv, Manager
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD370",
    slug="opencv-qt-plugin",
    title="Qt cannot load its plugin for windows",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("segfault",),  # Qt aborts the process
    signs=(
        # qtbase/src/gui/kernel/qguiapplication.cpp
        Sign(
            pattern=r"Could not (?P<how>load|find) the Qt platform plugin \"?(?P<plugin>\w+)\"? in \"(?P<folder>[^\"]{0,300})\"",
            literal=" the Qt platform plugin ",
            sample='qt.qpa.plugin: Could not load the Qt platform plugin "xcb" in "/v/lib/python3.12/site-packages/cv2/qt/plugins" even though it was found.',
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<cursor>xcb-cursor0 or libxcb-cursor0 is needed)",
            literal="libxcb-cursor0 is needed",
            sample="qt.qpa.plugin: From 6.5.0, xcb-cursor0 or libxcb-cursor0 is needed to load the Qt xcb platform plugin.",
        ),
        Sign(
            pattern=r"(?:qt\.qpa\.xcb|QXcbConnection): (?P<display>[Cc]ould not connect to display)",
            literal="ould not connect to display",
            sample="qt.qpa.xcb: could not connect to display",
        ),
        Sign(
            pattern=r"(?P<ends>no Qt platform plugin could be initialized)",
            literal="no Qt platform plugin could be initialized",
            sample="This application failed to start because no Qt platform plugin could be initialized. Reinstalling the application may fix this problem.",
        ),
        # OpenCV with GTK, as conda and some distributions build it: modules/highgui/src/window_gtk.cpp
        Sign(
            pattern=r"Can't initialize (?P<display>GTK) backend",
            literal="Can't initialize GTK backend",
            sample="cv2.error: OpenCV(4.9.0) window_gtk.cpp:635: error: (-2:Unspecified error) Can't initialize GTK backend in function 'cvInitSystem'",
        ),
        Sign(
            pattern=r"Available platform plugins are: .{0,200}(?P<offscreen>offscreen)",
            literal="Available platform plugins are: ",
            sample="Available platform plugins are: xcb, eglfs, linuxfb, minimal, minimalegl, offscreen, vnc.",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<contrib>opencv-contrib-python)",
            literal="opencv-contrib-python",
            sample="opencv-contrib-python    4.10.0.84",
            strength="context",
        ),
    ),
)
# There is no `detect`: whether a program opens a window, and has a screen, is seen when it runs.

# Packages of Qt's plugin for X11, https://doc.qt.io/qt-6/linux-requirements.html
_OF_XCB: dict[Manager, Argv] = {
    "apt-get": tuple(
        "libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxkbcommon-x11-0".split()
    ),
    "dnf": tuple(
        "libxkbcommon-x11 xcb-util-cursor xcb-util-image xcb-util-keysyms xcb-util-renderutil xcb-util-wm".split()
    ),
    "pacman": tuple(
        "libxkbcommon-x11 xcb-util-cursor xcb-util-image xcb-util-keysyms xcb-util-renderutil xcb-util-wm".split()
    ),
}
# The package with the command xvfb-run.
_XVFB: dict[Manager, Argv] = {
    "apt-get": ("xvfb",),
    "dnf": ("xorg-x11-server-Xvfb",),
    "pacman": ("xorg-server-xvfb",),
}


class Qt(Variant, frozen=True, kw_only=True):
    """Hold why the plugin did not load.

    "two": OpenCV's plugin was given to another Qt. "display": there is no screen. "library": a library of the system is missing.
    "wayland": OpenCV's Qt has no plugin for Wayland.
    """

    why: Literal["two", "display", "library", "wayland"]
    offscreen: bool = False  # Qt has the plugin "offscreen"
    contrib: bool = False  # the log names opencv-contrib-python
    of_opencv: bool = True  # the folder is OpenCV's


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength != "context"]
    plugin = seen.group("plugin")
    if plugin not in (None, "xcb", "wayland"):
        return None  # "windows" and "cocoa" have other causes
    ends = any(name in m.groups for m in told for name in ("ends", "display", "cursor"))
    if not told or (plugin == "wayland" and not ends):
        return None  # Qt goes on with xcb
    of_opencv = any("cv2" in m.groups.get("folder", "") for m in told) or seen.group("display") == "GTK"
    why: Literal["two", "display", "library", "wayland"] = (
        "display"
        if seen.group("display")
        else "library"
        if seen.group("cursor")
        else "wayland"
        if plugin == "wayland" and of_opencv
        else "two"
        if of_opencv
        else "library"
    )
    known = why != "library" or seen.group("cursor") is not None
    return Hit(
        message=_MESSAGES[why] if known else _UNKNOWN,
        evidence=building.lines(tuple(told)[:4]),
        variant=Qt(
            why=why,
            offscreen=seen.group("offscreen") is not None,
            contrib=seen.group("contrib") is not None,
            of_opencv=of_opencv,
        ),
        confidence=Confidence.HIGH if known and (plugin or ends) else Confidence.MEDIUM,
    )


_MESSAGES = {
    "two": 'Two Qt libraries meet in one process: the Qt of PyQt, PySide or matplotlib was sent to the plugin "xcb" that opencv-python brings, and cannot load it.',
    "display": "The program opens a window, and Qt reaches no screen: this is a server, a container or an SSH session without a display.",
    "library": 'Qt 6.5 or newer cannot load its plugin "xcb": the library libxcb-cursor is not on this system.',
    "wayland": "The program opens a window under Wayland, and the Qt of opencv-python has no plugin for Wayland.",
}
_UNKNOWN = 'Qt cannot load its plugin "xcb", so it opens no window: probably a library of the system is missing, or there is no screen.'


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    qt = hit.variant if isinstance(hit.variant, Qt) else Qt(why="two")
    if qt.why == "display":
        own = (_headless(facts, qt),) if qt.of_opencv else ()
        return (_without_windows(facts), *_offscreen(facts, qt), _played_screen(facts), *own)
    if qt.why == "wayland":
        xcb = commands.variable(
            "QT_QPA_PLATFORM", "xcb", "OpenCV's Qt then uses X11, which Wayland desktops offer too (XWayland)"
        )
        return (Fix(title="Let Qt use X11", steps=(xcb,), verify=commands.check(facts)), _headless(facts, qt))
    if qt.why == "library":
        own = (_headless(facts, qt),) if qt.of_opencv else ()
        return (_libraries(facts), *_offscreen(facts, qt), *own)
    return (_headless(facts, qt), _unset(facts), _libraries(facts))


_NAMES = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")


def _headless(facts: Facts, qt: Qt) -> Fix:
    """Return the fix that replaces OpenCV by the same release without windows, which brings no Qt."""
    listed = facts.packages.distributions
    have = [d.name for d in listed if d.name in _NAMES] if isinstance(listed, tuple) else []
    contrib = qt.contrib or any("contrib" in name for name in have)
    wanted = "opencv-contrib-python-headless" if contrib else "opencv-python-headless"
    steps: tuple[Step, ...] = (
        commands.uninstall(
            *(have or _NAMES), why="all OpenCV packages share one folder: removing only one damages the others"
        ),
        commands.install(
            wanted,
            why="OpenCV without a Qt: cv2.imshow does not work with it, windows of PyQt, PySide and matplotlib do",
            changes=wanted,
        ),
    )
    return Fix(title="Use OpenCV without windows", steps=steps, verify=commands.check(facts))


def _unset(facts: Facts) -> Fix:
    words = (
        'in the program, after `import cv2` and before the first window: import os; os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", ""). '
        "Importing cv2 sets this variable to OpenCV's folder; without it each Qt finds its own plugin, and cv2.imshow may fail"
    )
    step = commands.by_hand((), words, "your program", "none")
    return Fix(title="Let the other Qt find its own plugin", steps=(step,), verify=commands.check(facts))


def _without_windows(facts: Facts) -> Fix:
    words = (
        "write pictures into files: for yolo save=True show=False; in your own program cv2.imwrite in place of cv2.imshow. If matplotlib opens the window, set "
        "MPLBACKEND=Agg in front of the command"
    )
    step = commands.by_hand((), words, "the command or the program", "none")
    return Fix(title="Open no window", steps=(step,), verify=commands.check(facts))


def _offscreen(facts: Facts, qt: Qt) -> tuple[Fix, ...]:
    """Return the fix for a Qt with the plugin "offscreen". The Qt of opencv-python has only "xcb"."""
    if not qt.offscreen:
        return ()
    step = commands.variable(
        "QT_QPA_PLATFORM", "offscreen", "Qt draws into memory and needs no screen: nothing is seen"
    )
    return (Fix(title="Let Qt draw without a screen", steps=(step,), verify=commands.check(facts)),)


def _played_screen(facts: Facts) -> Fix:
    run = commands.by_hand(
        ("xvfb-run", "-a", *commands.program(facts)),
        "your command on a screen in memory. To see the window on your own computer, connect with ssh -X (or -Y) and start the program again",
        "nothing",
        "none",
    )
    tool = _of_system(facts, _XVFB, "the command xvfb-run", "adds xvfb")
    return Fix(title="Start it on a screen in memory", steps=(*tool, run), verify=commands.check(facts))


def _libraries(facts: Facts) -> Fix:
    debug = commands.by_hand(
        (),
        'if it still fails: start the program with QT_DEBUG_PLUGINS=1; a line "Cannot load library ...: (lib...: cannot open shared object file)" names the missing library',
        "nothing",
        "none",
    )
    steps = _of_system(facts, _OF_XCB, "the libraries that Qt's plugin xcb needs", "adds these libraries")
    return Fix(title="Install the libraries of Qt's plugin", steps=(*steps, debug), verify=commands.check(facts))


def _of_system(facts: Facts, names: dict[Manager, Argv], why: str, changes: str) -> tuple[Step, ...]:
    """Return the steps that install packages of the system: for its package manager, or for any if the system is not known."""
    if places.on_cluster(facts):
        return (commands.by_hand((), f"ask the administrators of this cluster for {why}", "nothing", "none"),)
    found = system_tools.packages(facts, names, why, changes)
    if found:
        return found
    if facts.system.os == "linux" and not isinstance(facts.system.distribution, str):
        return (system_tools.either(names, why, changes),)
    return (commands.by_hand((), f"{why}: {system_tools.every_manager(names)}", changes),)
