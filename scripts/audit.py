"""Ask pip-audit whether packages of an environment have known vulnerabilities: `python scripts/audit.py SITE-PACKAGES`.

pip-audit asks PyPI. Where that cannot be reached, or knows none of the packages (a mirror), one line says so and the exit code is 0: no
network is no fault of this project. Exit code 1: a vulnerability is known.
"""

from __future__ import annotations

import json
import subprocess
import sys

SECONDS = 60


def main(site_packages: str) -> int:
    argv = ["pip-audit", "--format", "json", "--progress-spinner", "off", "--timeout", "10", "--path", site_packages]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        print(f"pip-audit gave no answer ({type(error).__name__}): nothing is known of vulnerabilities")
        return 0
    answered = [package for package in packages if "vulns" in package]
    print(f"pip-audit: {len(answered)} of {len(packages)} packages are known to its service")
    found = [f"{one['name']} {one['version']}: {bad['id']}" for one in answered for bad in one["vulns"]]
    print("\n".join(found) or "no vulnerability is known of them")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
