#!/usr/bin/env python3
"""clang-tidy 14 on the .cc files that changed (or whose headers changed) since the merge base with main; on all without one.

A clean result is remembered by the hash of everything that went into it (the file, the project headers it includes, the
schemas, the compile command, .clang-tidy), so that a second run costs nothing. Complaints are never remembered.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import sources

TOOL = "clang-tidy-14"
BUILD = sources.ROOT / "build" / "dev"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "rtsup-tidy"


def compile_commands():
    with open(BUILD / "compile_commands.json", encoding="utf-8") as stream:
        return {os.path.relpath(row["file"], sources.ROOT): row["command"] for row in json.load(stream)}


def key(path, command):
    digest = hashlib.sha256(command.replace(str(sources.ROOT), "").encode())
    for name in [".clang-tidy", *sorted(sources.closure(path))]:
        content = (sources.ROOT / name).read_bytes()
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def tidy(path):
    """Returns the complaints, or None when there are none."""
    # The compile commands are GCC's: clang does not know each of its warnings.
    done = subprocess.run([TOOL, "-quiet", "-p", str(BUILD), "--extra-arg=-Wno-unknown-warning-option", path],
                          cwd=sources.ROOT, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stdout + done.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true", help="every file, not only those that changed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*", help="only these")
    arguments = parser.parse_args()

    commands = compile_commands()
    units = [p for p in sources.code_files() if p in commands]
    base = None if arguments.all else sources.merge_base()
    if arguments.files:
        units = [p for p in units if p in arguments.files]
    elif base:
        changed = sources.changed_since(base)
        if ".clang-tidy" not in changed:
            units = [p for p in units if sources.closure(p) & changed]

    CACHE.mkdir(parents=True, exist_ok=True)
    marks = {p: CACHE / key(p, commands[p]) for p in units}
    todo = {p: mark for p, mark in marks.items() if not mark.exists()}
    print(f"clang-tidy: {len(units)} files concerned, {len(todo)} to look at", flush=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for path, complaints in zip(todo, pool.map(tidy, todo)):
            if complaints is None:
                todo[path].touch()
            else:
                failed += 1
                print(f"{path}:\n{complaints}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
