"""The schema of a database: several tables, their keys and links."""
