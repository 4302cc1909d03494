"""Text for terminals and files."""

from __future__ import annotations

import json
from typing import Any

from tabsynth.errors import CONTROLS, escape_controls

__all__ = ["escape_controls", "is_unicode", "readable_json"]


def readable_json(data: Any, **options: Any) -> str:
    """Return plain data as the text of a JSON file, with letters of all scripts but no raw control characters."""
    text = json.dumps(data, indent=1, ensure_ascii=False, **options) + "\n"
    return CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def is_unicode(text: str) -> bool:
    """Return whether UTF-8 can encode a text: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
