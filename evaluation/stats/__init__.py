"""The statistics that metrics share: encodings, distances and intervals."""
