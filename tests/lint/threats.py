#!/usr/bin/env python3
"""That what the threat model's tables name is there: files and folders, functions in them, tests, and the attacks of rogue
and offenders, each of which must in turn stand in a table; an offender's act in the row that it says it is a form of. `threats.py` checks docs/threat-model.md."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import sources  # noqa: E402  (needs the path above)

DOCUMENT = "docs/threat-model.md"
SECTIONS = ("Rules of the channel", "Attacks on the channel", "Attacks on the sandbox")
TEST = re.compile(r"^\s*TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.MULTILINE)
ATTACK = re.compile(r'\{"([a-z-]+)", \w+\}')
ACT = re.compile(r'\{(\d+),\s*"([a-z0-9-]+)"')
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PLACE = re.compile(r"`([\w.]+/[\w./-]*)`(?: \(([^)]*)\))?")


def rows(document):
    """The cells of each row below the sections, the heads of their tables apart."""
    for section in SECTIONS:
        _, _, text = document.partition(f"## {section}\n")
        for line in text.partition("\n## ")[0].splitlines():
            if line.startswith("|") and not line.startswith("| ---") and not line.endswith("tests and attacks |"):
                yield [cell.strip() for cell in line.strip("|").split(" | ")]


def check(document, read, tests, attacks, acts):
    """`read` gives a file's text, "" for a folder, None for what is not there. `acts`: the row of each."""
    attacks = attacks | acts.keys()
    faults, named = [], set()
    for cells in rows(document):
        proofs = re.findall(r"`([^`]+)`", cells[-1])
        if not proofs:
            faults.append(f"no test: {' | '.join(cells)}")
        for cell in cells:
            for path, functions in PLACE.findall(cell):
                text = read(path)
                if text is None:
                    faults.append(f"{path} is not there")
                    continue
                for function in re.findall(r"`(\w+)`", functions):
                    if not re.search(rf"\b{function}\b", text):
                        faults.append(f"{path} has no {function}")
        for proof in proofs:
            if re.fullmatch(r"[A-Z]\w*\.\w+", proof) and proof not in tests:
                faults.append(f"there is no test {proof}")
            elif NAME.fullmatch(proof):
                named.add(proof)
                if acts.get(proof, cells[0]) != cells[0]:
                    faults.append(f"{proof} is a form of {acts[proof]}, not of {cells[0]}")
    faults += [f"there is no attack {name}" for name in sorted(named - attacks - {"channel", "native"})]
    faults += [f"attack {name} stands in no table" for name in sorted(attacks - named)]
    return faults


def read_file(path):
    found = sources.ROOT / path
    return "" if found.is_dir() else found.read_text(errors="replace") if found.is_file() else None


def main():
    code = {path: read_file(path) for path in sources.code_files() if "_test" in path or path.startswith("tests/")}
    tests = {f"{suite}.{name}" for text in code.values() for suite, name in TEST.findall(text)}
    attacks = {name for path, text in code.items() if path.startswith("tests/hostile/rogue/") for name in ATTACK.findall(text)}
    acts = {name: row for path, text in code.items() if path.startswith("tests/offenders/") for row, name in ACT.findall(text)}
    faults = check(read_file(DOCUMENT), read_file, tests, attacks, acts)
    print("\n".join(f"{DOCUMENT}: {fault}" for fault in faults) or "threats: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
