"""Recognise that gloo, which connects the processes of a training on the CPU and on Windows, finds no address of the machine, and make the fixes. Pure.

gloo resolves the name of the machine, and wants an address that one of its network interfaces has: https://github.com/pytorch/gloo/issues/70. A line of the file hosts, a
VPN or a virtual adapter (Docker, VMware, Hyper-V) can give the name another address: https://github.com/RVC-Boss/GPT-SoVITS/pull/2744,
https://github.com/SystemPanic/vllm-windows/issues/19 (host.docker.internal). GLOO_SOCKET_IFNAME takes the name of one interface:
https://docs.pytorch.org/docs/stable/distributed.html#common-environment-variables
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

SIGNS = (
    Sign(
        pattern=r"(?P<device>makeDeviceForHostname|makeDeviceForInterface)\(\): unsupported gloo device",
        literal="unsupported gloo device",
        sample="RuntimeError: makeDeviceForHostname(): unsupported gloo device",
    ),
    Sign(
        pattern=r"GlooDeviceFactory::make\w{2,4}Device\(\): (?P<device>interface or hostname can't be empty)",
        literal="GlooDeviceFactory::make",
        sample="RuntimeError: GlooDeviceFactory::makeUVDevice(): interface or hostname can't be empty",
    ),
    Sign(
        pattern=r"gloo[\\/]transport[\\/]\w{2,5}[\\/]device\.cc:\d+\].{0,60}(?P<device>Unable to (?:find (?:interface|address) for|resolve hostname))",
        literal="device.cc:",
        sample="RuntimeError: [enforce fail at gloo/transport/tcp/device.cc:84] ifa != nullptr. Unable to find address for: eth9",
    ),
)
MESSAGE = (
    "gloo, which connects the processes, finds no address of this machine: the machine's name has no address, or one that none of its network interfaces has "
    "(a VPN, Docker, a virtual adapter)."
)


def fixes(facts: Facts, *, several: bool) -> tuple[Fix, ...]:
    """Return two fixes: let gloo find an address, or train in one process.

    On Windows the first gives the machine's name its own address; elsewhere it sets GLOO_SOCKET_IFNAME. `several`: the
    training runs on several machines, so the interface is that of the network.
    """
    verify = commands.check(facts)
    windows, mac = facts.system.os == "windows", facts.system.os == "darwin"
    one_process = commands.by_hand(
        (),
        "with one GPU the program needs no process group: start it as one process (without torchrun, with an option such as --gpus 1 or strategy='auto'), or leave "
        "init_process_group and DistributedDataParallel out",
        "the way the program is started",
        "none",
    )
    one = Fix(title="Train in one process, if there is one GPU", steps=(one_process,), verify=verify)
    if windows:
        words = (
            "let the name of this machine have an address of its own: `ping -4 %COMPUTERNAME%` prints the address. If it is no address that `ipconfig` lists, remove the line with this name "
            "from C:\\Windows\\System32\\drivers\\etc\\hosts, switch the VPN off, and disable virtual adapters (VMware, Hyper-V, VirtualBox) in ncpa.cpl; then start the program again"
        )
        name = commands.by_hand((), words, "the network settings of Windows")
        return (Fix(title="Give the machine's name its own address", steps=(name,), verify=verify), one)
    look = commands.by_hand(
        ("ifconfig",) if mac else ("ip", "-brief", "address"),
        "prints the interfaces and their addresses",
        "nothing",
        "none",
    )
    interface = ("en0" if mac else "eth0") if several else ("lo0" if mac else "lo")
    why = (
        "write the interface through which the machines reach each other, by its name; an address or a list is refused"
        if several
        else "the machine itself: all processes run here"
    )
    chosen = commands.variable("GLOO_SOCKET_IFNAME", interface, f"{why}; then start the program again")
    return (Fix(title="Name the network interface", steps=(look, chosen), verify=verify), one)
