"""Define the name by which attn-doctor introduces itself to web servers."""

from attn_doctor import __version__

AGENT = f"attn-doctor/{__version__}"
