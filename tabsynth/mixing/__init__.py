"""Mix several sources into one table by a reviewed plan: match, harmonise, link, combine, resolve and weight."""
