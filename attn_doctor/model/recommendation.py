"""Define the advice of one run: the attention backend to use, whether to install flash-attn, and the reasons."""

from __future__ import annotations

from typing import Literal

from attn_doctor.model.facts import Record

InstallFlashAttn = Literal["yes", "no", "not-here"]


class Reason(Record, frozen=True, kw_only=True):
    """Describe one reason for a recommendation."""

    text: str
    refers_to: str  # a fact path, a finding's code, or "trials.N"


class Recommendation(Record, frozen=True, kw_only=True):
    """Hold the advice of one run, in fields and in one sentence."""

    backend: str | None  # None: no backend can be recommended
    install_flash_attn: InstallFlashAttn
    measured: bool  # a trial on this machine is the reason
    summary: str  # the sentence
    because: tuple[Reason, ...] = ()
    do: tuple[str, ...] = ()  # titles of fixes in the order to do them, then how to use the backend
