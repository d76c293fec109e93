#!/usr/bin/env python3
"""Runs the fuzz targets for long; ends with a table. What they find worth keeping stays in build/fuzz/corpus."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "fuzz"
SEEDS = ROOT / "tests" / "fuzz" / "corpus"
SECONDS = 600
STORM_FRAMES_A_SECOND = 100_000  # below what any machine does: the storm is told frames, not seconds
# Programs of frames stand for many frames a byte, and long ones reach no further than short ones.
OPTIONS = {"frames": ["-max_len=512", "-len_control=0", "-entropic=0"], "tables": ["-max_len=1024"]}


class Outcome:
    """What became of one target."""

    def __init__(self, name, text, returncode):
        self.name, self.returncode, self.text = name, returncode, text
        self.runs = self.figure("number_of_executed_units")
        self.frames = self.figure("frames_tried")
        found = re.search(r"Test unit written to (\S+)|storm: run again with: (.*)", text)
        self.reproducer = (found.group(1) or found.group(2)) if found else ""

    def figure(self, name):
        found = re.findall(rf"stat::{name}:\s*(\d+)", self.text)
        return int(found[-1]) if found else 0


def targets():
    return sorted(p.name for p in SEEDS.iterdir() if p.is_dir()) + ["storm"]


def command_of(name, seconds):
    program = str(BUILD / "fuzz-bin" / f"fuzz_{name}")
    if name == "storm":
        return [program, str(seconds * STORM_FRAMES_A_SECOND)]
    kept, crashes = BUILD / "corpus" / name, BUILD / "crashes"
    kept.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    words = SEEDS / f"{name}.dict"
    return [program, f"-max_total_time={seconds}", "-print_final_stats=1", "-verbosity=0", "-timeout=20",
            f"-artifact_prefix={crashes}/{name}-", *([f"-dict={words}"] if words.exists() else []),
            *OPTIONS.get(name, []), str(kept), str(SEEDS / name)]


def run(name, seconds):
    done = subprocess.run(command_of(name, seconds), capture_output=True, text=True, errors="replace", check=False,
                          stdin=subprocess.DEVNULL)
    outcome = Outcome(name, done.stdout + done.stderr, done.returncode)
    if done.returncode != 0:
        log = BUILD / "crashes" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(outcome.text, encoding="utf-8")
    return outcome


def main():
    parser = argparse.ArgumentParser(prog="./dev fuzz")
    parser.add_argument("seconds", nargs="?", type=int, default=SECONDS, help=f"of each target; default {SECONDS}")
    parser.add_argument("target", nargs="*", help="only these: " + ", ".join(targets()))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    names = arguments.target or targets()
    unknown = set(names) - set(targets())
    if unknown:
        parser.error(f"no target is called {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    print(f"{len(names)} targets, {arguments.seconds} s each, {arguments.jobs} at a time", flush=True)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(lambda name: run(name, arguments.seconds), names))

    print(f"{'target':<12}{'executions':>14}{'frames tried':>16}{'crashes':>9}")
    for outcome in outcomes:
        print(f"{outcome.name:<12}{outcome.runs or '-':>14}{outcome.frames or '-':>16}"
              f"{0 if outcome.returncode == 0 else 1:>9}")
    broken = [outcome for outcome in outcomes if outcome.returncode != 0]
    for outcome in broken:
        print(f"{outcome.name}: {outcome.reproducer or 'no input was kept'}\n"
              f"  what it said: {BUILD / 'crashes' / (outcome.name + '.log')}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
