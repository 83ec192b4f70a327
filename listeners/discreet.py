"""Keeps our secrets out of errors: a platform may repeat what we sent it, and its words become ours."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from listeners.base import Capability, Health, Listener, Terminal

HIDDEN = "[hidden]"
_POWERS = ("check", "fetch", "may_answer", "answer", "answer_anew", "find", "still_there", "as_they_are", "stream")
_TELLING = re.compile(r"(?=.*\d).{8,}|.{16,}", re.DOTALL)
"""What may be told apart from ordinary words: a password that is 'coffee' cannot be."""


def discreet(listener: Listener, capability: Capability, account: Mapping[str, str]) -> Listener:
    """The same listener; whatever it raises or finds wrong names none of the account's secrets."""
    written = sorted(_as_written(capability, account), key=len, reverse=True)
    if not written or not hasattr(listener, "__dict__"):
        return listener
    told = re.compile("|".join(map(re.escape, written)))
    hide = functools.partial(told.sub, HIDDEN)
    for name in _POWERS:
        if callable(power := getattr(listener, name, None)):
            object.__setattr__(listener, name, _guarded(power, hide))
    return listener


@contextmanager
def hushed(secrets: Iterable[str]) -> Iterator[None]:
    """Whatever is raised inside names none of these."""
    written = sorted({one for one in secrets if _TELLING.fullmatch(one)}, key=len, reverse=True)
    try:
        yield
    except Exception as error:
        if written:
            _clean(error, functools.partial(re.compile("|".join(map(re.escape, written))).sub, HIDDEN))
        raise


def _as_written(capability: Capability, account: Mapping[str, str]) -> set[str]:
    """The secrets, as they may be repeated: whole, line by line, and as a request's header holds them."""
    secrets = {field.name for field in capability.credentials if field.secret}
    found: set[str] = set()
    for name in secrets & account.keys():
        value = account[name].strip()
        forms = [value, *(line.strip() for line in re.split(r"\n|\\n", value) if "-----" not in line)]
        found |= {form for form in forms if _TELLING.fullmatch(form)}
        if len(value) >= 8:
            found |= {base64.b64encode(f"{one}:{value}".encode()).decode().rstrip("=") for one in account.values()}
    return found


def _guarded(power: Callable[..., Any], hide: Callable[[str], str]) -> Callable[..., Any]:
    @functools.wraps(power)
    def guarded(*given: Any, **named: Any) -> Any:
        try:
            found = power(*given, **named)
        except Exception as error:
            _clean(error, hide)
            raise
        if isinstance(found, Health):
            return _clean_health(found, hide)
        return _each(found, hide) if isinstance(found, Iterator) else found

    return guarded


def _each(pages: Iterator[Any], hide: Callable[[str], str]) -> Iterator[Any]:
    try:
        yield from pages
    except Exception as error:
        _clean(error, hide)
        raise


def _clean_health(health: Health, hide: Callable[[str], str]) -> Health:
    return Health(health.ok, hide(health.words), health.account, health.expires_at)


def _clean(error: BaseException, hide: Callable[[str], str]) -> None:
    """Changes the words of an error and of all that led to it, which a log would show below it."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        todo += [one.__cause__, one.__context__]
        one.args = tuple(hide(part) if isinstance(part, str) else part for part in one.args)
        if isinstance(one, Terminal):
            one.what_to_do = hide(one.what_to_do)
