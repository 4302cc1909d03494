"""Boosted trees over tokens."""
