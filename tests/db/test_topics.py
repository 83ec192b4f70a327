"""The taxonomy's rows: ids that stay, databases made before, and names that are carried along."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from db import topics
from db.engine import Database
from db.migrate import HEAD, MIGRATIONS, migrate, revision
from db.topics import TopicRow, _in_steps
from dialogue.context import Context
from tests.conftest import NOON


def test_ids_stay_with_their_topics_and_are_never_given_twice(any_ctx: Context) -> None:
    def ids(*rows: TopicRow) -> dict[str, int]:
        with any_ctx.database.transaction() as tx:
            topics.replace(tx, rows)
            return {one.name: one.id for one in topics.all_(tx)}

    first = ids(TopicRow("A", ("a",)), TopicRow("B", ("b",)))
    assert ids(TopicRow("B", ("other",)), TopicRow("A", ("a",))) == first, "by their names"
    second = ids(TopicRow("Z", ("a",), id=first["A"]))
    assert second == {"Z": first["A"]}
    third = ids(TopicRow("Z", ("a",), id=first["A"]), TopicRow("C", ("c",)))
    assert third["C"] not in first.values()
    again = ids(TopicRow("B", ("b",), id=first["B"]), TopicRow("D", ("d",)))
    assert again["B"] == first["B"]
    assert again["D"] not in {*first.values(), *third.values()}


@pytest.mark.parametrize(
    "renamed", [{"A": "B"}, {"A": "B", "B": "A"}, {"A": "B", "B": "C", "C": "A"}, {"A": "B", "B": "C"}]
)
def test_steps_lead_to_the_new_names_and_never_through_a_taken_one(renamed: dict[str, str]) -> None:
    now = {name: name for name in renamed}
    for old, new in _in_steps(renamed):
        assert new not in now.values()
        now = {who: new if name == old else name for who, name in now.items()}
    assert now == renamed


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_topics_of_a_database_made_before_are_kept(tmp_path: Path, request: pytest.FixtureRequest, engine: str) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}" if engine == "sqlite" else request.getfixturevalue("empty_postgres_url")
    database = Database(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.transaction() as tx:
        config.attributes["connection"] = tx.connection
        command.upgrade(config, "0001")
        tx.connection.execute(
            text("INSERT INTO topics (name, phrases, examples, position) VALUES ('A', '[\"a\"]', '[]', 0)")
        )
    migrate(database)
    assert revision(database) == HEAD
    with database.transaction() as tx:
        assert [(one.name, one.phrases) for one in topics.all_(tx)] == [("A", ("a",))]
        assert topics.version(tx) == 0
        topics.replace(tx, [TopicRow("A", ("a",)), TopicRow("B", ("b",))])
        assert topics.record(tx, "One more", None, NOON) == 1
    database.dispose()
