"""What programs get: only with a token, only what may leave, and one shape of errors."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from api import rest, web
from api.rest import LARGEST_ID
from api.site import Site
from dialogue import accounts, feedback, review
from dialogue.context import Actor, Context, Role
from tests.api.site import browser, first_admin, invited
from tests.worlds import add_source, post, said, store, tag

V1 = "/api/v1"


class Program:
    """A program that holds a token."""

    def __init__(self, ctx: Context, token: str | None) -> None:
        self.client: TestClient = browser(ctx)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        answer = self.client.get(V1 + path, params=query, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: Any, status: int = 201) -> Any:
        answer = self.client.post(V1 + path, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()


def program(ctx: Context, actor: Actor) -> Program:
    return Program(ctx, accounts.create_token(ctx, actor, "test"))


@pytest.fixture
def ada(any_ctx: Context) -> Actor:
    return first_admin(any_ctx)[0]


@pytest.fixture
def reads(any_ctx: Context, ada: Actor) -> Program:
    return program(any_ctx, ada)


def test_without_a_token_there_is_nothing(ctx: Context) -> None:
    ada, session = first_admin(ctx)
    token = accounts.create_token(ctx, ada, "test")
    for client in (Program(ctx, None), Program(ctx, "samtal_guessed"), Program(ctx, session)):
        error = client.get("/mentions", 401)
        assert error["error"]["code"] == "unauthorized"
    assert browser(ctx, session).get(V1 + "/mentions").status_code == 401, "a browser's cookie is no token"
    works = Program(ctx, token)
    works.get("/mentions")
    accounts.revoke_token(ctx, ada, accounts.api_tokens(ctx, ada)[0].id)
    works.get("/mentions", 401)


def test_mentions_come_with_their_tags_page_by_page(any_ctx: Context, reads: Program) -> None:
    store(any_ctx, *(post(f"p{n}", f"Text {n}", platform="bluesky", author_id=f"a{n}") for n in range(5)))
    tag(any_ctx, said("negative", "complaint", "Delivery", "Price"))
    seen, after = [], 0
    while True:
        page = reads.get("/mentions", after=after, limit=2)
        seen += page["items"]
        if page["next"] is None:
            break
        after = page["next"]
    assert [m["text"] for m in seen] == [f"Text {n}" for n in range(5)]
    first = seen[0]
    assert (first["sentiment"], first["intent"], first["topics"]) == ("negative", "complaint", ["Delivery", "Price"])
    assert (first["author_handle"], first["posted_at"]) == ("@bjork", "2026-11-20T11:00:00Z")


def test_filters_narrow_the_mentions(any_ctx: Context, reads: Program) -> None:
    source = add_source(any_ctx)
    store(any_ctx, post("late", "a", platform="bluesky"), source_id=source)
    tag(any_ctx, said("positive", "praise", "Price"))
    store(any_ctx, post("other", "b", platform="hackernews", author_id="c"))
    tag(any_ctx, said("negative", "question"))

    def ids(**query: Any) -> list[str]:
        return [m["external_id"] for m in reads.get("/mentions", **query)["items"]]

    assert ids() == ["late", "other"]
    assert ids(platform="hackernews") == ["other"]
    assert ids(sentiment="positive") == ids(intent="praise") == ids(topic="Price") == ids(source_id=source) == ["late"]
    assert ids(person_id=reads.get("/mentions", platform="hackernews")["items"][0]["person_id"]) == ["other"]
    assert ids(since="2026-11-20T12:00:00+00:00") == []
    assert ids(since="2026-11-20T13:00:00+02:00", until="2026-11-20T11:00:01Z") == ["late", "other"]


def test_sample_data_stays_out_unless_asked_for(ctx: Context) -> None:
    from db import mentions

    with ctx.database.transaction() as tx:
        mentions.upsert(tx, [post("s", platform="bluesky")], now=ctx.clock(), digest=str, sample=True)
    reads = program(ctx, first_admin(ctx)[0])
    assert reads.get("/mentions")["items"] == []
    assert reads.get("/conversations")["items"] == []
    assert reads.get("/people")["items"] == []
    assert [m["sample"] for m in reads.get("/mentions", sample=True)["items"]] == [True]


@pytest.mark.parametrize("platform", ["x", "forum"])
def test_where_a_platform_forbids_export_only_ids_leave(ctx: Context, platform: str) -> None:
    ada, _ = first_admin(ctx)
    reads = program(ctx, ada)
    fields = {"title": "SECRET title", "url": "https://SECRET.example/1", "author_handle": "SECRET"}
    store(ctx, post("p1", "SECRET text", platform=platform, author_name="SECRET name", **fields))
    tag(ctx, said("negative", "idea"))
    mention = reads.get("/mentions")["items"][0]
    feedback.add(ctx, ada, "A better hinge", "idea", mention["id"], "SECRET text")
    answers = [
        reads.client.get(V1 + path, headers=reads.headers).text
        for path in (
            "/mentions",
            "/conversations",
            "/people",
            f"/conversations/{mention['conversation_id']}",
            f"/people/{mention['person_id']}",
            "/feedback",
        )
    ]
    assert all("SECRET" not in answer for answer in answers)
    assert mention["withheld"] is True
    assert (mention["external_id"], mention["sentiment"]) == ("p1", "negative")


def test_an_author_is_erased(any_ctx: Context, reads: Program) -> None:
    store(any_ctx, post("p1"), post("p2", "Again"), post("other", author_id="ann", author_handle="@ann"))
    gone = reads.post("/erasures", {"platform": "forum", "author_id": "bjork"})
    assert gone == {"mentions": 2, "authors": 1}
    assert [one["external_id"] for one in reads.get("/mentions")["items"]] == ["other"]
    assert reads.post("/erasures", {"platform": "forum", "author_id": "bjork"}, 404)["error"]["code"] == "not_found"


def test_only_an_administrator_s_token_erases(ctx: Context) -> None:
    responds, _ = invited(ctx, first_admin(ctx)[0], "bo", Role.RESPONDER)
    store(ctx, post("p1"))
    program(ctx, responds).post("/erasures", {"platform": "forum", "author_id": "bjork"}, 403)


def test_what_must_be_attributed_says_how(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    reads = program(ctx, ada)
    store(ctx, post("q1", "The hinge squeaks", platform="stackexchange", url="https://diy.example/q/1"))
    store(ctx, post("p1", platform="bluesky", author_id="c"))
    attributed, other = reads.get("/mentions")["items"]
    assert attributed["attribution"] == "Björk on Stack Exchange, CC BY-SA"
    assert other["attribution"] is None
    feedback.add(ctx, ada, "A better hinge", "idea", attributed["id"], "The hinge squeaks")
    (backing,) = reads.get("/feedback")["items"][0]["evidence"]
    assert (backing["url"], backing["attribution"]) == ("https://diy.example/q/1", "Björk on Stack Exchange, CC BY-SA")


def test_a_conversation_a_person_and_the_board(any_ctx: Context, ada: Actor, reads: Program) -> None:
    store(
        any_ctx,
        post("p1", "The hinge squeaks", platform="bluesky"),
        post("p2", "Mine, too", platform="bluesky", author_id="b", author_handle="@bo", parent_id="p1", root_id="p1"),
    )
    (listed,) = reads.get("/conversations", state="open", platform="bluesky")["items"]
    detail = reads.get(f"/conversations/{listed['id']}")
    assert detail["conversation"] == listed
    assert [m["text"] for m in detail["mentions"]] == ["The hinge squeaks", "Mine, too"]
    person = reads.get(f"/people/{detail['mentions'][0]['person_id']}")
    assert [i["handle"] for i in person["identities"]] == ["@bjork"]
    people = reads.get("/people")["items"]
    assert [[i["handle"] for i in one["identities"]] for one in people] == [["@bjork"], ["@bo"]]
    assert people[0] == person
    feedback.add(any_ctx, ada, "A better hinge", "idea", detail["mentions"][0]["id"], "The hinge squeaks")
    (item,) = reads.get("/feedback", state="new")["items"]
    assert (item["title"], item["evidence"][0]["quote"]) == ("A better hinge", "The hinge squeaks")
    assert reads.get("/feedback", state="shipped")["items"] == []


def test_sources_with_how_they_do(ctx: Context) -> None:
    add_source(ctx, "Forum", query="hinge", last_error="The forum is down.", failures=3)
    (source,) = program(ctx, first_admin(ctx)[0]).get("/sources")["items"]
    assert (source["label"], source["query"], source["last_error"], source["failures"]) == (
        "Forum",
        "hinge",
        "The forum is down.",
        3,
    )


def test_a_reply_from_a_program_is_a_draft_and_the_key_makes_it_one(any_ctx: Context, reads: Program) -> None:
    store(any_ctx, post("p1", platform="bluesky"))
    conversation = reads.get("/conversations")["items"][0]["id"]
    made = reads.post("/replies", {"conversation_id": conversation, "text": "We will fix it.", "key": "ticket-7"})
    assert (made["state"], made["made_by"], made["author"]) == ("draft", "api", "Ada Admin")
    again = reads.post("/replies", {"conversation_id": conversation, "text": "Fixed.", "key": "ticket-7"})
    assert again["id"] == made["id"]
    (listed,) = reads.get("/replies", conversation_id=conversation)["items"]
    assert listed["text"] == "Fixed."
    assert reads.get("/replies", state="queued")["items"] == [], "nothing leaves before a person has read it"


def test_a_viewers_token_drafts_nothing(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    viewer, _ = invited(ctx, ada, "bo", Role.VIEWER)
    store(ctx, post("p1", platform="bluesky"))
    error = program(ctx, viewer).post("/replies", {"conversation_id": 1, "text": "Hello"}, 403)
    assert error["error"]["code"] == "forbidden"
    assert program(ctx, ada).get("/replies")["items"] == []


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("/mentions", {"limit": "0"}, "limit"),
        ("/mentions", {"limit": "100000"}, "limit"),
        ("/mentions", {"limit": "many"}, "limit"),
        ("/mentions", {"after": "-1"}, "after"),
        ("/mentions", {"sentiment": "angry"}, "sentiment"),
        ("/mentions", {"sentimnet": "negative"}, "sentimnet"),
        ("/mentions", {"since": "2026-11-20T12:00:00"}, "since"),
        ("/mentions", {"since": "yesterday"}, "since"),
        ("/mentions", {"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ("/mentions", {"until": "9999-12-31T23:59:59-14:00"}, "until"),
        ("/mentions", {"after": str(2**31)}, "after"),
        ("/mentions", {"source_id": "1 OR 1=1"}, "source_id"),
        ("/mentions", {"topic": "\x00"}, "NUL"),
        ("/mentions", {"limit": ["1", "2"]}, "limit"),
        ("/conversations/1", {"x": "1"}, "x"),
        ("/replies", {"state": "lost"}, "state"),
    ],
)
def test_a_wrong_parameter_is_named(ctx: Context, path: str, query: dict[str, Any], named: str) -> None:
    error = program(ctx, first_admin(ctx)[0]).get(path, 400, **query)
    assert error["error"]["code"] == "invalid_request"
    assert named in error["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"conversation_id": 1}', 400),
        (b'{"conversation_id": "x", "text": "a"}', 400),
        (b'{"conversation_id": 1, "text": "a", "state": "queued"}', 400),
        (b'{"conversation_id": 1, "text": "\\ud800"}', 400),
        (b'{"conversation_id": 1, "text": ""}', 400),
        (b'{"conversation_id": 1, "text": "a", "key": "../x"}', 400),
        (b'{"conversation_id": 2147483648, "text": "a"}', 400),
        (b'{"conversation_id": 999, "text": "a"}', 404),
        (b'{"conversation_id": 1, "text": "a", "mention_id": 999}', 404),
        (b'{"conversation_id": 1, "text": "' + b"x" * 2_000_000 + b'"}', 413),
    ],
)
def test_a_wrong_body_is_refused_in_the_one_shape(ctx: Context, body: bytes, status: int) -> None:
    store(ctx, post("p1", platform="bluesky"))
    reads = program(ctx, first_admin(ctx)[0])
    answer = reads.client.post(V1 + "/replies", content=body, headers=reads.headers)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert reads.get("/replies")["items"] == []


def test_a_body_of_unknown_length_is_bounded_too(ctx: Context) -> None:
    reads = program(ctx, first_admin(ctx)[0])
    chunks = (b"x" * 100_000 for _ in range(20))
    answer = reads.client.post(V1 + "/replies", content=chunks, headers=reads.headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize("name", ["after", "source_id", "person_id"])
def test_the_largest_id_is_one_that_either_database_can_look_for(any_ctx: Context, reads: Program, name: str) -> None:
    query: dict[str, Any] = {name: str(LARGEST_ID)}
    assert reads.get("/mentions", **query)["items"] == []


def test_hostile_text_in_a_draft_is_kept_as_text(any_ctx: Context, reads: Program) -> None:
    store(any_ctx, post("p1", platform="bluesky"))
    made = reads.post("/replies", {"conversation_id": 1, "text": "a\x00b <b>&amp; 🚲"})
    assert made["text"].replace("\x00", "") == "ab <b>&amp; 🚲"


@pytest.mark.parametrize(
    "path",
    [
        "/conversations/999",
        "/conversations/x",
        "/conversations/2147483647",
        "/conversations/2147483648",
        "/people/0",
        "/people/2147483648",
        "/people/99999999999999999999",
    ],
)
def test_what_is_not_there_is_404_in_the_one_shape(any_ctx: Context, reads: Program, path: str) -> None:
    assert reads.get(path, 404)["error"]["code"] == "not_found"


def test_a_failure_inside_says_nothing_of_the_inside(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = program(ctx, first_admin(ctx)[0])

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("SECRET detail")

    monkeypatch.setattr("dialogue.records.sources", broken)
    assert "SECRET" not in str(reads.get("/sources", 500))


# The document ---------------------------------------------------------------------------------------------------------


def test_the_document_is_valid_openapi_and_names_every_route(ctx: Context) -> None:
    _, session = first_admin(ctx)
    document = browser(ctx, session).get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    site = Site(ctx)
    served = {
        (route.path, method)  # type: ignore[attr-defined]
        for route in web.routes(site)
        for method in getattr(route, "methods", None) or ()
        if getattr(route, "path", "").startswith(V1) and method != "HEAD"
    }
    assert described == served
    _no_dangling_reference(document, document)


def test_answers_are_what_the_document_promises(any_ctx: Context, ada: Actor, reads: Program) -> None:
    from jsonschema import Draft202012Validator

    store(any_ctx, post("p1", platform="bluesky"), post("p2", platform="x", author_id="b"))
    tag(any_ctx, said("negative", "idea", "Price"))
    add_source(any_ctx)
    feedback.add(any_ctx, ada, "A better hinge", "idea", 1, "The hinge squeaks")
    reads.post("/replies", {"conversation_id": 1, "text": "Hello"})
    document = rest.openapi("http://localhost")
    for operation in rest.OPERATIONS:
        if operation.method != "GET":
            continue
        promised = document["paths"][operation.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        answer = reads.get(operation.path.removeprefix(V1).replace("{id}", "1"))
        Draft202012Validator({**promised, "components": document["components"]}).validate(answer)
        if "items" in answer:
            assert answer["items"], f"{operation.name} gave nothing, so nothing was checked"


def _no_dangling_reference(part: Any, document: dict[str, Any]) -> None:
    if isinstance(part, dict):
        reference = part.get("$ref")
        if reference is not None:
            assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
        for value in part.values():
            _no_dangling_reference(value, document)
    elif isinstance(part, list):
        for value in part:
            _no_dangling_reference(value, document)


def test_the_models_accuracy_comes_with_its_interval_or_says_what_is_missing(any_ctx: Context, ada: Actor) -> None:
    store(any_ctx, post("p1", "Lovely", platform="bluesky"), post("p2", "Awful", platform="bluesky"))
    tag(any_ctx, said("positive", "praise", model="m1 topics 1a2b3c4d"))
    reads = program(any_ctx, ada)
    review.confirm(any_ctx, ada, 1, {"sentiment": "positive"}, review.RANDOM)
    review.judge(any_ctx, ada, 2, "sentiment", "negative", review.RANDOM)
    found = reads.get("/model/accuracy")
    assert (found["version"], found["sample"], found["read"]) == ("m1", False, 2)
    mood = found["figures"][0]
    assert (mood["field"], mood["enough"], mood["missing"]) == ("sentiment", False, 98)
    assert (mood["share"]["right"], mood["share"]["of"], mood["share"]["value"]) == (1, 2, 0.5)
    assert 0 < mood["share"]["low"] < 0.5 < mood["share"]["high"] < 1
    assert reads.get("/model/accuracy", sample=True)["read"] == 0
