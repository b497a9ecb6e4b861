"""Judge the target's compiled extensions for attention, and its torch. Only their files are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attn_doctor.model.facts import Binary, Interpreter, Torch, Unknown


def extensions(
    interpreter: Interpreter, torch: Torch, path: Sequence[str], environ: Mapping[str, str]
) -> tuple[Binary, ...] | Unknown:
    """Return one record for torch and for each compiled extension for attention that exists; Unknown on Windows and macOS.

    `path`: the target's sys.path.

    Nothing is imported. The files of this machine are read, even if the other probes read a folder with a simulated machine
    (--root): the target and its loader run on this machine.
    """
    from attn_doctor.probes import binaries
    from attn_doctor.probes.binaries.installed import installed

    platform = interpreter.platform
    if isinstance(platform, str) and not platform.startswith("linux"):
        # What `inspect` says there was never compared with the loader of such a machine, so no finding may rest on it.
        return Unknown(
            f"`check` judges compiled extensions on Linux only; `attn-doctor inspect FILE` reads those of {platform}"
        )
    suffix = interpreter.extension_suffix
    found = installed(path, suffix if isinstance(suffix, str) else None)
    location = torch.location if isinstance(torch.location, str) else None
    return binaries.read(interpreter, location, path, found, environ)
