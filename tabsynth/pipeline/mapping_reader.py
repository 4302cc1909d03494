"""Strict reader of a mapping: every key is known, and every value has its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabsynth.errors import InputError, did_you_mean, quote


class MappingReader:
    """A mapping whose keys are consumed one by one; a key that remains is unknown."""

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, Mapping):
            raise InputError(f"{where}: expected a mapping of keys and values, not {type(data).__name__}")
        self.data = dict(data)
        self.where = where
        self.known: list[str] = []

    def take(self, key: str, kinds: Any, what: str, default: Any = None, *, required: bool = False) -> Any:
        """Consume a key whose value has one of ``kinds``; an integer is a float, a boolean is not a number."""
        self.known.append(key)
        value = self.data.pop(key, None)
        if value is None:
            if required:
                raise InputError(f"{self.where}: {key!r} is missing; give {what}")
            return default
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if float in kinds and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InputError(f"{self.where}: {key} must be {what}, not {value!r}")
        return value

    def seed(self) -> int | None:
        """Consume ``seed``."""
        seed = self.take("seed", int, "an integer")
        if seed is not None and not 0 <= seed < 2**63:
            raise InputError(f"{self.where}: seed must be an integer from 0 to 2**63 - 1, not {seed}")
        return None if seed is None else int(seed)

    def step(self, key: str, *, default: bool = True) -> MappingReader | None:
        """Return the keys of a step; None if it is skipped."""
        if isinstance(self.data.get(key, default), bool):
            wanted = self.data.pop(key, default)
            self.known.append(key)
            return MappingReader({}, f"{self.where}: {key}") if wanted else None
        return MappingReader(self.take(key, Mapping, "a mapping, or false to skip it", {}), f"{self.where}: {key}")

    def rest(self) -> dict[str, Any]:
        """Return the keys not consumed."""
        return {str(key): value for key, value in self.data.items()}

    def end(self) -> None:
        """Raise if a key remains."""
        for key in self.data:
            known = list(dict.fromkeys(self.known))
            hint = did_you_mean(key, known)
            raise InputError(f"{self.where}: unknown key {key!r}{hint}; allowed are {quote(known, 30)}")
