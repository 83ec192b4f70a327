"""Judgements of a database made before stay, as corrections in passing."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from db import gold
from db.engine import Database
from db.migrate import MIGRATIONS, migrate

MADE_BEFORE = (
    "INSERT INTO users (id, username, display_name, role, created_at) VALUES (1, 'bo', 'Bo', 'responder', :at)",
    "INSERT INTO conversations (id, platform, root_id, state, version, mention_count, latest_at, sample) "
    "VALUES (1, 'feed', 'p1', 'open', 1, 1, :at, false)",
    "INSERT INTO mentions (id, platform, external_id, kind, conversation_id, text, text_hash, posted_at, "
    "posted_at_estimated, mentions, engagement, collected_at, checked_at, ours, fence, sample) "
    "VALUES (1, 'feed', 'p1', 'post', 1, 'Lovely', 'x', :at, false, '[]', '{}', :at, :at, false, 1, false)",
    "INSERT INTO corrections (mention_id, field, value, model_said, model, user_id, at) "
    "VALUES (1, 'sentiment', '[\"positive\"]', '[\"neutral\"]', 'm1', 1, :at)",
)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_correction_of_a_database_made_before_was_made_in_passing(
    tmp_path: Path, request: pytest.FixtureRequest, engine: str
) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}" if engine == "sqlite" else request.getfixturevalue("empty_postgres_url")
    database, config = Database(url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.transaction() as tx:
        config.attributes["connection"] = tx.connection
        command.upgrade(config, "0003")
        for statement in MADE_BEFORE:
            tx.connection.execute(text(statement), {"at": "2026-11-20 12:00:00.000000"})
    migrate(database)
    with database.reading() as tx:
        (found,) = gold.judgements(tx, sample=False)
    assert (found.how, found.certainty, found.value, found.said) == (gold.PASSING, None, ("positive",), ("neutral",))
    database.dispose()


def test_the_version_of_moods_knows_no_topics() -> None:
    assert gold.version("samtal-minilm 1 topics 1a2b3c4d") == gold.version("samtal-minilm 1") == "samtal-minilm 1"
