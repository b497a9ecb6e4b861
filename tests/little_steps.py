"""Steps whose words do not matter, for the tests of installers and plans."""

from __future__ import annotations

from attn_doctor import commands

WORDS = {"why": "why", "changes": "something"}


def install(*requirements, **options):
    return commands.install(*requirements, **options, **WORDS)


def uninstall(*names):
    return commands.uninstall(*names, why="why")
