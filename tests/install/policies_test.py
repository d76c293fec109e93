#!/usr/bin/env python3
"""Runs the commands of docs/policies.md as they stand there, in a copy of examples/policies. `policies_test.py BUILD-FOLDER`

What stands between `<!-- run: CODE -->` and `<!-- end -->` must exit with that code; every line but the last with 0. A block
without a language right behind it is what it prints. `base` instead of `run`: in a copy of examples/shop, where a base may run.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
BLOCK = re.compile(r"<!-- (run|base): (\d) -->\n```sh\n(.*?)```\n<!-- end -->\n(?:```\n(.*?)```\n)?", re.DOTALL)


class PoliciesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rtsup-policies-")
        self.copy = shutil.copytree(ROOT / "examples" / "policies", self.folder + "/policies")
        self.shop = pathlib.Path(shutil.copytree(ROOT / "examples" / "shop", self.folder + "/shop"))
        manifest = (self.shop / "manifest.json").read_text().replace("../../build/dev", str(BUILD))
        (self.shop / "manifest.json").write_text(manifest.replace('"name": "shop"', f'"name": "shop-{os.getpid()}"'))
        self.environment = {**os.environ, "PATH": f"{BUILD}/bin:{os.environ['PATH']}",
                            "RTSUP_RUN_DIR": self.folder + "/run", "RTSUP_STATE_DIR": self.folder + "/state"}

    def tearDown(self):
        if os.path.exists(f"{self.folder}/run/shop-{os.getpid()}"):
            self.run_line("rtsup stop")
        shutil.rmtree(self.folder)

    def run_line(self, line, folder=None):
        return subprocess.run(line, shell=True, cwd=folder or self.copy, env=self.environment, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)

    def test_the_documented_commands(self):
        blocks = BLOCK.findall((ROOT / "docs" / "policies.md").read_text())
        self.assertGreaterEqual(len(blocks), 9)
        verbs = set()
        for kind, code, text, printed in blocks:
            lines = text.strip().splitlines()
            for line in lines:
                verbs.add(line.split()[2] if line.split()[1] == "policy" else "")
                done = self.run_line(line, self.shop if kind == "base" else self.copy)
                expected = int(code) if line is lines[-1] else 0
                self.assertEqual(done.returncode, expected, f"{line}\n{done.stdout}{done.stderr}")
            if printed:
                self.assertEqual(done.stdout, printed)
        self.assertEqual(verbs - {""}, {"check", "show", "diff", "test", "convert", "learn", "complain"})

    def test_what_is_unmapped_is_said_and_denied(self):
        done = self.run_line("rtsup policy convert --from-oci profile.json")
        for part in ("ptrace", "socket", "SCMP_ACT_ERRNO"):
            self.assertRegex(done.stderr, f"unmapped: .*{part}")
        for part in ("ptrace", "socket"):
            self.assertNotIn(part, done.stdout)

    def test_a_dangerous_line_without_a_reason_is_refused_with_its_place(self):
        policy = pathlib.Path(self.copy, "bold.json")
        policy.write_text('{ "security": { "syscalls": { "allow": [\n  "tkill"] } } }\n')
        done = self.run_line("rtsup policy check bold.json")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r'^bold.json:2:3: /security/syscalls/allow/0: dangerous: "tkill"')

    def test_what_a_policy_says_does_not_reach_the_terminal_raw(self):
        policy = pathlib.Path(self.copy, "hostile.json")
        policy.write_text('{ "services": { "invoke": ["\\u001b[2Jx", { "function": "y", "why": "\\u001b]0;z\\u0007" }] } }\n')
        for line in ("rtsup policy show hostile.json", "rtsup policy diff hostile.json fetcher.json",
                     "rtsup policy check hostile.json --api 'invoke.call y'", "rtsup policy show --json hostile.json"):
            done = self.run_line(line)
            self.assertNotIn("\x1b", done.stdout + done.stderr, line)
            self.assertTrue(done.stdout, line)

    def test_what_a_trace_holds_does_not_reach_the_terminal_raw(self):
        trace = pathlib.Path(self.copy, "hostile.trace")
        trace.write_bytes(b'socket("\x1b[2J\x9b\xff", "\x1b]0;x\x07") = 3\n\x1b[2Jwhat\n')
        for line in ("rtsup policy check fetcher.json --trace hostile.trace",
                     "rtsup policy check fetcher.json --trace hostile.trace --json"):
            done = subprocess.run(line, shell=True, cwd=self.copy, env=self.environment, capture_output=True, check=False)
            self.assertEqual(done.returncode, 6, line)
            for raw in (b"\x1b", b"\x07", b"\x9b", b"\xff"):
                self.assertNotIn(raw, done.stdout + done.stderr, line)

    def test_exit_codes_of_what_can_not_be_read(self):
        for line, code in (("rtsup policy check absent.json", 3), ("rtsup policy check rtsup:absent", 3),
                           ("rtsup policy check fetcher.json --trace absent", 2), ("rtsup policy check fetcher.json --call 'x('", 2),
                           ("rtsup policy diff fetcher.json absent.json", 3), ("rtsup policy test absent.json", 3),
                           ("rtsup policy diff fetcher.json fetcher.json", 0), ("rtsup policy convert --from-oci fetcher.json", 3),
                           ("rtsup policy check fetcher.json absent.json --call getpid", 3)):
            done = self.run_line(line)
            self.assertEqual(done.returncode, code, f"{line}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    unittest.main()
