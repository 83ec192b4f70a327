"""What tests of the conversation ask for: the Wall, a platform on loopback, and a world with an account there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dialogue.context import Context
from listeners import registry
from tests.conftest import Clock
from tests.dialogue import wall as walls
from tests.dialogue.conversing import World
from tests.dialogue.wall import Wall


@pytest.fixture
def wall() -> Iterator[Wall]:
    platform = Wall()
    yield platform
    platform.close()


@pytest.fixture
def wall_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = walls.install(tmp_path / "plugins")
    monkeypatch.syspath_prepend(str(folder))
    registry._origins.cache_clear()
    yield folder
    registry._origins.cache_clear()


@pytest.fixture
def world(ctx: Context, clock: Clock, wall: Wall, wall_plugin: Path) -> World:
    return World(ctx, clock, wall, wall_plugin)


@pytest.fixture
def any_world(any_ctx: Context, clock: Clock, wall: Wall, wall_plugin: Path) -> World:
    return World(any_ctx, clock, wall, wall_plugin)
