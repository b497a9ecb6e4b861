"""Explain an undefined symbol of a C++ library that is not torch's: OpenCV, protobuf, Abseil, Boost. Pure.

An extension of torch is compiled with torch's C++ ABI, and the library that it is linked with may have the other one:
https://github.com/pytorch/pytorch/issues/14620, https://github.com/pytorch/pytorch/issues/23301 (OpenCV),
https://gcc.gnu.org/onlinedocs/libstdc++/manual/using_dual_abi.html. The names are mangled by the Itanium C++ ABI.
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import subject
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

# The outermost namespace, as it is mangled -> the library.
_LIBRARIES = {
    "2cv": "OpenCV",
    "6google8protobuf": "protobuf",
    "6google": "glog or gflags",
    "4absl": "Abseil",
    "5boost": "Boost",
    "3pcl": "PCL",
    "4YAML": "yaml-cpp",
    "6spdlog": "spdlog",
    "3fmt": "fmt",
    "4grpc": "gRPC",
    "5arrow": "Arrow",
    "4Json": "JsonCpp",
    "10tensorflow": "TensorFlow",
}
_OLD, _NEW = r"(?:RK|E)Ss", r"cxx11"
# Packages whose wheels on PyPI contain these libraries: a file that needs another one was mixed with it.
_WHOLE = ("onnx", "onnxruntime", "tensorflow", "pyarrow", "open3d", "opencv-python", "sentencepiece", "grpcio")

SIGN = Sign(
    pattern=rf"(?:(?P<needing>[\w./~+-]{{1,300}}\.so[.\d]*): )?undefined symbol: (?P<foreign>_Z(?:T[VIS])?N?[rVK]*(?:{'|'.join(_LIBRARIES)})[A-Z0-9]\w*)",
    literal="undefined symbol: _Z",
    sample="ImportError: /v/lib/python3.9/site-packages/mvs.cpython-39-x86_64-linux-gnu.so: undefined symbol: _ZN2cv6imreadERKSsi",
    strength="hint",
)


class OfLibrary(Variant, frozen=True, kw_only=True):
    """Hold the library that lacks a function, and how the file that needs it was compiled."""

    library: str  # "OpenCV"
    needing: str  # the file: "/v/lib/python3.9/site-packages/mvs.cpython-39-x86_64-linux-gnu.so"; "" if not known
    new_abi: bool | None  # the file was compiled with the new ABI; None: the symbol does not show it


def told(seen: Seen, *, strings: bool) -> tuple[Match, OfLibrary] | None:
    """Return the line of an undefined symbol of another library, and what it shows; None if no line fits.

    `strings`: only a symbol that contains a std::string, which shows the ABI; False: only one without.
    """
    for match in seen.matches:
        symbol = match.groups.get("foreign")
        if symbol is None:
            continue
        new = True if re.search(_NEW, symbol) else False if re.search(_OLD, symbol) else None
        if (new is not None) is strings:
            space = re.match(r"_Z(?:T[VIS])?N?[rVK]*(" + "|".join(_LIBRARIES) + ")", symbol)
            assert space is not None  # the sign demands it
            return match, OfLibrary(
                library=_LIBRARIES[space[1]], needing=match.groups.get("needing") or "", new_abi=new
            )
    return None


def hit(match: Match, found: OfLibrary) -> Hit:
    """Return the hit for a line that `told` returned."""
    file = found.needing.rpartition("/")[2] or "An extension"
    if found.new_abi is None:
        message = f"{file} was compiled for another release of {found.library} than the one that is loaded: a function is not there."
    else:
        ours, other = ("new", "old") if found.new_abi else ("old", "new")
        message = (
            f"{file} was compiled with the {ours} C++ ABI, and the {found.library} that is loaded does not have that function with this ABI: most often it has "
            f"the {other} C++ ABI."
        )
    return Hit(
        message=message,
        evidence=(Evidence(kind="log", file=match.file, line=match.line, text=match.text),),
        variant=found,
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM if found.new_abi is None else Confidence.HIGH,
    )


def fixes(facts: Facts, found: OfLibrary) -> tuple[Fix, ...]:
    """Return the fixes, after which the extension, torch and the library have one C++ ABI.

    For a package whose wheel contains its library (onnx): install that wheel again, or do not load another library.
    Else: build the extension again, against the library that is loaded. If the symbol shows the ABI, another fix
    compiles the library with the ABI of torch. If that is the old ABI, the mere build is left out, and a third way is a
    torch with the new one.
    """
    package, verify = _package(found), subject.verify(facts)
    if package in _WHOLE:
        step = commands.install(
            package,
            reinstall=True,
            no_deps=True,
            no_cache=True,
            why=f"PyPI's wheel contains the {found.library} that it was compiled with. If conda installed {package}, remove conda's first: conda remove --force {package}",
            changes=package,
        )
        unset = commands.without_library_path(facts, f"another {found.library} may be found in it first")
        return (
            Fix(title=f"Install {package} again, with its own {found.library}", steps=(step,), verify=verify),
            Fix(title=f"Do not load another {found.library}", steps=(unset,), verify=verify),
        )
    asked = "import torch; print(torch.__version__, torch._C._GLIBCXX_USE_CXX11_ABI)"
    abi = commands.by_hand(
        (*commands.starting(facts), "-c", asked),
        "True: this torch has the new C++ ABI, as conda-forge's libraries and those of the system have; False: the old one, as PyTorch's wheels up to 2.5 have. An "
        "extension is compiled with the ABI of torch",
        "nothing",
        "none",
    )
    loaded = commands.by_hand(
        ("ldd", found.needing or "FILE.so"),
        f"shows from which folder {found.library} is loaded: it has to be the one that the extension was compiled with, not another of the system or of conda",
        "nothing",
        "none",
    )
    again = commands.by_hand(
        (
            *commands.starting(facts),
            "-m",
            "pip",
            "install",
            "--no-build-isolation",
            "--no-cache-dir",
            "--force-reinstall",
            "--no-deps",
            ".",
        ),
        f"in the folder of the extension's sources, after its folder build is deleted: compiles it against the {found.library} that you chose",
        f"{package or 'the extension'}",
        takes="minutes",
    )
    rebuilt = Fix(
        title=f"Build the extension again, against the {found.library} that is loaded",
        steps=(abi, loaded, again),
        verify=verify,
    )
    if found.new_abi is None:
        return (rebuilt,)
    flag = f"-D_GLIBCXX_USE_CXX11_ABI={int(found.new_abi)}"
    own = commands.by_hand(
        ("cmake", "-B", "build", f"-DCMAKE_CXX_FLAGS={flag}", *_prefix(facts), "."),
        f"in the folder of {found.library}'s sources: configures it for the ABI of the extension; then `cmake --build build -j2` and `cmake --install build`",
        found.library,
        takes="up to an hour",
    )
    same = Fix(
        title=f"Compile {found.library} with the C++ ABI of torch, then the extension against it",
        steps=(abi, own, again),
        verify=verify,
    )
    if found.new_abi:
        return (rebuilt, same)
    newer = commands.by_hand(
        (),
        "use a torch with the new C++ ABI, if the program runs with it: conda-forge's pytorch, or PyTorch's wheels from 2.7 on; then build the extension again",
        "the torch of this environment",
        "medium",
    )
    other = Fix(title=f"Use a torch with the C++ ABI of that {found.library}", steps=(newer, again), verify=verify)
    return (same, other)


def _prefix(facts: Facts) -> tuple[str, ...]:
    """Return the option of CMake that installs a library into the conda environment; empty if there is none: the default is /usr/local."""
    if places.environment_tool(facts) is not None and isinstance(facts.interpreter.prefix, str):
        return (f"-DCMAKE_INSTALL_PREFIX={facts.interpreter.prefix}",)
    return ()


def _package(found: OfLibrary) -> str | None:
    """Return the package of the file that needs the function, by its folder or its name; None if that is not known."""
    match = re.search(r"-packages/([\w-]+)", found.needing)
    return match[1].replace("_", "-").lower() if match else None
