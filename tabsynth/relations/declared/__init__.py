"""Declared constraints: what a model learns in their place, and how drawn rows are made to satisfy them."""
