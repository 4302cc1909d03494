"""The population and its schema, as the attacks have them."""

from ..attacks.conftest import draw, schema

__all__ = ["draw", "schema"]
