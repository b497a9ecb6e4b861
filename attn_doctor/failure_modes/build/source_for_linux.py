"""The sources of a package were written for Linux, and Microsoft's compiler refuses them.

What it is
    The C++ or CUDA code of a package calls functions, includes headers or links libraries that exist on Linux and not
    on Windows. No setting of the machine helps: the sources have to change, or you use the package on Linux.

How it shows
    "error C3861: 'localtime_r': identifier not found", "fatal error C1083: Cannot open include file: 'unistd.h'",
    "LINK : fatal error LNK1181: cannot open input file 'aio.lib'", nvcc's 'identifier "uint" is undefined', "Unable
    to pre-compile async_io" of DeepSpeed. MSVC prints these lines in the language of Windows; the error numbers and
    the names are the same in all languages.

Why it happens
    The authors build only on Linux. Or the release is older than the change for Windows: detectron2 has called
    localtime_s on Windows since 2020, DeepSpeed has had wheels for Windows since 2024.

What to do
    Use the newest sources of the package, or its finished wheel for Windows; else use the package in WSL2. For
    DeepSpeed: set DS_BUILD_OPS=0, so that nothing is compiled at installation.

How to reproduce
    There is no recipe: Windows and MSVC are needed. `cl /c` of a file with `#include <unistd.h>` shows it there.

References
    https://github.com/facebookresearch/detectron2/issues/1842
    https://www.deepspeed.ai/tutorials/advanced-install/#windows
    https://learn.microsoft.com/cpp/error-messages/compiler-errors-2/compiler-error-c3861
    https://learn.microsoft.com/cpp/error-messages/tool-errors/linker-tools-error-lnk1181
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, package_cures, package_wheels, subject, triton_windows
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

_CALLS = (
    r"localtime_r|gmtime_r|ctime_r|asctime_r|strtok_r|rand_r|strcasecmp|strncasecmp|strsep|strndup|usleep|nanosleep|asprintf|vasprintf|getline|"
    r"gettimeofday|clock_gettime|CLOCK_\w+|pthread_\w+|mmap|munmap|madvise|posix_memalign|posix_fadvise|dlopen|dlsym|dlclose|fork|sysconf|"
    r"_SC_\w+|random|srandom|drand48|readlink|realpath|setenv|mkdtemp|O_DIRECT|S_ISDIR|PATH_MAX|ssize_t|uint|ulong|ushort|u_int\w*|__int128(?:_t)?|"
    r"__builtin_\w+|__attribute__|__PRETTY_FUNCTION__|__sync_\w+|M_PI|M_PI_\d"
)
_HEADERS = (
    r"unistd\.h|dlfcn\.h|pthread\.h|strings\.h|dirent\.h|execinfo\.h|libaio\.h|libgen\.h|alloca\.h|semaphore\.h|cxxabi\.h|x86intrin\.h|numa\.h|"
    r"sys/(?:time|mman|socket|wait|ioctl|resource|sysinfo|syscall|file|uio|un|param|eventfd|epoll)\.h|netinet/\w+\.h|arpa/inet\.h|netdb\.h|"
    r"linux/\w+\.h|bits/stdc\+\+\.h|ext/\w+\.h(?:pp)?"
)
_QUOTED = r"['\"“„«‘「『‹]\s?"

MODE = FailureMode(
    code="AD128",
    slug="source-for-linux",
    title="Sources for Linux, compiled on Windows",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "host-compiler-unsupported", "torch-headers-msvc"),
    signs=(
        Sign(
            pattern=rf"error C(?:3861|2065|2061|2039)\s?[:：].{{0,60}}?{_QUOTED}(?P<call>{_CALLS})\b",
            literal="error C",
            sample="C:\\src\\ops\\eval.cpp(48): error C3861: 'localtime_r': identifier not found",
        ),
        Sign(
            pattern=rf"error C1083\s?[:：].{{0,120}}?{_QUOTED}(?P<header>{_HEADERS})",
            literal="error C1083",
            sample="C:\\src\\ops\\io.cpp(3): fatal error C1083: Cannot open include file: 'unistd.h': No such file or directory",
        ),
        Sign(
            pattern=r"error LNK1(?:181|104)\s?[:：].{0,120}?['\"“„«‘「『‹\s](?P<library>aio|m|pthread|dl|rt|c|stdc\+\+|gomp|numa|uuid)\.lib",
            literal="error LNK1",
            sample="LINK : fatal error LNK1181: cannot open input file 'aio.lib'",
        ),
        # Printed by nvcc's front end on Windows: only Linux has these types.
        Sign(
            pattern=r"error: identifier \"(?P<call>uint|ulong|ushort|ssize_t|u_int\w*|__int128_t|M_PI)\" is undefined",
            literal='" is undefined',
            sample='C:/src/ops/knn.cu(17): error: identifier "uint" is undefined',
        ),
        # Options of gcc that a setup.py passes to MSVC.
        Sign(
            pattern=r"error D80(?:16|21)\s?[:：].{0,60}?['\"“„«‘「『‹](?P<option>[/-](?:W[a-z][\w=-]*|fopenmp|march=\w+))",
            literal="error D80",
            sample="cl : Command line error D8021 : invalid numeric argument '/Wno-reorder'",
        ),
        # triton's setup.py looks for the LLVM of this system: https://github.com/triton-lang/triton/issues/1560
        Sign(
            pattern=r"[A-Za-z]:\\.{0,200}\bin\s{1,4}(?P<thirdparty>get_thirdparty_packages|get_llvm_package_info|download_and_copy)\s{0,99}$",
            literal="setup.py",
            sample='  File "C:\\src\\triton\\python\\setup.py", line 91, in get_thirdparty_packages',
            strength="hint",
        ),
        Sign(
            pattern=r"Unable to pre-compile (?P<operator>\w+)",
            literal="Unable to pre-compile ",
            sample="AssertionError: Unable to pre-compile async_io",
            strength="context",
        ),
    ),
)
# There is no `detect`: no fact shows which functions the sources of a package call.


class OfTriton(Variant, frozen=True):
    """Mark the case that triton itself is built."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs and seen.group("thirdparty") is not None and seen.matches:
        hints = [m for m in seen.matches if m.strength == "hint"]
        said = "The setup of triton looks for parts (LLVM, ptxas) that are published for Linux and macOS, and not for Windows: its sources are not for Windows."
        return Hit(message=said, evidence=building.lines(hints), variant=OfTriton())
    if not proofs:
        return None
    name = "deepspeed" if seen.group("operator") else subject.stated(facts)
    whose = f"the sources of {name}" if name else "the sources"
    first = proofs[0].groups
    probe = all(m.groups.get("library") == "aio" for m in proofs)
    if probe and not seen.group("operator") and not any(building.in_build(seen, m) for m in proofs):
        # On Windows DeepSpeed prints this at each import: it tries to link a test program.
        said = "DeepSpeed looked for aio.lib, a library of Linux, and continues without it: this is not a failure."
        return Hit(message=said, evidence=building.lines(proofs), severity=Severity.INFO)
    end = "they were written for Linux"
    if first.get("library") or first.get("option"):
        end = f"{whose} were written for Linux"
    if first.get("library"):
        said = f"the build links {first['library']}.lib, a library of Linux that Windows does not have"
    elif first.get("header"):
        said = f"{whose} include {first['header']}, a header of Linux that Windows does not have"
    elif first.get("option"):
        said = f"the build passes {first['option']}, an option of gcc that Microsoft's compiler does not support"
    else:
        said = f"{whose} use {first['call']}, which exists on Linux and not in Microsoft's compiler"
    return Hit(message=f"{said[0].upper()}{said[1:]}: {end}.", evidence=building.lines(proofs))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    name = subject.package(facts)
    if isinstance(hit.variant, OfTriton):
        return (*triton_windows.fixes(facts), _under_wsl(facts))
    if name == subject.FLASH_ATTN:
        return (*building.without_compiling(facts), _under_wsl(facts))
    row = built_packages.row_of(name) if name else None
    ready = package_wheels.ready(facts, name)
    if row is not None and row.linux_only:
        return ready
    newer = (_newer(facts, name),) if row is None or row.get is not None or not ready else ()
    return (*ready, *newer, _under_wsl(facts))


def _newer(facts: Facts, name: str | None) -> Fix:
    """Return the fix that builds the newest sources: a later commit may compile on Windows."""
    pull = commands.by_hand(
        ("git", "pull"),
        "run this in the folder of the sources, if you build a checkout: later commits often compile on Windows. Then build again",
        "the checkout",
    )
    steps = [pull]
    row = built_packages.row_of(name) if name else None
    if row is not None and row.get is not None:
        steps.append(
            package_cures.build(facts, "if you have no checkout: builds the newest sources from the repository")
        )
    title = f"Use newer sources of {name}" if name else "Use newer sources of the package"
    return Fix(title=title, steps=tuple(steps), verify=subject.verify(facts))


def _under_wsl(facts: Facts) -> Fix:
    words = "installs Linux inside Windows: create an environment inside this Linux, and install the package into it: its sources compile on Linux"
    step = commands.by_hand(("wsl.exe", "--install"), words, "installs WSL2", elsewhere=True)
    return Fix(title="Use the package in WSL2", steps=(step,), verify=subject.verify(facts))
