"""Similarity search in vectors: exact nearest neighbours, and groups of near-duplicates."""
