"""Name the sources that `--static` did not read, so that a missing answer is not taken for "none". Pure."""

from __future__ import annotations

from attn_doctor.model.facts import NOT_ASKED, Facts, Unknown
from attn_doctor.report.blocks import Block, Notes


def unread(facts: Facts) -> list[Block]:
    """Return a note about the sources that --static did not read (tools, the driver); empty if all were read."""
    names = list(dict.fromkeys(_names(facts)))
    if facts.grade != "static":
        return []
    lines = [f"not asked, because --static starts no tool: {', '.join(names)}"] if names else []
    lines += [run.note for run in facts.probes if run.name == "inventory" and run.note]
    return [Notes("Not read", tuple(lines))] if lines else []


def _names(facts: Facts) -> list[str]:
    tools, graphics = facts.toolchain, facts.graphics
    found = []
    if isinstance(tools.toolkits, tuple):
        found += [str(t.nvcc) for t in tools.toolkits if _left_out(t.problem)]
    if isinstance(tools.compilers, tuple):
        found += [c.name for c in tools.compilers if _left_out(c.version)]
    found += [name for name in ("ninja", "cmake", "git") if _left_out(getattr(tools, name))]
    if _left_out(graphics.nvml_error):
        found.append("the NVIDIA driver (NVML, libcuda, nvidia-smi)")
    if _left_out(graphics.fabric_manager):
        found.append("systemctl")
    if isinstance(graphics.amd, tuple) and graphics.amd:
        found.append("rocminfo")
    if _left_out(facts.cpu.model) or _left_out(facts.system.memory_bytes):
        found.append("sysctl")
    return found


def _left_out(value: object) -> bool:
    return isinstance(value, Unknown) and value.why == NOT_ASKED
