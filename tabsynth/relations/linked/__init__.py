"""Relations along histories and between linked tables: running totals, copies, aggregates, and orders of dates."""
