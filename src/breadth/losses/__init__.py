"""Losses: the implicit-reward family on sequences, policy losses on tokens, and their aggregation."""
