"""YouTube's Data API and Google's token server on loopback, as far as the listener speaks with them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from tests.listeners.fake_server import FakeServer, Reply, Request

CHANNEL = "UCacmeacmeacmeacmeacme01"
VIDEO, OTHER_VIDEO = "kettle00001", "kettle00002"
INLINE = 5
"""So many replies come with a thread at most."""


def at(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def comment(number: str, text: str, moment: datetime, who: str = "jane", **more: Any) -> dict[str, Any]:
    """A comment resource. Only its author is told how it was typed."""
    return {
        "kind": "youtube#comment",
        "etag": "e",
        "id": number,
        "snippet": {
            "authorDisplayName": f"@{who}",
            "authorChannelUrl": f"http://www.youtube.com/@{who}",
            "authorChannelId": {"value": CHANNEL if who == "acme" else f"UC{who:x<22}"},
            "textDisplay": escape(text).replace("\n", "<br>"),
            "canRate": True,
            "likeCount": 3,
            "publishedAt": at(moment),
            "updatedAt": at(moment),
            **more,
        },
    }


def refusal(status: int, reason: str, message: str = "No.", domain: str = "youtube.commentThread") -> Reply:
    errors = [{"message": message, "domain": domain, "reason": reason}]
    return Reply({"error": {"code": status, "message": message, "errors": errors}}, status)


class YouTubeServer(FakeServer):
    """Viewers of one video, who comment twenty minutes apart; and our channel."""

    def __init__(self) -> None:
        super().__init__()
        self.started = datetime.now(UTC) - timedelta(days=1)
        self.threads: list[dict[str, Any]] = []
        self.replies: dict[str, list[dict[str, Any]]] = {}
        """By thread, in the order in which they were written."""
        self.gone: set[str] = set()
        self.held: set[str] = set()
        """Comments that YouTube holds for review and lists to nobody."""
        self.tokens = 0
        self.token_lasts = 3_600
        self.token_extra: dict[str, Any] = {}
        self.good_tokens: set[str] = set()
        self.closed: dict[str, Reply] = {}
        """Videos that are answered with a refusal."""
        self.refuses_tokens: Reply | None = None
        self.refuses_answers: Reply | None = None

    # --- what a platform says for itself

    def posts(self, how_many: int, video: str = VIDEO, **more: Any) -> list[str]:
        first = len(self.threads)
        for n in range(first, first + how_many):
            number = f"Ugthread{n:04}"
            top = comment(number, f"Kettle {n} hisses & sings", self.started + timedelta(minutes=20 * n), **more)
            top["snippet"]["videoId"] = video
            self.threads.append({"id": number, "video": video, "top": top})
        return [one["id"] for one in self.threads[first:]]

    def says(self, thread: str, text: str, who: str = "bo", moment: datetime | None = None) -> str:
        """Somebody replies; the reply's id."""
        replies = self.replies.setdefault(thread, [])
        number = f"{thread}.reply{len(replies):03}"
        replies.append(comment(number, text, moment or datetime.now(UTC), who, parentId=thread))
        return number

    def edits(self, external_id: str, text: str) -> None:
        """Its author changes a comment, which stays where it is in every list."""
        snippet = next(one["top"]["snippet"] for one in self.threads if one["id"] == external_id)
        made = datetime.fromisoformat(snippet["publishedAt"])
        snippet |= {"textDisplay": escape(text), "updatedAt": at(made + timedelta(minutes=5))}

    def deletes(self, external_id: str) -> None:
        self.gone.add(external_id)

    def answers_under(self, external_id: str) -> list[str]:
        return [one["typed"] for one in self.replies.get(external_id, []) if "typed" in one]

    def is_sending(self, request: Request) -> bool:
        return request.method == "POST" and request.path.endswith("/comments")

    # --- the API

    def reply_to(self, request: Request) -> Reply:
        if request.path == "/token":
            return self._token(request)
        key, bearer = request.headers.get("x-goog-api-key"), request.headers.get("authorization", "")
        if key != "k3y" and bearer.removeprefix("Bearer ") not in self.good_tokens:
            if key:
                return refusal(400, "badRequest", "API key not valid. Please pass a valid API key.", "global")
            return refusal(401, "authError", "Invalid Credentials", "global")
        match request.method, request.path.removeprefix("/youtube/v3/"):
            case "GET", "commentThreads":
                return self._list(request)
            case "GET", "comments":
                return self._comments(request)
            case "POST", "comments":
                return self._insert(request.json()["snippet"], signed_in=bool(bearer))
            case "GET", "channels":
                snippet = {"title": "Acme helps", "customUrl": "@acme"}
                known = request.params.get("mine") or request.params.get("forHandle") == "@acme"
                return Reply({"items": [{"id": CHANNEL, "snippet": snippet}]} if known else {"pageInfo": {}})
            case "GET", "i18nRegions":
                return Reply({"items": [{"id": "SE"}]})
        return refusal(404, "notFound")

    def _token(self, request: Request) -> Reply:
        if self.refuses_tokens:
            return self.refuses_tokens
        assert request.form() == {
            "grant_type": "refresh_token", "client_id": "id", "client_secret": "s3cret", "refresh_token": "r3fresh",
        }  # fmt: skip
        self.tokens += 1
        token = f"t0ken-{self.tokens}"
        self.good_tokens = {token}
        return Reply(
            {"access_token": token, "expires_in": self.token_lasts, "token_type": "Bearer", **self.token_extra}
        )

    def _list(self, request: Request) -> Reply:
        video = request.params.get("videoId")
        if video in self.closed:
            return self.closed[video]
        found = [one for one in self.threads if one["id"] not in self.gone and video in (None, one["video"])]
        found.sort(key=lambda one: one["top"]["snippet"]["publishedAt"], reverse=True)
        start = int(request.params.get("pageToken", "page0").removeprefix("page"))
        page = [self._view(one) for one in found[start : start + self.page_size]]
        etag = f'"{hashlib.sha256(json.dumps(page).encode()).hexdigest()[:20]}"'
        if request.headers.get("if-none-match") == etag:
            return Reply(status=304, headers={"ETag": etag})
        below = {"nextPageToken": f"page{start + len(page)}"} if start + len(page) < len(found) else {}
        body = {"kind": "youtube#commentThreadListResponse", "etag": etag, **below, "items": page}
        return Reply(body, headers={"ETag": etag})

    def _view(self, one: dict[str, Any]) -> dict[str, Any]:
        replies = self._shown(one["id"])
        snippet = {"videoId": one["video"], "topLevelComment": one["top"], "canReply": True, "isPublic": True}
        thread = {"kind": "youtube#commentThread", "id": one["id"], "snippet": snippet}
        snippet["totalReplyCount"] = len(replies)
        return thread | ({"replies": {"comments": replies[-INLINE:]}} if replies else {})

    def _shown(self, thread: str) -> list[dict[str, Any]]:
        hidden = self.gone | self.held
        return [one for one in self.replies.get(thread, []) if one["id"] not in hidden]

    def _comments(self, request: Request) -> Reply:
        if "id" in request.params:
            known = {one["id"]: one["top"] for one in self.threads}
            known |= {one["id"]: one for thread in self.replies for one in self._shown(thread)}
            asked = request.params["id"].split(",")
            return Reply({"items": [known[one] for one in asked if one in known and one not in self.gone]})
        replies = self._shown(request.params["parentId"])
        start = int(request.params.get("pageToken", "page0").removeprefix("page"))
        page = replies[start : start + self.page_size]
        below = {"nextPageToken": f"page{start + len(page)}"} if start + len(page) < len(replies) else {}
        return Reply({"kind": "youtube#commentListResponse", **below, "items": page})

    def _insert(self, snippet: dict[str, Any], *, signed_in: bool) -> Reply:
        if not signed_in:
            return refusal(401, "required", "Login required.", "global")
        if self.refuses_answers:
            return self.refuses_answers
        if snippet["parentId"] not in {one["id"] for one in self.threads} - self.gone:
            return refusal(404, "parentCommentNotFound")
        self.says(snippet["parentId"], snippet["textOriginal"], "acme")
        made = self.replies[snippet["parentId"]][-1]
        made["typed"] = snippet["textOriginal"]
        return Reply(made)
