"""The command line: argv → zoo → exit code. One file per command group."""

from __future__ import annotations

import gc

gc.set_threshold(20_000)  # imports make no garbage, and looking for it took 7 % of a short command

from model_zoo.cli.frame import main  # noqa: E402

__all__ = ["main"]
