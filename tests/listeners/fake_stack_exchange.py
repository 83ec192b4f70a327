"""Stack Exchange with a memory: one site's questions, answers and comments, each answer packed as the real one's."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

from listeners import stack_exchange
from tests.listeners.fake_server import FakeServer, Reply, Request

SITE = "stackoverflow"
US = 99
FILTER = "!fake*filter"
Thing = dict[str, Any]


class StackExchangeServer(FakeServer):
    """`posts` makes a question, an answer to it, a comment on that, and so on."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = int(time.time()) - 86_400
        self.questions: list[Thing] = []
        self.answers: list[Thing] = []
        self.comments: list[Thing] = []
        self.gone: set[str] = set()
        self.quota = 300
        self.backoff: dict[str, int] = {}
        """Seconds, by what a path ends with."""
        self.filters_made = 0
        self.numbers = 7_000

    # --- what people do

    def posts(self, how_many: int) -> list[str]:
        return [self._post() for _ in range(how_many)]

    def _post(self) -> str:
        if len(self.questions) == len(self.answers) == len(self.comments):
            return self.asks()
        if len(self.questions) > len(self.answers):
            return self.answers_to(self.questions[-1])
        return self.comments_on(self.answers[-1]["answer_id"])

    def asks(self) -> str:
        number, at = self._number(), self._tick()
        self.questions.append(
            {
                "question_id": number, "title": f"Kettle {number}?", "body": f"<p>It hisses, {number}.</p>",
                "link": f"https://stackoverflow.com/questions/{number}/kettle", "owner": _user(41),
                "creation_date": at, "last_activity_date": at, "score": 1,
            }
        )  # fmt: skip
        return f"{SITE}/{number}"

    def answers_to(self, question: Thing, markdown: str = "Descale it.", who: int = 42, at: int = 0) -> str:
        number, at = self._number(), at or self._tick()
        question["last_activity_date"] = at
        self.answers.append(
            {
                "answer_id": number, "question_id": question["question_id"], "body": f"<p>{markdown}</p>",
                "body_markdown": markdown, "owner": _user(who), "creation_date": at, "score": 0,
            }
        )  # fmt: skip
        return f"{SITE}/{number}"

    def comments_on(self, post: int, markdown: str = "Mine too.", who: int = 43, at: int = 0) -> str:
        """Unlike an answer, it does not move the question."""
        number = self._number()
        self.comments.append(
            {
                "comment_id": number, "post_id": post, "body": markdown, "body_markdown": markdown,
                "owner": _user(who), "creation_date": at or self._tick(), "score": 0,
            }
        )  # fmt: skip
        return f"{SITE}/comment/{number}"

    def _tick(self) -> int:
        self.clock += 61
        return self.clock

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def edits(self, external_id: str, text: str) -> None:
        """Somebody changes a question, which moves up for it."""
        question = next(one for one in self.questions if f"{SITE}/{one['question_id']}" == external_id)
        at = self._tick()
        question |= {"body": f"<p>{text}</p>", "last_edit_date": at, "last_activity_date": at}

    def deletes(self, external_id: str) -> None:
        self.gone.add(external_id.rpartition("/")[2])

    def answers_under(self, external_id: str) -> list[str]:
        number = int(external_id.rpartition("/")[2])
        if "/comment/" in external_id:
            number = next(one["post_id"] for one in self.comments if one["comment_id"] == number)
        ours = [one for one in [*self.answers, *self.comments] if one["owner"]["user_id"] == US]
        return [one["body_markdown"] for one in ours if number in (one.get("question_id"), one.get("post_id"))]

    # --- troubles as Stack Exchange words them

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        words = f"too many requests from this IP, more requests available in {seconds} seconds"
        self.fails(Reply(_error(502, "throttle_violation", words), 400), after)

    def comes_back(self) -> None:
        """And so much time has passed that nobody need wait any more."""
        super().comes_back()
        for (api, _), shared in stack_exchange._SHARED.items():
            if api.startswith(self.url):
                shared.waits.clear()

    # --- the wire

    def reply_to(self, request: Request) -> Reply:
        self.quota -= 1
        reply = self._answer(request, request.path.removeprefix("/2.3"))
        seconds = next((seconds for end, seconds in self.backoff.items() if request.path.endswith(end)), None)
        body = {
            **reply.body,
            "quota_max": 300,
            "quota_remaining": self.quota,
            **({"backoff": seconds} if seconds else {}),
        }
        return Reply(gzip.compress(json.dumps(body).encode()), reply.status, {"Content-Encoding": "gzip"})

    def _answer(self, request: Request, path: str) -> Reply:
        if path == "/filters/create":
            self.filters_made += 1
            return Reply({"items": [{"filter": FILTER, "filter_type": "safe"}], "has_more": False})
        said = request.form() if request.method == "POST" else request.params
        if said.get("site") != SITE:
            return Reply(_error(400, "bad_parameter", f"No site found for name `{said.get('site')}`"), 400)
        if request.method == "POST":
            return self._add(path.split("/")[1:], said["body"], request.headers.get("authorization", ""))
        if path == "/info":
            return Reply({"items": [{"total_questions": 1}]})
        if path == "/me":
            return Reply({"items": [_user(US)]})
        if path in ("/questions", "/search/advanced"):
            listed = [self._with_all(one) for one in self.questions if one["last_activity_date"] >= _least(request)]
            return self._listed(listed, request, lambda one: int(one["last_activity_date"]))
        what, ids, *below = path.strip("/").split("/")
        return self._of(what, {int(one) for one in ids.split(";")}, below, request)

    def _of(self, what: str, numbers: set[int], below: list[str], request: Request) -> Reply:
        if below:
            things = self.answers if below == ["answers"] else self.comments
            field = "question_id" if below == ["answers"] else "post_id"
            found = [one for one in things if one[field] in numbers and one["creation_date"] >= _least(request)]
            return self._listed(found, request, lambda one: int(one["creation_date"]))
        things = self.comments if what == "comments" else [*map(_by_number, [*self.questions, *self.answers])]
        field = f"{what.removesuffix('s')}_id"
        there = [one for one in things if one[field] in numbers and str(one[field]) not in self.gone]
        return Reply({"items": there, "has_more": False})

    def _with_all(self, question: Thing) -> Thing:
        answers = [
            answer | {"comments": self._comments_of(answer["answer_id"])}
            for answer in self.answers
            if answer["question_id"] == question["question_id"]
        ]
        return question | {"answers": answers, "comments": self._comments_of(question["question_id"])}

    def _comments_of(self, post: int) -> list[Thing]:
        return [comment for comment in self.comments if comment["post_id"] == post]

    def _listed(self, things: list[Thing], request: Request, moment: Callable[[Thing], int]) -> Reply:
        listed = sorted(things, key=moment, reverse=request.params["order"] == "desc")
        page = int(request.params.get("page", 1))
        shown = listed[(page - 1) * self.page_size : page * self.page_size]
        if request.params.get("filter") != FILTER:
            shown = [{name: value for name, value in one.items() if not name.startswith("body")} for one in shown]
        return Reply({"items": shown, "has_more": len(listed) > page * self.page_size})

    def _add(self, path: list[str], body: str, authorization: str) -> Reply:
        if authorization != "Bearer token*)":
            return Reply(_error(402, "invalid_access_token", "Cannot identify the user"), 400)
        now = int(time.time())
        if path[0] == "questions":
            (question,) = (one for one in self.questions if one["question_id"] == int(path[1]))
            self.answers_to(question, body, US, now)
            return Reply({"items": [self.answers[-1]]})
        self.comments_on(int(path[1]), body, US, now)
        return Reply({"items": [self.comments[-1]]})


def _by_number(post: Thing) -> Thing:
    """A question or an answer as one of the posts: the title of an answer is its question's."""
    kept = {name: value for name, value in post.items() if name not in ("question_id", "answer_id", "score")}
    number, kind = (post["answer_id"], "answer") if "answer_id" in post else (post["question_id"], "question")
    return {"title": f"Kettle {post['question_id']}?", **kept, "post_id": number, "post_type": kind}


def _least(request: Request) -> int:
    return int(request.params.get("min") or request.params.get("fromdate") or 0)


def _user(number: int) -> Thing:
    return {"user_id": number, "user_type": "registered", "display_name": "Acme &amp; Co" if number == US else "jane"}


def _error(number: int, name: str, words: str) -> Thing:
    return {"error_id": number, "error_name": name, "error_message": words}
