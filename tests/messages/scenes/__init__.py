"""The scenes: one module for each group, and each group's texts in the folder of its name.

To add one, write a line in the group's module and run
``MODEL_ZOO_UPDATE_MESSAGES=1 pytest tests/messages``, which writes its text; then read the text:

    scene("gone", "fetch probe", serves(status(410)))

A scene is a name, a command (without ``model-zoo``), and the steps that lead to it: functions that get the
``Stage``, its home, cache, catalog and servers. ``serves``, ``model``, ``edits``, ``writes``, ``sets``,
``after`` and ``warm`` of ``tests/messages/stage.py`` make the usual ones. ``keep`` is for texts that tell of
the machine: only the lines that match are compared. The text has the command, its exit code with the classes
of the errors it printed, and its two streams; paths, ports, versions, dates and times are replaced.

A text without a scene, or a scene without a text, is a failure; so are an error class, an exit code of the
contract or a command that no scene shows.
"""

from importlib import import_module

from tests.messages.stage import SCENES

for _group in (
    "help",
    "usage",
    "catalog",
    "download",
    "sources",
    "conversion",
    "run",
    "cache",
    "hand_off",
    "doctor",
    "omz",
):
    import_module(f"{__name__}.{_group}")

__all__ = ["SCENES"]
