"""What all tests stand on."""

from __future__ import annotations

import signal

# A shell starts what it puts in the background with SIGINT ignored, and every child inherits that: tests that interrupt the
# doctor would wait for ever. https://www.gnu.org/software/bash/manual/html_node/Signals.html
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
