"""The contract suite itself: a sound listener keeps it, and for each check a broken one shows that it can fail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from listeners.base import (
    Absent,
    Answering,
    CannotTell,
    Capability,
    Cursor,
    Health,
    Mode,
    Options,
    OutcomeUnknown,
    Page,
    Post,
    Query,
    Reach,
    Rejected,
    Sent,
    Terminal,
    Transient,
    Verdict,
)
from listeners.http import Client
from listeners.walking import Listing, since, walk
from tests.listeners.contract import (
    CHECKS,
    AnswersAnewContract,
    AnswersContract,
    DeletesContract,
    EditsContract,
    LooksBackContract,
    NetworkContract,
    Rig,
)
from tests.listeners.fake_server import FakeServer, Reply, Request

CAPABILITY = Capability(
    platform="wall",
    title="Wall",
    answering=Answering.API,
    answering_rule="Anybody may answer.",
    checked_on=date(2026, 11, 1),
    modes=(Mode("all", "All", "", reach=Reach("The wall gives everything.")),),
    max_chars=100,
    limits="none",
    recheck_every=timedelta(hours=1),
)
RAW = json.dumps({"notes": [{"id": "n1", "text": "Hello", "at": 1_790_000_000}], "next": None}).encode()


class WallServer(FakeServer):
    """A wall of notes, newest first, paged by the id of the last note seen."""

    def __init__(self) -> None:
        super().__init__()
        self.started = int(datetime.now(UTC).timestamp()) - 3600
        self.notes: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {}

    def posts(self, how_many: int) -> list[str]:
        first = len(self.notes)
        new = [{"id": f"n{i}", "text": f"Note {i}", "at": self.started + i} for i in range(first, first + how_many)]
        self.notes += new
        return [str(note["id"]) for note in new]

    def edits(self, external_id: str, text: str) -> None:
        """It stays where it is on the wall."""
        note = next(note for note in self.notes if note["id"] == external_id)
        note |= {"text": text, "edited": note["at"] + 60}

    def deletes(self, external_id: str) -> None:
        self.notes = [note for note in self.notes if note["id"] != external_id]

    def answers_under(self, external_id: str) -> list[str]:
        return [answer["text"] for answer in self.answers.values() if answer["to"] == external_id]

    def reply_to(self, request: Request) -> Reply:
        if request.method == "POST":
            if request.json().get("alone"):
                self.answers = {key: one for key, one in self.answers.items() if one["to"] != request.json()["to"]}
            return Reply(self.answers.setdefault(request.headers["idempotency-key"], request.json()))
        if request.path == "/answers" and "to" in request.params:
            return Reply(self.answers_under(request.params["to"]))
        if request.path == "/answers":
            return Reply(list(self.answers))
        newest_first = self.notes[::-1]
        below = request.params.get("below")
        start = next((i + 1 for i, note in enumerate(newest_first) if note["id"] == below), 0)
        page = newest_first[start : start + self.page_size]
        more = start + self.page_size < len(newest_first)
        return Reply({"notes": page, "next": page[-1]["id"] if more else None})


class Wall:
    """A sound listener, about as small as one can be."""

    capability = CAPABILITY

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = Client("Wall", Options(timeout=2.0, allow_private_hosts=True))

    def check(self) -> Health:
        self.client.get(self.url)
        return Health(True, "The wall answers.")

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        return walk(self.page_at, cursor)

    def since(self, query: Query, moment: datetime) -> Cursor:
        return since(moment)

    def page_at(self, token: Any) -> Listing:
        answer = self.client.get(self.url, params={"below": token} if token else {})
        answer.json()
        found = self.parse(answer.body)
        posts = [one for one in found if isinstance(one, Post)]
        return Listing(posts, answer.json()["next"], [one for one in found if isinstance(one, Rejected)])

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        try:
            notes = list(json.loads(answer)["notes"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Terminal("This is no answer of the wall.", "Check the address.") from error
        return [self.post(note) for note in notes]

    def post(self, note: Any) -> Post | Rejected:
        try:
            at = datetime.fromtimestamp(note["at"], UTC)
            edited = datetime.fromtimestamp(note["edited"], UTC) if "edited" in note else None
            return Post(platform="wall", external_id=note["id"], text=note["text"], posted_at=at, edited_at=edited)
        except (ValueError, TypeError, KeyError, OverflowError, OSError) as error:
            return Rejected("note", str(error))

    def may_answer(self, post: Post) -> Verdict:
        return Verdict(True, "Anybody may answer.")

    def answer(self, post: Post, text: str, key: str) -> Sent:
        note = {"to": post.external_id, "text": text}
        self.client.send("POST", self.url, json=note, headers={"Idempotency-Key": key}).json(sending=True)
        return Sent(_answer_id(key), None, datetime.now(UTC))

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        stands = key in self.client.get(self.url + "/answers").json()
        return Sent(_answer_id(key), None, datetime.now(UTC)) if stands else Absent()

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        return {name: told is not False for name, told in self.as_they_are(external_ids).items()}

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        there = {post.external_id: post for page in self.fetch(Query(""), {}) for post in page.posts}
        return {external_id: there.get(external_id, False) for external_id in external_ids}


class WallOfOne(Wall):
    """A sound listener of a wall that keeps one answer to each note."""

    def answer(self, post: Post, text: str, key: str) -> Sent:
        return self.answer_anew(post, text, key, ())

    def answer_anew(self, post: Post, text: str, key: str, ours: Collection[str]) -> Sent:
        standing = self.client.get(self.url + "/answers", params={"to": post.external_id}).json()
        if any(one != text and one not in ours for one in standing):
            raise Terminal("Somebody else's answer stands there.", "Look at it.")
        note = {"to": post.external_id, "text": text, "alone": True}
        self.client.send("POST", self.url, json=note, headers={"Idempotency-Key": key}).json(sending=True)
        return Sent(_answer_id(key), None, datetime.now(UTC))


def _answer_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _rig(server: WallServer, listener: type[Wall]) -> Rig:
    return Rig(listener(server.url), server, Query(""), raw=[RAW], idempotent=True)


class TestSoundListener(NetworkContract, AnswersContract, DeletesContract, EditsContract, LooksBackContract):
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with WallServer() as server:
            yield _rig(server, Wall)


class TestSoundListenerOfOne(
    NetworkContract, AnswersContract, AnswersAnewContract, DeletesContract, EditsContract, LooksBackContract
):
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with WallServer() as server:
            yield _rig(server, WallOfOne)


# --- One broken listener for each check ------------------------------------------------------------------------------


class Incomplete(Wall):
    capability = Capability("wall", "Wall", Answering.HAND_OFF, "", date(2026, 11, 1), (Mode("all", "All", ""),))


class CursorOfObjects(Wall):
    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        for page in walk(self.page_at, {}):
            yield Page(page.posts, {"at": datetime.now(UTC)})


class OneIdForAll(Wall):
    def post(self, note: Any) -> Post | Rejected:
        return super().post({**note, "id": "the same"})


class MarkMovesAtOnce(Wall):
    """Sets its mark with the first page: what lay below is lost in a crash."""

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        for page in walk(self.page_at, cursor):
            top = page.cursor.get("walking", {}).get("top") or page.cursor.get("done_until")
            yield Page(page.posts, {"done_until": top})


class ReadsOnlyOnce(Wall):
    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        if not cursor.get("done"):
            for page in walk(self.page_at, {}):
                yield Page(page.posts, {"done": True})


class LocalTimes(Wall):
    def post(self, note: Any) -> Post | Rejected:
        post = super().post(note)
        assert isinstance(post, Post)
        return post.model_copy(update={"posted_at": datetime.now()})  # noqa: DTZ005


class LeaksDecimals(Wall):
    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        for page in walk(self.page_at, cursor):
            yield Page([post.model_copy(update={"rating": Decimal(3)}) for post in page.posts], page.cursor)


class ParseRemembers(Wall):
    parsed = 0

    def post(self, note: Any) -> Post | Rejected:
        self.parsed += 1
        return super().post({**note, "text": f"number {self.parsed}"})


class ParseStumbles(Wall):
    def post(self, note: Any) -> Post | Rejected:
        return Post(platform="wall", external_id=note["id"], text=note["text"], posted_at=datetime.now(UTC))


class ChecksNothing(Wall):
    def check(self) -> Health:
        return Health(True, "")


class CallsDownTerminal(Wall):
    def page_at(self, token: Any) -> Listing:
        try:
            return super().page_at(token)
        except Transient as error:
            raise Terminal(str(error), "Give up.") from error


class ForgetsRetryAfter(Wall):
    def page_at(self, token: Any) -> Listing:
        try:
            return super().page_at(token)
        except Transient as error:
            raise Transient(str(error)) from error


class TriesForever(Wall):
    def page_at(self, token: Any) -> Listing:
        try:
            return super().page_at(token)
        except Terminal as error:
            raise Transient(str(error)) from error


class LetsJSONErrorsOut(Wall):
    def page_at(self, token: Any) -> Listing:
        json.loads(self.client.get(self.url).body)
        return super().page_at(token)


class SilentVerdict(Wall):
    def may_answer(self, post: Post) -> Verdict:
        return Verdict(True, "")


class PretendsToSend(Wall):
    def answer(self, post: Post, text: str, key: str) -> Sent:
        return Sent(_answer_id(key), None, datetime.now(UTC))


class FindsWhatNeverWas(Wall):
    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        return Sent(_answer_id(key), None, since)


class TriesAgain(Wall):
    """Posts a second time, with a key of its own, when it does not hear of the first."""

    def answer(self, post: Post, text: str, key: str) -> Sent:
        try:
            return super().answer(post, text, key)
        except OutcomeUnknown:
            return super().answer(post, text, key + " again")


class IgnoresKeys(Wall):
    count = 0

    def answer(self, post: Post, text: str, key: str) -> Sent:
        self.count += 1
        return super().answer(post, text, f"{key} {self.count}")


class SendsRegardless(Wall):
    def answer(self, post: Post, text: str, key: str) -> Sent:
        try:
            return super().answer(post, text, key)
        except Terminal as error:
            raise OutcomeUnknown(str(error)) from error


class ReplacesWhateverStands(WallOfOne):
    def answer_anew(self, post: Post, text: str, key: str, ours: Collection[str]) -> Sent:
        standing = self.client.get(self.url + "/answers", params={"to": post.external_id}).json()
        return super().answer_anew(post, text, key, standing)


class SeesNoDeletion(Wall):
    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        return dict.fromkeys(external_ids, True)


class TakesAnEditForAPost(Wall):
    """Knows a note by what it says, too."""

    def post(self, note: Any) -> Post | Rejected:
        return super().post({**note, "id": f"{note['id']}.{note['edited']}"} if "edited" in note else note)


class BeginsToday(Wall):
    def since(self, query: Query, moment: datetime) -> Cursor:
        return since(datetime.now(UTC))


class BeginsAgainFromItsOwnTop(Wall):
    """As `MarkMovesAtOnce`, only where it reads from a day on."""

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        for page in walk(self.page_at, cursor):
            top = page.cursor.get("walking", {}).get("top") if cursor else None
            yield Page(page.posts, {"done_until": top} if top else page.cursor)


class DeafToTests(NetworkContract):
    """A test class that leaves out the powers' contracts."""


BROKEN: dict[str, type[Wall]] = {
    "check_powers_are_tested": Wall,
    "check_capability_is_complete": Incomplete,
    "check_cursors_are_json": CursorOfObjects,
    "check_everything_arrives_with_ids_of_its_own": OneIdForAll,
    "check_stopping_after_any_page_loses_nothing": MarkMovesAtOnce,
    "check_only_what_is_new_comes_later": ReadsOnlyOnce,
    "check_posts_are_frozen_and_utc": LocalTimes,
    "check_nothing_third_party_leaks": LeaksDecimals,
    "check_parse_is_pure": ParseRemembers,
    "check_parse_is_total": ParseStumbles,
    "check_check_says_something": ChecksNothing,
    "check_down_is_transient": CallsDownTerminal,
    "check_rate_limit_says_when": ForgetsRetryAfter,
    "check_refusal_is_terminal": TriesForever,
    "check_damaged_answers_are_our_errors": LetsJSONErrorsOut,
    "check_may_answer_gives_a_reason": SilentVerdict,
    "check_an_answer_arrives_once_and_is_found": PretendsToSend,
    "check_nothing_sent_is_not_found": FindsWhatNeverWas,
    "check_lost_outcome_is_unknown_and_not_doubled": TriesAgain,
    "check_same_key_makes_one_answer": IgnoresKeys,
    "check_refused_answer_stands_nowhere": SendsRegardless,
    "check_answering_anew_replaces_only_ours": ReplacesWhateverStands,
    "check_deletions_are_seen": SeesNoDeletion,
    "check_an_edit_is_a_new_version_of_the_same_post": TakesAnEditForAPost,
    "check_everything_since_a_day_is_read": BeginsToday,
    "check_a_reading_since_a_day_may_stop_after_any_page": BeginsAgainFromItsOwnTop,
}


def test_every_check_has_a_broken_listener() -> None:
    assert BROKEN.keys() == CHECKS.keys()


@pytest.mark.parametrize("check", CHECKS)
def test_the_check_fails_for_a_broken_listener(check: str) -> None:
    arguments = [DeafToTests] if check == "check_powers_are_tested" else []
    with WallServer() as server:
        with pytest.raises((Exception, pytest.fail.Exception)) as caught:
            CHECKS[check](_rig(server, BROKEN[check]), *arguments)
        assert not isinstance(caught.value, (AttributeError, NameError)), "the check itself is broken"


@pytest.mark.parametrize("check", CHECKS)
def test_the_check_passes_for_a_sound_listener(check: str) -> None:
    arguments = [TestSoundListener] if check == "check_powers_are_tested" else []
    with WallServer() as server:
        sound = WallOfOne if check == "check_answering_anew_replaces_only_ours" else Wall
        CHECKS[check](_rig(server, sound), *arguments)
