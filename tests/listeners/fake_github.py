"""GitHub with a memory: issues and their comments over REST, discussions over GraphQL, on an Enterprise server."""

from __future__ import annotations

import hashlib
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.listeners.fake_server import FakeServer, Reply, Request

US = "acme-support"
REPOSITORY = "acme/kettle"
Thing = dict[str, Any]


def zulu(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class GitHubServer(FakeServer):
    """One repository. `of` is what `posts` makes: "issues", their "comments" and issues in turn, or "discussions"."""

    def __init__(self, of: str = "comments") -> None:
        super().__init__()
        self.of = of
        self.clock = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        self.issues: list[Thing] = []
        self.comments: list[Thing] = []
        self.discussions: list[Thing] = []
        self.locked = False
        self.gone: set[str] = set()
        self.remaining = 4_999
        self.numbers = 1_000

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    # --- what people do

    def posts(self, how_many: int) -> list[str]:
        return [self._post() for _ in range(how_many)]

    def _post(self) -> str:
        if self.of == "discussions":
            return self._discuss()
        if self.of == "comments" and len(self.issues) > len(self.comments):
            return self.comments_on(self.issues[-1]["number"])
        return self.opens_an_issue()

    def opens_an_issue(self, login: str = "jane", **more: Any) -> str:
        number = len(self.issues) + 1
        at = self._tick()
        issue = {
            "id": self._number(), "number": number, "title": f"Kettle {number}", "body": f"It hisses, {number}.",
            "user": {"login": login, "id": 7, "type": "User"}, "created_at": at, "updated_at": at,
            "html_url": f"{self.url}/{REPOSITORY}/issues/{number}", "comments": 0, **more,
        }  # fmt: skip
        self.issues.append(issue)
        return f"{self.host}/{REPOSITORY}#{number}"

    def comments_on(self, number: int, body: str = "Mine too.", login: str = "ben", at: str = "", **more: Any) -> str:
        at = at or self._tick()
        comment = {
            "id": self._number(), "body": body, "user": {"login": login, "id": len(login), "type": "User"},
            "created_at": at, "updated_at": at, "issue_url": f"{self.url}/api/v3/repos/{REPOSITORY}/issues/{number}",
            **more,
        }  # fmt: skip
        comment["html_url"] = f"{self.url}/{REPOSITORY}/issues/{number}#issuecomment-{comment['id']}"
        self.comments.append(comment)
        self.issues[number - 1]["updated_at"] = at
        return f"{self.host}/{REPOSITORY}#{number}/{comment['id']}"

    def _discuss(self) -> str:
        """In turn a discussion, a comment in it, and a reply to that."""
        if not self.discussions or self.discussions[-1]["comments"]:
            top = self.discussions[-1]["comments"][0] if self.discussions else None
            if top is not None and not top["replies"]:
                top["replies"].append(self._node("DC", "So did mine."))
                self.discussions[-1]["updatedAt"] = top["replies"][-1]["createdAt"]
                return f"{self.host}/{top['replies'][-1]['id']}"
            self.discussions.append(self._node("D", "It hisses.") | {"title": "Kettle", "comments": []})
            return f"{self.host}/{self.discussions[-1]['id']}"
        return self.replies(self.discussions[-1], "Mine too.")

    def replies(self, discussion: Thing, body: str) -> str:
        comment = self._node("DC", body) | {"replies": []}
        discussion["comments"].append(comment)
        discussion["updatedAt"] = comment["createdAt"]
        return f"{self.host}/{comment['id']}"

    def _node(self, kind: str, body: str, login: str = "jane", at: str = "") -> Thing:
        at = at or self._tick()
        node = f"{kind}_kwDO{self._number()}"
        return {
            "id": node, "url": f"{self.url}/{REPOSITORY}/discussions/1#{node}", "body": body, "createdAt": at,
            "updatedAt": at, "lastEditedAt": None, "upvoteCount": 1, "reactions": {"totalCount": 0},
            "author": {"__typename": "User", "login": login, "databaseId": 7, "name": "Jane"},
        }  # fmt: skip

    def _tick(self) -> str:
        self.clock += timedelta(seconds=61)
        return zulu(self.clock)

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def edits(self, external_id: str, text: str) -> None:
        """Its author changes an issue or a discussion. An issue says only that something changed."""
        if self.of == "discussions":
            node = next(node for node in self._nodes() if f"{self.host}/{node['id']}" == external_id)
            node |= {"body": text, "lastEditedAt": self._tick()}
        else:
            issue = self.issues[int(external_id.rpartition("#")[2]) - 1]
            issue |= {"body": text, "updated_at": self._tick()}

    def deletes(self, external_id: str) -> None:
        self.gone.add(external_id)

    def answers_under(self, external_id: str) -> list[str]:
        if self.of == "discussions":
            return [node["body"] for node in self._nodes() if node["author"]["login"] == US]
        return [comment["body"] for comment in self.comments if comment["user"]["login"] == US]

    # --- troubles as GitHub words them

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "60"}
        headers["X-RateLimit-Reset"] = str(int(time.time()) + seconds)
        self.fails(Reply({"message": "API rate limit exceeded for 192.0.2.1."}, 403, headers), after)

    def is_sending(self, request: Request) -> bool:
        return request.method == "POST" and (not request.path.endswith("/graphql") or b"mutation" in request.body)

    # --- the wire

    def reply_to(self, request: Request) -> Reply:
        self.remaining -= 1
        headers = {
            "X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(time.time()) + 1800), "X-RateLimit-Resource": "core",
        }  # fmt: skip
        reply = self._answer(request)
        tag = f'W/"{hashlib.sha256(reply.encoded()).hexdigest()}"'
        if request.method == "GET" and request.headers.get("if-none-match") == tag:
            self.remaining += 1
            return Reply(b"", 304, {**headers, "X-RateLimit-Remaining": str(self.remaining)})
        return Reply(reply.body, reply.status, {"ETag": tag, **headers, **reply.headers})

    def _answer(self, request: Request) -> Reply:
        path = request.path.removeprefix("/api/v3").removeprefix("/api")
        if path == "/graphql":
            return self._graphql(request.json()["query"], request.json()["variables"])
        if path == "/user":
            return Reply({"login": US, "id": 99, "type": "User"}, headers={_EXPIRES: "2027-01-31 09:00:00 UTC"})
        if path == "/rate_limit":
            return Reply({"resources": {"core": {"limit": 60, "remaining": 57, "reset": 1}}})
        if path == "/search/issues":
            since = request.params["q"].rpartition("updated:>=")[2]
            listed = self._listed(self.issues, since, request)
            return Reply({"total_count": 1, "incomplete_results": False, "items": listed.body}, headers=listed.headers)
        repository = f"/repos/{REPOSITORY}"
        if path == repository:
            return Reply({"full_name": REPOSITORY})
        if path == f"{repository}/issues":
            return self._listed(self.issues, request.params["since"], request)
        if path == f"{repository}/issues/comments":
            return self._listed(self.comments, request.params["since"], request)
        if match := re.fullmatch(rf"{repository}/issues/(\d+)/comments", path):
            return self._conversation(int(match[1]), request)
        if match := re.fullmatch(rf"{repository}/issues/(comments/)?(\d+)", path):
            return self._one(bool(match[1]), int(match[2]))
        return Reply({"message": "Not Found", "documentation_url": "https://docs.example.com"}, 404)

    def _conversation(self, number: int, request: Request) -> Reply:
        url = f"{self.url}/api/v3/repos/{REPOSITORY}/issues/{number}"
        if request.method == "POST":
            if self.locked:
                return Reply({"message": "Unable to create comment because issue is locked."}, 403)
            self.comments_on(number, request.json()["body"], US, zulu(datetime.now(UTC)))
            return Reply(self.comments[-1], 201)
        found = [comment for comment in self.comments if comment["issue_url"] == url]
        return self._listed(found, request.params["since"], request)

    def _one(self, is_comment: bool, number: int) -> Reply:
        for thing in self.comments if is_comment else self.issues:
            if thing["id" if is_comment else "number"] == number:
                ids = f"{thing['issue_url'].rpartition('/')[2]}/{number}" if is_comment else str(number)
                if f"{self.host}/{REPOSITORY}#{ids}" not in self.gone:
                    return Reply(thing)
                return Reply({"message": "Not Found"}, 404) if is_comment else Reply({"message": "Deleted"}, 410)
        return Reply({"message": "Not Found"}, 404)

    def _listed(self, things: list[Thing], since: str, request: Request) -> Reply:
        listed = sorted((one for one in things if one["updated_at"] >= since), key=lambda one: str(one["updated_at"]))
        page = int(request.params.get("page", 1))
        more = len(listed) > page * self.page_size
        link = f'<{self.url}{request.path}?page={page + 1}>; rel="next", <{self.url}>; rel="last"'
        return Reply(
            listed[(page - 1) * self.page_size : page * self.page_size], headers={"Link": link} if more else {}
        )

    # --- GraphQL, by what a question asks for

    def _graphql(self, query: str, variables: Thing) -> Reply:
        if "addDiscussionComment" in query:
            return self._add(variables)
        if "nodes(ids" in query:
            return self._standing(variables["ids"])
        if "below:" in query:
            return Reply({"data": {"node": {"below": self._ours_below(variables["id"])}}})
        if "node(id" in query:
            discussion = next(one for one in self.discussions if one["id"] == variables["id"])
            return Reply({"data": {"node": self._shown(discussion, variables["before"])}})
        newest_first = sorted(self.discussions, key=lambda one: str(one["updatedAt"]), reverse=True)
        at = int(variables["after"] or 0)
        page = newest_first[at : at + 1]  # one brings several posts
        paging = {"hasNextPage": at + 1 < len(newest_first), "endCursor": str(at + 1)}
        nodes = [self._shown(discussion, None) for discussion in page]
        return Reply({"data": {"repository": {"discussions": {"pageInfo": paging, "nodes": nodes}}}})

    def _shown(self, discussion: Thing, before: str | None) -> Thing:
        comments = discussion["comments"][: int(before)] if before else discussion["comments"]
        start = max(0, len(comments) - self.page_size)
        shown = [comment | {"replies": {"nodes": comment["replies"]}} for comment in comments[start:]]
        paging = {"hasPreviousPage": start > 0, "startCursor": str(start)}
        return discussion | {"comments": {"totalCount": len(comments), "pageInfo": paging, "nodes": shown}}

    def _nodes(self) -> list[Thing]:
        comments = [comment for discussion in self.discussions for comment in discussion["comments"]]
        return [*self.discussions, *comments, *(reply for comment in comments for reply in comment["replies"])]

    def _standing(self, ids: list[str]) -> Reply:
        gone = {one.partition("/")[2] for one in self.gone}
        there = {node["id"]: node for node in self._nodes() if node["id"] not in gone}
        missing = [{"type": "NOT_FOUND", "message": "Could not resolve to a node"} for one in ids if one not in there]
        data = {"nodes": [_alone(there[one]) if one in there else None for one in ids]}
        return Reply({"data": data, **({"errors": missing} if missing else {})})

    def _add(self, variables: Thing) -> Reply:
        if self.locked:
            error = {"type": "FORBIDDEN", "message": "Discussion is locked"}
            return Reply({"data": {"addDiscussionComment": None}, "errors": [error]})
        made = self._node("DC", variables["body"], US, zulu(datetime.now(UTC)))
        (discussion,) = (one for one in self.discussions if one["id"] == variables["discussion"])
        if variables["replyTo"] is None:
            discussion["comments"].append(made | {"replies": []})
        else:
            (top,) = (one for one in discussion["comments"] if one["id"] == variables["replyTo"])
            top["replies"].append(made)
        return Reply({"data": {"addDiscussionComment": {"comment": made}}})

    def _ours_below(self, node: str) -> Thing | None:
        for discussion in self.discussions:
            places = {discussion["id"]: discussion["comments"]}
            places |= {comment["id"]: comment["replies"] for comment in discussion["comments"]}
            if node in places:
                nodes = [one | {"viewerDidAuthor": one["author"]["login"] == US} for one in places[node]]
                return {"pageInfo": {"hasPreviousPage": False}, "nodes": json.loads(json.dumps(nodes))}
        return None


def _alone(node: Thing) -> Thing:
    """A discussion or a comment without what stands below it."""
    return node | ({"comments": {"totalCount": len(node["comments"])}} if "comments" in node else {})


_EXPIRES = "GitHub-Authentication-Token-Expiration"
