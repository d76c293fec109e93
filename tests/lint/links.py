#!/usr/bin/env python3
"""That every relative link in the docs leads to something."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import sources  # noqa: E402  (needs the path above)


def main():
    faults = []
    for path in [p for p in sources.project_files() if p.endswith(".md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (sources.ROOT / path).read_text()):
            if "://" not in target and not ((sources.ROOT / path).parent / target).exists():
                faults.append(f"{path}: {target} is not there")
    print("\n".join(faults) or "links: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
