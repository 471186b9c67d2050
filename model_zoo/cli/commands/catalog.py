"""``catalog``: validate entries, write them, publish them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import json_option, output_option
from model_zoo.errors import CatalogError, ModelZooError, UsageError
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.cli.session import Session
    from model_zoo.schema import Model


@click.group("catalog")
def catalog_group() -> None:
    """Validate, write and publish catalogs."""


@catalog_group.command("validate", short_help="Check every entry of one catalog, or of all.")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--online", is_flag=True, help="Also ask every address for size and digest.")
@json_option(
    "Print one object: entries, errors with path, message and hint; with --online also asked, unasked."
)
@click.pass_obj
def validate_command(session: Session, path: Path | None, *, online: bool) -> None:
    """Check every entry of one catalog, or of all configured ones; exit with 3 if any is invalid.

    Each error names the file, line and field. The stages of a composite must exist. With --online every
    address is asked, a few at a time of each host, and what moved, is missing or changed is an error too;
    nothing is transferred.
    """
    if online and session.settings.offline:
        raise UsageError("--online needs the network, and this run is offline", hint="leave one of them out")
    roots = [path] if path is not None else list(session.zoo.catalog.roots)
    read, errors = _validate(session, roots)
    count = len(read)
    asked: dict[str, Any] = {}
    if online:
        asked, more = _ask(session, {file: model for file, model in read.items() if model is not None})
        errors += more
    for _, error in errors:
        session.fail(error)
    entries = counted(count, "entry", "entries")
    if online:
        entries += f", {counted(asked['asked'], 'address', 'addresses')} asked"
    if session.as_json or not errors:
        rows = [{"path": file, "message": str(error), "hint": error.hint} for file, error in errors]
        session.print_result(f"{entries}, no errors", {"entries": count, "errors": rows} | asked)
    if errors:
        session.note(f"{counted(len(errors), 'error')} in {entries}")
        raise SystemExit(CatalogError.exit_code)


def _validate(
    session: Session, roots: Sequence[Path]
) -> tuple[dict[Path, Model | None], list[tuple[str, ModelZooError]]]:
    """Return each entry's file with its model, and each file or catalog that is invalid with its error."""
    from model_zoo.catalog import Catalog, find_entries, read_entry
    from model_zoo.catalog.reader import with_labels

    errors: list[tuple[str, ModelZooError]] = []
    read: dict[Path, Model | None] = {}
    known = set(session.zoo.catalog.names())
    stages: list[tuple[Path, str]] = []
    for root in roots:
        files, _ = find_entries(root)
        for file in files:
            read[file] = None
            try:
                read[file] = model = with_labels(read_entry(file, root), file)
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
    return read, errors


_TOLD = {
    "missing": ("nothing found at {}", "correct the source, or add another one"),
    "changed": ("{} has changed", "look at what changed, then correct size and digest in the entry"),
    "moved": ("{} has moved permanently", "write the new address in the entry"),
    "unreachable": ("cannot check {}", "try again later; check the network (proxy, certificates)"),
}


def _ask(
    session: Session, models: dict[Path, Model]
) -> tuple[dict[str, Any], list[tuple[str, ModelZooError]]]:
    """Ask the addresses of models; return what ``--json`` shows of that, and an error for each wrong one."""
    from model_zoo.zoo.online import ask_addresses

    files = {model.name: file for file, model in models.items()}
    answers, unasked = ask_addresses(models.values(), session.settings)
    errors: list[tuple[str, ModelZooError]] = []
    for answer in answers:
        if answer.status != "ok":
            file = str(files[answer.model])
            text, hint = _TOLD[answer.status]
            what = f"{file}: {answer.path}: {text.format(answer.source)}"
            error = CatalogError(what, expected=answer.expected, found=answer.found, hint=hint)
            errors.append((file, error))
    if unasked:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(unasked.items()))
        session.note(f"not checked, as these sources have no address to ask: {kinds}")
    return {"asked": len(answers), "unasked": dict(sorted(unasked.items()))}, errors


@catalog_group.command("refresh", short_help="Pin commit, sizes and digests of what floats in entries.")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PATH…")
@click.option("--dry-run", is_flag=True, help="Print what would change as a diff, and write nothing.")
@json_option("Print one object: entries, changed, errors.")
@click.pass_obj
def refresh_command(session: Session, paths: tuple[Path, ...], *, dry_run: bool) -> None:
    """Pin what floats in catalog files, and print the files that changed.

    A branch becomes the commit that it means now, and a pattern or a whole repository the files that it
    matches, with their sizes and digests. Small files are read for their digest where the server states none.
    """
    from difflib import unified_diff

    from model_zoo.catalog import find_entries
    from model_zoo.files import ELSEWHERE, as_cache_error, write_file
    from model_zoo.zoo.refresh import refreshed

    files = [file for path in paths for file in find_entries(path)[0]]
    changed: list[str] = []
    diffs: list[str] = []
    errors: list[tuple[str, ModelZooError]] = []
    for file in files:
        try:
            new = refreshed(file, session.settings)
            if new is None:
                continue
            old = file.read_text(encoding="utf-8")
            diffs += unified_diff(old.splitlines(), new.splitlines(), str(file), str(file), lineterm="")
            if not dry_run:
                with as_cache_error(file, hint=ELSEWHERE):
                    write_file(file, new.encode("utf-8"))
            changed.append(str(file))
        except ModelZooError as error:
            error.what = f"{file}: {error.what.removeprefix(f'{file}: ')}"
            errors.append((str(file), error))
    rows = [{"path": file, "message": str(error), "hint": error.hint} for file, error in errors]
    facts = {"entries": len(files), "changed": changed, "errors": rows}
    session.print_result("\n".join(diffs if dry_run else changed), facts)
    if not changed and not errors:
        session.note(f"{counted(len(files), 'entry', 'entries')}, nothing floats")
    session.finish(errors, len(files))


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
    from model_zoo.files import ELSEWHERE, as_cache_error, sweep_staged, write_file
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
        sweep_staged(target)
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

    The page offers tasks, search and filters, and for each model what it takes, gives and needs, with lines
    of code to copy. Without PATTERN it shows every model.
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
