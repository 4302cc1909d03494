"""Rows of a child table as histories of their parents: context, network, training and sampling."""
