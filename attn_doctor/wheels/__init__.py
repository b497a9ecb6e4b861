"""Which finished flash-attn wheel fits."""
