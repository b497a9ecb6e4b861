"""Be the parent of one program. `apart` starts this module as a process of its own, between attn-doctor and each program that it starts.

A program that ends its parent, as `os.kill(os.getppid(), 9)` does, ends this process and not attn-doctor. The first argument is the number
of a descriptor, a socket. From it this process reads the program: a text "PROGRAMS WORDS VARIABLES" with three numbers, then so many paths,
words of the command and variables; each text is ended by a NUL. To the socket it writes lines: "started PID", before the program can do
anything; "running 0" or "failed ERRNO"; then "exit CODE" or "signal NUMBER". Only modules that start fast are imported.
"""

import _signal  # type: ignore[import-not-found] # `signal` imports enum, which takes as long as Python itself
import os
import sys

assert sys.platform != "win32"  # `apart` does not start it there


def main(link: int) -> None:
    """Start the program that the socket brings, and report its end. `link`: the descriptor of the socket."""
    os.set_inheritable(link, False)
    given = b""
    while block := os.read(link, 1 << 20):
        given += block
    head, *texts = given.split(b"\0")
    programs, words, _ = map(int, head.split())
    argv, variables = texts[programs : programs + words], texts[programs + words : -1]
    readable, writable = os.pipe()
    waits, begins = os.pipe()
    number = os.fork()
    if number == 0:
        os.close(begins)
        os.read(waits, 1)  # until the number is told
        _become(texts[:programs], argv, variables, writable)
    os.close(writable)
    for one in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2):
        _signal.signal(one, _signal.SIG_IGN)
    os.closerange(0, 3)  # the pipes end when the program closes them
    os.write(link, b"started %d\n" % number)
    os.close(begins)
    failed = os.read(readable, 16)
    if failed:
        os.write(link, b"failed " + failed + b"\n")
        return
    os.write(link, b"running 0\n")
    _wait(number, link)


def _become(programs: list[bytes], argv: list[bytes], variables: list[bytes], told: int) -> None:
    """Replace this process by the first of the programs that can be started. Writes the number of the error if there is none."""
    error = 0
    try:
        os.setsid()
        for one in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores them, and the program would inherit that
            _signal.signal(one, _signal.SIG_DFL)
        environ = dict(line.split(b"=", 1) for line in variables)
        last = 2  # ENOENT
        for program in programs:
            try:
                os.execve(program, argv, environ)  # noqa: S606 - no shell is what is wanted
            except OSError as refused:
                last = refused.errno or last
                error = error or (
                    0 if last in (2, 20) else last
                )  # ENOENT, ENOTDIR: the next folder of PATH may have it
        os.write(told, b"%d" % (error or last))
    finally:
        os._exit(127)


def _wait(number: int, link: int) -> None:
    """Tell how the program ended. Linux: it is reaped when attn-doctor is done with it, so that its number belongs to it until then."""
    import select

    if sys.platform == "linux":
        ended = os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        word = b"exit" if ended.si_code == os.CLD_EXITED else b"signal"
        status = ended.si_status
    else:
        code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        word, status = (b"exit", code) if code >= 0 else (b"signal", -code)
    try:
        os.write(link, b"%s %d\n" % (word, status))
        select.select([link], [], [])
    except OSError:
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
