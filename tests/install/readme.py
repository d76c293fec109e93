"""The commands of the README: what stands between `<!-- run: NAME -->` and `<!-- end -->`, one a line."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def commands(name):
    text = (ROOT / "README.md").read_text()
    block = re.search(rf"<!-- run: {name} -->\n```sh\n(.*?)```\n", text, re.DOTALL)
    return [line for line in block.group(1).splitlines() if line.strip()]
