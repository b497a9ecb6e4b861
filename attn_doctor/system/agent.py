"""Name attn-doctor to the servers that it asks."""

from attn_doctor import __version__

AGENT = f"attn-doctor/{__version__}"
