"""The command line: argv → zoo → exit code. One file per command group."""

from __future__ import annotations

from model_zoo.cli.frame import main

__all__ = ["main"]
