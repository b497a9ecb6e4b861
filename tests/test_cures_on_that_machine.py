"""Cures fit the machine of the log: its environment, its shell, its releases."""

from __future__ import annotations

from told_cures import told

LINUX_WHEEL = "https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3%2Bcu12torch2.7cxx11abiTRUE-cp311-cp311-linux_x86_64.whl"
REFUSED = f"""[setup] installing: Using Python 3.11.4 environment at: _env_studio
error: Failed to determine installation plan
  Caused by: A URL dependency is incompatible with the current platform: {LINUX_WHEEL}

hint: The wheel is compatible with Linux (`linux_x86_64`), but you're on Windows (`win_amd64`)
"""


def test_the_wheel_of_another_system_names_the_torch_for_the_wheel_of_this_one():
    (line,) = told(REFUSED).lines[0]
    assert line.startswith("uv pip install --python _env_studio\\Scripts\\python.exe --no-deps https://github.com/")
    assert line.endswith("torch2.7-cp311-cp311-win_amd64.whl")


def test_uv_finds_the_folder_dot_venv_by_itself():
    (line,) = told(REFUSED.replace("_env_studio", ".venv")).lines[0]
    assert line.startswith("uv pip install --no-deps https://github.com/")


MISSES = "ImportError: DLL load failed while importing flash_attn_2_cuda: The specified procedure could not be found.\n"


def test_without_a_known_torch_a_command_names_the_line_that_installs_the_wheel():
    frame = r'  File "D:\miniconda3\envs\vision\lib\site-packages\flash_attn\__init__.py", line 3, in <module>'
    answer = told(f"Traceback (most recent call last):\n{frame}\n{MISSES}")
    assert "attn-doctor wheels --target D:\\miniconda3\\envs\\vision\\python.exe" in answer.lines[0]
    assert "attn-doctor wheels" in told(MISSES).lines[0]
    assert "install it by its address" in answer.words


REFUSES_GCC = "/usr/lib/cuda/include/crt/host_config.h:132:2: error: #error -- unsupported GNU version! gcc versions later than 11 are not supported!\n"


def test_the_gcc_that_nvcc_takes_is_installed_and_not_only_named():
    assert told(REFUSES_GCC).lines[0][0] == "sudo apt-get install -y gcc-11 g++-11"
    assert "gxx_linux-64=11" in told(REFUSES_GCC).words


def test_the_gcc_for_cxx14_is_one_that_an_old_nvcc_takes_too():
    old = "cc1plus: error: unrecognized command line option '-std=c++{}'\n"
    assert told(old.format(14)).lines[0][0].endswith("gcc-7 g++-7")
    assert told(old.format(17)).lines[0][0].endswith("gcc-11 g++-11")  # nvcc 11.8 takes none newer


def test_a_newer_gcc_comes_before_another_torch():
    wheels = "/tmp/pip-install-x8c1kq2z/flash-attn_5c/csrc/a.cu: nvcc warning : The -std=c++17 flag is not supported with the configured host compiler. Flag will be ignored.\n"
    answer = told(
        f'  File "/home/me/conda/envs/seg/lib/python3.9/site-packages/torch/x.py", line 3\n{wheels}  ERROR: Failed building wheel for flash-attn\n'
    )
    assert answer.titles[0] == "Use a newer gcc"


KILLED = "#9 {} nvcc error   : 'cudafe++' died due to signal 9 (Kill signal)\n"


def test_make_in_a_docker_build_reads_other_variables_than_ninja():
    lines = [f"#9 {n}.1 [ {n}%] Building CUDA object CMakeFiles/lib.dir/{n}.cu.o\n" for n in range(20, 26)]
    answer = told("".join(lines) + KILLED.format("26.4") + "#9 26.5 gmake[2]: *** [lib.dir/26.cu.o] Error 9\n")
    assert answer.slug == "out-of-memory-build"
    assert "CMAKE_BUILD_PARALLEL_LEVEL" in answer.words
    assert "MAKEFLAGS" in answer.words
    assert "Docker Desktop, Settings, Resources" in answer.words
    assert "MAX_JOBS" not in answer.words
    assert "--no-build-isolation" not in answer.words


def test_a_docker_build_of_an_unknown_package_is_started_again():
    lines = [
        f"#9 {n}.1 [{n}/40] /usr/local/cuda/bin/nvcc -c a{n}.cu -D_GLIBCXX_USE_CXX11_ABI=0 -DTORCH_EXTENSION_NAME=_C\n"
        for n in range(20, 26)
    ]
    answer = told("".join(lines) + KILLED.format("26.4"))
    assert "start `docker build` again" in answer.words
    assert "above the RUN line" in answer.words


def test_a_package_that_imports_triton_itself_is_not_helped_by_a_setting_of_torch_compile():
    frames = (
        '  File "D:\\seg\\venv\\Lib\\site-packages\\sageattention\\core.py", line 5, in <module>\n    import triton\n'
    )
    answer = told(
        f"PS D:\\seg> python run.py\nTraceback (most recent call last):\n{frames}ModuleNotFoundError: No module named 'triton'\n"
    )
    assert answer.titles == ["Install triton for Windows"]


NVCC_OF_UBUNTU = """$ pip install {}git+https://github.com/someone/cubes.git
Building wheels for collected packages: cubes
  Building wheel for cubes (pyproject.toml) ... error
RuntimeError:
The detected CUDA version (11.8) mismatches the version that was used to compile
PyTorch (12.6). Please make sure to use the same CUDA versions.
"""


def test_a_build_in_isolation_would_bring_another_torch_than_the_toolkit_is_for():
    last = told(NVCC_OF_UBUNTU.format("")).lines[0][-1]
    assert last.endswith(" -m pip install --no-build-isolation git+https://github.com/someone/cubes.git")
    assert "CUDA_HOME" in told(NVCC_OF_UBUNTU.format("--no-build-isolation ")).lines[0][-1]


def test_the_users_own_call_of_a_compiler_is_repeated_with_the_newer_standard():
    needs = r"D:\v\Lib\site-packages\torch\include\c10/util/x.h(9): error C7555: use of designated initializers requires at least '/std:c++20'"
    answer = told(
        f"D:\\seg>cl /c /EHsc /std:c++17 /ID:\\v\\Lib\\site-packages\\torch\\include ops.cpp\nops.cpp\n{needs}\n"
    )
    assert answer.lines[0] == [r"cl /c /EHsc /std:c++20 /ID:\v\Lib\site-packages\torch\include ops.cpp"]
    assert answer.titles == ["Compile with /std:c++20", "Change to torch 2.12.1"]


def test_an_older_torch_is_named_where_the_sources_are_of_somebody_else():
    cxx = "/v/lib/python3.11/site-packages/torch/include/ATen/ATen.h:9:2: error: #error C++20 or later compatible compiler is required to use ATen.\n"
    answer = told(
        f"$ pip install someops\nBuilding wheel for someops (setup.py): started\n{cxx}  ERROR: Failed building wheel for someops\n"
    )
    assert answer.titles == ["Install a newer release of that package", "Change to torch 2.13.0"]


def test_a_cell_in_the_text_of_a_notebook_is_a_notebook_too():
    lost = r"[WinError 126] The specified module could not be found. Error loading \"D:\\seg\\.venv\\Lib\\site-packages\\torch\\lib\\fbgemm.dll\" or one of its dependencies."
    answer = told(
        '{"name": "OSError", "message": "' + lost + '", "stack": "----\\nCell In[2], line 1\\n----> 1 import torch"}\n'
    )
    assert answer.slug == "windows-dll-missing"
    assert "fbgemm.dll needs libomp140" in answer.message
    assert "Kernel > Restart" in answer.words


UNSET = "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n"


def test_the_root_of_a_container_needs_no_sudo_and_hears_that_the_toolkit_is_lost_with_it():
    (lines, *_), words = (
        (answer := told(f"root@0a1b2c3d4e5f:/work# python setup.py develop\n{UNSET}")).lines,
        answer.words,
    )
    assert not [line for line in lines if "sudo" in line]
    assert any("apt-get install -y cuda-toolkit-$(echo $RELEASE" in line for line in lines)
    assert "lost with it" in words


def test_conda_in_an_image_of_jupyter_needs_no_root():
    frame = '  File "/opt/conda/lib/python3.11/subprocess.py", line 1955, in _execute_child\n'
    (lines, *_) = told(f"(base) jovyan@0a1b2c3d4e5f:~/ops$ python setup.py build_ext\n{frame}{UNSET}").lines
    assert any("conda install --prefix /opt/conda --yes -c nvidia/label/cuda-$RELEASE.0" in line for line in lines)


def test_a_person_who_names_fedora_gets_no_line_of_debian():
    lines = told(f"Fedora 40, RTX 3090\n{REFUSES_GCC}").lines[0]
    assert lines[0] == "conda create -y -n gcc -c conda-forge gxx_linux-64=11"
    assert not [line for line in lines if "apt-get" in line]


def test_deepspeed_without_its_operators_is_installed_by_the_command_of_the_log():
    said = "AssertionError: Unable to pre-compile ops without torch installed. Please install torch before attempting to pre-compile ops.\n"
    answer = told(
        f"PS D:\\seg> uv pip install deepspeed==0.16.1\n  × Failed to build `deepspeed==0.16.1`\n      {said}"
    )
    assert answer.lines[0][-1] == "uv pip install deepspeed==0.16.1"
