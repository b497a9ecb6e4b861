"""attn-doctor run on a terminal: the program must not notice that another one is in between."""

from __future__ import annotations

import shlex
import signal
import sys
import termios
import time

import pytest

if sys.platform == "win32":
    pytest.skip("a terminal of POSIX", allow_module_level=True)

from terminal import RUN, Terminal, python

SHOWS = "import os, sys; print([os.isatty(n) for n in (0, 1, 2)], tuple(os.get_terminal_size()), os.getpgrp() == os.tcgetpgrp(0))"
TICKS = "import time\nfor n in range(600):\n print('tick', n, flush=True)\n time.sleep(0.05)"


def test_the_program_has_a_terminal_of_this_size_in_its_foreground():
    code, seen = Terminal(*python(SHOWS), rows=31, columns=97).end()
    assert (code, seen) == (0, b"[True, True, True] (97, 31) True\r\n")


def test_a_new_size_arrives_with_its_signal():
    terminal = Terminal(
        *python(
            "import os, signal\n"
            "signal.signal(signal.SIGWINCH, lambda *_: print('now', *os.get_terminal_size(), flush=True))\n"
            "print('ready', flush=True)\ninput()"
        )
    )
    terminal.until("ready\r\n")
    terminal.resize(11, 44)
    terminal.until("now 44 11")
    terminal.type("\n")
    assert terminal.end()[0] == 0


def test_what_is_typed_is_echoed_and_a_password_is_not():
    code = "import getpass\nname = input('name? ')\nword = getpass.getpass()\nprint('hello', name, len(word))"
    terminal = Terminal(*python(code))
    terminal.until("name? ")
    terminal.type("bob\n")
    assert terminal.until("Password: ") == b"bob\r\nPassword: "
    terminal.type("secret\n")
    assert terminal.end() == (0, b"\r\nhello bob 6\r\n")


def test_the_debugger_works():
    terminal = Terminal(*python("answer = 6\nbreakpoint()\nprint('after', answer)"))
    terminal.until("(Pdb) ")
    terminal.type("answer = 6 * 7\n")
    terminal.until("(Pdb) ")
    terminal.type("c\n")
    assert terminal.end()[1].endswith(b"after 42\r\n")


def test_a_program_that_draws_the_screen_gets_single_keys():
    code = (
        "import curses\ndef draw(screen):\n screen.addstr(2, 3, 'press'); screen.refresh()\n key = screen.getch()\n"
        " screen.addstr(4, 3, f'got {key}'); screen.refresh()\n screen.getch()\ncurses.wrapper(draw)\nprint('left')"
    )
    terminal = Terminal(*python(code))
    terminal.until("press")
    terminal.type("x")
    assert b"x" not in terminal.until("got 120").replace(b"\x1b", b"")  # no echo
    terminal.type("y")
    assert terminal.end()[1].endswith(b"left\r\n")


BARS = (
    "import sys, time\nfor n in range(5):\n sys.stderr.write(f'\\r\\x1b[32m{n * 25:3d}%\\x1b[0m|{\"█\" * n:4s}|')\n sys.stderr.flush()\n"
    " time.sleep(0.02)\nprint()\nprint('\\x1b[1mdone\\x1b[0m', 'ä', end='')"
)


def test_bars_and_colours_arrive_unchanged():
    assert Terminal(*python(BARS)).end() == Terminal(sys.executable, "-c", BARS).end()


def test_a_bar_of_rich_is_the_same():
    code = (
        "from rich.progress import BarColumn, MofNCompleteColumn, Progress\n"
        "with Progress(BarColumn(20), MofNCompleteColumn(), auto_refresh=False) as bars:\n task = bars.add_task('', total=3)\n"
        " for _ in range(3): bars.advance(task); bars.refresh()"
    )
    assert Terminal(*python(code)).end() == Terminal(sys.executable, "-c", code).end()


def test_control_c_is_the_programs_own():
    terminal = Terminal(
        *python(
            "import time\ntry:\n print('go', flush=True)\n time.sleep(60)\nexcept KeyboardInterrupt:\n print('caught')"
        )
    )
    terminal.until("go\r\n")
    terminal.type("\x03")
    assert terminal.end() == (0, b"^Ccaught\r\n")


def test_a_program_that_control_c_ends_is_not_explained():
    terminal = Terminal(*python("import time\nprint('go', flush=True)\ntime.sleep(60)"))
    terminal.until("go\r\n")
    terminal.type("\x03")
    code, seen = terminal.end()
    assert code == -signal.SIGINT
    assert seen.endswith(b"KeyboardInterrupt\r\n")
    assert b"attn-doctor" not in seen


def test_the_end_of_input_is_typed():
    terminal = Terminal(*RUN, "--", "sh", "-c", "echo ready; cat")
    terminal.until("ready\r\n")
    terminal.type("one\n\x04")
    assert terminal.end() == (0, b"one\r\none\r\n")


def shell() -> Terminal:
    terminal = Terminal("bash", "--norc", "--noprofile", "-i", PS1="PS1> ", HISTFILE="")
    terminal.until("PS1> ")
    return terminal


def test_a_shell_stops_and_continues_the_program():
    terminal = shell()
    terminal.type(shlex.join(python(TICKS)) + "\n")
    terminal.until("tick 2")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.until("PS1> ")
    assert terminal.modes() & termios.ICANON or terminal.modes() & termios.ISIG
    time.sleep(0.3)
    terminal._read(0.1)
    assert b"tick" not in terminal.seen
    terminal.type("fg\n")
    terminal.until("tick 8")
    terminal.type("\x1a")
    terminal.until("PS1> ")
    terminal.type("bg\n")
    terminal.until("tick 14")
    terminal.type("fg\n")
    terminal.until("tick 22")
    terminal.type("\x03")
    terminal.until("PS1> ")
    terminal.type("echo code $?\n")
    terminal.until("code 130")
    terminal.type("exit 0\n")
    assert terminal.end()[0] == 0


def test_a_pipeline_stops_and_continues():
    """Standard input is no terminal: the program stays in the shell's job."""
    terminal = shell()
    terminal.type(f"yes | {shlex.join(python(TICKS))}\n")
    terminal.until("tick 2")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.until("PS1> ")
    terminal.type("fg\n")
    terminal.until("tick 8")
    terminal.type("\x03")
    terminal.until("PS1> ")
    terminal.type("exit 0\n")
    assert terminal.end()[0] == 0


def test_a_script_is_stopped_and_interrupted_with_the_program(tmp_path):
    (tmp_path / "loop.sh").write_text(f"while :; do\n{shlex.join(python(TICKS))}\necho again\ndone\n")
    terminal = shell()
    terminal.type(f"bash {tmp_path / 'loop.sh'}\n")
    terminal.until("tick 2")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.type("fg\n")
    terminal.until("tick 6")
    terminal.type("\x03")
    assert b"again" not in terminal.until("PS1> ")
    terminal.type("exit 0\n")
    assert terminal.end()[0] == 0


def test_a_shell_that_continues_at_once_continues_all_of_the_job(tmp_path):
    """The shell continues the job when its script has stopped. On a slow machine that is before attn-doctor itself has stopped."""
    slow = (
        "import os, signal, sys, time\n"
        "from attn_doctor.__main__ import main\n"
        "def slowly(call):\n def slow(*given):\n  time.sleep(0.2)\n  done = call(*given)\n  time.sleep(0.2)\n  return done\n return slow\n"
        "os.killpg, signal.pthread_kill = slowly(os.killpg), slowly(signal.pthread_kill)\n"
        "sys.exit(main())"
    )
    program = [sys.executable, "-c", slow, "run", "--", sys.executable, "-c", TICKS]
    (tmp_path / "loop.sh").write_text(f"{shlex.join(program)}\necho after\n")
    job = (
        "import os, signal, subprocess, sys\n"
        f"script = subprocess.Popen(['bash', {str(tmp_path / 'loop.sh')!r}], process_group=0)\n"
        "signal.signal(signal.SIGTTOU, signal.SIG_IGN)\nos.tcsetpgrp(0, script.pid)\n"
        "os.waitpid(script.pid, os.WUNTRACED)\nos.killpg(script.pid, signal.SIGCONT)\n"
        "sys.exit(script.wait())"
    )
    terminal = Terminal(sys.executable, "-c", job)
    terminal.until("tick 2")
    terminal.type("\x1a")
    terminal.until("tick 9", 15)
    terminal.type("\x03")
    terminal.until("KeyboardInterrupt")
    terminal.end()


def test_a_job_that_was_begun_in_the_background_can_be_typed_to():
    terminal = shell()
    terminal.type(shlex.join(python("print('your name', input())")) + " &\n")
    terminal.until("PS1> ")
    terminal.type("fg\n")
    terminal.until("attn_doctor run")
    time.sleep(1.5)  # it looks once a second whether it has the terminal
    terminal.type("bob\n")
    terminal.until("your name bob")
    terminal.until("PS1> ")
    terminal.type("exit 0\n")
    assert terminal.end()[0] == 0


def test_every_signal_reaches_the_program_once():
    names = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"]
    code = (
        f"import select, signal, sys\nfor name in {names}:\n"
        " signal.signal(getattr(signal, name), lambda number, _, name=name: print('<' + name + '>', flush=True))\n"
        "print('ready', flush=True)\n"
        # Not input(): a signal between its prompt and its wait for a key is handled by Python at the next key only.
        "while not select.select([sys.stdin], [], [], 0.1)[0]: pass"
    )
    terminal = Terminal(*python(code))
    terminal.until("ready")
    for name in names:
        terminal.kill(signal.Signals[name])
        assert terminal.until(f"<{name}>").count(b"<SIG") == 1
    time.sleep(0.2)
    terminal.type("\n")
    ended, seen = terminal.end()
    assert (ended, seen.count(b"<SIG")) == (0, 0)


def test_a_signal_that_ends_the_program_ends_us():
    terminal = Terminal(*python("import time\nprint('ready', flush=True)\ntime.sleep(60)"))
    terminal.until("ready\r\n")
    terminal.kill(signal.SIGTERM)
    assert terminal.end() == (-signal.SIGTERM, b"")


def test_the_terminal_is_restored_when_we_are_killed(tmp_path):
    """And the program is told that its terminal is gone."""
    code = (
        "import signal, sys, time\nfrom pathlib import Path\n"
        "def gone(*_):\n Path(sys.argv[1]).write_text('SIGHUP'); sys.exit()\n"
        "signal.signal(signal.SIGHUP, gone)\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    terminal = Terminal(*python(code), str(tmp_path / "told"))
    terminal.until("ready\r\n")
    assert not terminal.modes() & termios.ECHO
    terminal.kill(signal.SIGKILL)
    limit = time.monotonic() + 20
    while not terminal.modes() & termios.ECHO or not (tmp_path / "told").exists():
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert terminal.end()[0] == -signal.SIGKILL


def test_a_process_that_is_left_running_does_not_hold_us_and_can_still_print():
    code = (
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', "
        "\"import time; time.sleep(1.5); print('later', flush=True)\"], start_new_session=True)\nprint('ended')"
    )
    terminal = Terminal("sh", "-c", shlex.join(python(code)) + "; echo we are through; read x")
    assert b"later" not in terminal.until("we are through")
    terminal.until("later")
    terminal.type("\n")
    terminal.end()


def test_the_cause_follows_the_traceback():
    code, seen = Terminal(
        *python("raise ImportError('libcudart.so.11.0: cannot open shared object file: No such file or directory')")
    ).end()
    assert code == 1
    assert seen.index(b"Traceback") < seen.index(b"attn-doctor: why")
    assert b"libcudart.so.11.0" in seen.partition(b"attn-doctor: why")[2]


def test_error_output_that_goes_to_a_file_stays_out_of_the_terminal(tmp_path):
    terminal = Terminal(
        "sh", "-c", shlex.join(python(SHOWS + "; print('oops', file=sys.stderr)")) + f" 2> {tmp_path / 'err'}"
    )
    assert terminal.end() == (0, b"[True, True, False] (90, 30) True\r\n")
    assert (tmp_path / "err").read_text() == "oops\n"


def test_in_a_pipeline_only_error_output_is_a_terminal():
    terminal = Terminal(
        "sh",
        "-c",
        shlex.join(
            python(
                # Two programs write to the terminal: each has half a second for its line.
                "import os, sys, time; print([os.isatty(n) for n in (0, 1, 2)], flush=True); time.sleep(0.5); "
                "sys.stderr.write('\\x1b[1mbar\\x1b[0m\\n')"
            )
        )
        + " | cat",
    )
    code, seen = terminal.end()
    assert code == 0
    assert sorted(seen.split(b"\r\n")) == [b"", b"\x1b[1mbar\x1b[0m", b"[True, False, True]"]


def test_no_capture_is_the_terminal_itself():
    terminal = Terminal(
        *RUN, "--no-capture", "--", sys.executable, "-c", "import os; print(os.getpid(), os.ttyname(0))"
    )
    _, seen = terminal.end()
    assert seen.split()[0] == str(terminal.pid).encode()
