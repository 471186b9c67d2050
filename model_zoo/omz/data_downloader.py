"""``omz_data_downloader``: the helper files for data sets, which this package does not include."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.omz.arguments import FAILED, exit_with

if TYPE_CHECKING:
    from collections.abc import Sequence

_MESSAGE = """\
Errors occurred: nothing was written to {folder}: this package does not ship Open Model Zoo's helper files for
data sets (dataset_definitions.yml, dataset_classes, palettes). They were made for its accuracy checker.
  next:     take the folder data/ of a checkout of Open Model Zoo; labels of models are in the catalog
            entries here ('model-zoo info NAME')
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        SystemExit: always.
    """
    exit_with(refuse, argv)


def refuse(argv: Sequence[str]) -> int:
    """Print where to get the files, and return the exit code of a failure."""
    parser = argparse.ArgumentParser(
        prog="omz_data_downloader", description="Say where the helper files for data sets are to be had."
    )
    parser.add_argument(
        "-o", "--output_dir", type=Path, metavar="DIR", default=Path.cwd(), help="where files would go"
    )
    args = parser.parse_args(argv)
    sys.stderr.write(_MESSAGE.format(folder=args.output_dir))
    return FAILED
