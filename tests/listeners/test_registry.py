"""Platforms are found among the built-in ones and in other packages; a broken one never stops the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from listeners import registry
from listeners.base import Listener, Options, Terminal

ACME = """
from datetime import date
from listeners.base import Answering, Capability, CredentialField, Mode

CAPABILITY = Capability(
    platform="acme", title="Acme", answering=Answering.HAND_OFF, answering_rule="Not at all.",
    checked_on=date(2026, 11, 1), modes=(Mode("all", "All", ""),), limits="none", key_needed=True,
    credentials=(CredentialField("token", "Token"), CredentialField("region", "Region", default="eu", required=False)),
)
EXTRA = {"depth": "how deep"}

class Acme:
    def __init__(self, account):
        self.capability, self.account = CAPABILITY, dict(account)
    def check(self): ...
    def fetch(self, query, cursor): ...
    def parse(self, answer): ...

def open(account, options):
    return Acme(account)
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Four packages beside Samtal: a good one, one that cannot be imported, a pretender and one that is no listener."""
    modules = {
        "acme_listener": ACME,
        "sick_listener": "raise RuntimeError('the library is missing')",
        "false_feeds": ACME,
        "misnamed": ACME,
        "empty_listener": "CAPABILITY = 'none'",
    }
    for name, source in modules.items():
        (tmp_path / f"{name}.py").write_text(source)
    entries = [("acme", "acme_listener"), ("sick", "sick_listener"), ("feed", "false_feeds"), ("other", "misnamed"),
               ("empty", "empty_listener")]  # fmt: skip
    points = [metadata.EntryPoint(name, module, registry.GROUP) for name, module in entries]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: points if group == registry.GROUP else [])
    _forget()
    yield
    _forget()
    for name in modules:
        sys.modules.pop(name, None)


def _forget() -> None:
    registry._origins.cache_clear()
    registry._loaded.cache_clear()


def test_the_built_in_platforms_open() -> None:
    assert {"feed", "file", "hackernews"} <= set(registry.names())
    for name in ("feed", "file", "hackernews"):
        listener = registry.open(name, {}, Options())
        assert isinstance(listener, Listener)
        assert listener.capability is registry.capability(name)


def test_names_import_no_platform() -> None:
    code = "import sys; from listeners import registry; registry.names(); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(library in loaded for library in ("'praw'", "'tweepy'", "'atproto", "'feedparser'"))


@pytest.mark.usefixtures("packages")
def test_another_package_s_platform_is_found() -> None:
    assert "acme" in registry.names()
    assert registry.capabilities()["acme"].title == "Acme"
    assert registry.extra_options("acme") == {"depth": "how deep"}


@pytest.mark.usefixtures("packages")
def test_broken_packages_are_reported_and_the_others_work(caplog: pytest.LogCaptureFixture) -> None:
    broken = registry.broken()
    assert "the library is missing" in broken["sick"]
    assert "calls itself 'acme'" in broken["other"]
    assert "empty" in broken
    assert "sick_listener" in caplog.text
    assert {"feed", "acme"} <= set(registry.capabilities())
    assert not {"sick", "other", "empty"} & set(registry.capabilities())
    with pytest.raises(Terminal, match="the library is missing"):
        registry.open("sick", {}, Options())


@pytest.mark.usefixtures("packages")
def test_a_package_cannot_take_over_a_built_in_name() -> None:
    assert registry.capability("feed").title == "RSS or Atom feed"


def test_an_unknown_platform_names_those_there_are() -> None:
    with pytest.raises(Terminal) as caught:
        registry.capability("\x00" * 500)
    assert "feed" in caught.value.what_to_do
    assert len(str(caught.value)) < 500


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(("account", "words"), [({}, "Token"), ({"token": " "}, "Token"), ({"tokem": "x"}, "tokem")])
def test_an_account_that_does_not_fit_is_refused(account: dict[str, str], words: str) -> None:
    with pytest.raises(Terminal, match=words):
        registry.open("acme", account, Options())


@pytest.mark.usefixtures("packages")
def test_defaults_stand_in_for_what_is_not_given() -> None:
    listener = registry.open("acme", {"token": "t"}, Options())
    assert listener.account == {"token": "t", "region": "eu"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("platform", registry.names())
def test_every_platform_parses_without_an_account(platform: str) -> None:
    assert registry.parser(platform, Options()).capability.platform == platform


def test_whoever_needs_credentials_is_told_step_by_step_where_to_get_each() -> None:
    for platform in registry.capabilities():
        capability = registry.capability(platform)
        steps = " ".join(capability.guide).casefold()
        assert bool(capability.guide) == bool(capability.credentials), platform
        for field in capability.credentials:
            if field.secret and field.typed:
                assert field.label.casefold().split(" (")[0].split()[-1] in steps, f"{platform}: {field.label}"


@pytest.mark.parametrize("platform", [name for name, one in registry.capabilities().items() if one.oauth])
def test_a_way_in_by_oauth_names_fields_that_there_are_and_says_where_each_is_found(platform: str) -> None:
    capability = registry.capability(platform)
    flow = capability.oauth
    assert flow is not None
    fields = {field.name: field for field in capability.credentials}
    asked = {*flow.asks, *flow.may_ask}
    assert asked | {*flow.replaces} | {flow.access, flow.refresh} - {""} <= fields.keys()
    assert not asked & {flow.access, flow.refresh}, "what the platform gives is not asked for"
    assert {name for name, field in fields.items() if field.required} <= asked | {flow.access, flow.refresh}
    assert {name for name, field in fields.items() if not field.typed} <= asked | {flow.access, flow.refresh}
    steps = " ".join(flow.guide).casefold()
    assert all(fields[name].label.casefold().removeprefix("oauth ") in steps for name in asked) or flow.register_path
    assert "redirect uri" in steps or flow.register_path
