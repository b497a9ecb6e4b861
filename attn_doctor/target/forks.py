# Forks of this process, each of which attempts one import. How a fork ended, and at which place, are recorded
# separately. Runs after channel.py and before imports.py, whose `attempt` a fork calls.
import re
import select
import signal

# The first frame that faulthandler names, '  File "/x/y.py", line 3 in f'; frames of attn-doctor and of importlib are skipped.
FRAME = re.compile(r'^  File "(?!<attn-doctor|<frozen importlib|<string>)([^"]+)", line (\d+) in (.+)$', re.MULTILINE)


LEAVE = os._exit
MARK = "# importing "
progress = None  # in a fork: the descriptor for the names of modules about to be imported


def begin(module_name):
    """Write the name of the next import, so that it is known if the process crashes during that import."""
    if progress is not None:
        os.write(progress, (MARK + module_name + "\n").encode("utf-8", "replace"))


class Fork:
    """Run `attempt` in a fork of this process, for at most CONFIG["each"] seconds."""

    def __init__(self, name, module_names):
        self.name = name
        self.started = time.monotonic()
        self.pipe, writer = os.pipe()
        self.dump, dump_writer = os.pipe()  # the frames at a crash or at the deadline
        # The watchdog is a thread. Threads do not exist in a fork, so in the fork the lock of the watchdog would stay locked for ever.
        faulthandler.cancel_dump_traceback_later()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.pipe)
                globals()["progress"] = dump_writer
                faulthandler.enable(file=dump_writer, all_threads=False)
                limit = min(float(CONFIG["each"]), remaining())
                if limit > 0.3:
                    faulthandler.dump_traceback_later(limit - min(1.0, limit / 4), exit=False, file=dump_writer)
                os._exit = self.leaving(dump_writer)
                raw = json.dumps(attempt(name, module_names)).encode("ascii")
                while raw:
                    raw = raw[os.write(writer, raw) :]
            finally:
                LEAVE(0)
        _watch()
        os.close(writer)
        os.close(dump_writer)

    @staticmethod
    def leaving(dump_writer):
        """Return a function to replace os._exit, which ends the process without output: first the place of the call is written."""

        def leave(status):
            faulthandler.dump_traceback(file=dump_writer, all_threads=False)
            LEAVE(status)

        return leave

    def place(self):
        """Return (the module imported last, the frame where the fork ended); each is None if the fork did not write it.

        The frame is the innermost one of an installed package, else the innermost of all.
        """
        os.set_blocking(self.dump, False)
        try:
            text = os.read(self.dump, 65536).decode("utf-8", "replace")
        except OSError:
            text = ""
        os.close(self.dump)
        begun = [line[len(MARK) :] for line in text.splitlines() if line.startswith(MARK)]
        frames = FRAME.findall(text)
        installed = [frame for frame in frames if "-packages" in frame[0]]
        where = "{}:{} in {}".format(*(installed or frames)[0]) if frames else None
        return begun[-1] if begun else None, where

    def report(self):
        """Wait for the fork, end it at its deadline, and return its record (see `attempt`), or one with the fault of the fork."""
        limit = min(float(CONFIG["each"]), remaining())
        collected, ended = bytearray(), False
        while not ended:
            left = limit - (time.monotonic() - self.started)
            if not select.select([self.pipe], [], [], max(0.0, left))[0]:
                break  # records that were sent count, even after the deadline
            block = os.read(self.pipe, 65536)
            collected += block
            ended = not block
        os.close(self.pipe)
        if not ended:
            os.kill(self.pid, signal.SIGKILL)
        status = wait_a_moment(self.pid)
        seconds = round(time.monotonic() - self.started, 3)
        failed, place = self.place()
        try:
            return json.loads(collected.decode("ascii"))
        except ValueError:
            fault = died(status, ended, seconds, place or "import " + self.name)
            return {
                "module": self.name,
                "ok": False,
                "failed": failed,
                "warnings": [],
                "seconds": seconds,
                "fault": fault,
            }


def wait_a_moment(pid):
    """Return the status of a process that has ended, as os.waitpid gives it; None if it has not ended after two seconds."""
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.002)
    return None


def died(status, ended, seconds, where):
    """Return the fields of the Fault of a fork that sent no record. `status`: see `wait_a_moment`. `where`: a frame, or the current step.

    `ended`: False if the fork was killed at its deadline.
    """
    if not ended:
        return {"kind": "timeout", "seconds": seconds, "where": where}
    if status is None:
        return {"kind": "vanished", "seconds": seconds, "where": where}
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            text = signal.Signals(number).name
        except ValueError:
            text = "signal {}".format(number)
        return {"kind": "signal", "signal": text, "seconds": seconds, "where": where}
    return {"kind": "exited", "exit_code": os.WEXITSTATUS(status), "seconds": seconds, "where": where}
