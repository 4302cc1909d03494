"""One table from linked tables: unions, joins, statistical matching, conflicts and weights."""
