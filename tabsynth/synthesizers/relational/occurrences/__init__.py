"""Which values occur in a history: planned numbers of classes, first occurrences, and the last of the same class."""
