"""``lock``: pin revisions, digests and IR keys in a file that ``--locked`` holds later runs to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.commands.pipeline import converting_options, json_option, put_result
from model_zoo.errors import UsageError

if TYPE_CHECKING:
    from model_zoo.cli.main import Run


@click.command("lock")
@click.argument("references", nargs=-1, required=True, metavar="REF…")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="LOCK",
    default="model-zoo.lock",
    show_default=True,
    help="The file to write.",
)
@click.option("--files-only", is_flag=True, help="Lock the files, and no IR.")
@converting_options
@json_option("One object: path, and models with the name and precisions of each.")
@click.pass_obj
def lock_command(
    run: Run,
    /,
    references: tuple[str, ...],
    *,
    output: Path,
    files_only: bool,
    require_pinned: bool,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Fetch and convert models, and write down exactly what they are: revisions, digests, IR keys.

    Branches and patterns are asked for anew. The file is the same for the same models, and is written
    whole: it locks the references named here and no other.
    """
    from model_zoo.catalog.lockfile import lockfile_text
    from model_zoo.files import ELSEWHERE, as_cache_error, write_file
    from model_zoo.zoo import Conversion
    from model_zoo.zoo.lockfile import lock_models

    if run.locked is not None:
        raise UsageError("a lock is made without another one", hint="leave --locked out")
    run.require_pinned = require_pinned
    models = lock_models(run.zoo, references, Conversion(**how), convert=not files_only, report=run.report)
    run.close()
    with as_cache_error(output, hint=ELSEWHERE):
        write_file(output, lockfile_text(models).encode("utf-8"))
    locked = [{"name": name, "precisions": sorted(one.ir)} for name, one in models.items()]
    put_result(run, str(output), path=str(output), models=locked)
