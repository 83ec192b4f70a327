"""X on loopback, as far as the listener speaks with it: search, mentions, look-ups, our own posts, replies."""

from __future__ import annotations

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
        named = {"entities": {"mentions": [{"start": 0, "end": 12, "username": US["username"], "id": US["id"]}]}}
        first = len(self.tweets)
        for n in range(first, first + how_many):
            created = self.started + n * 600
            self.tweets.append(tweet(id_at(created, n), f"@samtal_desk kettle {n}", str(7000 + n), created, **named))
        return [str(one["id"]) for one in self.tweets[first:]]

    def deletes(self, external_id: str) -> None:
        self.gone[external_id] = "resource-not-found"

    def answers_under(self, external_id: str) -> list[str]:
        return [one["text"] for one in self.ours if one["referenced_tweets"][0]["id"] == external_id]

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
            case ["2", "tweets", "search", "recent"] | ["2", "users", "4001", "mentions"]:
                return self._page(self.tweets, request)
            case ["2", "users", "4001", "tweets"]:
                return self._page(self.ours, request)
            case ["2", "tweets", "counts", "recent"]:
                return Reply({"data": [], "meta": {"total_tweet_count": 0}})
            case ["2", "users", "me"]:
                return Reply({"data": US})
        return Reply({"title": "Not Found Error", "detail": "No such endpoint."}, 404)

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
        users = [self._user(one["author_id"]) for one in page]
        return Reply({"data": page, "includes": {"users": users}, "meta": meta})

    def _user(self, name: str) -> dict[str, Any]:
        return US if name == US["id"] else {"id": name, "username": f"person_{name}", "name": f"Person {name}"}

    def _look_up(self, names: list[str]) -> Reply:
        known = {one["id"]: one for one in [*self.tweets, *self.ours] if one["id"] not in self.gone}
        errors = [self._problem(name) for name in names if name not in known]
        data = [known[name] for name in names if name in known]
        return Reply({**({"data": data} if data else {}), **({"errors": errors} if errors else {})})

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
