"""Machines that stand in nobody's office, for tests: a folder of files, tools that are scripts, drivers that are stubs.

    machine = Machine(tmp_path / "machine")                 # an empty Linux
    ubuntu(machine, "22.04")                                # os-release, libraries, memory, processor
    machine.pci("10de", "28e0", driver="nvidia")            # a card on the bus
    machine.driver("550.54.15")                             # its kernel module and device nodes
    machine.stub_drivers([Gpu("NVIDIA GeForce RTX 4060 Laptop GPU", "8.9", 8188)], driver="550.54.15", cuda="12.4")
    machine.toolkit("/usr/local/cuda-12.4", "12.4")         # nvcc is a script that answers as one of 12.4
    graphics(machine.root, machine.environ)                 # the real probe, unmodified

A probe takes `machine.root` as the root folder, so every file it reads is the machine's; programs are found on the
machine's own PATH and are really started. Paths in the results are the machine's ("/usr/local/cuda"), not the test's.

The folder and the stubs are those of `attn_doctor reproduce` (attn_doctor/reproduction: machine_folder, stub_drivers,
programs/drivers/*.c). The stubs are libraries, compiled once a session with gcc. `stub_drivers` puts them into any folder, with
the file names of a real driver and a file that says what to play; it returns the environment that puts them in front.
The real nvidia-ml-py, ctypes, the CUDA runtime and PyTorch load them without knowing.

What a stub can show:
- NVML: any list of GPUs, MIG, ECC, memory, power, fabric state; refusals (9 driver not loaded, 15 GPU is lost, 17 blocked
  by the system, 18 driver and library differ), a hang, a crash. The words for a refusal are nvidia-ml-py's own.
- libcuda: cuInit working or refusing (100, 802, 803, 804, 999, 34, ...), hanging, crashing; the CUDA version that it
  supports; CUDA_VISIBLE_DEVICES. What a real CUDA build of PyTorch says of a refusal, or of a driver that is too old, is
  genuine: the text comes from the real libcudart and libtorch.
- With `runtime=True` a third library is preloaded in front of libcudart: torch.cuda.is_available() becomes True, names,
  capabilities and memory are the machine's, and tensors can be made (on the host's heap).

What it cannot show:
- No kernel runs: a launch fails, with "no kernel image" or as the variable STUB_LAUNCH says. So no trial on a GPU, no
  result, no speed.
- Without `runtime=True` a healthy driver ends, in PyTorch, with error 500: the runtime asks libcuda for private tables.
  For a refusal it never gets there, so leave the runtime away when a refusal is what you want to see.
- A process that SIGKILL does not end (a driver stuck in the kernel): the hang of a stub ends when it is killed.
- Anything behind an ioctl: nvidia-modprobe, the container toolkit, a real WSL. Those are played by files and scripts.
"""

from kit.machine import Machine, alpine, debian, ubuntu, wsl2
from kit.stubs import Gpu, stub_drivers

__all__ = ["Gpu", "Machine", "alpine", "debian", "stub_drivers", "ubuntu", "wsl2"]
