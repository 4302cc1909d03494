"""Statistics shared by the metrics: encodings, distances, bootstrap intervals."""
