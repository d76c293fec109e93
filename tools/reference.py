#!/usr/bin/env python3
"""Keeps the generated parts of the docs as the code says: `reference.py --check` complains, without it writes.

A part stands between `<!-- NAME -->` and `<!-- end -->`: operations (from the built table), reasons (from abi/reasons.inc and
abi/library_reasons.inc),
or `file: PATH`, a code block that is the file.
"""
import pathlib
import re
import sys

import sources

OPERATIONS = sources.ROOT / "build" / "dev" / "generated" / "schemas" / "operations.md"
PART = re.compile(r"(<!-- (operations|reasons|file: [^ ]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
REASON = re.compile(r'^RTSUP_REASON\(\w+,\s*"(\w+)",\s*k(\w+),\s*"(.*?)"\)', re.MULTILINE | re.DOTALL)


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def reasons():
    lines = ["| reason | status | when |", "| --- | --- | --- |"]
    for file, whose in (("reasons.inc", ""), ("library_reasons.inc", "*library:* ")):
        for name, status, why in REASON.findall((sources.ROOT / "abi" / file).read_text()):
            lines.append(f"| {name} | {snake(status)} | {whose}{why} |")
    return "\n".join(lines) + "\n"


def content(name, before):
    if name == "operations":
        return OPERATIONS.read_text() if OPERATIONS.exists() else before
    if name == "reasons":
        return reasons()
    path = name.removeprefix("file: ")
    return "```" + {".cc": "cpp"}.get(pathlib.Path(path).suffix, "") + "\n" + (sources.ROOT / path).read_text() + "```\n"


def main():
    check = "--check" in sys.argv[1:]
    stale = []
    for path in [p for p in sources.project_files() if p.endswith(".md")]:
        text = (sources.ROOT / path).read_text()
        fresh = PART.sub(lambda m: m.group(1) + content(m.group(2), m.group(3)) + m.group(4), text)
        if fresh != text:
            stale.append(path)
            if not check:
                (sources.ROOT / path).write_text(fresh)
    for path in stale:
        print(f"{path}: " + ("its generated parts are not what the code says; ./dev fix writes them" if check else "written"))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
