"""An instance of Mastodon on loopback, as far as the listener speaks with it. It is called social.example."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from tests.listeners.fake_server import FakeServer, Reply, Request

HOME = "social.example"
US = {"id": "9001", "username": "acme_help", "acct": "acme_help", "display_name": "Acme helps", "followers_count": 12}
FIRST = 113_500_000_000_000_000


def account(acct: str, **more: Any) -> dict[str, Any]:
    """An account as it stands in a post."""
    name = acct.partition("@")[0]
    number = str(sum(map(ord, acct)))
    return {"id": number, "username": name, "acct": acct, "display_name": name.title(), "followers_count": 7, **more}


def at(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status(number: int | str, html: str, moment: datetime, who: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A post as a timeline lists it."""
    return {
        "id": str(number),
        "created_at": at(moment),
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "sensitive": False,
        "spoiler_text": "",
        "visibility": "public",
        "language": "en",
        "uri": f"https://{HOME}/users/{who['username']}/statuses/{number}",
        "url": f"https://{HOME}/@{who['acct']}/{number}",
        "replies_count": 0,
        "reblogs_count": 1,
        "favourites_count": 2,
        "edited_at": None,
        "content": html,
        "reblog": None,
        "account": who,
        "media_attachments": [],
        "mentions": [],
        "tags": [],
        **more,
    }


class MastodonServer(FakeServer):
    """People who write of kettles and to us, a minute apart; and our account."""

    def __init__(self) -> None:
        super().__init__()
        self.started = datetime.now(UTC) - timedelta(days=1)
        self.search_ends = 10_000
        """So many posts one search gives, whatever lies below."""
        self.statuses: list[dict[str, Any]] = []
        self.ours: list[dict[str, Any]] = []
        self.sources: dict[str, str] = {}
        """What was sent, by the id of the post that came of it."""
        self.notified: list[dict[str, Any]] = []
        self.keys: dict[str, dict[str, Any]] = {}
        self.gone: set[str] = set()
        self.max_characters = 500
        self.per_link = 23
        self.says_limits_in = "v2"
        self.shows_many = True
        """False: older than 4.3, which shows posts one at a time."""
        self.shows_sources = True
        self.loses_keys = False
        self.clock_ahead = timedelta(0)
        self.streams_at = ""

    # --- what a platform says for itself

    def posts(self, how_many: int, **more: Any) -> list[str]:
        first = len(self.statuses)
        for n in range(first, first + how_many):
            who = account("jane@elsewhere.example" if n % 2 else "ann")
            html = (
                f'<p>My kettle {n} hisses <a href="https://{HOME}/tags/kettle" rel="tag">#<span>kettle</span></a></p>'
            )
            self.statuses.append(status(FIRST + n, html, self.started + timedelta(minutes=n), who, **more))
            self.notifies(self.statuses[-1])
        return [f"{one['id']}@{HOME}" for one in self.statuses[first:]]

    def notifies(self, one: dict[str, Any], kind: str = "mention") -> None:
        """Our account is told of a post."""
        number = str(100 + len(self.notified))
        made = {"id": number, "type": kind, "created_at": one["created_at"], "account": one["account"], "status": one}
        self.notified.append(made)

    def edits(self, external_id: str, text: str) -> None:
        """Its author changes a post, which stays where it is in every list."""
        one = next(one for one in self.statuses if one["id"] == external_id.partition("@")[0])
        made = datetime.fromisoformat(one["created_at"])
        one |= {"content": f"<p>{escape(text)}</p>", "edited_at": at(made + timedelta(minutes=5))}

    def deletes(self, external_id: str) -> None:
        self.gone.add(external_id.partition("@")[0])

    def answers_under(self, external_id: str) -> list[str]:
        number = external_id.partition("@")[0]
        return [self.sources[one["id"]] for one in self.ours if one["in_reply_to_id"] == number]

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        lifted = at(datetime.now(UTC) + timedelta(seconds=seconds))
        headers = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": lifted}
        self.fails(Reply({"error": "Too many requests"}, 429, headers), after)

    # --- the API

    def reply_to(self, request: Request) -> Reply:
        reply = self._reply_to(request, request.path.strip("/").split("/"))
        lifted = at(datetime.now(UTC) + timedelta(minutes=5))
        rate = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "287", "X-RateLimit-Reset": lifted}
        return Reply(reply.body, reply.status, {**rate, **reply.headers})

    def _reply_to(self, request: Request, path: list[str]) -> Reply:
        signed_in = request.headers.get("authorization") == "Bearer t0ken"
        match path[1:]:
            case [version, "instance"] if version == self.says_limits_in:
                limits = {"max_characters": self.max_characters, "characters_reserved_per_url": self.per_link}
                urls = {"streaming": self.streams_at}
                return Reply({"domain": HOME, "configuration": {"statuses": limits, "urls": urls}})
            case ["v1", "timelines", "tag", _]:
                return self._page([one for one in self.statuses if one["id"] not in self.gone], request)
            case ["v1", "statuses"] if request.method == "GET":
                return self._many(request.every.get("id[]", []))
            case ["v1", "statuses", number] if request.method == "GET":
                return self._one(number)
            case ["v1", "statuses", number, "context"]:
                return self._context(number)
        if not signed_in:
            return Reply({"error": "This method requires an authenticated user"}, 401)
        match path[1:]:
            case ["v1", "accounts", "verify_credentials"]:
                return Reply(US)
            case ["v1", "accounts", "9001", "statuses"]:
                return self._page(self.ours, request)
            case ["v1", "notifications"]:
                kinds = request.every["types[]"]
                return self._page([one for one in self.notified if one["type"] in kinds], request)
            case ["v2", "search"]:
                return self._search(request)
            case ["v1", "statuses"]:
                return self._post(request)
            case ["v1", "statuses", number, "source"] if self.shows_sources:
                return Reply({"id": number, "text": self.sources[number], "spoiler_text": ""})
            case ["v1", "statuses", number] if request.method == "DELETE":
                self.gone.add(number)
                return self._one(number)
        return Reply({"error": "Record not found"}, 404)

    def _page(self, items: list[dict[str, Any]], request: Request) -> Reply:
        below = int(request.params.get("max_id", 10**19))
        found = sorted((one for one in items if int(one["id"]) < below), key=lambda one: -int(one["id"]))
        page = found[: self.page_size]
        if not page:
            return Reply([])
        here = f"{self.url}{request.path}?limit=40"
        link = f'<{here}&max_id={page[-1]["id"]}>; rel="next", <{here}&min_id={page[0]["id"]}>; rel="prev"'
        return Reply(page, headers={"Link": link})

    def _search(self, request: Request) -> Reply:
        start, limit = int(request.params["offset"]), int(request.params["limit"])
        before = int(request.params.get("max_id", 2**62)) >> 16  # milliseconds, of which only the second counts
        moment = datetime.fromtimestamp(min(before // 1_000, 9_999_999_999), UTC)
        found = [one for one in self.statuses[::-1] if one["id"] not in self.gone]
        found = [one for one in found if datetime.fromisoformat(one["created_at"]) < moment][: self.search_ends]
        return Reply({"accounts": [], "hashtags": [], "statuses": found[start : start + limit]})

    def _known(self) -> dict[str, dict[str, Any]]:
        known = [*self.statuses, *(one["status"] for one in self.notified), *self.ours]
        return {one["id"]: one for one in known if one["id"] not in self.gone}

    def _many(self, numbers: list[str]) -> Reply:
        if not self.shows_many:
            return Reply(b"<html>The page you are looking for isn't here.</html>", 404, {"Content-Type": "text/html"})
        if len(numbers) > 20:
            return Reply({"error": "Too many"}, 422)
        known = self._known()
        return Reply([known[number] for number in numbers if number in known])

    def _one(self, number: str) -> Reply:
        known = self._known()
        return Reply(known[number]) if number in known else Reply({"error": "Record not found"}, 404)

    def _context(self, number: str) -> Reply:
        known = self._known()
        if number not in known:
            return Reply({"error": "Record not found"}, 404)
        above: list[dict[str, Any]] = []
        while (number := known[number]["in_reply_to_id"]) in known:
            above.insert(0, known[number])
        return Reply({"ancestors": above, "descendants": []})

    def _post(self, request: Request) -> Reply:
        body, key = request.json(), request.headers.get("idempotency-key", "")
        if key in self.keys and not self.loses_keys:
            return Reply(self.keys[key])
        if body["in_reply_to_id"] not in self._known():
            return Reply({"error": "The post you are trying to reply to does not appear to exist."}, 404)
        html = f"<p>{escape(body['status'])}</p>"
        made = status(
            FIRST * 2 + len(self.ours), html, datetime.now(UTC) + self.clock_ahead, US,
            in_reply_to_id=body["in_reply_to_id"], visibility=body["visibility"],
        )  # fmt: skip
        self.ours.append(made)
        self.sources[made["id"]] = body["status"]
        self.keys[key] = made
        return Reply(made)
