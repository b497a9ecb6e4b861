"""Hold the programs that run in a child: stdlib and the packages of the target only, Python 3.8 grammar.

Most run in the target interpreter; those that ask the driver (libcuda, nvml) run in the doctor's own.

attn-doctor never imports them. `child.run` joins `channel.py` and some of them into a single program, and sends its text to the
target on standard input. So it also works through ``ssh host python3 -`` or ``docker exec -i``.
"""
