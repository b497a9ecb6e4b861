# Keeps this process to the cores of CONFIG["cores"], before torch counts them. Runs right after channel.py.
if CONFIG["cores"] and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, CONFIG["cores"])
