"""The commands, a file for each group; imported when one of them runs."""
