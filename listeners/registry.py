"""Finds the platforms: the built-in ones, and those of separately installed packages.

A platform is a module with a `CAPABILITY` and `open(account, options) -> Listener`; it may list in `EXTRA` what it
understands in `Options.extra`. Another package adds one through an entry point of the group "samtal.listeners",
named as the platform and pointing at the module:

    [project.entry-points."samtal.listeners"]
    acme = "acme_listener"

Modules are imported when first asked for, since some bring a large client library. One that cannot be imported is
logged and listed by `broken`, and never keeps the others from working.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Protocol, cast

from listeners.base import Capability, Listener, Options, Terminal
from listeners.discreet import discreet

GROUP = "samtal.listeners"

BUILT_IN: Mapping[str, str] = {
    "appstore": "listeners.app_store",
    "bluesky": "listeners.bluesky",
    "feed": "listeners.feeds",
    "file": "listeners.files",
    "github": "listeners.github",
    "googleplay": "listeners.google_play",
    "hackernews": "listeners.hacker_news",
    "mail": "listeners.mail",
    "mastodon": "listeners.mastodon",
    "note": "listeners.notes",
    "reddit": "listeners.reddit",
    "stackexchange": "listeners.stack_exchange",
    "webhook": "listeners.webhook",
    "wordpress": "listeners.wordpress",
    "x": "listeners.x",
    "youtube": "listeners.youtube",
}

log = logging.getLogger(__name__)


class Platform(Protocol):
    """What a platform's module offers."""

    CAPABILITY: Capability

    def open(self, account: Mapping[str, str], options: Options) -> Listener: ...


def names() -> list[str]:
    """Every platform that is installed, sorted, whether or not it can be loaded. Imports nothing."""
    return sorted(_origins())


def capabilities() -> dict[str, Capability]:
    """What each platform allows, by name, without those that could not be loaded. Imports all of them."""
    return {name: loaded.CAPABILITY for name in names() if not isinstance(loaded := _loaded(name), str)}


def capability(platform: str) -> Capability:
    """What one platform allows. Raises Terminal for an unknown one, naming those there are."""
    return _module(platform).CAPABILITY


def extra_options(platform: str) -> Mapping[str, str]:
    """What the platform understands in `Options.extra`, by name, and what it means. Raises as `capability` does."""
    found: Mapping[str, str] = getattr(_module(platform), "EXTRA", {})
    return found


def broken() -> dict[str, str]:
    """The platforms that could not be loaded, and why, in words."""
    return {name: why for name in names() if isinstance(why := _loaded(name), str)}


def open(platform: str, account: Mapping[str, str], options: Options) -> Listener:
    """A listener with the account's credentials, by field name, which stand in none of its errors. Asks no network.

    Raises Terminal for an unknown platform, an unknown field or a missing one.
    """
    module = _module(platform)
    fields = {field.name: field for field in module.CAPABILITY.credentials}
    unknown = sorted(set(account) - set(fields))
    if unknown:
        known = ", ".join(fields) or "no field at all"
        raise Terminal(f"{module.CAPABILITY.title} has no account field {', '.join(unknown)}.", f"It takes {known}.")
    given = {name: value for name, value in account.items() if value.strip()}
    missing = [field.label for field in fields.values() if field.required and field.name not in given]
    if missing and (given or module.CAPABILITY.key_needed):
        raise Terminal(f"{module.CAPABILITY.title} needs {', '.join(missing)}.", "Enter it in the account.")
    defaults = {field.name: field.default for field in fields.values() if field.default}
    whole = {**defaults, **given} if given else {}
    return discreet(module.open(whole, options), module.CAPABILITY, whole)


def parser(platform: str, options: Options) -> Listener:
    """A listener that is only asked to parse: without an account, else with a made-up one. Raises as `capability`."""
    module = _module(platform)
    try:
        return module.open({}, options)
    except Terminal:
        made_up = {one.name: one.default or "none" for one in module.CAPABILITY.credentials if one.required}
        return module.open(made_up, options)


def _module(platform: str) -> Platform:
    if platform not in _origins():
        raise Terminal(f"There is no platform called {platform[:80]!r}.", f"There are {', '.join(names())}.")
    loaded = _loaded(platform)
    if isinstance(loaded, str):
        raise Terminal(f"The platform {platform} could not be loaded: {loaded}.", "Repair or remove its package.")
    return loaded


@cache
def _origins() -> dict[str, str]:
    """The module of each platform. A built-in name wins, so that no package can take one over."""
    installed = {entry.name: entry.value for entry in metadata.entry_points(group=GROUP)}
    return {**installed, **BUILT_IN}


@cache
def _loaded(platform: str) -> Platform | str:
    """The platform's module, or why it could not be loaded."""
    origin = _origins()[platform]
    try:
        module = importlib.import_module(origin)
        allows = module.CAPABILITY
        if not isinstance(allows, Capability) or not callable(module.open):
            raise TypeError("its CAPABILITY is no Capability or its open() no function")
        if allows.platform != platform:
            raise ValueError(f"it calls itself {allows.platform!r}")
    except Exception as error:  # whatever somebody else's package raises when it is imported
        log.exception("The platform %s (%s) could not be loaded", platform, origin)
        return f"{type(error).__name__}: {error}"
    return cast(Platform, module)
