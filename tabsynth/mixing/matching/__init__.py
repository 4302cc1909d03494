"""Which columns, codes and units of several tables match."""
