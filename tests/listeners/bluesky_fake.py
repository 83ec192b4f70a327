"""A Bluesky server on loopback: sessions, a search, notifications and one repository, in the wire's own format."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.listeners.fake_server import FakeServer, Reply, Request

US = "did:plc:usususususususususususus"
OUR_HANDLE = "acme.test"
PASSWORD = "abcd-efgh-ijkl-mnop"
ANNA = {"did": "did:plc:annaannaannaannaannaanna", "handle": "anna.test", "displayName": "Anna"}
CID = "bafyreiewok5hfprpobndir3pgnwq2utlozyvhpinqqsqqqijzyp6rjieza"
POST = "app.bsky.feed.post"


def wire_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def token(seconds: float, number: int) -> str:
    """A token as Bluesky gives them, a JWT; nobody checks its signature."""
    parts = [{"alg": "HS256"}, {"sub": US, "exp": int(time.time() + seconds), "jti": str(number)}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2ln"])


def error(name: str, message: str, status: int = 400) -> Reply:
    return Reply({"error": name, "message": message}, status)


class BlueskyServer(FakeServer):
    """People post with `posts`; `anna` says whatever she is given; `our_records` is what we posted, by record key.

    Posts lie further apart than the listener's overlap, so that what was read is not read again.
    """

    page_size = 4

    def __init__(self) -> None:
        super().__init__()
        self.started = datetime.now(UTC) - timedelta(days=3)
        self.views: list[dict[str, Any]] = []
        self.notified: list[tuple[str, dict[str, Any]]] = []
        self.our_records: dict[str, dict[str, Any]] = {}
        self.hidden: set[str] = set()
        """Posts that are there and not shown, as behind a block."""
        self.tokens: list[str] = []
        self.token_lives = 7200.0
        """Seconds that the tokens of a sign-in are good for; those of a refresh are for two hours."""
        self.answers_next: dict[str, Reply] = {}
        """What to say to the next call of a method in place of doing it."""
        self.search_ends = 10_000
        """So many posts one search gives, whatever lies below."""
        self.knows_profiles = True
        self.our_did = US
        self.our_profile: dict[str, Any] = {
            "did": US,
            "handle": OUR_HANDLE,
            "displayName": "Acme",
            "followersCount": 12,
        }

    # --- what happens there

    def anna(self, text: str, at: datetime | None = None, **record: Any) -> dict[str, Any]:
        """Anna posts; the view of her post, to be changed at will."""
        at = at or self.started + timedelta(minutes=10 * len(self.views))
        view = {
            "uri": f"at://{ANNA['did']}/{POST}/3k{len(self.views):011d}",
            "cid": CID,
            "author": {**ANNA, "viewer": {"blockedBy": False}},
            "record": {"$type": POST, "text": text, "createdAt": wire_time(at), "langs": ["en"], **record},
            "indexedAt": wire_time(at),
            "likeCount": 2,
            "viewer": {},
        }
        self.views.append(view)
        return view

    def says_to_us(self, text: str, reason: str = "mention", **record: Any) -> dict[str, Any]:
        view = self.anna(text, **record)
        self.notified.append((reason, view))
        return view

    def posts(self, how_many: int) -> list[str]:
        return [self.anna(f"samtal {len(self.views)}")["uri"] for _ in range(how_many)]

    def deletes(self, external_id: str) -> None:
        self.views = [view for view in self.views if view["uri"] != external_id]

    def answers_under(self, external_id: str) -> list[str]:
        ours = self.our_records.values()
        return [record["text"] for record in ours if record["reply"]["parent"]["uri"] == external_id]

    def ends_all_sessions(self) -> None:
        self.tokens.clear()

    def asked(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.path.endswith(f".{method}")]

    # --- what befalls it

    def is_sending(self, request: Request) -> bool:
        return request.path.endswith(("createRecord", "deleteRecord"))

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        """Bluesky's 429 names the moment when it is over, and no Retry-After."""
        headers = {
            "RateLimit-Limit": "3000",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(int(time.time()) + seconds),
        }
        self.fails(Reply({"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}, 429, headers), after)

    # --- the wire

    def reply_to(self, request: Request) -> Reply:
        method = request.path.removeprefix("/xrpc/").rpartition(".")[2]
        do: Callable[[Request], Reply] | None = getattr(self, f"_{method}", None)
        if do is None:
            return error("XRPCNotSupported", "XRPC Not Supported", 404)
        if method != "createSession" and request.headers.get("authorization", "")[7:] not in self.tokens:
            return error("ExpiredToken", "Token has expired")
        return self.answers_next.pop(method, None) or do(request)

    def _createSession(self, request: Request) -> Reply:
        if (request.json()["identifier"], request.json()["password"]) != (OUR_HANDLE, PASSWORD):
            return error("AuthenticationRequired", "Invalid identifier or password", 401)
        return self._session(self.token_lives)

    def _refreshSession(self, request: Request) -> Reply:
        return self._session(7200)

    def _session(self, lives: float) -> Reply:
        access, refresh = token(lives, len(self.tokens)), token(90_000, len(self.tokens) + 1)
        self.tokens += [access, refresh]
        return Reply({"did": self.our_did, "handle": OUR_HANDLE, "accessJwt": access, "refreshJwt": refresh})

    def _getProfile(self, request: Request) -> Reply:
        if not self.knows_profiles:
            return error("InvalidRequest", "Profile not found")
        return Reply(self.our_profile)

    def _getProfiles(self, request: Request) -> Reply:
        known = {one["author"]["did"]: one["author"] for one in self.views}
        return Reply({"profiles": [known[did] for did in request.every["actors"] if did in known]})

    def _searchPosts(self, request: Request) -> Reply:
        until = request.params.get("until", "9999")
        found = [view for view in self.views if request.params["q"] in view["record"]["text"]]
        found = [view for view in found if view["indexedAt"] < until][-self.search_ends :]
        return self._page("posts", found, request)

    def _listNotifications(self, request: Request) -> Reply:
        reasons = request.every["reasons"]
        items = [{**view, "reason": reason, "isRead": False} for reason, view in self.notified if reason in reasons]
        return self._page("notifications", items, request)

    def _page(self, name: str, oldest_first: list[dict[str, Any]], request: Request) -> Reply:
        """Newest first; the cursor is the last item's moment and address."""

        def place(view: dict[str, Any]) -> str:
            return f"{view['indexedAt']}__{view['uri']}"

        newest_first = sorted(oldest_first, key=place, reverse=True)
        cursor = request.params.get("cursor")
        if cursor == "garbage":
            return error("InternalServerError", "Internal Server Error", 502)
        below = [view for view in newest_first if cursor is None or place(view) < cursor]
        page = below[: self.page_size]
        more = {"cursor": place(page[-1])} if len(below) > len(page) else {}
        limits = {"RateLimit-Limit": "3000", "RateLimit-Remaining": "2990", "RateLimit-Reset": "1800000000"}
        return Reply({name: page, **more}, headers=limits)

    def _getPosts(self, request: Request) -> Reply:
        asked = request.every.get("uris", [])
        if not 1 <= len(asked) <= 25:
            return error("InvalidRequest", "Error: uris must have between 1 and 25 elements")
        return Reply(
            {"posts": [view for view in self.views if view["uri"] in asked and view["uri"] not in self.hidden]}
        )

    def _getRecord(self, request: Request) -> Reply:
        repo, rkey = request.params["repo"], request.params["rkey"]
        uri = f"at://{repo}/{POST}/{rkey}"
        theirs = {view["uri"]: view["record"] for view in self.views}
        value = self.our_records.get(rkey) if repo == US else theirs.get(uri)
        if value is None:
            return error("RecordNotFound", f"Could not locate record: {uri}")
        return Reply({"uri": uri, "cid": CID, "value": value})

    def _createRecord(self, request: Request) -> Reply:
        data = request.json()
        if data["rkey"] in self.our_records:  # what the real server says to a key that is taken
            return error("InternalServerError", "Internal Server Error", 500)
        self.our_records[data["rkey"]] = data["record"]
        return Reply({"uri": f"at://{data['repo']}/{data['collection']}/{data['rkey']}", "cid": CID})

    def _deleteRecord(self, request: Request) -> Reply:
        self.our_records.pop(request.json()["rkey"], None)
        return Reply({})

    def _resolveHandle(self, request: Request) -> Reply:
        if request.params["handle"] == ANNA["handle"]:
            return Reply({"did": ANNA["did"]})
        return error("InvalidRequest", "Unable to resolve handle")
