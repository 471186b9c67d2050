"""``lock``: pin revisions, digests and IR keys in a file that ``--locked`` holds later runs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import (
    conversion_options,
    json_option,
    output_option,
    require_pinned_option,
    some_references_argument,
)

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.cli.session import Session


@click.command("lock")
@some_references_argument
@output_option("LOCK", "The file to write.", default="model-zoo.lock", show_default=True)
@click.option("--files-only", is_flag=True, help="Lock files only, no IRs.")
@require_pinned_option
@conversion_options
@json_option("Print one object: path, and models with the name and precisions of each.")
@click.pass_obj
def lock_command(
    session: Session,
    /,
    references: tuple[str, ...],
    *,
    output: Path,
    files_only: bool,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Fetch and convert models, and record exactly what they are: revisions, digests, IR keys.

    Branches and patterns are resolved again. The same models always give the same file. An existing file is
    replaced: only the models named here are locked.
    """
    from model_zoo.catalog.lockfile import lockfile_text
    from model_zoo.files import ELSEWHERE, as_cache_error, sweep_staged, write_file
    from model_zoo.zoo import Conversion
    from model_zoo.zoo.lockfile import lock_models

    models = lock_models(
        session.zoo, references, Conversion(**how), convert=not files_only, report=session.report
    )
    session.close_progress()
    with as_cache_error(output, hint=ELSEWHERE):
        sweep_staged(output)
        write_file(output, lockfile_text(models).encode("utf-8"))
    rows = [{"name": name, "precisions": sorted(model.ir)} for name, model in models.items()]
    session.print_result(str(output), {"path": str(output), "models": rows})
