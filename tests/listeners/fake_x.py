"""X on loopback, as far as the listener speaks with it: search, mentions, look-ups, edits, our own posts, replies."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

from tests.listeners.fake_server import FakeServer, Reply, Request

US = {"id": "4001", "username": "samtal_desk", "name": "Samtal"}
EPOCH_MS = 1_288_834_974_657


def id_at(seconds: float, serial: int = 0) -> str:
    """The id of a post made at a Unix time."""
    return str(((int(seconds * 1000) - EPOCH_MS) << 22) + serial)


def tweet(name: str, text: str, author: str, created: float, **more: Any) -> dict[str, Any]:
    """A post as search lists it."""
    return {
        "id": name,
        "text": text,
        "author_id": author,
        "conversation_id": name,
        "created_at": datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "edit_history_tweet_ids": [name],
        "lang": "en",
        "public_metrics": {"retweet_count": 1, "reply_count": 0, "like_count": 2, "quote_count": 0},
        **more,
    }


class XServer(FakeServer):
    """People who mention us, a minute or more apart, within the last two days; and our account."""

    def __init__(self) -> None:
        super().__init__()
        self.started = int(time.time()) - 2 * 86_400
        self.tweets: list[dict[str, Any]] = []
        self.ours: list[dict[str, Any]] = []
        self.elsewhere: list[dict[str, Any]] = []
        """What no search finds: posts of long ago, and versions of posts that were edited since."""
        self.quoted: str | None = None
        """The post that people quote, by its id."""
        self.gone: dict[str, str] = {}
        """Ids that nobody may see any more, each with the kind of problem."""
        self.reply_answer: Reply | None = None
        """What posting is answered with in place of the truth; the post stands all the same."""
        self.rate_headers = {
            "x-rate-limit-limit": "450",
            "x-rate-limit-remaining": "440",
            "x-rate-limit-reset": "1790000000",
        }

    def posts(self, how_many: int) -> list[str]:
        us = {"start": 0, "end": 12, "username": US["username"], "id": US["id"]}
        named: dict[str, Any] = {"entities": {"mentions": [us]}}
        first = len(self.tweets)
        if self.quoted:
            named["referenced_tweets"] = [{"type": "quoted", "id": self.quoted}]
        for n in range(first, first + how_many):
            created = self.started + n * 600
            self.tweets.append(tweet(id_at(created, n), f"@samtal_desk kettle {n}", str(7000 + n), created, **named))
        return [str(one["id"]) for one in self.tweets[first:]]

    def we_say(self, text: str, days_ago: float = 3) -> str:
        """A post of ours that begins a thread; its id."""
        created = time.time() - days_ago * 86_400
        self.ours.append(tweet(id_at(created, len(self.ours)), text, US["id"], created))
        return str(self.ours[-1]["id"])

    def answered_in(self, name: str, text: str, parent: str, root: str, created: float) -> None:
        """Somebody answers in a thread, and is found."""
        above = [{"type": "replied_to", "id": parent}]
        self.tweets.append(tweet(name, text, "7900", created, conversation_id=root, referenced_tweets=above))

    def edits(self, external_id: str, text: str) -> None:
        """Its author changes a post, ten minutes after it was last changed: search now shows it under a new id."""
        at = next(n for n, one in enumerate(self.tweets) if external_id in one["edit_history_tweet_ids"])
        old = self.tweets[at]
        created = datetime.fromisoformat(old["created_at"]).timestamp() + 600
        name = id_at(created, at)
        history = [*old["edit_history_tweet_ids"], name]
        self.tweets[at] = {
            **tweet(name, text, old["author_id"], created, edit_history_tweet_ids=history),
            "conversation_id": old["conversation_id"],
        }
        self.elsewhere = [
            {**one, "edit_history_tweet_ids": history} if external_id in one["edit_history_tweet_ids"] else one
            for one in [*self.elsewhere, old]
        ]

    def deletes(self, external_id: str) -> None:
        self.gone[external_id] = "resource-not-found"

    def answers_under(self, external_id: str) -> list[str]:
        return [one["text"] for one in self.ours if one.get("referenced_tweets", [{}])[0].get("id") == external_id]

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        self.fails(
            Reply({"title": "Too Many Requests"}, 429, {"x-rate-limit-reset": str(int(time.time()) + seconds)}), after
        )

    def reply_to(self, request: Request) -> Reply:
        reply = self._reply_to(request, request.path.strip("/").split("/"))
        return Reply(reply.body, reply.status, {**self.rate_headers, **reply.headers})

    def _reply_to(self, request: Request, path: list[str]) -> Reply:
        match path:
            case ["2", "tweets"] if request.method == "POST":
                return self._post(request.json())
            case ["2", "tweets"]:
                return self._look_up(request.params["ids"].split(","))
            case ["2", "tweets", "search", "recent"]:
                return self._page(self._found(request.params["query"]), request)
            case ["2", "users", "4001", "mentions"]:
                return self._page(self.tweets, request)
            case ["2", "users", "4001", "tweets"]:
                return self._page(self.ours, request)
            case ["2", "tweets", "counts", "recent"]:
                return Reply({"data": [], "meta": {"total_tweet_count": 0}})
            case ["2", "users", "me"]:
                return Reply({"data": US})
        return Reply({"title": "Not Found Error", "detail": "No such endpoint."}, 404)

    def _found(self, query: str) -> list[dict[str, Any]]:
        """By words everything; by the posts that are quoted or answered, what quotes or answers them."""
        quoted = set(re.findall(r"quotes_of_tweet_id:(\d+)", query))
        roots = set(re.findall(r"conversation_id:(\d+)", query))
        if not quoted | roots:
            return self.tweets
        return [
            one
            for one in self.tweets
            if one["conversation_id"] in roots or quoted & {ref["id"] for ref in one.get("referenced_tweets", [])}
        ]

    def _page(self, tweets: list[dict[str, Any]], request: Request) -> Reply:
        since, until = int(request.params.get("since_id", 0)), int(request.params.get("until_id", 10**19))
        start = int(request.params.get("pagination_token", 0))
        found = [one for one in tweets if since < int(one["id"]) < until and one["id"] not in self.gone][::-1]
        page = found[start : start + self.page_size]
        if not page:
            return Reply({"meta": {"result_count": 0}})
        meta = {"newest_id": page[0]["id"], "oldest_id": page[-1]["id"], "result_count": len(page)}
        if start + len(page) < len(found):
            meta["next_token"] = str(start + len(page))
        related = {ref["id"] for one in page for ref in one.get("referenced_tweets", [])}
        along = [one for one in [*self.ours, *self.elsewhere, *self.tweets] if one["id"] in related - self.gone.keys()]
        users = [self._user(one["author_id"]) for one in [*page, *along]]
        return Reply({"data": page, "includes": {"users": users, "tweets": along}, "meta": meta})

    def _user(self, name: str) -> dict[str, Any]:
        return US if name == US["id"] else {"id": name, "username": f"person_{name}", "name": f"Person {name}"}

    def _look_up(self, names: list[str]) -> Reply:
        there = [*self.tweets, *self.ours, *self.elsewhere]
        known = {one["id"]: one for one in there if not self.gone.keys() & set(one["edit_history_tweet_ids"])}
        errors = [self._problem(name) for name in names if name not in known]
        data = [known[name] for name in names if name in known]
        users = [self._user(one["author_id"]) for one in data]
        found = {"data": data, "includes": {"users": users}} if data else {}
        return Reply({**found, **({"errors": errors} if errors else {})})

    def _problem(self, name: str) -> dict[str, str]:
        kind = f"https://api.twitter.com/2/problems/{self.gone.get(name, 'resource-not-found')}"
        return {"value": name, "resource_id": name, "resource_type": "tweet", "parameter": "ids", "type": kind}

    def _post(self, body: dict[str, Any]) -> Reply:
        name = id_at(time.time(), len(self.ours))
        above = body["reply"]["in_reply_to_tweet_id"]
        related = [{"type": "replied_to", "id": above}]
        self.ours.append(
            tweet(name, body["text"], US["id"], time.time(), conversation_id=above, referenced_tweets=related)
        )
        return self.reply_answer or Reply({"data": {"id": name, "text": body["text"]}}, 201)
