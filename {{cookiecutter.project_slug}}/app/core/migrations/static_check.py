"""Checks the Alembic environment by reading its files, with the standard library alone.

check.py does the rest. This part also runs while the project is rendered.
"""

from __future__ import annotations

import ast
import configparser
import contextlib
import re
from collections import Counter
from pathlib import Path

LOGGING = ("loggers", "handlers", "formatters", "logger_root", "logger_alembic")
ENV_CALLS = {"configure", "begin_transaction", "run_migrations", "is_offline_mode"}
MAKO_NAMES = (
    "message",
    "create_date",
    "imports",
    "repr(up_revision)",
    "repr(down_revision)",
    "repr(branch_labels)",
    "repr(depends_on)",
    "upgrades",
    "downgrades",
)


def static_problems(root: Path) -> list[str]:
    """One line for each problem that the files show; `root` is the folder of alembic.ini."""
    ini = read_ini(root)
    if isinstance(ini, str):
        return [ini]
    home = Path(ini.get("alembic", "script_location", fallback="alembic"))
    problems = ini_problems(ini)
    for name in ("env.py", "script.py.mako", "versions"):
        if not (home / name).exists():
            problems.append(f"alembic.ini: script_location: {home / name} is missing")
    trees = {}
    for path in [home / "env.py", *sorted((home / "versions").glob("*.py"))]:
        if path.is_file():
            tree = parse(path)
            if isinstance(tree, str):
                problems.append(tree)
            else:
                trees[path] = tree
    if env := trees.pop(home / "env.py", None):
        missing = ENV_CALLS - called(env)
        problems += [f"alembic/env.py: never calls context.{name}()" for name in sorted(missing)]
    if (home / "script.py.mako").is_file():
        mako = (home / "script.py.mako").read_text("utf-8")
        problems += [
            f"alembic/script.py.mako: ${{{name}}} is missing"
            for name in MAKO_NAMES
            if not re.search(rf"\$\{{[^}}]*\b{re.escape(name)}", mako)
        ]
    return problems + revision_problems(trees)


def read_ini(root: Path) -> configparser.ConfigParser | str:
    """alembic.ini as Alembic reads it, or the problem that prevents it."""
    ini = configparser.ConfigParser({"here": root.as_posix()})
    try:
        ini.read_string((root / "alembic.ini").read_text("utf-8"))
        for section in ini.sections():
            if not section.startswith(("logger", "handler", "formatter")):  # read raw by logging
                ini.items(section)  # resolves each %(…)s
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        return f"alembic.ini: {' '.join(str(error).split())}"
    return ini


def ini_problems(ini: configparser.ConfigParser) -> list[str]:
    problems = [
        f"alembic.ini: [{name}] is missing" for name in LOGGING if not ini.has_section(name)
    ]
    for key in ("script_location", "path_separator"):
        if not ini.get("alembic", key, fallback=""):
            problems.append(f"alembic.ini: [alembic] has no {key}")
    if ini.get("alembic", "sqlalchemy.url", fallback=""):
        problems.append("alembic.ini: sqlalchemy.url is set; the URL comes from DATABASE_URL alone")
    return problems


def parse(path: Path) -> ast.Module | str:
    """The file's syntax tree, or the problem that prevents it."""
    name = f"{'/'.join(path.parts[-3:]) if path.parent.name == 'versions' else 'alembic/env.py'}"
    try:
        source = path.read_text("utf-8")
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return f"{name}: is not Python: {error}"
    if "{{" in source or "{%" in source:
        return f"{name}: holds a template's braces"
    return tree


def called(tree: ast.Module) -> set[str]:
    """The names of the methods that a module calls."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {call.attr for call in calls if isinstance(call, ast.Attribute)}


def revision_problems(trees: dict[Path, ast.Module]) -> list[str]:
    """One base, one head, each parent there, each file named after its revision."""
    problems = []
    parents: dict[str, tuple[str, ...]] = {}
    for path, tree in trees.items():
        name = f"alembic/versions/{path.name}"
        values = assigned(tree)
        revision, down = values.get("revision"), values.get("down_revision")
        if not isinstance(revision, str):
            problems.append(f"{name}: has no `revision`")
            continue
        if revision in parents:
            problems.append(f"{name}: revision {revision} is there twice: make renumber")
        if path.stem != revision and not path.stem.startswith(f"{revision}_"):
            problems.append(f"{name}: the file's name does not begin with its revision {revision}")
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        for missing in sorted({"upgrade", "downgrade"} - functions):
            problems.append(f"{name}: has no {missing}()")
        several = down if isinstance(down, (tuple, list)) else ()
        parents[revision] = (down,) if isinstance(down, str) else tuple(map(str, several))
    named = Counter(parent for each in parents.values() for parent in each)
    for parent in sorted(named.keys() - parents.keys()):
        problems.append(f"alembic/versions: a revision follows {parent}, which is not there")
    problems += head_problems(trees, parents.keys() - named.keys())
    bases = sorted(revision for revision, each in parents.items() if not each)
    heads = sorted(parents.keys() - named.keys())
    for kind, found in (("base", bases), ("head", heads)):
        if len(found) != 1:
            text = ", ".join(found) or "none"
            problems.append(f"alembic/versions: there must be one {kind}, there is: {text}")
    return problems


def head_problems(trees: dict[Path, ast.Module], heads: set[str]) -> list[str]:
    """versions/HEAD names the newest revision, so that two branches conflict in git."""
    newest = {path.stem for path in trees if path.stem.partition("_")[0] in heads}
    if len(newest) != 1:
        return []
    file = next(iter(trees)).with_name("HEAD")
    text = file.read_text("utf-8").strip() if file.is_file() else "nothing"
    if text in newest:
        return []
    return [
        f"alembic/versions/HEAD: names {text[:80]!r}, the newest is {newest.pop()}: make renumber"
    ]


def assigned(tree: ast.Module) -> dict[str, object]:
    """The constants that a module assigns to names."""
    values = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and value is not None:
            with contextlib.suppress(ValueError):
                values[target.id] = ast.literal_eval(value)
    return values
