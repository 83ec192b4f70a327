"""Every setting, from the environment or a `.env` file beside it. Read once by what wires; the rooms get values."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what is expected."""


class Settings(BaseSettings):
    """The settings. Each field's description stands in docs/settings.md; a test compares."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    data_dir: Path = Field(default=Path("data"), description="Folder for the database, the uploads and the secret key.")
    database_url: str | None = Field(
        default=None,
        description="`sqlite:///path` or `postgresql://user:password@host/name`. Default: `samtal.db` in DATA_DIR.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8501, ge=1, le=65535, description="Port to listen on.")
    public_url: str | None = Field(
        default=None,
        description="Address that people open, when a proxy stands in front. Used in links and cookies, and for "
        "the way back from platforms.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Encrypts credentials. Default: made once and kept in DATA_DIR/secret.key; required on PostgreSQL.",
    )
    old_secret_key: SecretStr | None = Field(
        default=None,
        description="The SECRET_KEY before this one, until `python -m dialogue.rotating` has said that it is done.",
    )
    allow_private_hosts: bool = Field(
        default=False, description="Whether sources may point at this machine and private networks."
    )
    worker_threads: int = Field(default=2, ge=1, le=32, description="Tasks that one worker runs at once.")
    analysis_threads: int = Field(default=2, ge=1, le=64, description="Threads of the model.")
    sentiment_model: str | None = Field(
        default=None,
        description="A checkpoint of the model hub, by id or folder, that says the sentiment. "
        "Default: the bundled model. See [hub-models.md](hub-models.md).",
    )
    sentiment_model_revision: str | None = Field(
        default=None, description="Its branch, tag or commit. Default: its newest version at each start."
    )
    sentiment_labels: str | None = Field(
        default=None,
        description="What its labels mean, such as `joy=positive,anger=negative`, where they do not say so themselves.",
    )
    start_worker: bool = Field(
        default=True, description="Whether the web process starts a worker. Turn off where workers run elsewhere."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    @field_validator("public_url")
    @classmethod
    def _an_address_without_a_path(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://unset")
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("must be an address such as https://samtal.example, without a path")
        return value or None

    @property
    def database(self) -> str:
        """The database's address, the embedded default filled in."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'samtal.db').absolute()}"


def load() -> Settings:
    """Reads the settings. Raises SettingsError with one line per wrong setting."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise SettingsError("; ".join(lines)) from None
