"""Detection of the encoding of text files."""
