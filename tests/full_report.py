"""A report in which every fact that an issue form asks for has a value of its own, to be found again in a page."""

from __future__ import annotations

from attn_doctor.model.facts import (
    Compiler,
    Cpu,
    Disk,
    Distribution,
    Facts,
    Fault,
    FlashAttention,
    Gpu,
    Graphics,
    Import,
    Interpreter,
    Packages,
    Shadow,
    Subject,
    System,
    Toolchain,
    Toolkit,
    Torch,
    TorchDevice,
    Variable,
    Wanted,
    Yolo,
)
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Finding, Fix, Goal, Severity
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.report import LogExcerpt, Report, Target, Tool
from attn_doctor.model.steps import Install
from attn_doctor.model.trials import AttentionCalls, Interval, Trial

SITE = "/srv/env/lib/python3.11/site-packages"
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/srv/env/lib/python3.11/site-packages/flash_attn/flash_attn_interface.py", line 15, in <module>\n'
    "    import flash_attn_2_cuda as flash_attn_gpu\n"
    "ImportError: flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2E"
)
FAULT = Fault(
    kind="raised",
    type="ImportError",
    message="flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2E",
    traceback=TRACEBACK,
)
PACKAGES = (
    ("flash-attn", "2.7.4"),
    ("matplotlib", "3.9.2"),
    ("ninja", "1.11.1"),
    ("numpy", "2.1.3"),
    ("nvidia-cublas-cu12", "12.6.4.1"),
    ("nvidia-cudnn-cu12", "9.5.1.17"),
    ("nvidia-nccl-cu12", "2.21.5"),
    ("opencv-python", "4.10.0.84"),
    ("packaging", "24.2"),
    ("pillow", "11.0.0"),
    ("pip", "24.3.1"),
    ("setuptools", "75.6.0"),
    ("torch", "2.6.0"),
    ("torchvision", "0.21.0"),
    ("triton", "3.2.0"),
    ("ultralytics", "8.3.63"),
    ("wheel", "0.45.1"),
    ("xformers", "0.0.29.post3"),
)


def facts() -> Facts:
    """Return the facts of a machine with two GPUs and a flash-attn that does not import."""
    return Facts(
        system=System(
            os="linux",
            distribution="ubuntu",
            distribution_version="22.04",
            distribution_name="Ubuntu 22.04.5 LTS",
            kernel="5.15.0-130-generic",
            machine="x86_64",
            glibc="2.35",
            musl=None,
            libstdcxx="/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
            glibcxx="3.4.30",
            wsl=None,
            hosted=None,
            notebook="Jupyter",
            container="docker",
            cores=64,
            cores_allowed=48,
            cgroup_cpus=None,
            memory_bytes=137438953472,
            cgroup_memory_bytes=None,
            disks=(Disk(purpose="site-packages", path=SITE, free_bytes=107374182400, total_bytes=429496729600),),
            loader_cache=("libcublas.so.12 => /usr/local/cuda/lib64/libcublas.so.12",),
        ),
        cpu=Cpu(
            model="AMD EPYC 7543 32-Core Processor",
            vendor="AuthenticAMD",
            family="25, 1, 1",
            sockets=1,
            physical_cores=32,
            threads_per_core=2,
            caches=("L1d 32K", "L3 262144K"),
            numa=("node 0: 0-63",),
            vulnerabilities=("meltdown: Not affected", "spectre_v2: Mitigation; Retpolines"),
            flags=("sse4_2", "avx", "avx2", "fma"),
        ),
        environment=(
            Variable(name="CUDA_HOME", value="/usr/local/cuda-12.4"),
            Variable(name="CUDA_MODULE_LOADING", value="EAGER"),
            Variable(name="MAX_JOBS", value="7"),
            Variable(name="NCCL_DEBUG", value="INFO"),
            Variable(name="PYTORCH_CUDA_ALLOC_CONF", value="expandable_segments:True"),
            Variable(name="TORCH_CUDA_ARCH_LIST", value="8.6"),
            Variable(name="TRITON_CACHE_DIR", value="/srv/triton"),
            Variable(name="YOLO_VERBOSE", value="False"),
        ),
        graphics=Graphics(
            gpus=(
                Gpu(
                    index=0, name="NVIDIA A100-SXM4-80GB", compute_capability="8.0", memory_bytes=85899345920, mig=False
                ),
                Gpu(
                    index=1, name="NVIDIA A100-SXM4-80GB", compute_capability="8.0", memory_bytes=85899345920, mig=True
                ),
            ),
            driver="550.127.08",
            driver_cuda="12.4",
            nvml_error=None,
            cuda_error=None,
            topology=("GPU 0 - GPU 1: NV12",),
        ),
        toolchain=Toolchain(
            toolkits=(Toolkit(root="/usr/local/cuda-12.4", version="12.4.131", nvcc="/usr/local/cuda-12.4/bin/nvcc"),),
            nvcc_on_path="/usr/local/cuda-12.4/bin/nvcc",
            cuda_home="/usr/local/cuda-12.4",
            cuda_home_by="CUDA_HOME",
            cuda_home_problem=None,
            compilers=(
                Compiler(name="gcc", path="/usr/bin/gcc", version="11.4.0"),
                Compiler(name="clang", path="/usr/bin/clang", version="14.0.6"),
                Compiler(name="cl", path="C:/VC/cl.exe", version="19.39.33519"),
            ),
            ninja="1.11.1",
            cmake="3.31.2",
            git="2.34.1",
            library_path=(Shadow(folder="/opt/cudnn/lib", libraries=("libcudnn.so.9",)),),
        ),
        interpreter=Interpreter(
            python="/srv/env/bin/python",
            why="--target",
            version="3.11.7",
            build="3.11.7 (main, Dec 8 2023, 18:56:57) [GCC 9.4.0]",
            bits=64,
            kind="conda",
            prefix="/srv/env",
            site_packages=SITE,
            installers=("pip 24.3.1", "conda"),
            indexes=(),
            user_site=False,
        ),
        packages=Packages(
            distributions=tuple(
                Distribution(name=name, version=version, location=SITE, installer="pip", direct_url=None)
                for name, version in PACKAGES
            ),
            conflicts=(),
            conda=("cuda-nvcc-12.4.131-0", "python-3.11.7-h955ad1f_0"),
            of_ultralytics=(
                Wanted(requires="numpy>=1.23.0", found="2.1.3", met=True),
                Wanted(requires="py-cpuinfo", found=None, met=False),
            ),
        ),
        torch=Torch(
            version="2.6.0+cu124",
            location=f"{SITE}/torch",
            cuda="12.4",
            hip=None,
            rocm="7.2.1",
            cxx11_abi=False,
            archs=("sm_80", "sm_90"),
            cudnn="90501",
            importable=True,
            available=True,
            cuda_error=None,
            devices=(TorchDevice(index=0, name="NVIDIA A100-SXM4-80GB", compute_capability="8.0"),),
            mps=False,
            numpy_bridge=True,
            numpy_error=None,
            threads=24,
            debug=False,
            xnnpack=True,
            xpu=False,
            hip_runtime="6.3.42131",
            miopen="3.3.0",
            cpu_capability="AVX2",
            loaded=("/opt/cudnn/lib/libcudnn.so.9", f"{SITE}/nvidia/cublas/lib/libcublas.so.12"),
            bundled=(
                f"{SITE}/nvidia/cublas/lib/libcublas.so.12",
                f"{SITE}/nvidia/cudnn/lib/libcudnn.so.9",
                f"{SITE}/nvidia/nccl/lib/libnccl.so.2",
            ),
        ),
        imports=(
            Import(module="numpy", ok=True, version="2.1.3"),
            Import(module="flash_attn", ok=False, failed="flash_attn.flash_attn_interface", fault=FAULT),
        ),
        flash_attention=FlashAttention(version="2.7.4"),
        yolo=Yolo(
            version="8.3.63",
            kind="fork",
            location=f"{SITE}/ultralytics",
            checkout=True,
            attention="AAttn",
            calls=("flash-attn", "eager"),
            layout="qk+v",
            flash_error="ImportError: undefined symbol: _ZN3c105ErrorC2E",
        ),
        subject=Subject(command="pip install flash-attn --no-build-isolation", image="nvidia/cuda:12.4.1-devel"),
    )


def finding(number: int = 1, **changes: object) -> Finding:
    """Return an error with one cure and two lines of evidence."""
    argv = ("/srv/env/bin/python", "-m", "pip", "install", "flash-attn==2.7.4.post1", "--no-build-isolation")
    step = Install(
        requirements=("flash-attn==2.7.4.post1",),
        argv=argv,
        why="built for this torch",
        changes="flash-attn",
        risk="low",
    )
    values: dict[str, object] = {
        "code": f"AD30{number}",
        "slug": "flash-attn-undefined-symbol",
        "title": "The extension wants a symbol that this torch lacks",
        "message": "flash-attn 2.7.4 was built for another torch than 2.6.0.",
        "severity": Severity.ERROR,
        "certainty": Certainty.OBSERVED,
        "confidence": Confidence.HIGH,
        "root_cause": True,
        "explained_by": None,
        "blocks": ("flash-attn-2",),
        "evidence": (Evidence(kind="fact", path="imports.1", text="undefined symbol _ZN3c105ErrorC2E"),),
        "fixes": (Fix(title="Install the wheel for torch 2.6", steps=(step,), verify=("attn-doctor", "check")),),
        "docs": "",
        **changes,
    }
    return Finding(**values)  # type: ignore[arg-type]


def report(**changes: object) -> Report:
    """Return the whole report; `changes`: other values of its fields."""
    trial = Trial(
        backend="eager",
        status="ok",
        dtype="float32",
        model="yolo12n.yaml",
        device="cuda:0",
        batch=2,
        imgsz=640,
        attention_calls=AttentionCalls(eager=8),
        forward_ms=Interval(median=15.2, low=14.9, high=15.6, n=9),
        step_ms=Interval(median=51.0, low=50.0, high=52.0, n=9),
        peak_bytes=10**9,
    )
    values: dict[str, object] = {
        "tool": Tool(version="0.1.0", knowledge_date="2026-11-20"),
        "created": "2026-11-20T12:00:00+00:00",
        "command": ("attn-doctor", "check", "--goal", "flash-attn"),
        "goal": Goal.FLASH_ATTN,
        "target": Target(python="/srv/env/bin/python", why="--target", version="3.11.7"),
        "exit_code": 1,
        "outcome": "sick",
        "facts": facts(),
        "findings": (finding(),),
        "undetermined": (),
        "log_ends": (
            LogExcerpt(
                file="train.log", lines=("Traceback (most recent call last):", "RuntimeError: the log's own error")
            ),
        ),
        "trials": (trial,),
        "recommendation": Recommendation(
            backend="eager", install_flash_attn="no", measured=True, summary="Keep eager."
        ),
        **changes,
    }
    return Report(**values)  # type: ignore[arg-type]
