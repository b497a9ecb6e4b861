"""Logs that show an environment, and the lines by which one package is installed there from that person's prompt. By hand."""

from __future__ import annotations

import io

from attn_doctor import commands
from attn_doctor.examination.inputs import log_reader
from attn_doctor.logs.stated_facts import as_facts, stated_facts
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

READER = log_reader()
STEP = commands.install("ninja<2", no_deps=True, why="why", changes="something")
POSIX = (
    '  File "{}/torchvision/__init__.py", line 9, in <module>\nRuntimeError: operator torchvision::nms does not exist\n'
)
WINDOWS = POSIX.replace("/", "\\")
CMD = '"ninja<2"'
MAMBA = "C:\\Users\\me\\.local\\share\\mamba\\envs\\seg"
BUILD = "ModuleNotFoundError: No module named 'torch'\n"
PIP = f"Collecting flash-attn\n{BUILD}"
UV = f"error: Failed to build `flash-attn==2.8.3`\n{BUILD}"


def at(folder: str) -> str:
    """A traceback whose last frame lies in these site-packages."""
    return (WINDOWS if "\\" in folder else POSIX).format(folder)


def frame(file: str) -> str:
    """A traceback in which a program's own file imports torch."""
    return f'  File "{file}", line 9, in <module>\n    import torch\n{BUILD}'


def facts_of(text: str) -> Facts:
    return as_facts(stated_facts([READER.read(io.BytesIO(text.encode()), "log")]), Facts(grade="stated")).facts


def first_lines(text: str) -> list[str | None]:
    """The lines by which one package is installed without what it needs, for the shell of the log."""
    facts = facts_of(text)
    steps = commands.prepared(facts, Fix(title="t", steps=(STEP,), verify=())).steps
    return [commands.shown(step, commands.shell_of(facts)) for step in steps]


def pip(python: str, more: str = "", word: str = '"ninja<2"') -> list[str]:
    """The lines of pip; Windows' shells share the double quotes alone."""
    word = CMD if "\\" in python and "'" not in python else word
    return [f"{python} -m pip install {more}--no-deps {word}"]


# name: the log, and the lines for its prompt
ENVIRONMENTS = {
    # virtual environments of pip
    "active": (f"(venv) me@box:~/p$ pip install flash-attn\n{PIP}", pip("python")),
    "active, in a conda prompt": (f"(venv) (base) me@box:~/p$ pip install flash-attn\n{PIP}", pip("python")),
    "a frame alone": (at("/home/me/p/venv/lib/python3.10/site-packages"), pip("/home/me/p/venv/bin/python")),
    "a frame on a Mac": (at("/Users/me/p/.venv/lib/python3.11/site-packages"), pip("/Users/me/p/.venv/bin/python")),
    "of any name": (at("/opt/tools/seg/lib/python3.10/site-packages"), pip("/opt/tools/seg/bin/python3")),
    "of an image": (at("/venv/lib/python3.11/site-packages"), pip("/venv/bin/python")),
    "with a space": (at("/home/me/my p/venv/lib/python3.10/site-packages"), pip('"/home/me/my p/venv/bin/python3"')),
    "a hidden name": (at("/home/xxxx/p/venv/lib/python3.10/site-packages"), pip("python3")),
    "already satisfied there": (
        f"Requirement already satisfied: einops in /srv/p/env/lib/python3.10/site-packages (0.8)\n{PIP}",
        pip("/srv/p/env/bin/python"),
    ),
    "already satisfied below": (
        f"Requirement already satisfied: einops in ./env/lib/python3.10/site-packages (0.8)\n{PIP}",
        pip("./env/bin/python"),
    ),
    "PowerShell, active": (f"(venv) PS C:\\p> pip install flash-attn\n{PIP}", pip("python", word=CMD)),
    "cmd, active": (f"(venv) C:\\p>pip install flash-attn\n{PIP}", pip("python", word=CMD)),
    "Windows, a frame alone": (at("C:\\p\\venv\\Lib\\site-packages"), pip("C:\\p\\venv\\Scripts\\python.exe")),
    "Windows, a space": (at("C:\\p q\\venv\\Lib\\site-packages"), pip('"C:\\p q\\venv\\Scripts\\python.exe"')),
    "Windows, slashes": (
        f'{at("C:/p/venv/lib/site-packages")}PS C:\\p> ',
        pip("C:\\p\\venv\\Scripts\\python.exe"),
    ),
    "pipenv, Windows": (
        at("C:\\Users\\me\\.virtualenvs\\p-Ab12\\Lib\\site-packages"),
        pip("C:\\Users\\me\\.virtualenvs\\p-Ab12\\Scripts\\python.exe"),
    ),
    "Windows, its interpreter": (
        'venv "D:\\ui\\venv\\Scripts\\Python.exe"\nRuntimeError: operator torchvision::nms does not exist\n',
        pip("D:\\ui\\venv\\Scripts\\python.exe"),
    ),
    "cmd, a path was typed": (
        "C:\\p>env\\Scripts\\python.exe t.py\n" + at("C:\\p\\env\\Lib\\site-packages"),
        pip("env\\Scripts\\python.exe", word=CMD),
    ),
    "PowerShell, pip by its path": (f"PS C:\\p> .\\.venv\\Scripts\\pip install x\n{PIP}", pip(".\\.venv\\Scripts\\python.exe")),
    "Git Bash": (
        "(venv)\nme@PC MINGW64 /c/p\n$ ./run.sh\n" + at("C:\\p\\venv\\Lib\\site-packages"),
        pip("'C:\\p\\venv\\Scripts\\python.exe'"),
    ),
    # Pythons that are no environment
    "packages of one user": (at("/home/me/.local/lib/python3.10/site-packages"), pip("python3.10")),
    "packages of one user, beside an active environment": (
        "(venv) me@box:~/p$ yolo train\n" + at("/home/me/.local/lib/python3.10/site-packages"),
        pip("python3.10"),
    ),
    "packages of one user, PEP 668": (
        at("/home/me/.local/lib/python3.12/site-packages"),
        pip("python3.12", "--break-system-packages "),
    ),
    "packages of one user, Mac": (at("/Users/me/Library/Python/3.9/lib/python/site-packages"), pip("python3.9")),
    "packages of one user, Windows": (
        at("C:\\Users\\me\\AppData\\Roaming\\Python\\Python311\\site-packages"),
        pip("py -3.11", word=CMD),
    ),
    "Microsoft's store": (
        at("C:\\Users\\me\\AppData\\Local\\Packages\\PythonSoftwareFoundation.Python.3.11_q\\LocalCache\\local-packages\\Python311\\site-packages"),
        pip("python3.11", word=CMD),
    ),
    "python.org's, Windows": (
        at("C:\\Users\\me\\AppData\\Local\\Programs\\Python\\Python311\\Lib\\site-packages"),
        pip("C:\\Users\\me\\AppData\\Local\\Programs\\Python\\Python311\\python.exe"),
    ),
    "the launcher was typed": (f"C:\\p>py -3.10 -m pip install x\n{PIP}", pip("py -3.10", word=CMD)),
    "Debian's": (at("/usr/local/lib/python3.10/dist-packages"), pip("python3.10")),
    "Debian's, PEP 668": (at("/usr/lib/python3.12/dist-packages"), pip("python3.12", "--break-system-packages ")),
    "an image of python": (at("/usr/local/lib/python3.12/site-packages"), pip("python3.12")),
    "Homebrew's": (at("/opt/homebrew/lib/python3.12/site-packages"), pip("python3.12", "--break-system-packages ")),
    "pyenv's": (
        at("/home/me/.pyenv/versions/3.10.13/lib/python3.10/site-packages"),
        pip("/home/me/.pyenv/versions/3.10.13/bin/python3"),
    ),
    "python3.11 was typed": (f"$ python3.11 -m pip install x\n{PIP}", pip("python3.11")),
    "pip3 was typed": (f"$ pip3 install x\n{PIP}", pip("python3")),
    "pip3 on a Mac": (f"me@mac p % pip3 install x\n{PIP}", pip("python3")),
    "pip on Ubuntu": (f'PRETTY_NAME="Ubuntu 22.04.4 LTS"\n$ pip install x\n{PIP}', pip("python3")),
    "the option was typed": (
        f"$ pip3 install --break-system-packages x\n{PIP}",
        pip("python3", "--break-system-packages "),
    ),
    "python.org's, Windows in small letters": (
        at("c:\\users\\me\\appdata\\local\\programs\\python\\python310\\lib\\site-packages"),
        pip("c:\\users\\me\\appdata\\local\\programs\\python\\python310\\python.exe"),
    ),
    "pyenv's, Windows": (
        at("C:\\Users\\me\\.pyenv\\pyenv-win\\versions\\3.10.11\\lib\\site-packages"),
        pip("C:\\Users\\me\\.pyenv\\pyenv-win\\versions\\3.10.11\\python.exe"),
    ),
    "a program's own": (
        at("D:\\ui\\system\\python\\lib\\site-packages"),
        pip("D:\\ui\\system\\python\\python.exe"),
    ),
    "a portable Python": (
        at("D:\\ComfyUI\\python_embeded\\Lib\\site-packages"),
        pip("D:\\ComfyUI\\python_embeded\\python.exe -s"),
    ),
    # programs that start a Python of their own, known by the folder of the program
    "a web UI": (frame("D:\\a\\stable-diffusion-webui-forge\\launch.py"), pip("D:\\a\\stable-diffusion-webui-forge\\venv\\Scripts\\python.exe")),
    "a web UI, Linux": (frame("/home/me/stable-diffusion-webui/launch.py"), pip("/home/me/stable-diffusion-webui/venv/bin/python")),
    "a web UI in an active environment": (
        "(sd) me@box:~$ python launch.py\n" + frame("/home/me/stable-diffusion-webui/launch.py"), pip("python")
    ),
    "kohya_ss": (frame("D:\\kohya_ss\\sd-scripts\\train.py"), pip("D:\\kohya_ss\\venv\\Scripts\\python.exe")),
    "InvokeAI": (frame("C:\\invokeai\\run.py"), pip("C:\\invokeai\\.venv\\Scripts\\python.exe")),
    "text-generation-webui": (frame("D:\\text-generation-webui\\server.py"), pip("D:\\text-generation-webui\\installer_files\\env\\python.exe")),
    "SwarmUI": (frame("C:\\SwarmUI\\dlbackend\\comfy\\ComfyUI\\main.py"), pip("C:\\SwarmUI\\dlbackend\\comfy\\python_embeded\\python.exe -s")),
    "Forge's package": (frame("D:\\webui_forge_cu121_torch231\\webui\\launch.py"), pip("D:\\webui_forge_cu121_torch231\\system\\python\\python.exe")),
    "Pinokio": (frame("C:\\pinokio\\api\\wan.git\\app\\wgp.py"), pip("C:\\pinokio\\api\\wan.git\\app\\env\\Scripts\\python.exe")),
    "Stability Matrix": (frame("C:\\SM\\StabilityMatrix\\Data\\Packages\\Fooocus\\launch.py"), pip("C:\\SM\\StabilityMatrix\\Data\\Packages\\Fooocus\\venv\\Scripts\\python.exe")),
    "GPT-SoVITS": (frame("E:\\GPT-SoVITS-v2-240821\\webui.py"), pip("E:\\GPT-SoVITS-v2-240821\\runtime\\python.exe")),
    "ComfyUI's package in words": (f"I run ComfyUI portable here\n{BUILD}", pip(".\\python_embeded\\python.exe -s")),
    "ComfyUI's package, its prompt": (f"E:\\ComfyUI_windows_portable>pause\n{BUILD}", pip("E:\\ComfyUI_windows_portable\\python_embeded\\python.exe -s")),
    "a folder called runtime": (at("D:\\voice\\runtime\\lib\\site-packages"), pip("D:\\voice\\runtime\\python.exe")),
    "a folder called python": (at("E:\\tool\\python\\lib\\site-packages"), pip("E:\\tool\\python\\python.exe")),
    "a path without its front": (at("runtime\\lib\\site-packages"), pip(".\\runtime\\python.exe")),
    "a program beside its Python": (
        frame("E:\\tools\\Find\\main.py") + at("E:\\tools\\Find\\lib\\site-packages"), pip("E:\\tools\\Find\\python.exe")
    ),
    "a program elsewhere": (frame("E:\\work\\main.py") + at("E:\\tools\\Find\\lib\\site-packages"), pip("python", word=CMD)),
    # conda, mamba, micromamba
    "conda, active": (
        "(seg) me@box:~$ python t.py\n" + at("/home/me/miniconda3/envs/seg/lib/python3.10/site-packages"),
        pip("python"),
    ),
    "conda, a frame alone": (
        at("/home/me/miniconda3/envs/myenv/lib/python3.10/site-packages"),
        pip("/home/me/miniconda3/envs/myenv/bin/python"),
    ),
    "conda of Homebrew": (
        at("/opt/homebrew/Caskroom/miniforge/base/envs/x/lib/python3.10/site-packages"),
        pip("/opt/homebrew/Caskroom/miniforge/base/envs/x/bin/python"),
    ),
    "conda, another one is active": (
        "(base) PS C:\\p> .\\run.bat\n" + at("C:\\Users\\me\\anaconda3\\envs\\seg\\lib\\site-packages"),
        pip("conda run --prefix C:\\Users\\me\\anaconda3\\envs\\seg python"),
    ),
    "conda, base of an image": (at("/opt/conda/lib/python3.10/site-packages"), pip("/opt/conda/bin/python")),
    "micromamba, Windows": (
        at(f"{MAMBA}\\Lib\\site-packages"),
        pip(f"micromamba run --prefix {MAMBA} python"),
    ),
    "conda run was typed": (
        f"#9 [5/8] RUN conda run -n seg pip install x\n{PIP}",
        pip("RUN conda run -n seg python"),
    ),
    # uv
    "uv, its folder": (f"$ uv pip install x\nUsing Python 3.11.9 environment at: .venv\n{UV}", ['uv pip install --no-deps "ninja<2"']),
    "uv, --system": (f"# uv pip install --system x\n{UV}", ['uv pip install --system --no-deps "ninja<2"']),
    "uv, the system's Python": (
        f"Using Python 3.10.12 environment at: /usr\n{UV}",
        ['uv pip install --system --no-deps "ninja<2"'],
    ),
    "uv, conda's base": (
        f"Using Python 3.10.12 environment at: /opt/conda\n{UV}",
        ['uv pip install --system --no-deps "ninja<2"'],
    ),
    "uv, --python": (
        f"$ uv pip install --python /opt/e/bin/python x\n{UV}",
        ['uv pip install --python /opt/e/bin/python --no-deps "ninja<2"'],
    ),
    # uv takes a bare name for a virtual environment only: "No virtual environment found for executable name `python`"
    "uv, active": (f"(p) PS C:\\p> uv pip install x\n{UV}", [f"uv pip install --no-deps {CMD}"]),
    "uv, Debian's": (
        UV + at("/usr/lib/python3.10/dist-packages"),
        ['uv pip install --system --python python3.10 --no-deps "ninja<2"'],
    ),
    "uv made it": (
        '  File "/home/me/.local/share/uv/python/cpython-3.11.9-linux-x86_64-gnu/lib/python3.11/runpy.py", line 8, in run\n'
        + at("/home/me/p/.venv/lib/python3.11/site-packages"),
        ['uv pip install --python /home/me/p/.venv/bin/python --no-deps "ninja<2"'],
    ),
    "a tool of uv": (
        at("/home/me/.local/share/uv/tools/ultralytics/lib/python3.12/site-packages"),
        ['uv pip install --python /home/me/.local/share/uv/tools/ultralytics/bin/python --no-deps "ninja<2"'],
    ),
    "a tool of uv, Windows": (
        at("C:\\Users\\me\\AppData\\Roaming\\uv\\tools\\x\\Lib\\site-packages"),
        [f"uv pip install --python C:\\Users\\me\\AppData\\Roaming\\uv\\tools\\x\\Scripts\\python.exe --no-deps {CMD}"],
    ),
    "uv, a project": ("$ uv run t.py\n" + at("/home/me/p/.venv/lib/python3.11/site-packages"), ['uv add "ninja<2"']),
    # tools of projects, and pipx
    "Poetry": (
        "$ poetry run python t.py\n" + at("/home/me/.cache/pypoetry/virtualenvs/p-x-py3.10/lib/python3.10/site-packages"),
        pip("poetry run python"),
    ),
    "Poetry, a frame alone": (
        at("C:\\Users\\me\\AppData\\Local\\pypoetry\\Cache\\virtualenvs\\p-x-py3.10\\Lib\\site-packages"),
        pip("poetry run python", word=CMD),
    ),
    "PDM": (
        "$ pdm run python t.py\n" + at("/home/me/p/.venv/lib/python3.10/site-packages"),
        ["pdm run python -m ensurepip --upgrade", *pip("pdm run python")],
    ),
    "pixi": (at("/home/me/p/.pixi/envs/default/lib/python3.10/site-packages"), ["pixi add pip", *pip("pixi run python")]),
    "pipx": (
        at("C:\\Users\\me\\pipx\\venvs\\ultralytics\\Lib\\site-packages"),
        [f"pipx runpip ultralytics install --no-deps {CMD}"],
    ),
    # images and notebooks
    "a Dockerfile": (f"#9 [5/8] RUN pip install x\n{PIP}", pip("RUN python3")),
    "Colab": ('  File "/content/x.py", line 1\n' + at("/usr/local/lib/python3.12/dist-packages"), ['%pip install --no-deps "ninja<2"', None]),  # and in words: restart the session
    "Jupyter, Windows": (
        f"Cell In[4], line 1\n{at('C:/Users/me/anaconda3/envs/seg/lib/site-packages')}", ['%pip install --no-deps "ninja<2"', None]
    ),
    "Jupyter, a command in a cell": (
        f"!pip install x\n{at('/home/me/p/.venv/lib/python3.11/site-packages')}", ['%pip install --no-deps "ninja<2"', None]
    ),
    "docker compose": (
        "".join(f"web-1  | {line}\n" for line in [*at("/usr/local/lib/python3.12/site-packages").splitlines(), "a", "b"]),
        pip("RUN python3.12"),
    ),
    "a cluster": (f"[ana@login02 p]$ pip install x\n{PIP}", pip("python3")),
    "a development container": (f"vscode ➜ /workspaces/p (main) $ pip install x\n{PIP}", pip("python3")),
    "WSL, active": (f"(venv) me@PC:/mnt/c/Users/me/p$ pip install x\n{PIP}", pip("python")),
}  # fmt: skip
