"""Formats: the table of frameworks, and what can be read from files without one."""
