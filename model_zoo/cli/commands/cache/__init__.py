"""``cache``: look at the cache, verify and repair it, make room in it."""

from __future__ import annotations

import click

from model_zoo.cli.commands.cache.removal import gc_command, pin_command, rm_command, unpin_command
from model_zoo.cli.commands.cache.usage import info_command, ls_command
from model_zoo.cli.commands.cache.verify import repair_command, verify_command


@click.group("cache")
def cache_group() -> None:
    """Inspect, verify, repair and clean up the cache."""


for _command in (verify_command, repair_command, gc_command, rm_command, info_command, ls_command):
    cache_group.add_command(_command)
cache_group.add_command(pin_command)
cache_group.add_command(unpin_command)
