#!/usr/bin/env python3
"""Writes docs/manifest.md from the published schemas: schema_docs.py SCHEMAS_FOLDER OUTPUT."""
import json
import pathlib
import sys

HEAD = """# Manifest and policy

Made from schemas/manifest.schema.json and schemas/policy.schema.json by schemas/schema_docs.py: `cmake --build --preset dev
--target rtsup-manifest-docs`. Do not edit. `rtsup schema manifest` and `rtsup schema policy` print the schemas themselves, so
that an editor can complete keys: write `"$schema": "PATH"` as the first key.

Both are JSON with `//` and `/* */` comments. A key that is accepted is enforced; a key that a later version will know is
refused as "not supported yet"; any other is a mistake, and so is a key that stands twice. `rtsup validate` finds all mistakes
of all files at once, each with file, line, column and the nearest valid name.
"""


class Schema:
    def __init__(self, path):
        self.root = json.loads(path.read_text())

    def resolve(self, node):
        """What a $ref points to, with the description and default that stand beside it."""
        ref = node.get("$ref", "")
        if not ref.startswith("#/definitions/"):
            return node
        target = dict(self.resolve(self.root["definitions"][ref.rsplit("/", 1)[1]]))
        target.update({key: value for key, value in node.items() if key != "$ref"})
        return target

    def kind(self, node):
        """What a value is, in a few words."""
        if node.get("$ref") == "policy.schema.json":
            return "a [policy](#policy)"
        name = node.get("$ref", "").rsplit("/", 1)[-1]
        node = self.resolve(node)
        if "$ref" in node:
            return "a [policy](#policy)"
        if "const" in node:
            return f"`{json.dumps(node['const'])}`"
        if "enum" in node:
            return " or ".join(f"`{json.dumps(value)}`" for value in node["enum"])
        if name and self.is_table(node):
            return link(node)
        if name and "oneOf" in node:
            return link(node)
        if name in ("name", "size", "duration", "target", "text", "value", "filled", "reference", "call", "group", "why"):
            return {"duration": "time", "target": "absolute path", "filled": "text", "why": "text", "value": "text"}.get(name, name)
        if "oneOf" in node:
            return " or ".join(self.kind(option) for option in node["oneOf"])
        if node.get("type") == "array":
            return "list of " + self.kind(node.get("items", {}))
        if node.get("type") == "object":
            inner = node.get("additionalProperties")
            if isinstance(inner, dict):
                return "object of " + self.kind(inner)
            return link(node) if "title" in node and "properties" in node else "object"
        bounds = [str(node[key]) for key in ("minimum", "maximum") if key in node]
        return node.get("type", "any") + (f", {' to '.join(bounds)}" if bounds else "")

    def is_table(self, node):
        return "properties" in node

    def describe(self, node):
        node = self.resolve(node)
        text = node.get("description", "")
        if "default" in node:
            text += f" Default `{json.dumps(node['default'])}`."
        return text.strip().replace("|", "\\|")

    def table(self, node, out):
        required = node.get("required", [])
        out.append("| key | value | meaning |")
        out.append("| --- | --- | --- |")
        for key, value in node["properties"].items():
            mark = " (required)" if key in required else ""
            out.append(f"| `{key}`{mark} | {self.kind(value)} | {self.describe(value)} |")
        out.append("")

    def section(self, node, level, out):
        """The object's table, then the sections of what is written inside it."""
        node = self.resolve(node)
        if "oneOf" in node:
            for option in node["oneOf"]:
                option = self.resolve(option)
                if "properties" not in option:
                    words = option.get("title", self.kind(option)).lower()
                    text = option.get("description", "")
                    out.append(f"- {words}: {text}" if text else f"- {words}")
                    continue
                if option.get("title"):
                    out.append(f"**`{option['title']}`** {option.get('description', '')}\n")
                elif out[-1].startswith("- "):
                    out.append("- an object:\n")
                self.table(option, out)
            if out[-1] != "":
                out.append("")
            return
        if "properties" not in node:
            return
        self.table(node, out)
        for value in node["properties"].values():
            value = self.resolve(value)
            if "properties" in value and "title" in value:
                self.heading(value, level + 1, out)
                self.section(value, level + 1, out)
            elif "properties" in value:
                self.nested(node, value, out)

    def nested(self, parent, value, out):
        name = next(key for key, node in parent["properties"].items() if self.resolve(node) == value)
        out.append(f"Keys of `{name}`:\n")
        self.table(value, out)

    def heading(self, node, level, out):
        out.append(f"{'#' * level} {node['title']}\n")
        if node.get("description"):
            out.append(node["description"] + "\n")

    def document(self, out):
        self.heading(self.root, 2, out)
        self.section(self.root, 2, out)
        for name, node in self.root["definitions"].items():
            if "title" in node and (self.is_table(node) or "oneOf" in node):
                self.heading(node, 3, out)
                self.section(node, 3, out)
        words = [(node["title"], node["description"]) for node in self.root["definitions"].values()
                 if "title" in node and node.get("description") and "properties" not in node and "oneOf" not in node]
        for title, description in words:
            out.append(f"- **{title}**: {description}")
        out.append("")


def link(node):
    title = node["title"]
    return f"[{title.lower()}](#{title.lower().replace(' ', '-').replace(',', '')})"


def main():
    folder, output = (pathlib.Path(argument) for argument in sys.argv[1:3])
    out = [HEAD]
    for name in ("manifest", "policy"):
        Schema(folder / f"{name}.schema.json").document(out)
    profiles(folder.parent / "policies", out)
    groups(folder.parent / "policies" / "groups.json", out)
    output.write_text("\n".join(out).rstrip() + "\n")


def read_shipped(path):
    """A shipped file: its comments stand on lines of their own."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("//")]
    return json.loads("\n".join(lines))


def profiles(folder, out):
    """The shipped policies for functions."""
    out.append("## Shipped policies\n")
    out.append("| name | what it is |")
    out.append("| --- | --- |")
    for path in sorted(folder.glob("*.json")):
        if path.name != "groups.json" and not path.name.startswith("daemon-"):
            out.append(f"| `rtsup:{path.stem}` | {read_shipped(path)['description']} |")
    out.append("")


def groups(path, out):
    """The shipped groups of system calls, with what each is for."""
    shipped = read_shipped(path)
    table = shipped["groups"]
    out.append("## Groups of system calls\n")
    out.append("From policies/groups.json, which says why for every rule. `@runtime` is part of every function's filter.\n")
    out.append("| group | for | calls |")
    out.append("| --- | --- | --- |")
    for name, group in table.items():
        calls = []
        for entry in group["allow"]:
            if isinstance(entry, str):
                calls.append(entry)
                continue
            listed = entry["call"] if isinstance(entry["call"], list) else [entry["call"]]
            suffix = f" → {entry['errno']}" if "errno" in entry else "(...)" if "args" in entry else ""
            calls += [call + suffix for call in listed]
        unique = list(dict.fromkeys(calls))
        out.append(f"| `{name}` | {group['description']} | {' '.join(f'`{call}`' for call in unique)} |")
    aliases = ", ".join(f"`{name}` for `{group}`" for name, group in shipped["aliases"].items())
    out.append(f"\nNames of systemd are taken for the nearest group, in `allow` alone: {aliases}.")


if __name__ == "__main__":
    main()
