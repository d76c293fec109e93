#!/usr/bin/env python3
"""The rules that a machine can check: layers, libraries, sizes, words. `lint.py RULE` checks one of them over the tree."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import sources  # noqa: E402  (needs the path above)

HEADER_LINES, SOURCE_LINES, TEST_LINES, COLUMNS = 300, 500, 600, 100
HEADERS = (".h", ".hpp")
FROZEN = ("tests/compat/v1/",)  # what was published stays as it was, whatever the rules say now
CATCH_ALL = {"util", "utils", "common", "helper", "helpers", "misc", "manager"}
TODO_TOPICS = "soon|perf|port|cleanup"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


class Rules:
    """rules.txt: {section: {name: [words]}}."""

    def __init__(self, text):
        self.sections, section = {}, None
        for line in text.splitlines():
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("["):
                section = self.sections.setdefault(line.strip("[]"), {})
            else:
                name, _, rest = line.partition(":")
                section[name.strip()] = rest.split()

    def layers(self):
        return self.sections["layers"]

    def libraries(self):
        return self.sections["libraries"]

    def names(self):
        return self.sections.get("names", {})

    def sizes(self):
        return self.sections["sizes"]


def is_test(path):
    return path.startswith("tests/") or path.rpartition(".")[0].endswith("_test")


def check_layers(path, text, rules):
    """Includes point down only."""
    folder = path.split("/")[0]
    if folder not in rules.layers():
        return [f"{path}: folder {folder} is not in the table of layers"]
    # Tests beside the code may use what all tests share.
    allowed = {folder, *rules.layers()[folder], *({"tests"} if is_test(path) else ())}
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        target = match.group(2).split("/")[0] if match else None
        # <sys/...> is libc's; the project's own headers are written in quotes, sdk's public ones as <rtsup/...>.
        if match and match.group(1) == '"' and target in rules.layers() and target not in allowed:
            faults.append(f"{path}:{number}: {folder} must not include {match.group(2)}")
        if match and match.group(1) == '"' and ".." in match.group(2).split("/"):
            faults.append(f"{path}:{number}: write includes from the top of the tree")
    return faults


def check_libraries(path, text, rules):
    """Each third-party library stays behind the folder that wraps it."""
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        for library, places in rules.libraries().items():
            name = match.group(2)
            if match.group(1) == "<" and (name == library or library.endswith("/") and name.startswith(library)):
                if not any(path.startswith(place) for place in places if place != "(cc)"):
                    faults.append(f"{path}:{number}: <{name}> belongs behind {' '.join(places)}")
                elif "(cc)" in places and path.endswith(HEADERS) and not name.endswith("_fwd.hpp"):
                    faults.append(f"{path}:{number}: <{name}> must stay out of headers")
    return faults


def check_sizes(path, text, rules):
    lines = text.splitlines()
    limit = HEADER_LINES if path.endswith(HEADERS) else TEST_LINES if is_test(path) else SOURCE_LINES
    faults = []
    if path in rules.sizes():
        granted = int(rules.sizes()[path][0])
        if len(lines) < granted:
            faults.append(f"{path}: {len(lines)} lines now: lower (or drop) its line in rules.txt")
        limit = granted
    if len(lines) > limit:
        faults.append(f"{path}: {len(lines)} lines, at most {limit}")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS and "http" not in line and "R\"" not in line:
            faults.append(f"{path}:{number}: {len(line)} columns, at most {COLUMNS}")
    return faults


def check_words(path, text, _rules):
    """Forbidden names and remarks."""
    faults = []
    stems = set(pathlib.PurePath(path).parts[:-1]) | {re.sub(r"(_test)?\.\w+$", "", path.rpartition("/")[2])}
    for word in sorted(stems & CATCH_ALL):
        faults.append(f"{path}: {word} does not say what is in it")
    in_system_layer = path.startswith(("sys/", "tests/", "bench/")) or is_test(path)
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line) and not re.search(rf"TODO\(({TODO_TOPICS})(, #\d+)?\)", line):
            faults.append(f"{path}:{number}: write TODO(topic) or TODO(topic, #issue), topic one of {TODO_TOPICS}")
        if re.search(r"^\s*using\s+namespace\b(?!.*literals)(?!.*NOLINT)", line):
            faults.append(f"{path}:{number}: no using namespace")
        if re.search(r"NOLINT(?!END)", line) and not re.search(r"NOLINT\w*\([^)]*\)\W*\w", line) and not (
                re.search(r"NOLINT\w*\(", line) and before.lstrip().startswith("//")):
            faults.append(f"{path}:{number}: NOLINT names its check and carries its reason, there or on the line above")
        before = line
        if not in_system_layer and re.search(r"(?<![\w.>])(::)?syscall\s*\(", line):
            faults.append(f"{path}:{number}: raw system calls belong in sys/")
    return faults


def check_names(path, text, rules):
    """Each name in the table stays in the files that may use it."""
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("//")[0]
        for name, places in rules.names().items():
            if re.search(rf"\b{re.escape(name)}", code) and not any(path.startswith(place) for place in places):
                faults.append(f"{path}:{number}: {name} belongs to {' '.join(places)}")
    return faults


RULES = {"layers": check_layers, "libraries": check_libraries, "names": check_names, "sizes": check_sizes,
         "words": check_words}


def check_file(rule, path, text, rules):
    return RULES[rule](path, text, rules)


def main():
    rule = sys.argv[1]
    rules = Rules((pathlib.Path(__file__).parent / "rules.txt").read_text())
    faults = []
    for path in [p for p in sources.code_files() if not p.startswith(FROZEN)]:
        faults += check_file(rule, path, (sources.ROOT / path).read_text(errors="replace"), rules)
    faults += [f"rules.txt: {path} is gone" for path in rules.sizes() if not (sources.ROOT / path).exists()]
    print("\n".join(faults) or f"{rule}: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
