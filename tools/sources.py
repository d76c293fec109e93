"""Which files belong to the project, which changed, and what a source file includes. For format.py, tidy.py and tests/lint."""
import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
CODE = (".cc", ".h", ".hpp", ".c")


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def project_files():
    """What git knows, or would take: relative paths, sorted. Without git (an unpacked archive): everything but build/."""
    listed = git("ls-files", "--cached", "--others", "--exclude-standard")
    if listed is None:
        found = (str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file())
        return sorted(p for p in found if not p.startswith(("build/", ".git/")))
    return sorted({p for p in listed.splitlines() if (ROOT / p).is_file()})


def code_files():
    return [p for p in project_files() if p.endswith(CODE)]


def merge_base():
    """The commit this work left main at; None when there is nothing to compare with (no main, or this is main)."""
    head = (git("rev-parse", "HEAD") or "").strip()
    for main in ("origin/HEAD", "origin/main", "main"):
        base = (git("merge-base", "HEAD", main) or "").strip()
        if base:
            return base if base != head else None
    return None


def changed_since(base):
    listed = (git("diff", "--name-only", base) or "") + (git("ls-files", "--others", "--exclude-standard") or "")
    return set(listed.splitlines())


@functools.cache
def direct_includes(path):
    """The project's own headers that a file includes, as paths from the top; for a generated one, what it is made from."""
    text = (ROOT / path).read_text(errors="replace")
    found = set()
    if path.endswith(".fbs"):
        return frozenset("schemas/" + name for name in re.findall(r'^include "([^"]+)";', text, re.MULTILINE))
    for name in re.findall(r'^\s*#\s*include\s*["<]([^">]+)[">]', text, re.MULTILINE):
        for candidate in (name, "sdk/include/" + name, re.sub(r"^(schemas/\w+)_generated\.h$", r"\1.fbs", name)):
            if (ROOT / candidate).is_file():
                found.add(candidate)
        if name == "schemas/operations.inc":
            found |= {"schemas/services.fbs", "schemas/opgen.cc"}
    return frozenset(found)


def closure(path):
    """The file itself and every project header that it includes, directly or not."""
    seen, todo = set(), [path]
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo.extend(direct_includes(one))
    return seen
