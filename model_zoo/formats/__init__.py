"""Formats: which file of a model is its network, and what is told from files without a framework."""
