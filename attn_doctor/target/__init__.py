"""Hold the programs that the target interpreter runs, as text: stdlib (and torch) only, Python 3.8 grammar.

They are never imported here. `child.run` joins `channel.py` and one of them into a single program and sends it to the
target on standard input, so the same method works through ``ssh host python3 -`` or ``docker exec -i``.
"""
