"""How the tables of a database are made of those that are learned."""
