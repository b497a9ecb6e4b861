#!/usr/bin/env bash
# The whole verification on a machine with an NVIDIA GPU, offline, from a folder of wheels, in under ten minutes on 16 cores.
#
#   benchmarks/gpu.sh WHEELS RESULTS [PYTHON]
#
# WHEELS holds the wheels of attn-doctor, torch (CUDA), torchvision, ultralytics and all that they need, of setuptools, wheel, ninja and
# packaging, and the source archive of flash-attn 2. On a machine with a network, and the same Python and platform:
#
#   pip wheel --no-deps -w WHEELS . && pip download -d WHEELS ".[yolo]" setuptools wheel ninja packaging psutil
#   pip download -d WHEELS --no-deps --no-binary :all: --no-build-isolation flash-attn
#
# flash-attn is built in the background, for this GPU alone and for heads of 32 and 64 (YOLO's), which is a twelfth of the whole,
# while everything that needs no flash-attn is checked. It needs nvcc; without it that part is left out, and said so.
# Nothing outside RESULTS is written; the JSON files there are redacted by the doctor.
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//'
    exit 2
fi
wheels=$(cd "$1" && pwd)
mkdir -p "$2"
results=$(cd "$2" && pwd)
python=${3:-python3}
scratch=$(mktemp -d)
builder=
trap '[ -z "$builder" ] || kill "$builder" 2>/dev/null || true; rm -rf "$scratch"' EXIT
started=$SECONDS

say() { printf '%4d s  %s\n' "$((SECONDS - started))" "$*" | tee -a "$results/log.txt"; }
pip_install() { "$target" -m pip install --quiet --no-index --find-links "$wheels" --disable-pip-version-check "$@"; }
doctor() { "$scratch/env/bin/attn-doctor" "$@"; }

: >"$results/log.txt"
export YOLO_OFFLINE=true YOLO_AUTOINSTALL=false YOLO_CONFIG_DIR="$scratch"
say "installing from $(ls "$wheels" | wc -l) files"
"$python" -m venv "$scratch/env"
target=$scratch/env/bin/python
pip_install 'attn-doctor[yolo]' setuptools wheel ninja packaging psutil
"$target" - >"$results/machine.json" <<'PY'
import json
import os

import torch

assert torch.cuda.is_available(), "torch sees no CUDA device"
gpu = torch.cuda.get_device_properties(0)
print(json.dumps({"gpu": gpu.name, "capability": f"{gpu.major}.{gpu.minor}", "memory_bytes": gpu.total_memory,
                  "torch": torch.__version__, "cuda": torch.version.cuda, "cores": len(os.sched_getaffinity(0))}))
PY
say "machine: $(cat "$results/machine.json")"

build_flash_attn() {
    local archive arch memory jobs
    archive=$(ls "$wheels"/flash_attn-2*.tar.gz | tail -1)
    mkdir "$scratch/flash"
    tar -xzf "$archive" -C "$scratch/flash" --strip-components 1
    # flash-attn passes -std=c++17, and torch's headers may want more: https://github.com/Dao-AILab/flash-attention/pull/2879
    if grep -qs 'C++20 or later' "$("$target" -c 'import torch; print(torch.__path__[0])')/include/ATen/ATen.h"; then
        sed -i 's/-std=c++17/-std=c++20/g' "$scratch/flash/setup.py"
    fi
    # 8.x share the code for 8.0; the others have their own.
    arch=$("$target" -c 'import torch; major, minor = torch.cuda.get_device_capability(0); print(80 if major == 8 else 10 * major)')
    "$target" - "$scratch/flash" <<'PY'
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
setup = root / "setup.py"
text = setup.read_text()
kept = [line for line in text.splitlines(True) if not re.search(r"hdim(96|128|192|256)_", line)]
assert len(kept) < text.count("\n"), "setup.py lists its sources in another way than 2.8 did"
setup.write_text("".join(kept))
switch = root / "csrc" / "flash_attn" / "src" / "static_switch.h"
text = switch.read_text()
short, count = re.subn(
    r"else if \(HEADDIM <= 64\)(.*?\}) else if \(HEADDIM <= 96\).*?\n    \}( +\\\n  \}\(\))", r"else\1\2", text, flags=re.DOTALL
)
assert count == 1, "static_switch.h chooses the width of heads in another way than 2.8 did"
switch.write_text(short)
PY
    # A toolkit may come without the libraries that torch's headers include: NVIDIA's packages, which torch needs anyway, bring them.
    if [ ! -e "$CUDA_HOME/include/cublas_v2.h" ]; then
        CPATH=$(ls -d "$("$target" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"/nvidia/*/include | paste -sd:)
        export CPATH
    fi
    memory=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
    jobs=$((memory / 7))
    [ "$jobs" -ge 1 ] || jobs=1
    [ "$jobs" -le "$(nproc)" ] || jobs=$(nproc)
    FLASH_ATTENTION_FORCE_BUILD=TRUE FLASH_ATTN_CUDA_ARCHS=$arch NVCC_THREADS=1 MAX_JOBS=$jobs \
        "$target" -m pip wheel --no-index --no-deps --no-build-isolation -w "$scratch/built" "$scratch/flash"
}

if command -v nvcc >/dev/null || [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
    export CUDA_HOME=${CUDA_HOME:-$(dirname "$(dirname "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")")}
    build_flash_attn >"$results/flash-attn-build.log" 2>&1 &
    builder=$!
    say "building flash-attn in the background"
else
    say "no nvcc: flash-attn is left out"
fi

say "check, without flash-attn"
doctor check --target "$target" --batch 8 --json "$results/check.json" >"$results/check.txt" 2>>"$results/log.txt" || say "check: exit $?"
say "attention alone: the shapes of the study"
shape() {
    doctor trial --target "$target" --attention-only --batch "$1" --heads "$2" --seq-len "$3" --head-dim "$4" --repeats 30 --dtype float16 \
        --json "$results/attention-$1x$2x$3x$4.json" >/dev/null 2>>"$results/log.txt" || say "attention $*: exit $?"
}
shape 8 8 256 64
shape 1 8 512 64
shape 2 8 1024 64
shape 4 8 2048 64
# FlexAttention is left out of the grid: it is compiled for each of its shapes.
doctor trial --target "$target" --attention-only --batch 1 2 4 --heads 8 --seq-len 64 512 --head-dim 32 64 128 --repeats 20 --dtype float16 \
    --backend sdpa --backend sdpa-math --backend sdpa-efficient --backend sdpa-flash --backend sdpa-cudnn \
    --json "$results/attention-grid.json" >"$results/attention-grid.txt" 2>>"$results/log.txt" || say "grid: exit $?"

if [ -n "$builder" ]; then
    say "waiting for flash-attn"
    if wait "$builder"; then
        pip_install "$scratch"/built/flash_attn-*.whl einops || pip_install --no-deps "$scratch"/built/flash_attn-*.whl
        say "flash-attn is installed"
    else
        say "flash-attn was not built: see flash-attn-build.log; attn-doctor diagnose names the cause:"
        doctor diagnose "$results/flash-attn-build.log" | tee -a "$results/log.txt" || true
    fi
    builder=
fi

say "all backends on the model, with settings for training"
doctor trial --target "$target" --imgsz 640 --batch 8 --repeats 30 --tune --json "$results/trial-640.json" \
    >"$results/trial-640.txt" 2>>"$results/log.txt" || say "trial 640: exit $?"
doctor trial --target "$target" --imgsz 1280 --batch 4 --repeats 15 --json "$results/trial-1280.json" \
    >"$results/trial-1280.txt" 2>>"$results/log.txt" || say "trial 1280: exit $?"
say "done"
