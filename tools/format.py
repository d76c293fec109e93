#!/usr/bin/env python3
"""clang-format 14 over the project's code: --dry-run by default, --fix writes."""
import subprocess
import sys

import sources


def main():
    mode = ["-i"] if "--fix" in sys.argv[1:] else ["--dry-run", "--Werror"]
    return subprocess.run(["clang-format-14", "--style=file", *mode, *sources.code_files()], cwd=sources.ROOT,
                          check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
