"""Find the finished flash-attn wheel that fits."""
