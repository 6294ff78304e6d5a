"""Write the page on the config from its schema: ``python docs/config_page.py``."""

import functools
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/config.md"
SCHEMA = ROOT / "rules/schemas/config.schema.yaml"
#: what a schema allows of a number, in words
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
HEAD = """\
# The config

<!-- written by docs/config_page.py from rules/schemas/config.schema.yaml -->

Every key of an experiment. A config is laid over `config.yaml`, the embedded default; what neither gives has the
default that is named here. Unknown keys, and values that are not allowed, are refused with the place of the key.

```console
$ snakemake --cores 8 --configfile configs/wn18.yaml --config 'models=[TransE, DistMult]'
```

Lists of names can be given on the command line like this. Snakemake takes numbers in such a list for text, so that
`seeds` and `negatives` go into a file.
"""


def page(schema: dict[str, Any]) -> str:
    """Lay out all keys: those of the top in a table, and each group of others in a table of its own."""
    keys = {name: resolved(entry, schema) for name, entry in schema["properties"].items()}
    groups = [(name, entry) for name, entry in keys.items() if "properties" in entry]
    plain = {name: entry for name, entry in keys.items() if "properties" not in entry}
    parts = [HEAD, "## At the top\n\n" + table(plain, schema.get("required", ()))]
    for name, entry in groups:
        parts += sections(name, entry, level=2)
    return "\n".join(parts)


def sections(path: str, group: dict[str, Any], level: int) -> Iterator[str]:
    """Lay out the keys of a group, and then the groups inside it."""
    plain = {name: entry for name, entry in group["properties"].items() if "properties" not in entry}
    described = table(plain, group.get("required", ()))
    yield f"{'#' * level} `{path}`\n\n{group['description']}\n" + (f"\n{described}" if plain else "")
    for name, entry in group["properties"].items():
        if "properties" in entry:
            yield from sections(f"{path}.{name}", entry, level + 1)


def table(keys: dict[str, dict[str, Any]], required: tuple[str, ...] | list[str]) -> str:
    """Lay out keys, one a row."""
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, entry in keys.items():
        default = "required" if name in required else f"`{shown(entry['default'])}`" if "default" in entry else ""
        cells = [f"`{name}`", allowed(entry), default, entry.get("description", "")]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def resolved(entry: Any, schema: dict[str, Any]) -> Any:
    """Put in what an entry refers to, and so on downwards."""
    if isinstance(entry, list):
        return [resolved(item, schema) for item in entry]
    if not isinstance(entry, dict):
        return entry
    found: Any = {}
    if "$ref" in entry:
        found = functools.reduce(operator.getitem, entry["$ref"].removeprefix("#/").split("/"), schema)
    own = {key: value for key, value in entry.items() if key != "$ref"}
    return {key: resolved(value, schema) for key, value in {**found, **own}.items()}


def allowed(entry: dict[str, Any]) -> str:
    """Say in words which values there may be."""
    if "enum" in entry:
        return ", ".join(f"`{shown(value)}`" for value in entry["enum"])
    for kind in ("oneOf", "anyOf"):
        if kind in entry:
            return "; or ".join(allowed(choice) for choice in entry[kind])
    types = entry.get("type", "any")
    names = types if isinstance(types, list) else [types]
    words = " or ".join({"null": "`null`", "array": "list", "object": "mapping"}.get(name, name) for name in names)
    bounds = [text.format(shown(entry[name])) for name, text in BOUNDS.items() if name in entry]
    if "array" in names and "items" in entry:
        return f"{words} of {allowed(entry['items'])}"
    return ", ".join([words, *bounds])


def shown(value: Any) -> str:
    """Write a value as YAML does, in a line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()


if __name__ == "__main__":
    PAGE.write_text(page(yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))), encoding="utf-8")
