"""Run trials: check the numbers of every attention backend that this machine can run, and measure its speed, on one model."""
