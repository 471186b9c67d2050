"""``cache pin`` and ``cache unpin``: models that ``cache gc`` must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from model_zoo.cli.options import json_option
from model_zoo.cli.selection import resolve_cached

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.cache import Layer
    from model_zoo.cli.session import Session


@click.command("pin")
@click.argument("references", nargs=-1, required=True, metavar="REF…")
@json_option("Print one object: changed, pinned.")
@click.pass_obj
def pin_command(session: Session, references: tuple[str, ...]) -> None:
    """Protect models from 'cache gc', whether they are cached yet or not."""
    from model_zoo.cache.care.pins import pin

    _change(session, references, pin, "pinned", otherwise="already pinned")


@click.command("unpin")
@click.argument("references", nargs=-1, required=True, metavar="REF…")
@json_option("Print one object: changed, pinned.")
@click.pass_obj
def unpin_command(session: Session, references: tuple[str, ...]) -> None:
    """Let 'cache gc' remove models again."""
    from model_zoo.cache.care.pins import unpin

    _change(session, references, unpin, "unpinned", otherwise="not pinned")


def _change(
    session: Session,
    references: tuple[str, ...],
    change: Callable[[Layer, str, str | None], bool],
    verb: str,
    *,
    otherwise: str,
) -> None:
    from model_zoo.cache.care.pins import pins

    layer = session.zoo.cache.writable
    models = resolve_cached(session, references)
    names = {_name(model, precision): change(layer, model, precision) for model, precision in models}
    changed = [name for name, has_changed in names.items() if has_changed]
    pinned = [
        _name(model, p) for model, precisions in pins(layer).items() for p in sorted(precisions or [""])
    ]
    text = "\n".join(f"{name}: {verb if has_changed else otherwise}" for name, has_changed in names.items())
    session.print_result(text, {"changed": changed, "pinned": pinned})


def _name(model: str, precision: str | None) -> str:
    return f"{model}@{precision}" if precision else model
