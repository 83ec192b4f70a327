"""The REST interface, declared once: the same declarations make the routes, the checks and the OpenAPI document."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.gate import READS, Door, Needs, error_body
from api.site import Site, actor_in
from dialogue import accuracy, erasing, records
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Stale

MAX_BODY = 1024 * 1024
LARGEST_PAGE = 200
LARGEST_ID = 2**31 - 1
"""A row's number in PostgreSQL."""

_log = logging.getLogger("samtal.api")

State = Literal["open", "waiting", "closed"]
ReplyState = Literal[
    "draft",
    "awaiting_approval",
    "queued",
    "sending",
    "sent",
    "failed",
    "unknown",
    "hand_off",
    "handed_off",
    "discarded",
]
Sentiment = Literal["negative", "neutral", "positive"]
Intent = Literal["question", "complaint", "praise", "idea", "other"]
Id = Field(ge=1, le=LARGEST_ID)


def _in_calendar(moment: datetime) -> datetime:
    if not 1 < moment.year < 9999:  # at the very ends the shift to UTC leaves the calendar
        raise ValueError("the moment lies outside the calendar")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_calendar)]


class _Input(BaseModel):
    """What a request may say; anything else is an error, so that a misspelt filter never gives everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(_Input):
    after: int = Field(0, ge=0, le=LARGEST_ID, description="The `next` of the page before.")
    limit: int = Field(50, ge=1, le=LARGEST_PAGE, description="How many at most.")


class Samples(PageQuery):
    sample: bool = Field(False, description="Whether sample data is given, too.")


class MentionQuery(Samples):
    platform: str | None = Field(None, max_length=100, description="Only this platform, such as `bluesky`.")
    source_id: int | None = Field(None, ge=1, le=LARGEST_ID, description="Only what this source found.")
    person_id: int | None = Field(None, ge=1, le=LARGEST_ID, description="Only what this person said.")
    sentiment: Sentiment | None = Field(None, description="Only this sentiment.")
    intent: Intent | None = Field(None, description="Only this intent.")
    topic: str | None = Field(None, max_length=200, description="Only this topic, by its name.")
    since: Moment | None = Field(None, description="Posted at this moment or later; ISO 8601 with its offset.")
    until: Moment | None = Field(None, description="Posted before this moment.")


class ConversationQuery(Samples):
    platform: str | None = Field(None, max_length=100, description="Only this platform.")
    state: State | None = Field(None, description="Only this state: open needs an answer, waiting was answered.")


class ReplyQuery(Samples):
    conversation_id: int | None = Field(None, ge=1, le=LARGEST_ID, description="Only this conversation.")
    state: ReplyState | None = Field(None, description="Only this state.")


class FeedbackQuery(Samples):
    state: Literal["new", "reviewing", "planned", "shipped", "declined"] | None = Field(
        None, description="Only this column of the board."
    )


class AccuracyQuery(_Input):
    sample: bool = Field(False, description="Whether the figures are of the sample data instead.")


class ReplyDraft(_Input):
    """A reply to be read, and sent, by a person."""

    conversation_id: int = Id
    text: str = Field(min_length=1, max_length=100_000)
    mention_id: int | None = Field(
        None, ge=1, le=LARGEST_ID, description="The mention it answers; the newest by default."
    )
    key: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,80}$",
        description="Your own name for this draft: the same key changes the draft instead of making a second one.",
    )


class Erasure(_Input):
    """An author whose account is gone, or who asked for it."""

    platform: str = Field(min_length=1, max_length=100, description="Such as `bluesky`.")
    author_id: str = Field(min_length=1, max_length=1_000, description="The `external_id` of one of their handles.")


class Nothing(_Input):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `call` gets the context, the actor, the path's id (0 without one) and the checked input."""

    name: str
    method: str
    path: str
    summary: str
    result: Any
    call: Callable[[Context, Actor, int, Any], Any]
    query: type[_Input] = Nothing
    body: type[_Input] | None = None
    role: str = "viewer"

    @property
    def status(self) -> int:
        return 201 if self.method == "POST" else 200


def _mentions(ctx: Context, actor: Actor, _: int, q: MentionQuery) -> records.Page[records.Mention]:
    wanted = records.Wanted(
        platform=q.platform,
        source_id=q.source_id,
        person_id=q.person_id,
        sentiment=q.sentiment,
        intent=q.intent,
        topic=q.topic,
        since=q.since,
        until=q.until,
        sample=q.sample,
    )
    return records.mentions(ctx, actor, wanted, q.after, q.limit)


def _conversations(ctx: Context, actor: Actor, _: int, q: ConversationQuery) -> records.Page[records.Conversation]:
    return records.conversations(ctx, actor, q.after, q.limit, platform=q.platform, state=q.state, sample=q.sample)


def _replies(ctx: Context, actor: Actor, _: int, q: ReplyQuery) -> records.Page[records.Reply]:
    return records.replies(
        ctx, actor, q.after, q.limit, conversation_id=q.conversation_id, state=q.state, sample=q.sample
    )


def _people(ctx: Context, actor: Actor, _: int, q: Samples) -> records.Page[records.Person]:
    return records.people(ctx, actor, q.after, q.limit, sample=q.sample)


def _sources(ctx: Context, actor: Actor, _: int, q: PageQuery) -> records.Page[records.Source]:
    return records.sources(ctx, actor, q.after, q.limit)


def _feedback(ctx: Context, actor: Actor, _: int, q: FeedbackQuery) -> records.Page[records.Feedback]:
    return records.feedback(ctx, actor, q.after, q.limit, state=q.state, sample=q.sample)


def _draft(ctx: Context, actor: Actor, _: int, d: ReplyDraft) -> records.Reply:
    return records.draft(ctx, actor, d.conversation_id, d.text, d.mention_id, d.key)


def _erase(ctx: Context, actor: Actor, _: int, e: Erasure) -> erasing.Erased:
    return erasing.forget_author(ctx, actor, e.platform, e.author_id)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "listMentions",
        "GET",
        "/api/v1/mentions",
        "What people said, without our own posts.",
        records.Page[records.Mention],
        _mentions,
        query=MentionQuery,
    ),
    Operation(
        "listConversations",
        "GET",
        "/api/v1/conversations",
        "Threads.",
        records.Page[records.Conversation],
        _conversations,
        query=ConversationQuery,
    ),
    Operation(
        "getConversation",
        "GET",
        "/api/v1/conversations/{id}",
        "One thread: what was said, and what we answered.",
        records.ConversationDetail,
        lambda ctx, actor, id_, _: records.conversation(ctx, actor, id_),
    ),
    Operation(
        "listReplies",
        "GET",
        "/api/v1/replies",
        "Answers of ours and how they stand.",
        records.Page[records.Reply],
        _replies,
        query=ReplyQuery,
    ),
    Operation(
        "draftReply",
        "POST",
        "/api/v1/replies",
        "Makes a draft. Nothing is sent: a person reads it in the dashboard and sends it.",
        records.Reply,
        _draft,
        body=ReplyDraft,
        role="responder",
    ),
    Operation(
        "listPeople",
        "GET",
        "/api/v1/people",
        "Those who speak to us, with their handles.",
        records.Page[records.Person],
        _people,
        query=Samples,
    ),
    Operation(
        "getPerson",
        "GET",
        "/api/v1/people/{id}",
        "Somebody who speaks to us, with their handles.",
        records.Person,
        lambda ctx, actor, id_, _: records.person(ctx, actor, id_),
    ),
    Operation(
        "eraseAuthor",
        "POST",
        "/api/v1/erasures",
        "Forgets an author with all that they wrote, for good. It is not collected again.",
        erasing.Erased,
        _erase,
        body=Erasure,
        role="admin",
    ),
    Operation(
        "listSources",
        "GET",
        "/api/v1/sources",
        "Where we listen, and how it goes.",
        records.Page[records.Source],
        _sources,
        query=PageQuery,
    ),
    Operation(
        "listFeedback",
        "GET",
        "/api/v1/feedback",
        "The feedback board, with what backs each item.",
        records.Page[records.Feedback],
        _feedback,
        query=FeedbackQuery,
    ),
    Operation(
        "getModelAccuracy",
        "GET",
        "/api/v1/model/accuracy",
        "How often the model in use is right here, by a random sample that people looked at.",
        accuracy.Figures,
        lambda ctx, actor, _, q: accuracy.figures(ctx, actor, q.sample),
        query=AccuracyQuery,
    ),
)

OPENAPI_PATH = "/api/openapi.json"


def _doors() -> tuple[Door, ...]:
    methods: dict[str, frozenset[str]] = {}
    bodies: dict[str, int] = {}
    for operation in OPERATIONS:
        known = methods.get(operation.path, frozenset())
        methods[operation.path] = known | (READS if operation.method == "GET" else {operation.method})
        bodies[operation.path] = max(bodies.get(operation.path, 0), MAX_BODY if operation.body else 0)
    table = (Door(path, Needs.TOKEN, methods[path], max_body=bodies[path]) for path in methods)
    return (*table, Door(OPENAPI_PATH, Needs.SESSION_OR_TOKEN))


DOORS = _doors()


@dataclass(frozen=True, slots=True)
class Rest:
    """The routes of this file for one site."""

    site: Site

    def routes(self) -> list[Route]:
        declared = [Route(o.path, partial(self.answer, o), methods=[o.method]) for o in OPERATIONS]
        return [*declared, Route(OPENAPI_PATH, self.openapi, methods=["GET"])]

    async def openapi(self, _: Request) -> Response:
        return JSONResponse(openapi(self.site.address))

    async def answer(self, operation: Operation, request: Request) -> Response:
        """Checks the input, calls the rule, and turns what can go wrong into the one shape of errors."""
        raw = await request.body()  # outside of the net below: that there is too much of it, the gate says
        try:
            given = _input(operation, request, raw)
            id_ = _path_id(request.path_params)
            result = await run_in_threadpool(operation.call, self.site.ctx, actor_in(request), id_, given)
        except ValidationError as error:
            return _error(400, "invalid_request", _first_problem(error))
        except ValueError as error:
            return _error(400, "invalid_request", str(error))
        except Missing as error:
            return _error(404, "not_found", str(error))
        except NotAllowed as error:
            return _error(403, "forbidden", str(error))
        except Stale as error:
            return _error(409, "conflict", str(error))
        except DialogueError as error:
            return _error(422, "refused", str(error))
        except Exception:  # noqa: BLE001 - logged with its trace, and the caller gets the one shape of errors
            _log.exception("%s failed", operation.name)
            return _error(500, "internal", "Something went wrong here; the server's log says what.")
        body = TypeAdapter(operation.result).dump_json(result)
        return Response(body, status_code=operation.status, media_type="application/json")


def _input(operation: Operation, request: Request, raw: bytes) -> _Input:
    if operation.body is not None:
        if request.query_params:
            raise ValueError("This takes no query parameters.")
        if b"\x00" in raw:
            raise ValueError("The body holds a NUL character.")
        return operation.body.model_validate_json(raw)
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise ValueError(f"{name[:50]}: given twice.")
        given[name] = value
    if any("\x00" in value for value in given.values()):
        raise ValueError("A parameter holds a NUL character.")
    return operation.query.model_validate(given)


def _path_id(params: Mapping[str, Any]) -> int:
    given = str(params.get("id", "0"))
    if not (given.isascii() and given.isdigit()) or len(given) > 10 or int(given) > LARGEST_ID:
        raise Missing("There is nothing with this id.")
    return int(given)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part)[:50] for part in first["loc"])
    return f"{where}: {first['msg']}." if where else f"{first['msg']}."


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse(error_body(code, message), status_code=status)


# OpenAPI --------------------------------------------------------------------------------------------------------------

_ERRORS = {
    "400": "A parameter or the body is wrong; the message names it.",
    "401": "No token, or one that has ended.",
    "403": "The token's owner may not do this.",
    "404": "It is not there.",
    "409": "It has changed since; nothing was done.",
    "422": "It cannot be done; the message says why.",
}


def openapi(address: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations."""
    adapters = [(o.name, "serialization", TypeAdapter(o.result)) for o in OPERATIONS]
    adapters += [(o.name + "Body", "validation", TypeAdapter(o.body)) for o in OPERATIONS if o.body]
    made, definitions = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas = {name: schema for (name, _), schema in made.items()}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Samtal",
            "version": "1",
            "description": "What people said, what was answered, and what became of it.",
        },
        "servers": [{"url": address}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Made on the page People & roles."}
            },
            "schemas": {**definitions.get("$defs", {}), "Error": _ERROR_SCHEMA},
        },
    }


_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def _operation(operation: Operation, schemas: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the role {operation.role}.",
        "parameters": _parameters(operation),
        "responses": {
            str(operation.status): {
                "description": "The draft." if operation.name == "draftReply" else "Done.",
                "content": {"application/json": {"schema": schemas[operation.name]}},
            },
            **{
                status: {
                    "description": words,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for status, words in _ERRORS.items()
            },
        },
    }
    if operation.body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[operation.name + "Body"]}},
        }
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if "{id}" in operation.path:
        found.append({"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}})
    for name, schema in operation.query.model_json_schema().get("properties", {}).items():
        kept = {key: value for key, value in schema.items() if key not in {"title", "description"}}
        found.append(
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema.get("description", ""),
                "schema": kept,
            }
        )
    return found
