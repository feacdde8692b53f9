"""Look up known vulnerabilities of pinned packages: ``python deploy/audit.py constraints.txt``.

Exit status 1 if there are any. Where the service that knows them cannot be reached, a message says how many packages
were looked up; the hashes of the lock are what protects an installation there (docs/security.md).
"""
# ruff: noqa: INP001  # a script, in no package

import json
import subprocess
import sys
from pathlib import Path


def main(lock: Path) -> int:
    """Print what was found; return the exit status."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(  # noqa: S603  # our own command
        [*command, "--disable-pip", "--no-deps", "--requirement", str(lock)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip() or "no answer").splitlines()[-1]
        print(f"no package was looked up: {reason}")  # noqa: T201  # output of the command
        return 0
    known = [each for each in packages if "vulns" in each]
    if not known:
        print("no package was looked up: the service of advisories does not answer")  # noqa: T201  # as above
        return 0
    vulnerable = [each for each in known if each["vulns"]]
    for each in vulnerable:
        for found in each["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no version"
            print(f"{each['name']} {each['version']}: {found['id']}, fixed in {fixed}")  # noqa: T201  # as above
    print(f"{len(known)} of {len(packages)} packages looked up, {len(vulnerable)} vulnerable")  # noqa: T201  # as above
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
