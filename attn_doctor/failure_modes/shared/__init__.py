"""Shared by failure modes; none of these is one."""
