"""Strict YAML: safe types only, no duplicate keys, YAML 1.2 booleans."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tabsynth.errors import SourceError


def read_yaml(path: str | Path, what: str) -> Any:
    """The plain data of a YAML file.

    Args:
        path: The file.
        what: What it holds, for messages ("pipeline").

    Raises:
        SourceError: The file cannot be read, or is not YAML.
    """
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise SourceError(f"cannot read the {what} {str(path)!r}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SourceError(f"{str(path)!r} is not YAML: {' '.join(str(error).split())}") from error


BOOLEAN_TAG = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """Safe YAML that also refuses a key given twice, and reads only true and false as booleans.

    YAML 1.1 would drop the first of two keys silently, and read the country code NO as false.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys are all different."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if not key.tag.endswith(":merge")]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise yaml.YAMLError(f"key {key!r} is given twice, {node.start_mark}")
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag != BOOLEAN_TAG]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(BOOLEAN_TAG, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
