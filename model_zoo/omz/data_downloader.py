"""``omz_data_downloader``: the helper files for data sets, which this package does not include."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.omz.arguments import FAILED, Parser, program

if TYPE_CHECKING:
    from collections.abc import Sequence

_MESSAGE = """\
Errors occurred: nothing was written to {folder}: this package does not ship Open Model Zoo's helper files for
data sets (dataset_definitions.yml, dataset_classes, palettes). They were made for its accuracy checker.
  next:     copy the folder data/ from a checkout of Open Model Zoo; the labels of a model are in its catalog
            entry here ('model-zoo info NAME')
"""


@program
def main(argv: Sequence[str]) -> int:
    """Print where to get the files, and return the exit code of a failure."""
    parser = Parser("omz_data_downloader", "Say where to get the helper files for data sets.")
    parser.add_directory("-o", "--output_dir", default=Path.cwd(), text="where the files would go")
    sys.stderr.write(_MESSAGE.format(folder=parser.parse_args(argv).output_dir))
    return FAILED
