"""Put facts into words, one function for each fact.

Two callers share these words: the folded parts of a report, and the issue forms of other projects that attn-doctor fills in. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from attn_doctor.model.facts import Distribution, Facts, Unknown
from attn_doctor.report.machine_summary import size

_UNRECORDED = "not recorded"


def said(value: object, none: str = "none") -> str:
    """Return a fact's value as text: "yes" for True, "a, b" for a list, "unknown (REASON)" for Unknown.

    `none`: the words for a thing that is known to be absent.
    """
    if value is None:
        return none
    if isinstance(value, Unknown):
        return _UNRECORDED if value.why == _UNRECORDED else f"unknown ({value.why})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(said(item) for item in value) or none
    return str(value)


def first_known(*values: object) -> object:
    """Return the first value that is neither None nor Unknown. If there is none, return the first value: an Unknown has a reason."""
    return next((v for v in values if v is not None and not isinstance(v, Unknown)), values[0])


def operating_system(facts: Facts) -> str:
    """Return the name of the operating system and the processor's architecture: "Ubuntu 24.04.1 LTS (x86_64)"."""
    system = facts.system
    name = first_known(system.distribution_name, system.distribution, system.os)
    return f"{said(name)} ({said(system.machine)})"


def libc(facts: Facts) -> str:
    """Return the C library of Linux: "glibc-2.35" or "musl-1.2"; "no C library of Linux" on another system."""
    system = facts.system
    if isinstance(system.glibc, str):
        return f"glibc-{system.glibc}"
    return f"musl-{system.musl}" if isinstance(system.musl, str) else said(system.glibc, "no C library of Linux")


def platform(facts: Facts) -> str:
    """Return what `platform.platform()` returns in the target.

    If the facts of a Linux do not contain it, the text is made from its parts.
    """
    told = facts.interpreter.platform_name
    system = facts.system
    if isinstance(told, str) or system.os != "linux" or not isinstance(system.kernel, str):
        return said(told)
    return f"Linux-{system.kernel}-{said(system.machine)}-with-{libc(facts).replace('-', '', 1)}"


def python(facts: Facts) -> str:
    """Return Python's version, build and compiler, as `sys.version` has them, followed by " (64-bit runtime)"."""
    itself = facts.interpreter
    bits = f" ({itself.bits}-bit runtime)" if isinstance(itself.bits, int) else ""
    return said(first_known(itself.build, itself.version)) + bits


def memory(facts: Facts) -> str:
    """Return the size of the memory: "62.7 GiB, limited to 16.0 GiB" in a container with a limit."""
    system = facts.system
    if not isinstance(system.memory_bytes, int):
        return said(system.memory_bytes)
    limit = f", limited to {size(system.cgroup_memory_bytes)}" if isinstance(system.cgroup_memory_bytes, int) else ""
    return size(system.memory_bytes) + limit


def disk(facts: Facts, purpose: str = "site-packages") -> str:
    """Return the used and the total size of a file system: "12.3 GiB of 40.0 GiB used".

    Only the free size if the total is not known. `purpose`: that of a recorded disk, as "tmp" or "cache". If there is
    no such disk, the first one is used.
    """
    disks = facts.system.disks
    if isinstance(disks, Unknown):
        return said(disks)
    found = next((d for d in disks if d.purpose == purpose), None) or next(iter(disks), None)
    if found is None:
        return _UNRECORDED
    if isinstance(found.free_bytes, int) and isinstance(found.total_bytes, int):
        return f"{size(found.total_bytes - found.free_bytes)} of {size(found.total_bytes)} used"
    return f"{size(found.free_bytes)} free" if isinstance(found.free_bytes, int) else said(found.free_bytes)


def processor_count(facts: Facts) -> str:
    """Return the number of cores: "64, 8 of them allowed, a quota of 4"."""
    system = facts.system
    count = said(system.cores)
    if isinstance(system.cores_allowed, int) and system.cores_allowed != system.cores:
        count += f", {system.cores_allowed} of them allowed"
    if isinstance(system.cgroup_cpus, (int, float)):
        count += f", a quota of {system.cgroup_cpus:g}"
    return count


def processor(facts: Facts) -> list[tuple[str, str]]:
    """Return labels and values about the processor, with the labels of lscpu."""
    cpu = facts.cpu
    return [
        ("Architecture", said(facts.system.machine)),
        ("CPU(s)", processor_count(facts)),
        ("Vendor ID", said(cpu.vendor)),
        ("Model name", said(cpu.model)),
        ("CPU family, model, stepping", said(cpu.family)),
        ("Thread(s) per core", said(cpu.threads_per_core)),
        ("Core(s), physical", said(cpu.physical_cores)),
        ("Socket(s)", said(cpu.sockets)),
        ("Caches", said(cpu.caches)),
        ("NUMA", said(cpu.numa)),
        ("vulnerabilities", said(cpu.vulnerabilities)),
        ("Flags", " ".join(cpu.flags) if isinstance(cpu.flags, tuple) and cpu.flags else said(cpu.flags)),
    ]


def in_a_notebook(facts: Facts) -> str:
    """Return the kind of notebook in which the command was typed, "Colab"; "no notebook" for a terminal."""
    system = facts.system
    hosted = {"colab": "Colab", "kaggle": "Kaggle", "sagemaker": "SageMaker"}
    if isinstance(system.notebook, str):
        return system.notebook
    if isinstance(system.hosted, str):
        return hosted.get(system.hosted, system.hosted)
    return said(system.notebook, "no notebook")


def container(facts: Facts) -> str:
    """Return the kind of container, as "docker"; "no container" outside of one."""
    return said(facts.system.container, "no container")


def gpus(facts: Facts) -> list[str]:
    """Return one line for each GPU: "GPU 0: NVIDIA A100 80GB, sm 8.0, 80.0 GiB, MIG on".

    AMD GPUs are listed if there is no NVIDIA GPU. Without any GPU there is one line: "none", or why they are not known.
    """
    graphics = facts.graphics
    if not isinstance(graphics.gpus, tuple) or not graphics.gpus:
        amd = graphics.amd if isinstance(graphics.amd, tuple) else ()
        return [f"GPU {n}: {said(first_known(g.name, g.gfx))} {said(g.gfx)}" for n, g in enumerate(amd)] or [
            said(graphics.gpus, "none")
        ]
    lines = []
    for gpu in graphics.gpus:
        parts = [said(gpu.name)]
        parts += [f"sm {gpu.compute_capability}"] if isinstance(gpu.compute_capability, str) else []
        parts += [size(gpu.memory_bytes)] if isinstance(gpu.memory_bytes, int) else []
        parts += ["MIG on"] if gpu.mig is True else []
        parts += ["hidden by CUDA_VISIBLE_DEVICES"] if gpu.visible is False else []
        lines.append(f"GPU {gpu.index}: {', '.join(parts)}")
    return lines


def nvcc(facts: Facts) -> str:
    """Return the version and the folder of each nvcc in one text: "12.4 in /usr/local/cuda; 11.8 in /usr/local/cuda-11.8".

    The nvcc that a build would use comes first. "no nvcc" if there is none.
    """
    chain = facts.toolchain
    if isinstance(chain.toolkits, Unknown):
        return said(chain.toolkits)
    first = [t for t in chain.toolkits if t.root == chain.cuda_home]
    rest = [t for t in chain.toolkits if t not in first]
    return "; ".join(f"{said(t.version)} in {t.root}" for t in (*first, *rest)) or "no nvcc"


def cuda_home(facts: Facts) -> str:
    """Return the folder of the CUDA toolkit that a build would use, what gave it, and what is wrong with it."""
    chain = facts.toolchain
    if not isinstance(chain.cuda_home, str):
        return said(chain.cuda_home, "not set, and no toolkit was found")
    problem = f", which {chain.cuda_home_problem}" if isinstance(chain.cuda_home_problem, str) else ""
    return f"{chain.cuda_home or 'empty'} (by {said(chain.cuda_home_by)}){problem}"


def compiler(facts: Facts, *names: str) -> str:
    """Return the version of the first compiler that has one of these names; "not found" if there is none."""
    listed = facts.toolchain.compilers
    if isinstance(listed, Unknown):
        return said(listed)
    found = next((c for c in listed if c.name in names), None)
    return "not found" if found is None else said(found.version)


def distribution(facts: Facts, name: str) -> Distribution | None:
    """Return the first distribution of this normal name; None if there is none."""
    listed = facts.packages.distributions
    return next((d for d in listed if d.name == name), None) if isinstance(listed, tuple) else None


def version_of(facts: Facts, *names: str) -> str:
    """Return the version of the first of these distributions that is installed.

    If it is not the first name, its name is added. "not installed" if none of them is installed.
    """
    if isinstance(facts.packages.distributions, Unknown):
        return said(facts.packages.distributions)
    for name in names:
        found = distribution(facts, name)
        if found is not None:
            return said(found.version) if name == names[0] else f"{said(found.version)} ({name})"
    return "not installed"


def installed_by(facts: Facts, name: str) -> str:
    """Return the tool that installed a distribution, and the recorded address that it came from; "not installed" if it is absent."""
    found = distribution(facts, name)
    if found is None:
        return "not installed"
    conda = facts.packages.conda
    if isinstance(conda, tuple) and any(item.startswith((f"{name}-", f"py{name}-")) for item in conda):
        return "conda"
    source = f", from {found.direct_url}" if isinstance(found.direct_url, str) else ""
    return said(found.installer, "unknown: its metadata does not say") + source


def packages(facts: Facts) -> list[str]:
    """Return a line for each installed distribution: "torch==2.8.0+cu128".

    Its source is added if it is not an index, and its installer if that is neither pip nor uv.
    """
    listed = facts.packages.distributions
    if isinstance(listed, Unknown):
        return [said(listed)]
    lines = []
    for item in listed:
        source = f" @ {item.direct_url}" if isinstance(item.direct_url, str) else ""
        tool = f" ({item.installer})" if isinstance(item.installer, str) and item.installer not in ("pip", "uv") else ""
        lines.append(f"{item.name}=={said(item.version)}{source}{tool}")
    return lines


def relevant(facts: Facts, pattern: str) -> list[str]:
    """Return the lines of `packages` that begin with a match of this regular expression."""
    return [line for line in packages(facts) if re.match(pattern, line)]


def variables(facts: Facts, *names: str) -> list[str]:
    """Return the recorded variables as NAME=value: all of them, or those with one of these names."""
    if isinstance(facts.environment, Unknown):
        return [said(facts.environment)]
    return [f"{v.name}={v.value}" for v in facts.environment if not names or v.name in names]


def one_variable(facts: Facts, *names: str) -> str:
    """Return these variables as one text, "A=1, B=2"; "not set" if none of them is set."""
    return ", ".join(variables(facts, *names)) or "not set"


def torch_build(facts: Facts) -> str:
    """Return the CUDA that torch was built for, "CUDA 12.8"; "none" for a build without CUDA."""
    torch = facts.torch
    return f"CUDA {torch.cuda}" if isinstance(torch.cuda, str) else said(torch.cuda)


_LIBRARY = re.compile(r"(?:lib)?([\w+-]+?)(?:64_\w+)?(?:\.so(?:\.([\d.]+))?|\.dll|\.[\d.]*dylib)$")


def file_name(path: str) -> str:
    """Return the last part of a path of any operating system."""
    return re.split(r"[\\/]", path)[-1]


def loaded_libraries(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """Yield three texts for each library of CUDA, ROCm or OpenMP in torch's process: its name, its path, and other files with its name."""
    torch = facts.torch
    loaded = torch.loaded if isinstance(torch.loaded, tuple) else ()
    on_disk = list(_on_disk(facts))
    for path in loaded:
        name = file_name(path)
        family = _family(name)
        others = [other for other in on_disk if _family(file_name(other)) == family and other != path]
        yield name, path, "; ".join(others)


def only_on_disk(facts: Facts) -> list[str]:
    """Return the paths of libraries of CUDA, ROCm or OpenMP that were not loaded.

    If the loaded libraries are not known, all paths are returned.
    """
    loaded = facts.torch.loaded if isinstance(facts.torch.loaded, tuple) else ()
    seen = {_family(file_name(path)) for path in loaded}
    return [path for path in _on_disk(facts) if _family(file_name(path)) not in seen]


def _family(name: str) -> str:
    found = _LIBRARY.match(name)
    return found[1] if found else name


def _on_disk(facts: Facts) -> Iterable[str]:
    """Yield the paths of libraries of CUDA, ROCm or OpenMP on the disk.

    They are from three places: the packages beside torch, LD_LIBRARY_PATH, and the cache of the loader.
    """
    torch, chain, system = facts.torch, facts.toolchain, facts.system
    found = list(torch.bundled) if isinstance(torch.bundled, tuple) else []
    for shadow in chain.library_path if isinstance(chain.library_path, tuple) else ():
        found += [f"{shadow.folder.rstrip('/')}/{name}" for name in shadow.libraries]
    for entry in system.loader_cache if isinstance(system.loader_cache, tuple) else ():
        found.append(entry.partition(" => ")[2] or entry)
    return dict.fromkeys(found)


def differing(facts: Facts) -> list[str]:
    """Return a sentence for each library that torch's own packages have, and that was loaded from elsewhere. The file names decide."""
    torch = facts.torch
    if not isinstance(torch.loaded, tuple) or not isinstance(torch.bundled, tuple):
        return []
    own: dict[str, str] = {}
    for path in torch.bundled:
        own.setdefault(file_name(path), path)
    return [
        f"{file_name(path)} was loaded from {path}, and torch's own packages have {own[file_name(path)]}"
        for path in torch.loaded
        if file_name(path) in own and path not in torch.bundled
    ]


def tracebacks(facts: Facts) -> list[tuple[str, Sequence[str]]]:
    """Return (title, lines) for each failed import: its traceback. torch's comes first.

    A crash has no traceback: its lines say how it ended, and what was printed.
    """
    found: list[tuple[str, Sequence[str]]] = []
    torch = facts.torch
    faults = [("torch", torch.fault), ("CUDA through torch", torch.cuda_fault)]
    if isinstance(facts.imports, tuple):
        faults += [(i.module, i.fault) for i in facts.imports if i.ok is False]
    for name, fault in faults:
        if fault is not None and fault.traceback:
            found.append((f"The traceback of importing {name}", fault.traceback.splitlines()))
        elif fault is not None:  # a crash has no traceback: what was printed has the stack
            printed = torch.chatter if name == "torch" and isinstance(torch.chatter, str) else ""
            how = f"importing {name}: {' '.join(filter(None, (fault.kind, fault.signal, fault.where)))}"
            found.append((f"How importing {name} ended", [how, *printed.splitlines()]))
    return found


def install_kind(facts: Facts) -> str:
    """Return how ultralytics was installed: "git", "pip", another installer's name or "other", and the address if it is known.

    "not installed" if it is not there. The first three are the words of `yolo checks`.
    """
    yolo = facts.yolo
    if yolo.version is None:
        return "not installed"
    found = distribution(facts, "ultralytics")
    source = f", from {found.direct_url}" if found and isinstance(found.direct_url, str) else ""
    if yolo.checkout is True:
        return f"git{source}"
    if found is not None:
        return f"pip{source}" if said(found.installer) in ("pip", "uv") else f"{said(found.installer)}{source}"
    return "other"


def weights(facts: Facts) -> str:
    """Return the weights files that were read, each with the layout of its attention; "none was named" if there are none."""
    listed = facts.models
    if isinstance(listed, Unknown):
        return said(listed)
    return "; ".join(f"{m.path}: {said(m.layout, 'no YOLO12 attention')}" for m in listed) or "none was named"
