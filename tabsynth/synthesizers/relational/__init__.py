"""Several linked tables: a parent's plan, its children row by row, keys last."""
