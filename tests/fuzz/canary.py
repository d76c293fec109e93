#!/usr/bin/env python3
"""Runs a fuzz target that has a planted bug, from an empty corpus. Succeeds when the bug is found, and says how soon."""
import re
import subprocess
import sys
import tempfile
import time

SECONDS = 60
# How a finding looks: a broken requirement, a report of a sanitizer, an assertion of the library. A crash for another reason proves nothing.
FOUND = re.compile(r"REQUIREMENT BROKEN: .*|ERROR: AddressSanitizer: \S+|runtime error: .*|Assertion '.*' failed")


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        done = subprocess.run([program, f"-max_total_time={SECONDS}", "-seed=1", "-len_control=0", "-max_len=1024",
                               f"-artifact_prefix={folder}/"], capture_output=True, text=True, errors="replace",
                              check=False)
        seconds = time.monotonic() - started
    found = FOUND.search(done.stderr)
    if done.returncode == 0 or not found:
        print(f"the planted bug was NOT found in {seconds:.1f} s\n{done.stderr[-2000:]}")
        return 1
    print(f"the planted bug was found in {seconds:.1f} s: {found.group(0)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
