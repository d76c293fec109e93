#!/usr/bin/env python3
"""Runs the test suites (ctest labels) preset by preset; ends with one line: N passed, N failed, N skipped."""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVERYTHING = None
# Short runs of the fuzz targets (tests/fuzz), which are built with clang.
FUZZ_RUN = ("fuzz", ["fuzz"])
# What `./dev test` runs: every suite in the developers' build, what takes hostile input once more under ASan and UBSan,
# both ends of the channel, as threads of one process, under TSan, the fuzz targets for a while, and what is packaged:
# all of it built, installed and used from outside, and attacked.
DEFAULT_RUNS = [("dev", EVERYTHING), ("asan-ubsan", ["unit", "channel", "hostile"]), ("tsan", ["channel"]), FUZZ_RUN,
                ("release", ["install", "hostile"])]
RELEASE_SUITES = ["unit", "channel", "hostile", "integration", "compat", "install", "lint"]
ALL_RUNS = [(preset, EVERYTHING) for preset in ("dev", "asan-ubsan", "tsan", "release", "coverage")] + [FUZZ_RUN]
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Suite:
    """What one suite did in one preset."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0


def build(preset, labels, jobs):
    folder = ROOT / "build" / preset
    if not (folder / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", preset], cwd=ROOT, check=True)
    targets = []
    # The sanitizer builds make only what they run; the dev build is what everything else works with anyway. A release
    # has no test in `all`.
    if preset == "release":
        targets = ["--target", "all"]
        labels = labels or RELEASE_SUITES
    if preset != "dev":
        for label in labels or []:
            targets += ["--target", f"suite-{label}"]
    subprocess.run(["cmake", "--build", "--preset", preset, "-j", str(jobs)] + targets, cwd=ROOT, check=True)
    return folder


def run_ctest(folder, labels, name_filter, jobs):
    """Runs ctest. Returns the path of its JUnit report and {name of a case: its first label}."""
    report = folder / "test-report.xml"
    report.unlink(missing_ok=True)
    command = ["ctest"]
    if labels:
        command += ["-L", "^(" + "|".join(labels) + ")$"]
    if name_filter:
        command += ["-R", name_filter]
    environment = {**SANITIZER_OPTIONS, **os.environ}
    listed = subprocess.run(command + ["--show-only=json-v1"], cwd=folder, env=environment, capture_output=True,
                            text=True, check=True)
    label_of = {}
    for case in json.loads(listed.stdout)["tests"]:
        found = [p["value"] for p in case.get("properties", []) if p["name"] == "LABELS"]
        label_of[case["name"]] = found[0][0] if found else "(no label)"
    subprocess.run(command + ["--output-on-failure", "-j", str(jobs), "--output-junit", str(report),
                              "--test-output-size-passed", "65536"], cwd=folder,
                   env=environment, stdin=subprocess.DEVNULL, check=False)
    return report, label_of


def read_report(report, label_of):
    """Returns {label: Suite} and the names of the failed and the skipped cases."""
    suites, failed, skipped = collections.defaultdict(Suite), [], []
    for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
        suite = suites[label_of.get(case.get("name"), "(no label)")]
        suite.seconds += float(case.get("time", "0"))
        if case.get("status") == "run":
            suite.passed += 1
        elif case.find("skipped") is not None:
            suite.skipped += 1
            skipped.append(case.get("name") + skip_reason(case))
        else:
            suite.failed += 1
            failed.append(case.get("name"))
    return suites, failed, skipped


def frames_tried(report):
    """Hostile frames, as the fuzz targets count them."""
    cases = xml.etree.ElementTree.parse(report).getroot().iter("testcase")
    found = [re.search(r"stat::frames_tried: (\d+)", case.findtext("system-out") or "") for case in cases]
    return sum(int(match.group(1)) for match in found if match)


def skip_reason(case):
    """gtest prints "file:line: Skipped" and then the reason on the next line."""
    lines = (case.findtext("system-out") or "").splitlines()
    for line, following in zip(lines, lines[1:]):
        if line.endswith(": Skipped"):
            return ": " + following.strip()
    return ""


def main():
    parser = argparse.ArgumentParser(prog="./dev test")
    parser.add_argument("labels", nargs="*", help="only these suites, in the dev build (fuzz: in its own)")
    parser.add_argument("--filter", metavar="REGEX", help="only the cases whose name matches, in the dev build")
    parser.add_argument("--all", action="store_true", help="every suite in every preset")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    runs = ALL_RUNS if arguments.all else DEFAULT_RUNS
    if arguments.labels or arguments.filter:
        in_dev = [label for label in arguments.labels if label != "fuzz"]
        runs = [("dev", in_dev or EVERYTHING)] if in_dev or arguments.filter else []
        runs += [FUZZ_RUN] if "fuzz" in arguments.labels else []

    total, rows, failures, skips = Suite(), [], [], []
    for preset, labels in runs:
        started = time.monotonic()
        try:
            folder = build(preset, labels, arguments.jobs)
        except subprocess.CalledProcessError:
            total.failed += 1
            failures.append(f"{preset}: the build itself")
            continue
        rows.append(f"  {preset:<12}{'(build)':<14}{time.monotonic() - started:8.1f} s")
        report, label_of = run_ctest(folder, labels, arguments.filter, arguments.jobs)
        suites, failed, skipped = read_report(report, label_of) if report.exists() else ({}, [], [])
        if not suites:
            total.failed += 1
            failures.append(f"{preset}: no case was found")
        if (preset, labels) == FUZZ_RUN and suites:
            rows.append(f"  {preset:<12}{'(frames)':<14}{frames_tried(report):10} hostile frames tried")
        failures += [f"{preset}: {name}" for name in failed]
        skips += [f"{preset}: {name}" for name in skipped]
        for label, suite in sorted(suites.items()):
            rows.append(f"  {preset:<12}{label:<14}{suite.seconds:8.1f} s  {suite.passed} passed, {suite.failed} failed,"
                        f" {suite.skipped} skipped")
            total.passed += suite.passed
            total.failed += suite.failed
            total.skipped += suite.skipped

    print("\nTime of each suite (sum over its cases):")
    print("\n".join(rows))
    for title, names in (("Failed", failures), ("Skipped", skips)):
        if names:
            print(f"{title}:\n  " + "\n  ".join(names))
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
