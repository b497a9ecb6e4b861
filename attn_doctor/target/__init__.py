"""Hold the programs that run in the target interpreter: stdlib (and torch) only, Python 3.8 grammar.

attn-doctor never imports them. `child.run` joins `channel.py` and one of them into a single program, and sends its text to the
target on standard input. So it also works through ``ssh host python3 -`` or ``docker exec -i``.
"""
