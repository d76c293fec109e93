#!/usr/bin/env python3
"""Counts what a call costs each side in instructions, by function.

Runs rtsup-bench-percall under callgrind with two numbers of calls and takes the difference, so that
attaching, warming up and ending cost nothing. A count is the same on a busy machine. What the kernel
does is not in it.
usage: count.py [--program FILE] [--calls N] [--top N] [get:1 get:32 set:1 set:32 publish:16 ...]
"""
import argparse
import collections
import glob
import os
import re
import subprocess
import tempfile

# By the order in which the threads are made; the second is the configuration file's.
SIDES = {1: "caller", 2: "base's file thread", 3: "base"}


def read(path):
    """Self cost by function of one thread's file."""
    costs = collections.Counter()
    function, skip = "", False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("fn="):
                function = line[3:].strip()
            elif line.startswith("calls="):
                skip = True  # the next line is the callee's cost
            elif line[:1].isdigit() or line[:1] in "+-*":
                if not skip:
                    costs[function] += int(line.split()[1])
                skip = False
    return costs


def count(program, verb, depth, calls, folder):
    """{thread: {function: instructions}}"""
    for old in glob.glob(folder + "/out*"):
        os.unlink(old)
    subprocess.run(
        ["valgrind", "--tool=callgrind", "-q", "--separate-threads=yes", "--compress-strings=no",
         "--compress-pos=no", f"--callgrind-out-file={folder}/out", program, verb, str(depth),
         str(calls)], check=True)
    threads = {}
    for path in glob.glob(folder + "/out-*"):
        threads[int(path.rsplit("-", 1)[1])] = read(path)
    return threads


def short(name):
    name = name.replace("(anonymous namespace)::", "")
    name = re.sub(r"rtsup::(broker::|sdk::|abi::|channel::|sys::|v1::)*", "", name)
    name = re.sub(r"\(.*", "", name)
    return name if len(name) <= 90 else name[:87] + "..."


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=here + "/../../build/release/libexec/rtsup/rtsup-bench-percall")
    parser.add_argument("--calls", type=int, default=3200)
    parser.add_argument("--top", type=int, default=25, help="functions shown of each side; 0 = only sums")
    parser.add_argument("cases", nargs="*", default=["get:1", "get:32", "set:1", "set:32", "publish:16"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rtsup-percall-") as folder:
        for case in arguments.cases:
            verb, depth = case.split(":")
            few = count(arguments.program, verb, depth, arguments.calls // 4, folder)
            many = count(arguments.program, verb, depth, arguments.calls, folder)
            made = arguments.calls - arguments.calls // 4
            sides = collections.defaultdict(collections.Counter)
            for thread, costs in many.items():
                before = few.get(thread, {})
                for function in set(costs) | set(before):
                    sides[SIDES.get(thread, "subscribers, all")][function] += (
                        costs.get(function, 0) - before.get(function, 0))
            for side in ("caller", "base", "subscribers, all"):
                if side not in sides:
                    continue
                print(f"{verb} depth {depth}, {side}: {sum(sides[side].values()) / made:.0f} instructions a call")
                for function, cost in sides[side].most_common(arguments.top):
                    print(f"  {cost / made:8.1f}  {short(function)}")


if __name__ == "__main__":
    main()
