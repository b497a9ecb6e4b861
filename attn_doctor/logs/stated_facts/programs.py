r"""List the lines that show a program which brings its own Python, and find the path of this Python. Pure.

A .bat or .sh file starts such a program. In the user's shell, `python` is another Python, or does not exist. The log shows the folder
of the program. The place of its Python in this folder is known for each program:

    stable-diffusion-webui, Forge, kohya_ss, OneTrainer, SD.Next   venv          https://github.com/AUTOMATIC1111/stable-diffusion-webui/blob/master/webui.bat
    InvokeAI                                                      .venv         https://invoke.ai/installation/manual/
    text-generation-webui, Easy Diffusion                         installer_files/env  https://github.com/oobabooga/text-generation-webui
    ComfyUI, Fooocus, SwarmUI, as packages for Windows            python_embeded  https://docs.comfy.org/installation/comfyui_portable_windows
    Forge, FramePack, sd.webui, as packages for Windows           system\python  https://github.com/lllyasviel/stable-diffusion-webui-forge
    RVC, GPT-SoVITS, as packages for Windows                      runtime       https://github.com/RVC-Boss/GPT-SoVITS
    apps of Pinokio                                               app\env       https://pinokio.co/docs/
    packages of Stability Matrix                                  venv          https://github.com/LykosAI/StabilityMatrix
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attn_doctor.logs.stated_facts.sign import Sign

_DRIVE = r"(?<!\w)[A-Za-z]:[\\/]{1,2}(?:[^\\/:*?\"<>|\r\n]{1,80}[\\/]{1,2}){0,12}?"
_POSIX = r"(?<![\w.\-/\\:])/(?!content/|kaggle/)(?:[^/\s'\":]+/){0,10}?"
_END = r"(?=[\\/>])"
_WEBUI = r"(?:stable-diffusion-webui(?![\w.-]*aki)[\w.-]*|kohya_ss|sd-scripts|lora-scripts|OneTrainer|sdnext|[Ss]tability ?[Mm]atrix[\\/]{1,2}(?:Data[\\/]{1,2})?Packages[\\/]{1,2}[\w. -]{1,60}?)"
_ONE_CLICK = r"(?:text-generation-webui[\w.-]*|oobabooga_windows|[Ee]asy-?[Dd]iffusion)"
_EMBEDDED = r"(?:ComfyUI_windows_portable[\w.-]{0,30}|Fooocus_win64[\w-]*|(?:SwarmUI|StableSwarmUI)[\\/]{1,2}dlbackend[\\/]{1,2}comfy)"
_SYSTEM = r"(?:webui_forge_cu\w+|framepack_cu\w+|sd\.webui)"
_RUNTIME = r"(?:RVC\d{4}\w*|RVC-beta[\w-]*|GPT-SoVITS-(?:v\d|beta|\d)[\w.-]*|GPT_SoVITS-v\d[\w.-]*)"

_WINDOWS, _WEB = {"os": "windows"}, ("stable-diffusion-webui", "kohya_ss", "-scripts", "OneTrainer", "sdnext", "atrix")
SIGNS = (
    Sign(_WEB, rf"(?P<in_venv>{_DRIVE}{_WEBUI}){_END}", _WINDOWS, "implied"),
    Sign(_WEB, rf"(?P<in_venv>{_POSIX}{_WEBUI})(?=/)", {}, "implied"),
    Sign(("nvokeai", "nvokeAI", "nvokeAI", "InvokeAI"), rf"(?P<in_dot_venv>{_DRIVE}[Ii]nvoke[Aa][Ii]){_END}", _WINDOWS, "implied"),
    Sign(("text-generation-webui", "oobabooga_windows", "iffusion"), rf"(?P<in_installer>{_DRIVE}{_ONE_CLICK}){_END}", _WINDOWS, "implied"),
    Sign(("text-generation-webui", "iffusion"), rf"(?P<in_installer>{_POSIX}{_ONE_CLICK})(?=/)", {}, "implied"),
    Sign(("windows_portable", "Fooocus_win64", "SwarmUI"), rf"(?P<in_embedded>{_DRIVE}{_EMBEDDED}){_END}", _WINDOWS, "implied", 1),
    Sign(("webui_forge_cu", "framepack_cu", "sd.webui"), rf"(?P<in_system>{_DRIVE}{_SYSTEM}){_END}", _WINDOWS, "implied", 1),
    Sign(("RVC", "SoVITS"), rf"(?P<in_runtime>{_DRIVE}{_RUNTIME}){_END}", _WINDOWS, "implied"),
    Sign(("pinokio",), rf"(?P<in_env>{_DRIVE}pinokio[\\/]{{1,2}}api[\\/]{{1,2}}[\w .-]{{1,80}}[\\/]{{1,2}}app){_END}", _WINDOWS, "implied"),
    Sign(("pinokio",), rf"(?P<in_env>{_POSIX}pinokio/api/[\w.-]{{1,80}}/app)(?=/)", {}, "implied"),
    # The package in words, or by an option of its .bat files: commands are typed in the folder of the package.
    Sign(("omfy",), r"(?<![\w\\/:])[Cc]omfy ?[Uu][Ii][ _-](?:(?:\(|[Ww]indows[ _-]|[Nn]vidia ){0,2})[Pp]ortable\b", {**_WINDOWS, "bundled": ".\\python_embeded\\python.exe"}, "implied"),
    Sign(("--windows-standalone-build",), r"--windows-standalone-build\b", {**_WINDOWS, "bundled": ".\\python_embeded\\python.exe"}, "implied"),
    # A path without its beginning.
    Sign(("python_embeded\\", "python_embedded\\"), r"(?:^|[\s\"'(.])(?P<beside>python_embed+ed)\\{1,2}[Ll]ib\\", _WINDOWS, "implied"),
    Sign(("runtime\\", "installer_files\\"), r"(?:^|[\s\"'(])(?:\.\\)?(?P<beside>runtime|installer_files\\{1,2}env)\\{1,2}(?:[Ll]ib\\{1,2}site-packages|python\.exe)\b", _WINDOWS, "implied"),
    Sign(("venv\\",), r"(?:^|[\s\"'(])(?:\.\\)?(?P<in_scripts>\.?venv)\\{1,2}[Ll]ib\\{1,2}site-packages\b", _WINDOWS, "implied"),
)  # fmt: skip

# Folders that Dockerfiles use as WORKDIR, and the folder of Python in the official images "python" (Debian).
# https://hub.docker.com/_/python
_APP = re.compile(
    r"File \"/(?:app|code|src|srv/app|usr/src/app|opt/(?:app|program)|home/(?:user/)?app|backend|project)/[^\"]{1,200}\", line \d"
)
_OF_PYTHONS_IMAGE = re.compile(r"File \"/usr/local/lib/python3\.\d{1,2}/[^\"]{1,200}\", line \d")


def app_of_an_image(lines: Sequence[tuple[int, str]]) -> tuple[int, str] | None:
    """Return (number, text) of the first line that shows a program in a Docker image "python".

    None, unless the log has traceback frames of both the program and the Python of this image.
    """
    app = next((line for line in lines if _APP.search(line[1])), None)
    return app if app and any(_OF_PYTHONS_IMAGE.search(text) for _, text in lines) else None


_FRAME = re.compile(r"File \"(?P<folder>[A-Za-z]:\\[^\"]{1,250}?)\\+(?P<below>[^\"\\]{1,80}\.py)\", line \d")
_PACKAGES = re.compile(
    r"(?P<root>[A-Za-z]:\\(?:[^\\/:*?\"<>|\r\n]{1,80}\\+){0,12}?[^\\/:*?\"<>|\r\n]{1,80})\\+[Ll]ib\\+site-packages\\"
)
_OF_A_TOOL = re.compile(r"env|conda|forge|Scripts|pip-|\\uv\\", re.IGNORECASE)


def beside_its_python(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[str, int, str]]:
    r"""Yield (path of python.exe, line number, line) for a program that is in one folder with its Python: main.py, python.exe and Lib.

    Small programs for Windows often come as such a folder.
    """
    folders = {found["folder"].replace("\\\\", "\\").lower() for _, text in lines if (found := _FRAME.search(text))}
    for number, text in lines:
        found = _PACKAGES.search(text)
        root = found["root"].replace("\\\\", "\\") if found else ""
        if root and root.lower() in folders and not _OF_A_TOOL.search(root.rpartition("\\")[2]):
            yield f"{root}\\python.exe", number, text
            return
