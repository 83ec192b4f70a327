"""docs/listeners.md says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from listeners import __main__ as command_line
from listeners import registry

ROOT = Path(__file__).parents[2]


def text() -> str:
    return (ROOT / "docs" / "listeners.md").read_text()


def test_the_table_is_that_of_the_capabilities(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["list", "--markdown"]) == 0
    printed = capsys.readouterr().out
    (table,) = re.findall(r"<!-- capabilities -->\n(.*?)<!-- /capabilities -->", text(), re.DOTALL)
    assert table == printed, "print it anew: python -m listeners list --markdown"


def test_the_table_of_queries_is_that_of_the_syntaxes(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["list", "--queries"]) == 0
    printed = capsys.readouterr().out
    page = (ROOT / "docs" / "queries.md").read_text()
    (table,) = re.findall(r"<!-- queries -->\n(.*?)<!-- /queries -->", page, re.DOTALL)
    assert table == printed, "print it anew: python -m listeners list --queries"


def test_the_table_of_reaches_is_that_of_the_modes(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["list", "--reach"]) == 0
    printed = capsys.readouterr().out
    page = (ROOT / "docs" / "sources.md").read_text()
    (table,) = re.findall(r"<!-- reach -->\n(.*?)<!-- /reach -->", page, re.DOTALL)
    assert table == printed, "print it anew: python -m listeners list --reach"


def test_every_platform_s_own_options_are_in_the_docs() -> None:
    pages = text() + "".join(page.read_text() for page in (ROOT / "docs" / "platforms").glob("*.md"))
    for platform in registry.capabilities():
        for option in registry.extra_options(platform):
            assert f"`{option}`" in pages, f"{platform} understands {option}"


def test_every_fixture_is_in_the_docs() -> None:
    listed = (ROOT / "docs" / "testing.md").read_text()
    fixtures = [path for path in (ROOT / "tests" / "listeners" / "fixtures").rglob("*") if path.is_file()]
    assert fixtures
    for path in fixtures:
        if path.name.endswith(".expected.json"):
            continue  # the other half of a pair
        assert f"`{path.name}`" in listed, f"{path.parent.name}/{path.name} is not listed in docs/testing.md"
