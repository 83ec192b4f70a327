"""Reddit on loopback, as far as the listener speaks with it: signing in, listings, look-ups by id, comments."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from tests.listeners.fake_server import FakeServer, Reply, Request

ME = {"name": "samtal_desk", "id": "me1"}
APART = 20 * 60
"""Seconds between two posts: wider than the listener's overlap, so that a walk really stops at its mark."""


def post(number: int, created: float, **changes: Any) -> dict[str, Any]:
    """A post as r/name/new lists it."""
    name = f"p{number}"
    data = {
        "name": f"t3_{name}",
        "id": name,
        "subreddit": "kettles",
        "author": f"writer_{number}",
        "author_fullname": f"t2_w{number}",
        "title": f"Kettle number {number}",
        "selftext": f"It whistles {number} times.",
        "is_self": True,
        "permalink": f"/r/kettles/comments/{name}/kettle_number_{number}/",
        "created_utc": created,
        "edited": False,
        "score": 3,
        "num_comments": 0,
        "locked": False,
        "archived": False,
        "removed_by_category": None,
    }
    return {"kind": "t3", "data": {**data, **changes}}


def comment(name: str, parent: str, root: str, text: str, author: dict[str, str], created: float) -> dict[str, Any]:
    """A comment as a thread or a user's page shows it."""
    data = {
        "name": f"t1_{name}",
        "id": name,
        "author": author["name"],
        "author_fullname": f"t2_{author['id']}",
        "body": text,
        "parent_id": parent,
        "link_id": root,
        "permalink": f"/r/kettles/comments/{root[3:]}/_/{name}/",
        "created_utc": created,
        "edited": False,
        "score": 1,
        "replies": "",
        "locked": False,
        "archived": False,
    }
    return {"kind": "t1", "data": data}


def listing(children: list[dict[str, Any]], after: str | None = None) -> dict[str, Any]:
    return {"kind": "Listing", "data": {"after": after, "before": None, "dist": len(children), "children": children}}


class RedditServer(FakeServer):
    """One subreddit, r/kettles, and one user of ours."""

    page_size = 5
    """Two more than a walk needs to see that it has come down to its mark: the newest is read again, being overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.started = int(datetime.now(UTC).timestamp()) - 30 * 86_400
        self.things: list[dict[str, Any]] = []
        self.ours: list[dict[str, Any]] = []
        self.elsewhere: list[dict[str, Any]] = []
        """What no listing shows any more, and can be asked for by its name."""
        self.comment_answer: Reply | None = None
        """What posting a comment is answered with in place of the truth; the comment stands all the same."""
        self.rate_headers: dict[str, str] = {}
        self.forgets_our_page = False
        """Whether our own page of comments is behind and shows none of them."""

    def posts(self, how_many: int) -> list[str]:
        first = len(self.things)
        self.things += [post(n, self.started + n * APART) for n in range(first, first + how_many)]
        return [str(thing["data"]["name"]) for thing in self.things[first:]]

    def change(self, name: str, **changes: Any) -> None:
        """Something of a post becomes different."""
        next(thing for thing in self.things if thing["data"]["name"] == name)["data"].update(changes)

    def comments(self, name: str, parent: str, root: str, text: str) -> str:
        """Somebody comments, and is shown among the subreddit's new comments with the title of the post; the name."""
        created = self.started + len(self.things) * APART
        thing = comment(name, parent, root, text, {"name": "steam", "id": "w77"}, created)
        thing["data"] |= {"link_title": "Kettle of long ago", "link_author": "copper_spout"}
        self.things.append(thing)
        return f"t1_{name}"

    def edits(self, external_id: str, text: str) -> None:
        """Its author changes a post; no listing moves it up for that."""
        thing = next(thing["data"] for thing in self.things if thing["data"]["name"] == external_id)
        self.change(external_id, selftext=text, edited=thing["created_utc"] + 3600)

    def deletes(self, external_id: str) -> None:
        self.change(external_id, author="[deleted]", author_fullname=None, selftext="[deleted]")

    def answers_under(self, external_id: str) -> list[str]:
        return [thing["data"]["body"] for thing in self.ours if thing["data"]["parent_id"] == external_id]

    def is_sending(self, request: Request) -> bool:
        return request.path.rstrip("/") == "/api/comment"

    def reply_to(self, request: Request) -> Reply:
        reply = self._reply_to(request, request.path.strip("/").split("/"))
        return Reply(reply.body, reply.status, {**self.rate_headers, **reply.headers})

    def _reply_to(self, request: Request, path: list[str]) -> Reply:
        newest_first = self.things[::-1]
        match path:
            case ["api", "v1", "access_token"]:
                return Reply({"access_token": "a-token", "token_type": "bearer", "expires_in": 3600, "scope": "*"})
            case ["api", "v1", "me"]:
                return Reply({**ME, "is_suspended": False})
            case ["api", "comment"]:
                return self._comment(request.form())
            case ["api", "info"]:
                wanted = request.params["id"].split(",")
                there = [*self.things, *self.ours, *self.elsewhere]
                return Reply(listing([thing for thing in there if thing["data"]["name"] in wanted]))
            case ["r", _, "new" | "comments" | "search"] | ["search"] | ["message", "inbox"]:
                return Reply(self._page(newest_first, request))
            case ["user", "samtal_desk", "comments"]:
                return Reply(self._page([] if self.forgets_our_page else self.ours[::-1], request))
            case ["comments", name]:
                root = [t for t in self.things if t["data"]["id"] == name]
                return Reply([listing(root), listing([t for t in self.ours if t["data"]["link_id"] == f"t3_{name}"])])
        return Reply({"message": "Not Found", "error": 404}, 404)

    def _page(self, things: list[dict[str, Any]], request: Request) -> dict[str, Any]:
        names = [thing["data"]["name"] for thing in things]
        start = names.index(request.params["after"]) + 1 if "after" in request.params else 0
        page = things[start : start + self.page_size]
        return listing(page, page[-1]["data"]["name"] if start + len(page) < len(things) else None)

    def _comment(self, form: dict[str, str]) -> Reply:
        parent = form["thing_id"]
        thing = comment(f"c{len(self.ours)}", parent, parent, form["text"], ME, int(time.time()))
        self.ours.append(thing)
        return self.comment_answer or Reply({"json": {"errors": [], "data": {"things": [thing]}}})
