"""``cache verify`` and ``cache repair``: check every byte, and make again what is damaged."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import (
    dry_run_option,
    isolate_option,
    json_option,
    require_pinned_option,
    trust_code_option,
)
from model_zoo.errors import CacheDamagedError, CacheReadOnlyError, ModelZooError, UnknownModelError
from model_zoo.files import is_directory
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from model_zoo.cache.care.repair import Repaired
    from model_zoo.cache.care.verify import Problem, Verified
    from model_zoo.cli.session import Session

_DRY_RUN = {
    "blob": "would be fetched again",
    "files": "would be assembled again",
    "ir": "would be converted again",
    "env": "would be removed; the next conversion that needs it rebuilds it",
    "compiled": "would be removed; the next load compiles it again",
    "foreign": "would be moved to foreign-v1",
    "state": "would be recorded again",
}


@click.command("verify", short_help="Check every file of every layer.")
@json_option("Print one object: ok, what was checked, and problems.")
@click.pass_obj
def verify_command(session: Session) -> None:
    """Reread every file of every layer, and check digests, manifests and links; exit with 6 on any damage.

    Needs no network and changes nothing.
    """
    checked = _verify(session)
    problems = [_row(problem) for problem in checked.problems]
    counts = {name: getattr(checked, name) for name in ("blobs", "models", "irs", "environments", "bytes")}
    text = "\n".join(_line(row) for row in problems) or f"{_summary(checked)}: no problems found"
    session.print_result(text, {"ok": not problems, **counts, "problems": problems})
    if problems:
        what = f"{counted(len(problems), 'problem')} in the cache"
        raise CacheDamagedError(what, hint="run 'model-zoo cache repair'")


def _summary(checked: Verified) -> str:
    counts = [counted(checked.blobs, "blob"), counted(checked.models, "model"), counted(checked.irs, "IR")]
    counts += [counted(checked.environments, "environment")] if checked.environments else []
    return ", ".join([*counts, human_size(checked.bytes)])


@click.command("repair", short_help="Verify, then restore only what is damaged.")
@require_pinned_option
@trust_code_option
@isolate_option
@dry_run_option
@json_option("Print one object: dry_run, mended, left, failed.")
@click.pass_obj
def repair_command(session: Session, *, trust_code: bool, isolate: bool | None, dry_run: bool) -> None:
    """Verify, then restore only what is damaged by fetching, assembling or converting it again.

    Files that do not belong to the cache are moved to its directory foreign-v1, not deleted.
    """
    from model_zoo.cache.care.repair import Repaired, repair

    problems = _verify(session).problems
    errors: list[tuple[str, ModelZooError]] = []
    if dry_run:
        done, left = [(problem, _DRY_RUN[problem.subject]) for problem in problems], []
    else:
        repaired = Repaired()
        if problems:
            timeout = session.settings.lock_timeout
            repaired = repair(session.zoo.cache, problems, on_wait=session.report_wait, timeout=timeout)
        errors = _restore(session, repaired, trust_code=trust_code, isolate=isolate)
        done, left = repaired.done, repaired.left
    rows = [{**_row(problem), "done": action} for problem, action in done]
    skipped = [{**_row(problem), "why": why} for problem, why in left]
    failed = [{"name": name, "error": str(error), "exit_code": error.exit_code} for name, error in errors]
    total = _total(rows, {name.partition("@")[0] for name, _ in errors}, dry_run=dry_run)
    lines = [
        *(f"{_line(row)}: {row['done']}" for row in rows),
        *(f"{_line(row)}: not repaired: {row['why']}" for row in skipped),
        total if rows or skipped else "nothing to repair",
    ]
    value = {"dry_run": dry_run, "mended": rows, "left": skipped, "failed": failed}
    session.print_result("\n".join(lines), value)
    if skipped:
        what = f"{counted(len(skipped), 'problem')} not repaired"
        hint = "rebuild read-only layers where they were made; clear the rest away by hand"
        errors.append(("cache", CacheReadOnlyError(what, hint=hint)))
    session.finish(errors, 0)


def _total(rows: Sequence[Mapping[str, str | None]], failed: set[str], *, dry_run: bool) -> str:
    """Return how many problems are repaired; those of models that could not be made again are not."""
    if dry_run:
        return f"{len(rows)} to repair"
    removed = sum(row["model"] in failed and "to be" in str(row["done"]) for row in rows)
    return f"{len(rows) - removed} repaired" + (f", {removed} removed but not restored" if removed else "")


def _verify(session: Session) -> Verified:
    from model_zoo.cache.care.verify import verify

    cache = session.zoo.cache
    if cache.top is None or not is_directory(cache.top.root):
        checked = verify(cache.below, session.report)
    else:
        with cache.use(session.report_wait, timeout=session.settings.lock_timeout):
            checked = verify(cache.layers, session.report, own=cache.top)
    session.close_progress()
    return checked


def _restore(
    session: Session, repaired: Repaired, *, trust_code: bool, isolate: bool | None
) -> list[tuple[str, ModelZooError]]:
    """Fetch and convert what was removed; return what failed."""
    errors: list[tuple[str, ModelZooError]] = []

    def attempt(name: str, make: Callable[[], object]) -> None:
        try:
            make()
        except ModelZooError as error:
            if isinstance(error, UnknownModelError):
                error.hint = f"add the catalog that has {name} (--catalog), then fetch or convert it again"
            error.left = f"the damaged parts of {name} were removed; everything else is untouched"
            errors.append((name, error))

    zoo, report = session.zoo, session.report
    for model, files in sorted(repaired.fetch, key=str):
        attempt(model, partial(zoo.fetch, model, precision=files, progress=report))
    how: dict[str, Any] = {"trust_code": trust_code, "isolate": isolate, "progress": report}
    for model, precision in sorted(repaired.convert):
        attempt(f"{model}@{precision}", partial(zoo.convert, model, precision=precision, **how))
    session.close_progress()
    return errors


def _row(problem: Problem) -> dict[str, str | None]:
    return {
        "model": problem.model,
        "file": problem.file,
        "cause": problem.cause,
        "subject": problem.subject,
        "path": str(problem.path),
        "layer": str(problem.layer.root),
    }


def _line(row: Mapping[str, str | None]) -> str:
    names = [name for name in (row["model"], row["file"]) if name]
    return f"{': '.join(names)}: {row['cause']} ({row['path']})"
