"""Strict YAML: safe types only, no duplicate keys, YAML 1.2 booleans, finite numbers."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tabsynth.common.input_files import check_plain, read_text
from tabsynth.errors import CONTROLS, SourceError

BOOLEAN_TAG, INTEGER_TAG, FLOAT_TAG = (f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float"))

MAX_MERGED = 1_000_000
"""Values that merge keys may bring in; those of a mapping that is merged twice count twice."""


def read_yaml(path: str | Path, what: str) -> Any:
    """Return the plain data of a YAML file.

    Args:
        path: The file.
        what: Kind of content, for messages ("pipeline").

    Raises:
        SourceError: The file cannot be read, or is not YAML.
    """
    text = read_text(path, what)
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise SourceError(f"{str(path)!r} is not YAML: {error}") from error


def parse_yaml(text: str) -> Any:
    """Parse YAML strictly.

    Raises:
        ValueError: The text is not such YAML.
    """
    try:
        data = yaml.load(text, Loader=_Loader)
        check_plain(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    # PyYAML's constructors raise these for malformed tagged values, such as !!timestamp x.
    except (yaml.YAMLError, AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    return data


def dump_yaml_text(data: Any, **options: Any) -> str:
    """Return plain data as YAML, with letters of all scripts but no raw control characters.

    Args:
        data: The data.
        options: Keyword arguments of ``yaml.dump``.
    """
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **options)
    return CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class _Dumper(yaml.SafeDumper):
    """Safe YAML with double quotes around text that has control characters, which can then be escaped."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if CONTROLS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


class _Loader(yaml.SafeLoader):
    """Safe YAML that rejects duplicate keys, with the scalars of YAML 1.2.

    YAML 1.1 would drop the first of two keys, and read NO as false, 01234 as octal, 1:30 as 90, and 1e-3 as text.
    """

    merged = 0
    """Pairs that merge keys (``<<``) have brought in."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Take in merged mappings, whose number could grow without bound where merges hold merges."""
        super().flatten_mapping(node)
        self.merged += len(node.value)
        if self.merged > MAX_MERGED:
            raise yaml.YAMLError(f"merge keys bring in more than {MAX_MERGED:,} values, {node.start_mark}")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping whose keys are all different."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if not key.tag.endswith(":merge")]
        seen: set[Hashable] = set()
        for key in keys:
            if key in seen:
                raise yaml.YAMLError(f"key {key!r} is given twice, {node.start_mark}")
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag not in (BOOLEAN_TAG, INTEGER_TAG, FLOAT_TAG)]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(BOOLEAN_TAG, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    INTEGER_TAG, re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    FLOAT_TAG,
    re.compile(
        r"^(?:[-+]?(?:(?:0|[1-9][0-9_]*)(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)
