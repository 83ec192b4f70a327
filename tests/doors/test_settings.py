"""Every setting is documented, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

import settings as configuration
from settings import Settings, SettingsError

ROOT = Path(__file__).parents[2]


def table() -> str:
    """The settings as docs/settings.md shows them."""
    lines = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        lines.append(f"| `{name.upper()}` | {'' if default is None else f'`{default}`'} | {field.description} |")
    return "\n".join(lines)


def test_the_documented_table_is_the_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    shown = page.partition("<!-- settings -->\n")[2].partition("\n<!-- /settings -->")[0]
    assert shown == table()


def test_the_example_names_every_setting_and_sets_none() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    named = [line.removeprefix("# ").partition("=")[0] for line in lines if "=" in line]
    assert named == [name.upper() for name in Settings.model_fields]
    assert all(line.startswith("#") or not line for line in lines), "a copy of it must change nothing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "eighty"),
        ("WORKER_THREADS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("PUBLIC_URL", "samtal.example"),
        ("PUBLIC_URL", "https://samtal.example/path"),
        ("START_WORKER", "perhaps"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        configuration.load()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    (tmp_path / ".env").write_text("PORT=9001\nSECRET_KEY=from-the-file\nUNKNOWN=1\n")
    assert configuration.load().port == 9001
    monkeypatch.setenv("PORT", "9002")
    assert configuration.load().port == 9002


def test_the_secret_key_is_never_printed() -> None:
    assert "hush" not in repr(Settings(secret_key="hush"))


def test_the_embedded_database_is_in_the_data_dir(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).database == f"sqlite:///{tmp_path}/samtal.db"
    assert Settings(database_url="postgresql://h/d").database == "postgresql://h/d"
