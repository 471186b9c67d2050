"""``catalog``: validate entries, write them, publish them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_zoo.cli.options import json_option, output_option
from model_zoo.errors import CatalogError, ModelZooError
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.cli.session import Session


@click.group("catalog")
def catalog_group() -> None:
    """Validate, write and publish catalogs."""


@catalog_group.command("validate", short_help="Check every entry of one catalog, or of all.")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@json_option("Print one object: entries, and errors with path, message and hint.")
@click.pass_obj
def validate_command(session: Session, path: Path | None) -> None:
    """Check every entry of one catalog, or of all configured ones; exit with 3 if any is invalid.

    Each error names the file, line and field. The stages of a composite must exist.
    """
    roots = [path] if path is not None else list(session.zoo.catalog.roots)
    count, errors = _validate(session, roots)
    for _, error in errors:
        session.fail(error)
    entries = counted(count, "entry", "entries")
    if session.as_json or not errors:
        rows = [{"path": file, "message": str(error), "hint": error.hint} for file, error in errors]
        session.print_result(f"{entries}, no errors", {"entries": count, "errors": rows})
    if errors:
        session.note(f"{counted(len(errors), 'error')} in {entries}")
        raise SystemExit(CatalogError.exit_code)


def _validate(session: Session, roots: Sequence[Path]) -> tuple[int, list[tuple[str, ModelZooError]]]:
    """Return how many entries the catalogs have, and each file or catalog that is invalid with its error."""
    from model_zoo.catalog import Catalog, find_entries, read_entry
    from model_zoo.catalog.reader import with_labels

    errors: list[tuple[str, ModelZooError]] = []
    count = 0
    known = set(session.zoo.catalog.names())
    stages: list[tuple[Path, str]] = []
    for root in roots:
        files, _ = find_entries(root)
        count += len(files)
        for file in files:
            try:
                model = with_labels(read_entry(file, root), file)
            except ModelZooError as error:
                errors.append((str(file), error))
                continue
            known.add(model.name)
            stages += [(file, stage) for stage in model.stages]
        try:
            Catalog([root]).names()
        except ModelZooError as error:
            errors.append((str(root), error))
    for file, stage in stages:
        if stage not in known:
            what = f"{file}: stages: no catalog has a model named {stage!r}"
            errors.append((str(file), CatalogError(what, hint="correct the name or add the model")))
    return count, errors


@catalog_group.command("add", short_help="Write a catalog entry that pins what a URI refers to now.")
@click.argument("uri", metavar="URI")
@output_option("FILE", "The entry to write (default: NAME.yaml or the file's stem, here); '-' prints it.")
@json_option("Print one object: name, path.")
@click.pass_obj
def add_command(session: Session, uri: str, output: Path | None) -> None:
    """Fetch what a URI refers to now, write a catalog entry that pins it, and print the entry's path.

    URI is https://…, hf:ORGANISATION/NAME[@REVISION][/FILE], torchvision:NAME, tfhub:HANDLE,
    wheel:NAME==VERSION/MEMBER, file:PATH, or a path. Use the entry with --catalog FILE.
    """
    from model_zoo.catalog import read_model
    from model_zoo.catalog.writer import to_yaml
    from model_zoo.files import ELSEWHERE, as_cache_error, write_file
    from model_zoo.zoo.add import default_target, entry_of

    to_stdout = output is not None and str(output) == "-"
    requested = None if to_stdout else output or default_target(session.zoo, uri)
    model = entry_of(session.zoo, uri, target=requested, report=session.report)
    session.close_progress()
    text = to_yaml(model)
    if to_stdout:
        click.echo(text, nl=False)
        return
    target = requested or Path(f"{model.name}.yaml")
    replaced = target.exists()
    with as_cache_error(target, hint=ELSEWHERE):
        write_file(target, text.encode("utf-8"))
    if replaced:
        session.note(f"replaced {target}")
    read_model(target)
    session.print_result(str(target), {"name": model.name, "path": str(target)})


@catalog_group.command("import-omz", short_help="Convert Open Model Zoo's model.yml files to entries.")
@click.argument("tree", metavar="DIR", type=click.Path(path_type=Path))
@output_option("DIR", "Directory for the entries.", default="catalog", show_default=True)
@json_option("Print one object: paths.")
@click.pass_obj
def import_omz_command(session: Session, tree: Path, output: Path) -> None:
    """Convert a tree of Open Model Zoo's model.yml files to catalog entries, and print their paths.

    DIR is the tree, or a checkout of Open Model Zoo or of a fork. To use it directly, without writing
    anything, pass it with --catalog.
    """
    from model_zoo.catalog.omz.import_tree import import_tree

    paths = [str(path) for path in import_tree(tree, output)]
    session.print_result("\n".join(paths), {"paths": paths})


@catalog_group.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of an entry, for editors and other tools."""
    from model_zoo.catalog.json_schema import schema_text

    click.echo(schema_text(), nl=False)


@catalog_group.command("html", short_help="Write the catalog as a web page that needs no server.")
@output_option("DIR", "Directory for the page.", required=True)
@click.argument("patterns", nargs=-1, metavar="[PATTERN…]")
@json_option("Print one object: path, and the number of models shown.")
@click.pass_obj
def html_command(session: Session, output: Path, patterns: tuple[str, ...]) -> None:
    """Write the catalog as a web page that needs no server and no network, and print its path.

    The page offers search, filters and commands to copy. Without PATTERN it shows every model.
    """
    from model_zoo.catalog import match_names
    from model_zoo.catalog.page import write_site
    from model_zoo.zoo.info import facts

    names = match_names(session.zoo.catalog.names(), patterns)
    errors: list[tuple[str, ModelZooError]] = []
    models = []
    for name in names:
        try:
            models.append(facts(session.zoo, session.zoo.catalog.get(name)))
        except ModelZooError as error:
            errors.append((name, error))
    path = str(write_site(models, output))
    session.print_result(path, {"path": path, "models": len(models)})
    session.finish(errors, len(names))
