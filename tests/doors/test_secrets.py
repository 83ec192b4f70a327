"""The secret key: kept closely, and missed loudly."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.engine import Database
from dialogue import secrets
from dialogue.secrets import SecretBox, SecretsError

KEY = "k" * 40


@given(st.dictionaries(st.text(), st.text()))
def test_what_is_sealed_can_be_opened_with_the_key_alone(values: dict[str, str]) -> None:
    box = SecretBox(KEY)
    sealed = box.encrypt(values)
    assert box.decrypt(sealed) == values
    assert SecretBox(KEY).decrypt(sealed) == values
    with pytest.raises(SecretsError, match="another secret key"):
        SecretBox("x" * 40).decrypt(sealed)


def test_what_is_sealed_shows_nothing_and_cannot_be_altered() -> None:
    box = SecretBox(KEY)
    sealed = box.encrypt({"password": "hunter22"})
    assert b"hunter22" not in sealed
    with pytest.raises(SecretsError):
        box.decrypt(sealed[:-4] + b"AAAA")


def test_a_digest_needs_the_key() -> None:
    assert SecretBox(KEY).digest("a") == SecretBox(KEY).digest("a")
    assert SecretBox(KEY).digest("a") != SecretBox("x" * 40).digest("a")
    assert len(SecretBox(KEY).digest("\ud800")) == 64


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    sealed = secrets.open_box(None, folder, embedded=True).encrypt({"a": "b"})
    assert secrets.open_box(None, folder, embedded=True).decrypt(sealed) == {"a": "b"}
    file = folder / secrets.KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [p.name for p in folder.iterdir()] == [secrets.KEY_FILE], "no half-written file may stay"
    file.chmod(0o644)
    secrets.open_box(None, folder, embedded=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_server_database_needs_a_key_that_is_set(tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="SECRET_KEY must be set"):
        secrets.open_box(None, tmp_path, embedded=False)
    assert secrets.open_box(KEY, tmp_path, embedded=False).digest("a") == SecretBox(KEY).digest("a")


def test_a_short_or_damaged_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="too short"):
        SecretBox("short")
    (tmp_path / secrets.KEY_FILE).write_text("abc")
    with pytest.raises(SecretsError, match="damaged"):
        secrets.open_box(None, tmp_path, embedded=True)
    (tmp_path / secrets.KEY_FILE).write_bytes(b"\xff" * 50)
    with pytest.raises(SecretsError, match="backup"):
        secrets.open_box(None, tmp_path, embedded=True)


def test_a_lost_key_is_told_before_anything_is_done_with_the_new_one(any_url: str) -> None:
    database = Database(any_url)
    secrets.check(database, SecretBox(KEY))
    secrets.check(database, SecretBox(KEY))
    with pytest.raises(SecretsError, match="another secret key"):
        secrets.check(database, SecretBox("x" * 40))
    secrets.accept(database, SecretBox("x" * 40))
    secrets.check(database, SecretBox("x" * 40))
    database.dispose()
