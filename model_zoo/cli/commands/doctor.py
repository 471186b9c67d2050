"""``doctor``: what is wrong on this machine, and how to mend it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from model_zoo.cli.output import paint, print_json, print_title, printable, put

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_zoo.cli.checks import Finding
    from model_zoo.cli.main import Run

SEVERITY = (2, 6, 8, 7, 4, 3, 5, 1)
"""Exit codes, worst first: nothing runs with wrong settings, little without a cache or a device."""
_MARKS = {"ok": ("ok", "good"), "note": ("--", "warning"), "wrong": ("!!", "error")}


@click.command("doctor")
@click.option("--network", is_flag=True, help="Also try to reach the mirrors and Hugging Face.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def doctor_command(run: Run, *, network: bool, as_json: bool) -> None:
    """Examine versions, devices, extras, cache, catalogs and network settings; say how to mend what is wrong.

    Exits 0 if nothing is wrong, else with the code of the worst problem: 2 settings, 6 cache, 8 devices,
    7 conversion, 4 downloads, 3 catalogs. Opens no socket without --network.
    """
    findings = list(examine(run, connect=network))
    code = exit_code(findings)
    if as_json:
        from model_zoo.version import __version__

        checks = [finding.as_dict() for finding in findings]
        print_json({"ok": code == 0, "exit_code": code, "version": __version__, "checks": checks})
    else:
        _print(findings)
    raise SystemExit(code)


def examine(run: Run, *, connect: bool = False) -> Iterator[Finding]:
    """Yield what every check finds, area by area."""
    from model_zoo.cli.checks.environments import examine_environments
    from model_zoo.cli.checks.machine import examine_machine
    from model_zoo.cli.checks.network import examine_network
    from model_zoo.cli.checks.settings import examine_catalogs, examine_wishes
    from model_zoo.cli.checks.storage import examine_storage

    wishes = list(examine_wishes(run, os.environ))
    yield from wishes
    if not any(finding.status == "wrong" for finding in wishes):
        yield from examine_storage(run.settings)
        yield from examine_environments(run.settings)
        yield from examine_catalogs(run)
        yield from examine_network(run.settings, os.environ, connect=connect)
    yield from examine_machine()


def exit_code(findings: Sequence[Finding]) -> int:
    """Return the exit code of the worst problem, 0 where there is none."""
    codes = {finding.exit_code for finding in findings if finding.status == "wrong"}
    return min(codes, key=SEVERITY.index, default=0)


def _print(findings: Sequence[Finding]) -> None:
    area = None
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        if finding.area != area:
            area = finding.area
            print_title(area)
        mark, style = _MARKS[finding.status]
        put(f"  {paint(mark, style, sys.stdout)}  {finding.check:<{width}}  {printable(finding.found)}")
        if finding.hint:
            label = "next:" if finding.status == "wrong" else "note:"
            put(f"      {'':<{width}}  {paint(label, 'label', sys.stdout)} {printable(finding.hint)}")
    problems = sum(finding.status == "wrong" for finding in findings)
    text = f"{problems} problem{'s' if problems > 1 else ''}, marked !!" if problems else "nothing is wrong"
    put(paint(text, "error" if problems else "good", sys.stdout))
