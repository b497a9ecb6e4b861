"""Turn the words of a line into the values of facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from attn_doctor.knowledge import built_packages

_WINDOWS_11 = 22000  # the first build of Windows 11; Python before 3.12 calls it Windows 10
_MACHINES = {"AMD64": "x86_64", "amd64": "x86_64", "ARM64": "aarch64"}
_DISTRIBUTIONS = {
    "red hat": "rhel",
    "rocky": "rocky",
    "almalinux": "almalinux",
    "opensuse": "opensuse-leap",
    "linux mint": "linuxmint",
}
_COMPILERS = {"GNU": "gcc", "MSVC": "cl", "Clang": "clang", "AppleClang": "clang"}
# The name of a module -> the name of the package that contains it, if the two differ.
_DISTRIBUTION_OF = {
    "flash-attn-3-cuda": "flash-attn-3",
    "flashattn-hopper-cuda": "flash-attn-3",
    "flash-attn-interface": "flash-attn-3",
    "cv2": "opencv-python",
    "pil": "pillow",
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "transformerengine": "transformer-engine",  # the folder of the repository NVIDIA/TransformerEngine
}
_INSTALLER = re.compile(
    r"(?:^|&& ?|; ?|\bsudo )(?:[A-Z_]+=\S+ ){0,6}(?:python[\d.]*(?:\.exe)? -m )?"
    r"(?P<tool>pip|uv|conda|mamba|micromamba|pixi|poetry|pdm|pipx)[\d.]* (?:install|sync|add|pip|run|create|lock|update|env|tool)\b"
)
# "Radeon 5700XT" and "RX 7600 XT": AMD's own name of it is "AMD Radeon RX 5700 XT".
_RADEON = re.compile(
    r"(?=.*(?:Radeon|RX|XT|GRE))(?:AMD )?(?:Radeon(?:\(TM\)|™)? ?)?(?:RX[ -]?)?(?P<number>\d{3,4}) ?(?P<kind>XTX|XT|GRE)?",
    re.IGNORECASE,
)
# (pattern of a name as people write it, AMD's own name): "wx5100" -> "AMD Radeon Pro WX 5100".
_AMD_LINES = (
    (re.compile(r"(?:Instinct )?MI ?(\d{1,3}[AX]?)", re.IGNORECASE), "AMD Instinct MI{}"),
    (re.compile(r"(?:RX )?Vega ?(\d{2})", re.IGNORECASE), "AMD Radeon RX Vega {}"),
    (re.compile(r"(?:Pro )?(WX) ?(\d{4})", re.IGNORECASE), "AMD Radeon Pro WX {1}"),
    (re.compile(r"(?:Pro )?([WV]\d{3,4})", re.IGNORECASE), "AMD Radeon PRO {}"),
    (re.compile(r"(Pro )?VII", re.IGNORECASE), "AMD Radeon VII"),
    (re.compile(r"(\d{3,4}[MS])", re.IGNORECASE), "AMD Radeon {}"),
)
_ADA = re.compile(r"(?:RTX )?A(\d{4}) Ada", re.IGNORECASE)  # people write "A6000 Ada" for an RTX 6000 Ada
_GPU_NUMBER = re.compile(r"(?P<series>[1-5]0|16)[5-9]0(?: Ti| SUPER| Super)*")


def values(groups: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (name of the fact in `StatedFacts`, value) for each group of a sign, and for the facts that follow from it."""
    for group, text in groups.items():
        if group in ("name", "version"):
            continue
        yield from _WAYS.get(group, lambda t, g=group: ((g, t),))(text.strip())


def package(text: str) -> str:
    """Return the name of a package from its name or the name of its module: "opencv-python" for "cv2"."""
    name = re.sub(r"[-_.]+", "-", text).lower()
    return _DISTRIBUTION_OF.get(name) or built_packages.of_module(name) or name


def is_known(package: str) -> bool:
    """Return whether attn-doctor's tables list the modules of this package."""
    return package in _DISTRIBUTION_OF.values() or built_packages.row_of(package) is not None


def installer_of(command: str) -> str | None:
    """Return the installer that a typed command runs; None if it runs no installer."""
    found = _INSTALLER.search(command.removeprefix("!").removeprefix("%"))
    return found["tool"] if found else None


def same_gpu(name: str) -> str:
    """Return a key that is the same for "NVIDIA GeForce RTX 4090" and "RTX 4090"."""
    return " ".join(word for word in name.lower().split() if word not in ("nvidia", "geforce", "tesla"))


# (name of a fact, its value): ("os_version", "11")
Pairs = Iterator[tuple[str, str]]


def _os_version(text: str) -> Pairs:
    build = re.search(r"10\.0\.(\d{5})$", text)
    if "Server" in text:
        yield "os_version", "Server " + text.partition("Server")[0]
    elif build:
        yield "os_version", "11" if int(build[1]) >= _WINDOWS_11 else "10"
    else:
        yield "os_version", text


def _distribution(text: str) -> Pairs:
    yield "distribution", _DISTRIBUTIONS.get(text.lower(), text.lower())
    yield "os", "linux"


def _l4t(text: str) -> Pairs:
    yield "l4t", ".".join(re.findall(r"\d+", text))


def _machine(text: str) -> Pairs:
    if text != "Intel":
        yield "machine", _MACHINES.get(text, text)


def _python(text: str) -> Pairs:
    yield "python", text if "." in text else f"{text[0]}.{text[1:]}"


def _torch(text: str) -> Pairs:
    yield "torch", text
    flavour = re.fullmatch(r"(cu|rocm|cpu|xpu)([\d.]*)", text.partition("+")[2].partition(".with")[0])
    if flavour is None:
        return
    kind, number = flavour.groups()
    if kind == "cu" and len(number) >= 2:
        yield from _torch_cuda(f"{number[:-1]}.{number[-1]}")
    elif kind == "rocm" and number:
        yield from _torch_hip(number)
    else:
        yield "torch_flavour", kind


def _torch_cuda(text: str) -> Pairs:
    yield "torch_flavour", "cuda" if text else "cpu"
    if text:
        yield "torch_cuda", text if "." in text else f"{text[:-1]}.{text[-1]}"


def _torch_hip(text: str) -> Pairs:
    yield "torch_flavour", "rocm"
    # The name of a wheel writes 6.2 as "62".
    yield "torch_hip", text if "." in text else f"{text[0]}.{text[1:]}"


def _index(text: str) -> Pairs:
    yield from (pair for pair in _torch(f"+{text}") if pair[0] != "torch")


def _capability(text: str) -> Pairs:
    digits = re.findall(r"\d+", text)
    yield "capability", ".".join(digits) if len(digits) == 2 else f"{digits[0][:-1]}.{digits[0][-1]}"


def _driver_cuda(text: str) -> Pairs:
    yield "driver_cuda", text if "." in text else f"{int(text) // 1000}.{int(text) % 1000 // 10}"


def _gpu(text: str) -> Pairs:
    name = re.sub(r"^(\d{4}) ?ti\b", r"\1 Ti", re.sub(r"\s+", " ", text).strip(), flags=re.IGNORECASE)
    plain = re.sub(r"\(TM\)|™|\b(?:AMD|Radeon|Graphics)\b", "", name, flags=re.IGNORECASE).strip()
    line = next(
        ((found, words) for pattern, words in _AMD_LINES if (found := pattern.fullmatch(" ".join(plain.split())))), None
    )
    if line:
        yield "gpu", line[1].format(*((part or "").upper() for part in line[0].groups()))
        return
    name = _ADA.sub(r"RTX \1 Ada", _MODEL.sub(_spaced, name))
    number = _GPU_NUMBER.fullmatch(name)
    radeon = _RADEON.fullmatch(name)
    if radeon:
        yield "gpu", f"AMD Radeon RX {radeon['number']}" + (f" {radeon['kind'].upper()}" if radeon["kind"] else "")
    else:
        yield "gpu", f"{'GTX' if number['series'] in ('10', '16') else 'RTX'} {name}" if number else name


_MODEL = re.compile(r"\b(RTX|GTX) ?(A?\d{3,4})(?: ?(Ti|SUPER))?\b", re.IGNORECASE)


def _spaced(found: re.Match[str]) -> str:
    """Return a model as drivers spell it: "RTX 3060 Ti" for "rtx3060ti"."""
    kind = (found[3] or "").upper().replace("TI", "Ti")
    return " ".join(filter(None, (found[1].upper(), found[2].upper(), kind)))


def _compiler(text: str) -> Pairs:
    found = re.match(r"(?:\S*/)?(?P<name>[\w+-]+?)(?:-\d+)? .*?(?P<version>\d+\.\d+\.\d+)\)?$", text)
    if found:
        yield "compiler", f"{_COMPILERS.get(found['name'], found['name'])} {found['version']}"


def _environment(text: str) -> Pairs:
    yield "environment", text.replace("\\\\", "\\").rstrip(":")


def _portable(text: str) -> Pairs:
    yield "interpreter", text.replace("\\\\", "\\").rstrip("\\/") + "\\python.exe"


def _bundled(below: str) -> Callable[[str], Pairs]:
    """Return a function from a program's folder to the path of its Python.

    `below`: the subfolder of the Python ("venv").
    """

    def way(text: str) -> Pairs:
        folder = text.replace("\\\\", "\\").rstrip("\\/")
        if re.match(r"[A-Za-z]:|[^/]*$", folder):
            inside = "Scripts\\" if below.endswith("venv") or below == "env" else ""
            yield "bundled", f"{folder}\\{below}\\{inside}".rstrip("\\").replace("/", "\\") + "\\python.exe"
        else:
            yield "bundled", f"{folder}/{below}/bin/python".replace("\\", "/")

    return way


def _gfx(text: str) -> Pairs:
    yield "gfx", text


def _named(name: str) -> Callable[[str], Pairs]:
    """Return a function that yields the compiler with this name and the version in the text: "gcc 13.2.0"."""

    def way(text: str) -> Pairs:
        yield "compiler", f"{name} {text}"

    return way


def _elsewhere(_text: str) -> Pairs:
    """Yield nothing: `read` handles this group itself."""
    yield from ()


_WAYS: dict[str, Callable[[str], Pairs]] = {
    "os_version": _os_version,
    "distribution": _distribution,
    "l4t": _l4t,
    "machine": _machine,
    "python": _python,
    "torch": _torch,
    "torch_cuda": _torch_cuda,
    "torch_cuda2": _torch_cuda,
    "torch_hip": _torch_hip,
    "index": _index,
    "capability": _capability,
    "driver_cuda": _driver_cuda,
    "gpu": _gpu,
    "gfx": _gfx,
    "compiler": _compiler,
    "gcc": _named("gcc"),
    "clang": _named("clang"),
    "cl": _named("cl"),
    "environment": _environment,
    "portable": _portable,
    "in_venv": _bundled("venv"),
    "in_dot_venv": _bundled(".venv"),
    "in_env": _bundled("env"),
    "in_installer": _bundled("installer_files\\env"),
    "in_embedded": _bundled("python_embeded"),
    "in_system": _bundled("system\\python"),
    "in_runtime": _bundled("runtime"),
    "in_scripts": lambda text: iter((("bundled", f"{text}\\Scripts\\python.exe"),)),
    "yolo_location": lambda text: iter((("yolo_location", text.replace("\\\\", "\\")),)),
    "beside": lambda text: iter((("bundled", ".\\" + text.replace("\\\\", "\\") + "\\python.exe"),)),
    "package": lambda text: iter((("package", package(text)),)),
    "torchvision": _elsewhere,
    "torchaudio": _elsewhere,
    "ultralytics": _elsewhere,
    "vllm": _elsewhere,
    "checkout": _elsewhere,
}
