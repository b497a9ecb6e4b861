"""Define the name of attn-doctor in its requests to web servers (User-Agent)."""

from attn_doctor import __version__

AGENT = f"attn-doctor/{__version__}"
