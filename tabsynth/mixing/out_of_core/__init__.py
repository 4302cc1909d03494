"""Mix tables larger than memory, batch by batch."""
