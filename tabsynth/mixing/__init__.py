"""Several sources, one table: align, harmonise, link, resolve, combine and weigh, by a plan that a person reviews."""
