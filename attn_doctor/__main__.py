"""Start the command line: `attn-doctor` and `python -m attn_doctor`."""

# Only sys is imported before sys.path is clean. Even __future__ is a module like any other.
import sys


def main() -> int:
    _end_at_once_by_ctrl_c()
    try:
        code = _main()
    except KeyboardInterrupt:  # before `run` catches it
        sys.stderr.write("attn-doctor: interrupted\n")
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort: what cannot even be imported ends here
        from attn_doctor.system import failure

        failure.start_again(error)
        return failure.tell(error)
    _leave_waiting_threads(code)
    return code


def _end_at_once_by_ctrl_c() -> None:
    """Let Ctrl-C end this process without a word until `run` handles it: nothing is started yet.

    Python's own handler raises KeyboardInterrupt in the middle of an import. That shows a traceback, and can crash a compiled module.
    """
    import _signal  # type: ignore[import-not-found] # compiled into Python: no file can stand in its place

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def _leave_waiting_threads(code: int) -> None:
    """End this process at once if a thread still waits, for example for a file on an unreachable network drive.

    Otherwise Python would wait for the thread. For a daemon thread, Python aborts the process if no more files can be opened.
    """
    threads = sys.modules.get("attn_doctor.system.threads")
    if threads is None:
        return
    if not all(task.join(0.2) for task in threads.running()):
        import os

        from attn_doctor.system import leftovers

        leftovers.sweep()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _main() -> int:
    from attn_doctor.system import own_path

    own_path.clean()  # before anything else is imported
    from attn_doctor.system import streams

    streams.prepare()
    if sys.argv[1:] in (
        ["--version"],
        ["-V"],
    ):  # before any other import, because --version must be as quick as Python itself
        from attn_doctor import __version__

        sys.stdout.write(f"attn-doctor {__version__}\n")
        return 0
    from attn_doctor.system import failure

    failure.hide_failed_threads()
    failure.restore()
    from attn_doctor.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
