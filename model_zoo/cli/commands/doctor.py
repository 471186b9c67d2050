"""``doctor``: what is wrong on this machine, and how to fix it."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from model_zoo.cli.options import json_option
from model_zoo.cli.output import print_line, print_title, printable, styled
from model_zoo.text import counted
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_zoo.cli.checks import Finding
    from model_zoo.cli.session import Session

_SEVERITY = (2, 6, 8, 7, 4, 3, 5, 1)
"""Exit codes, worst first: nothing runs with invalid settings, little without a cache or a device."""
_MARKS = {"ok": ("ok", "good"), "note": ("--", "warning"), "wrong": ("!!", "error")}


@click.command("doctor")
@click.option("--network", is_flag=True, help="Also try to reach the mirrors and Hugging Face.")
@json_option("Print one object: ok, exit_code, version, checks.")
@click.pass_obj
def doctor_command(session: Session, *, network: bool) -> None:
    """Check versions, devices, extras, cache, catalogs and network settings, and say how to fix problems.

    Exits with 0 if nothing is wrong, otherwise with the code of the worst problem: 2 settings, 6 cache,
    8 devices, 7 conversion, 4 downloads, 3 catalogs. Opens no socket without --network.
    """
    findings = list(check_all(session, connect=network))
    code = exit_code(findings)
    checks = [asdict(finding) for finding in findings]
    value = {"ok": code == 0, "exit_code": code, "version": __version__, "checks": checks}
    session.print_result(lambda: _print(findings), value)
    raise SystemExit(code)


def check_all(session: Session, *, connect: bool = False) -> Iterator[Finding]:
    """Yield what every check finds, area by area."""
    from model_zoo.cli.checks.machine import check_machine
    from model_zoo.cli.checks.network import check_network
    from model_zoo.cli.checks.settings import check_catalogs, check_settings
    from model_zoo.cli.checks.storage import check_environments, check_storage

    findings = list(check_settings(session, os.environ))
    yield from findings
    if not any(finding.status == "wrong" for finding in findings):
        yield from check_storage(session.settings)
        yield from check_environments(session.settings)
        yield from check_catalogs(session)
        yield from check_network(session.settings, os.environ, connect=connect)
    yield from check_machine()


def exit_code(findings: Sequence[Finding]) -> int:
    """Return the exit code of the worst problem, 0 if there is none."""
    codes = {finding.exit_code for finding in findings if finding.status == "wrong"}
    return min(codes, key=_SEVERITY.index, default=0)


def _print(findings: Sequence[Finding]) -> None:
    area = None
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        if finding.area != area:
            area = finding.area
            print_title(area)
        mark, style = _MARKS[finding.status]
        found = printable(finding.found)
        print_line(f"  {styled(mark, style, sys.stdout)}  {finding.check:<{width}}  {found}")
        if finding.hint:
            label = styled("next:" if finding.status == "wrong" else "note:", "label", sys.stdout)
            print_line(f"      {'':<{width}}  {label} {printable(finding.hint)}")
    problems = sum(finding.status == "wrong" for finding in findings)
    text = f"{counted(problems, 'problem')}, marked !!" if problems else "no problems found"
    print_line(styled(text, "error" if problems else "good", sys.stdout))
