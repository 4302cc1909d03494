"""Public facts about a table: consequences of the schema's constraints, and published statistics."""
