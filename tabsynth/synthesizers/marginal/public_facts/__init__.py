"""What is known of a table before any row is read: what the schema's constraints imply, and published statistics."""
