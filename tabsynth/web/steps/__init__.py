"""The five steps: tables, columns, protection, training and results."""
