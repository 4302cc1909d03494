"""Relations between columns: discovered, described and enforced above the codec."""
