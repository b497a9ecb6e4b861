"""Find the finished flash-attn wheel that fits this machine, and check a wheel file."""
