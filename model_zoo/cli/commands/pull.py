"""``import`` and ``pull``: models from a tar or a registry into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_zoo.cli.options import json_option

if TYPE_CHECKING:
    from model_zoo.cache.intake import Taken
    from model_zoo.cli.session import Session

_imported_option = json_option(
    "Print an array with one object per IR or directory: name, precision, path, key."
)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@_imported_option
@click.pass_obj
def import_command(session: Session, file: Path) -> None:
    """Import models from a tar written by 'export --format tar', after verifying every digest."""
    from model_zoo.export.archive import import_tar

    _print_imported(session, import_tar(session.zoo, file))


@click.command("pull")
@click.argument("target", metavar="REGISTRY/REPO[:TAG|@DIGEST]")
@_imported_option
@click.pass_obj
def pull_command(session: Session, target: str) -> None:
    """Pull IRs from a registry into the cache; an interrupted pull resumes where it stopped."""
    from model_zoo.registry.remote import pull
    from model_zoo.sources.oci.reference import target_of

    _print_imported(session, pull(target_of(target), session.zoo.cache, session.settings, session.report))


def _print_imported(session: Session, imported: Taken) -> None:
    """Print one line for each IR and each model's directory that is in the cache now."""
    from model_zoo.schema import FOLDER

    cache, rows = session.zoo.cache, []
    for key in imported.irs:
        if (found := cache.find_ir(key)) is not None:
            directory, manifest = found
            path = directory if manifest.get("layout") == FOLDER else directory / "model.xml"
            name, precision = manifest["model"], manifest["precision"]
            rows.append({"name": name, "precision": precision, "path": str(path), "key": key})
    for model, declaration in imported.files:
        if (found := cache.find_files(model, declaration)) is not None:
            rows.append({"name": model, "precision": None, "path": str(found[0]), "key": None})
    session.print_result("\n".join(row["path"] for row in rows), rows)
