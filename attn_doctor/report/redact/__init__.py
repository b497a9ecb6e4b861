"""Remove private data from everything that leaves the machine.

Placeholders are the same within a report and between runs. `<home>`, `<user>` and `<host>` replace this machine's own names, so
that the machine that wrote a report can restore them. Every other value has a placeholder with the number of that value:
`<ip-1>`, `<secret-2>`.

Each text is searched unchanged, and with its escapes undone (`unescape`): for secrets by their shape (`token_shapes`) and by the
name beside them (`keys`), for identifiers and addresses (`network`, `addresses`) and for names (`names`). docs/security.md says
what is promised.
"""

from __future__ import annotations

from attn_doctor.report.redact.redactor import Redactor, redact
from attn_doctor.system.own_names import Own

__all__ = ["Own", "Redactor", "redact"]
