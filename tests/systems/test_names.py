"""Both modules offer the same names, with the same arguments; only one of them can be imported here."""

import ast
import re
from pathlib import Path

import model_zoo.systems

HERE = Path(model_zoo.systems.__file__).parent


def names_of(module):
    """Return every public name of a module, with the arguments where it is a function or class."""
    found = {}
    for node in ast.parse((HERE / f"{module}.py").read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        elif isinstance(node, ast.ClassDef):
            found[node.name] = sorted(
                item.name for item in node.body if isinstance(item, ast.FunctionDef) and item.name[0] != "_"
            )
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: None for target in targets if isinstance(target, ast.Name)}
    return {name: value for name, value in found.items() if name[0] != "_"}


def test_both_systems_offer_the_same():
    posix, windows = names_of("posix"), names_of("windows")
    assert posix.keys() == windows.keys()
    differing = {name for name in posix if posix[name] and windows[name] and posix[name] != windows[name]}
    assert differing == set()


def test_nothing_else_asks_which_system_this_is():
    asking = [
        path.relative_to(HERE.parent).as_posix()
        for path in HERE.parent.rglob("*.py")
        if path.parent != HERE and re.search(r"\bos\.name\b|\bsys\.platform\b", path.read_text("utf-8"))
    ]
    assert asking == []
