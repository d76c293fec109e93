#!/usr/bin/env python3
"""Starts the shop as `./dev start` does, and runs the commands that the README shows next to it."""
import os
import shutil
import subprocess
import tempfile
import unittest

import readme


class ReadmeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rtsup-readme-")
        self.environment = {**os.environ, "RTSUP_RUN_DIR": self.folder + "/run", "RTSUP_STATE_DIR": self.folder + "/state"}

    def tearDown(self):
        shutil.rmtree(self.folder)

    def run_line(self, line):
        done = subprocess.run(line, shell=True, cwd=readme.ROOT, env=self.environment, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}{done.stderr}")
        return done.stdout

    def test_the_shop(self):
        invoke, ps, stop = readme.commands("shop")
        self.run_line("build/dev/bin/rtsup start --detach examples/shop/manifest.json")
        try:
            self.assertEqual(self.run_line(invoke).strip(),
                             '{"user":"ada","items":[{"item":"apple","count":2,"price":120}],"total":240}')
            table = self.run_line(ps)
            for function in ("cart", "pricing", "inventory"):
                self.assertIn(function, table)
        finally:
            self.run_line(stop)


if __name__ == "__main__":
    unittest.main()
