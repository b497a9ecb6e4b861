"""Hold the lines by which a log shows that it is about a build: of pip, uv, setuptools, torch and flash-attn. They show no failure. Pure."""

from __future__ import annotations

import re

from attn_doctor.failure_modes.mode import Sign

SIGNS = tuple(
    Sign(pattern=re.escape(literal), literal=literal, sample=sample, strength="context")
    for literal, sample in (
        ("for_build_wheel", "  ... line 118, in get_requires_for_build_wheel"),
        ("Getting requirements to build ", "  Getting requirements to build wheel: started"),
        ("Preparing metadata (", "  Preparing metadata (setup.py): started"),
        ("Building wheel for ", "  Building wheel for flash-attn (setup.py): started"),
        ("Installing build dependencies", "  Installing build dependencies: started"),
        ("running build_ext", "      running build_ext"),
        ("running bdist_wheel", "      running bdist_wheel"),
        ("running egg_info", "      running egg_info"),
        ("building 'flash_attn_2_cuda' extension", "building 'flash_attn_2_cuda' extension"),
        (
            "pip-build-env-",
            '  File "/tmp/pip-build-env-b9t0xl28/overlay/lib/python3.13/site-packages/setuptools/build_meta.py", line 333',
        ),
        ("/builds-v", '  File "/home/user/.cache/uv/builds-v0/.tmpX/lib/python3.11/site-packages/setuptools/x.py"'),
        ("setuptools/build_meta.py", '  File "/v/lib/python3.11/site-packages/setuptools/build_meta.py", line 435'),
        ("pip-req-build-", '  File "/tmp/pip-req-build-34w5nuxr/setup.py", line 531, in <module>'),
        ("/pip-install-", '  File "/tmp/pip-install-q56v4sxt/flash-attn_c7ce/setup.py", line 172, in <module>'),
        (
            "This error originates from a subprocess",
            "  note: This error originates from a subprocess, and is likely not a problem with pip.",
        ),
        (
            "torch/utils/cpp_extension.py",
            '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 2782',
        ),
        ("csrc/flash_attn", "g++ -Icsrc/flash_attn -Icsrc/flash_attn/src -c csrc/flash_attn/flash_api.cpp"),
        (
            "-D__CUDA_NO_HALF",
            "[2/73] /usr/local/cuda/bin/nvcc -c csrc/flash_fwd_hdim32_fp16_sm80.cu -o a.o -D__CUDA_NO_HALF_OPERATORS__",
        ),
    )
)
