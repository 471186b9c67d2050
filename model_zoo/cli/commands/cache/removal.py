"""``cache gc`` and ``cache rm`` make room in the cache; ``cache pin`` says what gc must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import dry_run_option, json_option, some_references_argument
from model_zoo.cli.output import iso_time, print_note, print_table
from model_zoo.cli.selection import resolve_cached
from model_zoo.errors import CacheReadOnlyError, UsageError
from model_zoo.files import is_directory
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.cache import Layer
    from model_zoo.cache.care.gc import Removal, Removals
    from model_zoo.cli.session import Session

_ENVIRONMENT = "env:"
_PINS_JSON = "Print one object: changed, pinned."
_JSON = "Print one object: dry_run, bytes before, freed and after, removed, kept."


@click.command("gc", short_help="Remove leftovers, then what was used least recently.")
@click.option("--max-size", metavar="SIZE", help="Size budget, such as 20GB (default: MODEL_ZOO_MAX_SIZE).")
@dry_run_option
@json_option(_JSON)
@click.pass_obj
def gc_command(session: Session, max_size: str | None, *, dry_run: bool) -> None:
    """Remove garbage, then the least recently used models until the cache is within its budget.

    Pinned models and files that a program has open are kept. Without a budget only garbage is removed:
    leftovers of killed runs, downloads not resumed for a week, files that no model uses, and converter
    environments that are broken or were not used for 30 days.
    """
    from model_zoo.cache.care.gc import plan_gc

    budget = _parse_budget(max_size) if max_size is not None else session.settings.max_size
    top = _writable_layer(session)
    plan = _remove(session, lambda age: plan_gc(top, budget, min_age=age), dry_run=dry_run)
    if plan.over:
        over, limit = human_size(plan.over), human_size(budget)
        print_note(f"the cache is still {over} over its budget of {limit}: the rest is in use or pinned")


@click.command("rm", short_help="Remove models and their IRs from the cache.")
@some_references_argument
@dry_run_option
@json_option(_JSON)
@click.pass_obj
def rm_command(session: Session, references: tuple[str, ...], *, dry_run: bool) -> None:
    """Remove models from the cache: their files, their IRs, and the blobs that no other model uses.

    NAME@PRECISION removes only the IR of that precision; env:NAME the converter environments of that stack.
    """
    from model_zoo.cache.care.gc import plan_rm

    stacks = [text.removeprefix(_ENVIRONMENT) for text in references if text.startswith(_ENVIRONMENT)]
    models = resolve_cached(session, [text for text in references if not text.startswith(_ENVIRONMENT)])
    top = _writable_layer(session)
    _remove(session, lambda _: plan_rm(top, models, stacks), dry_run=dry_run)


def _parse_budget(text: str) -> int:
    from model_zoo.settings import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"--max-size: {error}", hint="give a size such as 20GB or 512MiB") from error


def _writable_layer(session: Session) -> Layer:
    top = session.zoo.cache.top
    if top is None:
        what = "there is no writable cache layer"
        raise CacheReadOnlyError(what, hint="set MODEL_ZOO_CACHE or pass --cache DIR")
    return top


def _remove(session: Session, make_plan: Callable[[float], Removals], *, dry_run: bool) -> Removals:
    """Plan what to remove, remove it unless this is a dry run, and print it."""
    from model_zoo.cache.care.gc import apply

    if dry_run or not is_directory(_writable_layer(session).root):
        plan = make_plan(0.0)
    else:
        timeout = session.settings.lock_timeout
        plan = apply(session.zoo.cache, make_plan, on_wait=session.report_wait, timeout=timeout)
    names = ("before", "freed", "after", "budget", "over", "locks")
    value: dict[str, object] = {"dry_run": dry_run, **{name: getattr(plan, name) for name in names}}
    value["removed"] = [_row(removal) for removal in plan.removals]
    value["kept"] = [{"kind": i.kind, "name": i.label, "path": i.location, "why": w} for i, w in plan.kept]
    session.print_result(lambda: _print_plan(plan, dry_run=dry_run), value)
    return plan


def _print_plan(plan: Removals, *, dry_run: bool) -> None:
    shown = [_row(removal) for removal in plan.removals if removal.item.kind != "blob"]
    print_table([[r["kind"], r["name"], human_size(r["bytes"]), r["last_use"][:10], r["why"]] for r in shown])
    for item, why in plan.kept:
        print_note(f"kept {item.kind} {item.label}: {why}")
    blobs = counted(len(plan.removals) - len(shown), "blob")
    freed, after = human_size(plan.freed), human_size(plan.after)
    if not plan.removals and not plan.locks:
        click.echo(f"nothing to remove; {after} in the cache")
        return
    verb, rest = ("would free", "would remain") if dry_run else ("freed", "remain")
    click.echo(f"{verb} {freed}: {counted(len(shown), 'entry', 'entries')}, {blobs}; {after} {rest}")


def _row(removal: Removal) -> dict[str, Any]:
    return {
        "kind": removal.item.kind,
        "name": removal.item.label,
        "path": removal.item.location,
        "bytes": removal.size,
        "last_use": iso_time(removal.item.used),
        "why": removal.why,
    }


@click.command("pin")
@some_references_argument
@json_option(_PINS_JSON)
@click.pass_obj
def pin_command(session: Session, references: tuple[str, ...]) -> None:
    """Protect models from 'cache gc', whether they are cached yet or not."""
    from model_zoo.cache.care.pins import pin

    _change_pins(session, references, pin, "pinned", otherwise="already pinned")


@click.command("unpin")
@some_references_argument
@json_option(_PINS_JSON)
@click.pass_obj
def unpin_command(session: Session, references: tuple[str, ...]) -> None:
    """Let 'cache gc' remove models again."""
    from model_zoo.cache.care.pins import unpin

    _change_pins(session, references, unpin, "unpinned", otherwise="not pinned")


def _change_pins(
    session: Session,
    references: tuple[str, ...],
    change: Callable[[Layer, str, str | None], bool],
    verb: str,
    *,
    otherwise: str,
) -> None:
    from model_zoo.cache.care.pins import pins

    def name_of(model: str, precision: str | None) -> str:
        return f"{model}@{precision}" if precision else model

    layer = session.zoo.cache.writable
    done = {name_of(*model): change(layer, *model) for model in resolve_cached(session, references)}
    pinned = [name_of(model, p) for model, ps in pins(layer).items() for p in sorted(ps or [""])]
    text = "\n".join(f"{name}: {verb if changed else otherwise}" for name, changed in done.items())
    value = {"changed": [name for name, changed in done.items() if changed], "pinned": pinned}
    session.print_result(text, value)
