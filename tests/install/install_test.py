#!/usr/bin/env python3
"""Installs into a prefix of its own and works from there: the README's line for hello, the CMake package, the programs.

usage: install_test.py BUILD_FOLDER
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

import readme

BUILD = pathlib.Path(sys.argv.pop(1))
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(hello LANGUAGES CXX)
find_package(rtsup 0.1 REQUIRED)
add_library(hello SHARED hello.cc)
target_link_libraries(hello PRIVATE rtsup::sdk)
"""


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rtsup-install-"))
        cls.prefix = cls.folder / "prefix"
        run(["cmake", "--install", str(BUILD), "--prefix", str(cls.prefix)])
        cls.environment = {**os.environ,
                           "PKG_CONFIG_PATH": str(next(cls.prefix.glob("lib/**/pkgconfig"))),
                           "RTSUP_RUN_DIR": str(cls.folder / "run"), "RTSUP_STATE_DIR": str(cls.folder / "state")}

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def hello(self, name):
        """A copy of the installed example, far from the source tree."""
        copy = self.folder / name
        shutil.copytree(self.prefix / "share" / "rtsup" / "examples" / "hello", copy)
        return copy

    def check_library(self, library):
        symbols = run(["nm", "-D", "--defined-only", str(library)])
        for entry in ("rtsup_start", "rtsup_handle", "rtsup_destroy"):
            self.assertIn(entry, symbols)
        self.assertIn("librtsup.so.1", run(["readelf", "-d", str(library)]))

    def test_the_readme_line_builds_hello(self):
        copy = self.hello("by-hand")
        (line,) = readme.commands("hello")
        run(line, shell=True, cwd=copy, env=self.environment)
        self.check_library(copy / "libhello.so")

    def test_the_cmake_package_builds_hello(self):
        copy = self.hello("by-cmake")
        (copy / "CMakeLists.txt").write_text(PROJECT)
        run(["cmake", "-S", str(copy), "-B", str(copy / "build"), f"-DCMAKE_PREFIX_PATH={self.prefix}"])
        run(["cmake", "--build", str(copy / "build")])
        self.check_library(copy / "build" / "libhello.so")

    def test_headers_are_c_too(self):
        source = self.folder / "c.c"
        source.write_text("#include <rtsup/rtsup.h>\nint main(void) { return RTSUP_INIT(rtsup_event).size == 0; }\n")
        run(f"cc -std=c11 -Wall -Wextra -Werror c.c -o c $(pkg-config --cflags --libs rtsup)", shell=True,
            cwd=self.folder, env=self.environment)

    def test_nothing_of_the_build_tree_is_left_in_what_is_installed(self):
        for path in [*self.prefix.glob("lib/**/*.pc"), *self.prefix.glob("lib/**/*.cmake")]:
            self.assertNotIn(str(BUILD), path.read_text(), path)

    def test_the_installed_base_runs_hello(self):
        copy = self.hello("running")
        (line,) = readme.commands("hello")
        run(line, shell=True, cwd=copy, env=self.environment)
        rtsup = str(self.prefix / "bin" / "rtsup")
        run([rtsup, "start", "--detach", str(copy / "manifest.json")], env=self.environment)
        try:
            self.assertEqual(run([rtsup, "invoke", "hello", "--data", "ada"], env=self.environment).strip(), "Hello, ada!")
        finally:
            run([rtsup, "stop"], env=self.environment)

    def test_bench_runs_from_the_prefix(self):
        rtsup = str(self.prefix / "bin" / "rtsup")
        self.assertIn("--placement", run([rtsup, "bench", "ipc", "--help"], env=self.environment))
        report = self.folder / "bench.json"
        run([rtsup, "bench", "ipc", "--rounds", "1", "--only", "rtsup echo", "--bytes", "16", "--placement", "unpinned",
             "--depth", "1", "--workers", "1", "--json", str(report), "--svg", str(self.folder / "bench.svg")],
            env=self.environment)
        found = json.loads(report.read_text())
        self.assertEqual((found["format"], found["version"], found["not_measured"]), ("rtsup-bench-ipc", 1, []))
        self.assertEqual([(case["name"], case["bytes"]) for case in found["cases"]], [("rtsup echo", 16)])
        xml.dom.minidom.parse(str(self.folder / "bench.svg"))


if __name__ == "__main__":
    unittest.main()
