"""``cache verify|repair|gc|rm``: prove the cache, mend it, make room in it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.commands.pipeline import isolate_option
from model_zoo.cli.output import print_table, say
from model_zoo.errors import CacheDamagedError, CacheReadOnlyError, ModelZooError, UsageError
from model_zoo.files import is_directory
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from model_zoo.cache import Layer
    from model_zoo.cache.care.gc import Removal, Removals
    from model_zoo.cache.care.repair import Repaired
    from model_zoo.cache.care.verify import Problem, Verified
    from model_zoo.cli.main import Run

F = Any
_ENV = "env:"


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON value.")(command)


def dry_run_option(command: F) -> F:
    """Add ``--dry-run``."""
    return click.option("-n", "--dry-run", is_flag=True, help="Change nothing, say what would happen.")(
        command
    )


# --- proving and mending


@click.command("verify")
@json_option
@click.pass_obj
def verify_command(run: Run, *, as_json: bool) -> None:
    """Read every file of every layer again, compare digests, manifests and links; exit 6 if any is wrong.

    Needs no network and changes nothing.
    """
    checked = _check(run)
    problems = [_problem(problem) for problem in checked.problems]
    if as_json:
        names = ("blobs", "models", "irs", "environments", "bytes")
        facts = {name: getattr(checked, name) for name in names}
        print_value({"ok": not problems, **facts, "problems": problems})
    else:
        for problem in problems:
            click.echo(_line(problem))
    if problems:
        what = f"{counted(len(problems), 'thing is', 'things are')} wrong in the cache"
        raise CacheDamagedError(what, hint="run 'model-zoo cache repair'")
    if not as_json:
        size = human_size(checked.bytes)
        envs = f"{counted(checked.environments, 'environment')}, " if checked.environments else ""
        counts = f"{counted(checked.blobs, 'blob')}, {counted(checked.models, 'model')}, "
        counts += f"{counted(checked.irs, 'IR')}, {envs}"
        click.echo(f"{counts}{size}: no fault")


@click.command("repair")
@click.option("--require-pinned", is_flag=True, help="Refuse files whose content no full digest fixes.")
@click.option("--trust-code", is_flag=True, help="Let recipes run Python code of their own.")
@isolate_option
@dry_run_option
@json_option
@click.pass_obj
def repair_command(
    run: Run,
    *,
    require_pinned: bool,
    trust_code: bool,
    isolate: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Verify, then make again just what is damaged: fetched, put together, or converted.

    Files that are not the cache's own are moved to its folder foreign-v1, not deleted.
    """
    from model_zoo.cache.care.repair import Repaired, repair

    run.require_pinned = require_pinned
    problems = _check(run).problems
    if dry_run:
        rows = [{**_problem(problem), "done": _WOULD[problem.subject]} for problem in problems]
        mended, errors = Repaired(), []
    else:
        cache, timeout = run.zoo.cache, run.settings.lock_timeout
        mended = repair(cache, problems, on_wait=_waiting(run), timeout=timeout) if problems else Repaired()
        errors = _make_again(run, mended, trust_code=trust_code, isolate=isolate)
        rows = [{**_problem(problem), "done": done} for problem, done in mended.done]
    left = [{**_problem(problem), "why": why} for problem, why in mended.left]
    failed = [{"name": name, "error": str(error), "exit_code": error.exit_code} for name, error in errors]
    if as_json:
        print_value({"dry_run": dry_run, "mended": rows, "left": left, "failed": failed})
    else:
        for row in rows:
            click.echo(f"{_line(row)}: {row['done']}")
        for row in left:
            click.echo(f"{_line(row)}: not mended: {row['why']}")
        click.echo(f"{len(rows)} {'to mend' if dry_run else 'mended'}" if rows or left else "nothing to mend")
    if left:
        what = f"{counted(len(left), 'thing is', 'things are')} damaged in layers that are only read"
        errors.append(
            ("cache", CacheReadOnlyError(what, hint="make these layers again where they come from"))
        )
    run.finish(errors, len(rows) + len(errors))


_WOULD = {
    "blob": "would be fetched again",
    "files": "would be put together again",
    "ir": "would be converted again",
    "env": "would be removed; the next conversion in it builds it again",
    "foreign": "would be moved to foreign-v1",
    "state": "would be noted again",
}


def _check(run: Run) -> Verified:
    from model_zoo.cache.care.verify import verify

    cache = run.zoo.cache
    if cache.top is None or not is_directory(cache.top.root):
        checked = verify(cache.below, run.report)
    else:
        with cache.use(_waiting(run), timeout=run.settings.lock_timeout):
            checked = verify(cache.layers, run.report)
    run.close()
    return checked


def _make_again(
    run: Run, mended: Repaired, *, trust_code: bool, isolate: bool | None
) -> list[tuple[str, ModelZooError]]:
    """Fetch and convert what was removed; return what failed."""
    errors: list[tuple[str, ModelZooError]] = []

    def attempt(name: str, make: Callable[[], object]) -> None:
        try:
            make()
        except ModelZooError as error:
            errors.append((name, _lost(name, error)))

    zoo, report = run.zoo, run.report
    for model, files in sorted(mended.fetch, key=str):
        attempt(model, partial(zoo.fetch, model, precision=files, progress=report))
    how: dict[str, Any] = {"trust_code": trust_code, "isolate": isolate, "progress": report}
    for model, precision in sorted(mended.convert):
        attempt(f"{model}@{precision}", partial(zoo.convert, model, precision=precision, **how))
    run.close()
    return errors


def _lost(name: str, error: ModelZooError) -> ModelZooError:
    """Return the error with what it means for the cache: only damaged things are gone."""
    error.left = f"what was damaged of {name} was removed, everything else is untouched"
    return error


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "model": problem.model,
        "file": problem.file,
        "cause": problem.cause,
        "subject": problem.subject,
        "path": str(problem.path),
        "layer": str(problem.layer.root),
    }


def _line(row: dict[str, Any]) -> str:
    names = [str(name) for name in (row["model"], row["file"]) if name]
    return f"{': '.join(names)}: {row['cause']} ({row['path']})"


# --- making room


@click.command("gc")
@click.option("--max-size", metavar="SIZE", help="Budget, such as 20GB (default: MODEL_ZOO_MAX_SIZE).")
@dry_run_option
@json_option
@click.pass_obj
def gc_command(run: Run, max_size: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Remove litter, then what was not used for longest until the cache is within its budget.

    Pinned models and files that a program has open stay. Without a budget only litter goes: what killed
    runs left behind, transfers nobody went on with for a week, files no model stands on, converter
    environments that cannot be used any more or were not for 30 days.
    """
    from model_zoo.cache.care.gc import plan_gc

    budget = _size(max_size) if max_size is not None else run.settings.max_size
    top = _top(run)
    plan = _collect(run, lambda age: plan_gc(top, budget, min_age=age), dry_run=dry_run)
    _print_plan(plan, dry_run=dry_run, as_json=as_json)
    if plan.over:
        over = human_size(plan.over)
        say(f"still {over} over the budget of {human_size(budget)}: the rest is in use or pinned")


@click.command("rm")
@click.argument("references", nargs=-1, required=True, metavar="REF…")
@dry_run_option
@json_option
@click.pass_obj
def rm_command(run: Run, references: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """Remove models from the cache: their files, their IRs, and the bytes no other model stands on.

    NAME@PRECISION removes the IR of that precision only; env:NAME the converter environments of that stack.
    """
    from model_zoo.cache.care.gc import plan_rm

    envs = [one.removeprefix(_ENV) for one in references if one.startswith(_ENV)]
    wanted = resolve(run, [one for one in references if not one.startswith(_ENV)])
    top = _top(run)
    plan = _collect(run, lambda _: plan_rm(top, wanted, envs), dry_run=dry_run)
    _print_plan(plan, dry_run=dry_run, as_json=as_json)


def _top(run: Run) -> Layer:
    top = run.zoo.cache.top
    if top is None:
        what = "there is no writable cache layer to remove anything from"
        raise CacheReadOnlyError(what, hint="set MODEL_ZOO_CACHE or pass --cache DIR")
    return top


def _collect(run: Run, make: Callable[[float], Removals], *, dry_run: bool) -> Removals:
    from model_zoo.cache.care.gc import apply

    cache = run.zoo.cache
    if dry_run or not is_directory(_top(run).root):
        return make(0.0)
    plan = apply(cache, make, on_wait=_waiting(run), timeout=run.settings.lock_timeout)
    run.close()
    return plan


def _print_plan(plan: Removals, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        names = ("before", "freed", "after", "budget", "over", "locks")
        kept = [{"kind": i.kind, "name": i.label, "path": i.location, "why": why} for i, why in plan.kept]
        facts = {name: getattr(plan, name) for name in names}
        print_value({"dry_run": dry_run, **facts, "removed": _rows(plan.removals), "kept": kept})
        return
    shown = _rows(removal for removal in plan.removals if removal.item.kind != "blob")
    print_table([[r["kind"], r["name"], human_size(r["bytes"]), r["last_use"][:10], r["why"]] for r in shown])
    for item, why in plan.kept:
        say(f"kept {item.kind} {item.label}: {why}")
    blobs = len(plan.removals) - len(shown)
    verb = "would free" if dry_run else "freed"
    click.echo(
        f"{verb} {human_size(plan.freed)}: {counted(len(shown), 'entry', 'entries')}, "
        f"{counted(blobs, 'blob')}; "
        f"{human_size(plan.after)} {'would remain' if dry_run else 'remain'}"
    )


def _rows(removals: Iterable[Removal]) -> list[dict[str, Any]]:
    return [
        {
            "kind": removal.item.kind,
            "name": removal.item.label,
            "path": removal.item.location,
            "bytes": removal.size,
            "last_use": iso(removal.item.used),
            "why": removal.why,
        }
        for removal in removals
    ]


# --- arguments and results


def resolve(run: Run, references: Iterable[str]) -> list[tuple[str, str | None]]:
    """Return the models that references mean: of the catalogs, or of the cache alone.

    Raises:
        UsageError: neither has it.
    """
    from model_zoo.catalog import parse_reference

    found: list[tuple[str, str | None]] = []
    for text in references:
        try:
            found += [(request.model.name, request.precision) for request in run.zoo.expand([text])]
        except UsageError:
            parsed = parse_reference(text)
            if parsed.precision not in cached_models(run).get(str(parsed.name), set()):
                raise
            found.append((str(parsed.name), parsed.precision))
    return list(dict.fromkeys(found))


def cached_models(run: Run) -> dict[str, set[str | None]]:
    """Return what the writable layer has, or has pinned: model → its precisions, and None for all of it."""
    from model_zoo.cache.care.pins import pins
    from model_zoo.cache.care.usage import Usage

    top = run.zoo.cache.top
    if top is None:
        return {}
    known: dict[str, set[str | None]] = {
        entry.name: {None, *(row.precision for row in entry.irs.values())}
        for entry in Usage(top, writable=False).by_model()
    }
    for model, precisions in pins(top).items():
        known.setdefault(model, set()).update(precisions or (), (None,))
    return known


def _size(text: str) -> int:
    from model_zoo.settings import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"--max-size: {error}", hint="write it as 20GB or 512MiB") from error


def _waiting(run: Run) -> Callable[[str], None]:
    def wait(owner: str) -> None:
        from model_zoo.events import Event

        run.report(Event(event="wait", message=f"waiting for {owner}"))

    return wait


def print_value(value: object) -> None:
    """Print one JSON value; ten thousand models should not take a second."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def iso(seconds: float) -> str:
    """Return a time (seconds since 1970) as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
