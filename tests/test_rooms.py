"""The rooms' borders, where import-linter cannot look: single modules, platforms' names, other people's types."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("listeners", "analysis", "integrations", "db", "dialogue", "api", "pages")
LEAVES = ("listeners", "analysis", "integrations", "db")
WIRING = ("app.py", "dashboard.py", "worker.py")

OWNERS = {
    "streamlit": {"app.py", "dashboard.py", "pages"},
    "sqlmodel": {"db"},
    "sqlalchemy": {"db"},
    "alembic": {"db"},
    "praw": {"listeners"},
    "prawcore": {"listeners"},
    "tweepy": {"listeners"},
    "atproto": {"listeners"},
    "feedparser": {"listeners"},
    "onnxruntime": {"analysis"},
    "transformers": {"analysis"},
    "tokenizers": {"analysis"},
    "rapidfuzz": {"analysis"},
    "torch": {"analysis"},
    "huggingface_hub": {"analysis"},
    "huey": {"dialogue"},
    "starlette": {"api"},
    "altair": {"pages"},
}
"""Who may import what. A library that is not named here is free."""


def sources() -> list[Path]:
    """Every module of the product."""
    top = [ROOT / name for name in (*WIRING, "settings.py", "run.py")]
    inside = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return [path for path in (*top, *inside) if path.is_file()]


def place(path: Path) -> str:
    """The room of a module, or its own name at the top."""
    return path.relative_to(ROOT).parts[0]


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every absolute import's full name, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{name.name}", node.lineno) for name in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def violations_of_ownership(path: Path, tree: ast.AST) -> list[str]:
    found = []
    for name, line in imports(tree):
        owners = OWNERS.get(name.partition(".")[0])
        if owners is not None and place(path) not in owners:
            found.append(f"{where(path, line)} imports {name}")
    return found


def test_each_library_stays_with_its_room() -> None:
    assert [v for path in sources() for v in violations_of_ownership(path, parsed(path))] == []


def test_rooms_know_neither_the_settings_nor_what_wires() -> None:
    """A command line, `main` of a module that can be run, wires and may."""
    wrong = []
    for path in sources():
        if place(path) not in ROOMS:
            continue
        tree = parsed(path)
        mains = {
            node
            for top in tree.body
            if isinstance(top, ast.FunctionDef) and top.name == "main"
            for node in ast.walk(top)
        }
        runnable = place(path) not in LEAVES or path.name == "__main__.py"
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom) or (runnable and node in mains):
                continue
            for name, line in imports(node):
                if name.partition(".")[0] in {"settings", "app", "dashboard", "worker", "run"}:
                    wrong.append(f"{where(path, line)} imports {name}")
    assert wrong == []


def platform_names() -> set[str]:
    from listeners import registry

    return set(registry.BUILT_IN)


def platform_questions(tree: ast.AST, names: set[str]) -> list[int]:
    """Lines that compare something with a platform's name, or look one up in a literal."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            literals = [leaf for part in parts for leaf in ast.walk(part) if isinstance(leaf, ast.Constant)]
            asks = any("platform" in ast.unparse(part) for part in parts if not isinstance(part, ast.Constant))
            if asks and any(literal.value in names for literal in literals):
                lines.append(node.lineno)
        elif isinstance(node, ast.Match) and "platform" in ast.unparse(node.subject):
            lines.append(node.lineno)
    return lines


def test_only_listeners_ask_which_platform_it_is() -> None:
    names = platform_names()
    assert {"reddit", "bluesky", "x"} <= names
    wrong = [
        where(path, line)
        for path in sources()
        # The sample story is made-up data, not a rule: what its people write depends on where they write it.
        if place(path) != "listeners" and "sample_story" not in path.parts
        for line in platform_questions(parsed(path), names)
    ]
    assert wrong == [], "ask the capability instead"


def test_other_rooms_never_name_a_row_or_a_librarys_type_in_a_signature() -> None:
    """Tables and clients stay behind their room's door: no signature outside speaks of them."""
    strange = {"Session", "Connection", "Engine", "Row", "Select", "Submission", "Comment", "Response", "Tweet"}
    allowed = {"api", "db", "listeners", "analysis"}  # api's Response is starlette's, which is its own
    wrong = []
    for path in sources():
        if place(path) in allowed:
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                annotations = [a.annotation for a in (*node.args.args, *node.args.kwonlyargs)] + [node.returns]
                named = {n.id for a in annotations if a is not None for n in ast.walk(a) if isinstance(n, ast.Name)}
                if named & strange:
                    wrong.append(f"{where(path, node.lineno)} speaks of {named & strange}")
    assert wrong == []


def test_tables_are_imported_in_db_only() -> None:
    wrong = [
        where(path, line)
        for path in sources()
        if place(path) != "db"
        for name, line in imports(parsed(path))
        if name == "db.tables" or name.startswith("db.tables.")
    ]
    assert wrong == []


def test_import_linters_contracts_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " 0 broken" in done.stdout


# Each check can fail --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["import streamlit as st", "from sqlmodel import Session", "def f():\n    import praw.models"]
)
def test_a_library_in_the_wrong_room_is_found(code: str) -> None:
    assert violations_of_ownership(ROOT / "dialogue" / "x.py", ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "if platform == 'reddit': pass",
        "if mention.platform in ('reddit', 'x'): pass",
        "if 'bluesky' != source.platform: pass",
        "match post.platform:\n    case 'x': pass",
    ],
)
def test_a_question_for_the_platform_is_found(code: str) -> None:
    assert platform_questions(ast.parse(code), platform_names())


@pytest.mark.parametrize("code", ["if kind == 'x': pass", "if platform == other: pass", "x = {'reddit': 1}"])
def test_what_asks_nothing_is_left_alone(code: str) -> None:
    assert platform_questions(ast.parse(code), platform_names()) == []
