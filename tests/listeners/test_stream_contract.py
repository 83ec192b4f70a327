"""The contract of streams itself: a sound listener keeps it, and for each check a broken one shows that it can fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from listeners import streaming
from listeners.base import Cursor, ListeningError, Options, Page, Post, Query, Rejected, Terminal, Transient
from listeners.streaming import Event, Gone, Made
from tests.listeners import stream_contract
from tests.listeners.fake_stream import StreamServer
from tests.listeners.stream_contract import CHECKS, Store, StreamRig, StreamsContract


class TickerServer(StreamServer):
    """Tells what happens, one number after the other, from any number on."""

    def __init__(self) -> None:
        self.tape: list[dict[str, Any]] = []
        super().__init__()

    def messages(self, connection: ServerConnection, params: dict[str, list[str]]) -> Iterator[str | bytes]:
        told = int(params["from"][0])
        while True:
            with self.news:
                while told >= len(self.tape):
                    if not self.waits_for_news(connection):
                        return
            yield json.dumps({"n": told, **self.tape[told]})
            told += 1

    def posts(self, how_many: int) -> list[str]:
        return [self._says(text=f"Tick {len(self.tape)}") for _ in range(how_many)]

    def deletes(self, external_id: str) -> None:
        self._says(gone=external_id)

    def says_nonsense(self) -> None:
        self._says(text=["tick"])

    def says_too_much(self, size: int) -> None:
        self._says(text="tick" * size)

    def has_passed_it(self) -> None:
        self.tape = [one if len(json.dumps(one)) < stream_contract.MAX_MESSAGE else {} for one in self.tape]

    def _says(self, **what: Any) -> str:
        with self.news:
            self.tape.append(what)
            self.news.notify_all()
        return str(len(self.tape) - 1)


class TickerReader:
    """See `streaming.Reader`."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor: Cursor = {"from": cursor.get("from", 0)}

    def read(self, message: str | bytes) -> Iterator[Event]:
        told = json.loads(message)
        yield from self.events(told)
        self.cursor = {"from": told["n"] + 1}

    def events(self, told: dict[str, Any]) -> Iterator[Event]:
        if "gone" in told:
            yield Gone(told["gone"])
        elif "text" in told:
            yield self.post(told) if isinstance(told["text"], str) else Rejected(str(told["n"]), "has no text")

    def post(self, told: dict[str, Any]) -> Made:
        at = "2026-11-22T10:00:00Z"
        fields = {"platform": "ticker", "external_id": str(told["n"]), "text": told["text"], "posted_at": at}
        return Made(Post.model_validate_json(json.dumps(fields)))


class Ticker:
    """A sound listener that streams, about as small as one can be."""

    reader: type[TickerReader] = TickerReader

    def __init__(self, url: str) -> None:
        self.url = url

    def stream(self, query: Query, cursor: Cursor, *, stop: Callable[[], bool]) -> Iterator[Page]:
        reader = self.reader(cursor)
        address = f"{self.url}?from={reader.cursor['from']}"
        with streaming.Socket("Ticker", address, Options(allow_private_hosts=True, timeout=5)) as connection:
            yield from streaming.pages(connection, reader, stop)


class TestSoundStream(StreamsContract):
    @pytest.fixture
    def streamed(self) -> Iterator[StreamRig]:
        with TickerServer() as server:
            yield _rig(server, Ticker)


def _rig(server: TickerServer, listener: type[Ticker]) -> StreamRig:
    return StreamRig(lambda: listener(server.url), server, Query("", "stream"))


# --- One broken listener for each check ------------------------------------------------------------------------------


class RunsAhead(Ticker):
    class reader(TickerReader):
        def __init__(self, cursor: Cursor) -> None:
            self.cursor = {"from": cursor["from"] + 1 if cursor else 0}


class BeginsAnew(Ticker):
    class reader(TickerReader):
        def __init__(self, cursor: Cursor) -> None:
            super().__init__({})


class NeverBeats(Ticker):
    def stream(self, query: Query, cursor: Cursor, *, stop: Callable[[], bool]) -> Iterator[Page]:
        return (page for page in super().stream(query, cursor, stop=stop) if page.posts)


class ConnectsByItself(Ticker):
    def stream(self, query: Query, cursor: Cursor, *, stop: Callable[[], bool]) -> Iterator[Page]:
        while not stop():
            try:
                for page in super().stream(query, cursor, stop=stop):
                    cursor = page.cursor
                    yield page
            except Transient:
                continue


class _SaysOtherwise(Ticker):
    """What it raises in place of what happened."""

    def instead(self, error: ListeningError) -> Exception:
        raise NotImplementedError

    def stream(self, query: Query, cursor: Cursor, *, stop: Callable[[], bool]) -> Iterator[Page]:
        try:
            yield from super().stream(query, cursor, stop=stop)
        except ListeningError as error:
            raise self.instead(error) from error


class NeverSaysWhy(_SaysOtherwise):
    def instead(self, error: ListeningError) -> Exception:
        return Transient("It ended.") if isinstance(error, Transient) else error


class TriesForever(_SaysOtherwise):
    def instead(self, error: ListeningError) -> Exception:
        return Transient(str(error)) if isinstance(error, Terminal) else error


class Stumbles(Ticker):
    class reader(TickerReader):
        def events(self, told: dict[str, Any]) -> Iterator[Event]:
            yield Gone(told["gone"]) if "gone" in told else self.post(told)


class KeepsWhatWasDeleted(Ticker):
    class reader(TickerReader):
        def events(self, told: dict[str, Any]) -> Iterator[Event]:
            return (one for one in super().events(told) if not isinstance(one, Gone))


BROKEN: dict[str, type[Ticker]] = {
    "check_cut_at_random_it_loses_nothing": RunsAhead,
    "check_cut_within_a_frame_it_loses_nothing": RunsAhead,
    "check_it_goes_on_from_its_cursor": BeginsAnew,
    "check_a_server_that_says_nothing_is_listened_to": NeverBeats,
    "check_a_dead_connection_is_noticed": ConnectsByItself,
    "check_an_oversized_frame_costs_no_other": NeverSaysWhy,
    "check_an_event_of_wrong_types_costs_no_other": Stumbles,
    "check_a_close_is_told_with_its_reason": NeverSaysWhy,
    "check_a_close_for_a_bad_token_is_terminal": TriesForever,
    "check_a_refused_connection_says_what_it_means": TriesForever,
    "check_deletions_are_streamed": KeepsWhatWasDeleted,
}


def test_every_check_has_a_broken_listener() -> None:
    assert BROKEN.keys() == CHECKS.keys()


@pytest.mark.parametrize("check", CHECKS)
def test_the_check_fails_for_a_broken_listener(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream_contract.go_briskly(monkeypatch)
    monkeypatch.setattr(Store, "seconds", 1.5)
    with TickerServer() as server:
        with pytest.raises((Exception, pytest.fail.Exception)) as caught:
            CHECKS[check](_rig(server, BROKEN[check]))
        assert not isinstance(caught.value, (AttributeError, NameError)), "the check itself is broken"
