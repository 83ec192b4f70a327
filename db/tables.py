"""Every table. Rows stay in this room: queries take and return frozen dataclasses or DataFrames.

Moments are UTC-aware. `sample` marks what belongs to the sample data and is removed with it.
A row that workers claim has `lease_until` and `fence`: the claim raises the fence, and every later write of that worker
names it, so that a worker which lost its lease can change nothing.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel


def _json(default: type[list[Any]] | type[dict[str, Any]]) -> Any:
    return Field(default_factory=default, sa_column=Column(JSON, nullable=False))


_IDS_NEVER_REUSED = {"sqlite_autoincrement": True}
"""SQLite gives a deleted row's id to the next one: a tab still open on the one would write into the other."""


# Who works here -------------------------------------------------------------------------------------------------------


class Workspace(SQLModel, table=True):
    """One row: the rules of this company. `data_version` grows with every write that a page could show."""

    id: int = Field(default=1, primary_key=True)
    name: str = "Our company"
    time_zone: str = "UTC"
    approval: str = "never"
    """When a responder's reply needs approval: never, always."""
    undo_seconds: int = 8
    answer_within_minutes: int = 240
    retention_days: int | None = None
    data_version: int = 0
    sample_loaded_at: datetime | None = None
    key_check: str = ""
    """Digest that only the secret key this database was made with gives; empty until the first start."""
    unfolded_below: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Mentions with a smaller id were tagged by a version that looked for no copies; 0 once they have been examined."""


class User(SQLModel, table=True):
    __tablename__ = "users"
    __table_args__ = (_IDS_NEVER_REUSED,)
    id: int | None = Field(default=None, primary_key=True)
    username: str = Field(unique=True)
    """Lower case; what one signs in with."""
    display_name: str
    role: str
    password_hash: str | None = None
    created_at: datetime
    disabled_at: datetime | None = None
    last_seen_at: datetime | None = None


class SignInSession(SQLModel, table=True):
    __tablename__ = "sessions"
    token_hash: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="users.id", index=True)
    csrf: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    revoked_at: datetime | None = None
    user_agent: str = ""


class SignInLink(SQLModel, table=True):
    """A one-time link, consumed by POST. purpose: first, invitation, recovery. user_id is None for the first."""

    __tablename__ = "sign_in_links"
    token_hash: str = Field(primary_key=True)
    purpose: str
    user_id: int | None = Field(default=None, foreign_key="users.id")
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


class SignInFailure(SQLModel, table=True):
    """Counted to throttle; old rows are swept."""

    __tablename__ = "sign_in_failures"
    id: int | None = Field(default=None, primary_key=True)
    username: str = Field(index=True)
    address: str = Field(index=True)
    at: datetime


class ApiToken(SQLModel, table=True):
    __tablename__ = "api_tokens"
    id: int | None = Field(default=None, primary_key=True)
    name: str
    token_hash: str = Field(unique=True)
    user_id: int = Field(foreign_key="users.id")
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class Audit(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(index=True)
    user_id: int | None = Field(default=None, foreign_key="users.id")
    action: str
    subject: str
    subject_id: str = ""
    detail: dict[str, Any] = _json(dict)


# Where we listen ------------------------------------------------------------------------------------------------------


class PlatformAccount(SQLModel, table=True):
    __tablename__ = "platform_accounts"
    id: int | None = Field(default=None, primary_key=True)
    platform: str
    label: str
    base_url: str | None = None
    handle: str | None = None
    external_id: str | None = None
    """Who we are there, from the last successful check."""
    credentials: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Encrypted JSON of name to value."""
    created_at: datetime
    checked_at: datetime | None = None
    check_ok: bool | None = None
    check_words: str = ""
    next_check_at: datetime | None = None
    saved_at: datetime | None = None
    """When a person last entered it: what a worker was given in place of older credentials must not overwrite it."""
    expires_at: datetime | None = None
    """When the credentials stop working, where the platform says so."""
    refused_at: datetime | None = None
    """The first time in a row that the platform did not accept the credentials."""
    dead_at: datetime | None = None
    """Set once they were refused again, minutes after `refused_at`: nothing is asked with them any more."""
    connected_at: datetime | None = None
    """When a person connected it at the platform itself; None where the credentials were entered by hand."""
    access_until: datetime | None = None
    """Until then the access that the platform gave is good; None where it has no end that we know of."""
    renew_at: datetime | None = Field(default=None, index=True)
    """When that access is renewed; None where it is not. A worker that does moves it on first, which is its claim."""
    limits: dict[str, int] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default=text("'{}'"))
    )
    """What the last check said of the platform's limits for it, in the listener's words."""


class Connecting(SQLModel, table=True):
    """A person at a platform's own page, on the way to give us leave there; see dialogue/connecting.py."""

    __tablename__ = "connecting"
    __table_args__ = (_IDS_NEVER_REUSED,)
    id: int | None = Field(default=None, primary_key=True)
    user_id: int
    session: str = Field(index=True)
    """A digest of the session that it was begun in."""
    token: str
    """A digest of the `state` that goes there and must come back."""
    platform: str
    account_id: int | None = None
    """The account that is connected again; of a new one, once it is kept."""
    stage: str = "begun"
    """begun, sent (its page can be opened), returned, spent (the code was used), kept, ended."""
    words: str = ""
    """How it ended, where it did not end well."""
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Encrypted JSON of name to value: what was entered, the verifier, the page's address, the code; {} once spent."""
    request_id: int | None = None
    """What the worker does with it."""
    created_at: datetime
    expires_at: datetime


class Source(SQLModel, table=True):
    __tablename__ = "sources"
    __table_args__ = (Index("ix_sources_due", "state", "next_run_at"), _IDS_NEVER_REUSED)
    id: int | None = Field(default=None, primary_key=True)
    platform: str
    account_id: int | None = Field(default=None, foreign_key="platform_accounts.id", ondelete="SET NULL")
    mode: str = ""
    query: str = ""
    label: str
    state: str = "active"
    """active, paused, removing, left: removed, and kept to ask whether what it brought still stands."""
    cursor: dict[str, Any] = _json(dict)
    options: dict[str, Any] = _json(dict)
    poll_seconds: int = 300
    created_at: datetime
    next_run_at: datetime | None = None
    recheck_at: datetime | None = None
    lease_until: datetime | None = None
    fence: int = 0
    last_success_at: datetime | None = None
    read_until: datetime | None = None
    """When the last run began that came to its end: until then all is read, whatever a later one has left half-way."""
    last_error_at: datetime | None = None
    last_error: str = ""
    last_error_kind: str = ""
    """transient, terminal, crash; empty when the last run was good."""
    what_to_do: str = ""
    failures: int = 0
    """In a row; sets the back-off."""
    budget: dict[str, Any] = _json(dict)
    """What the platform said last, to this source alone; Budget holds what counts."""
    budget_owner: str = Field(default="", sa_column_kwargs={"server_default": ""})
    budget_kind: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Which row of Budget it spends, as of its last run."""
    posts_per_hour: float | None = None
    """What it brings lately, older hours counting for less; None until it was read."""
    requests_a_run: float = Field(default=1.0, sa_column_kwargs={"server_default": "1"})
    """Pages that a run takes, the last ones counting most."""
    interval_seconds: float | None = None
    """How long it would wait between two runs, were there no budget."""
    waits_for: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Why `next_run_at` is later than that: budget (used up), share (spread over its window); empty where it is not."""
    sample: bool = False


class SourceHour(SQLModel, table=True):
    """Mentions that a source found, by the hour that they were posted in; of the last weeks only. See db/hours.py."""

    __tablename__ = "source_hours"
    __table_args__ = ({"sqlite_with_rowid": False},)
    source_id: int = Field(foreign_key="sources.id", ondelete="CASCADE", primary_key=True)
    hour: int = Field(primary_key=True)
    """Hours since 1970, UTC."""
    count: int = 0


class Budget(SQLModel, table=True):
    """What a platform still lets us ask, by account or address and by kind of request; all workers spend one row."""

    __tablename__ = "budgets"
    platform: str = Field(primary_key=True)
    owner: str = Field(primary_key=True)
    """"account 5", or the address or host that is asked without an account; "" is the platform's own address."""
    kind: str = Field(primary_key=True)
    """The listener's name for the requests that it counts, "" for all."""
    remaining: int | None = None
    quota: int | None = None
    pending: int = 0
    """Requests that were taken from it and of which no answer has come yet."""
    resets_at: datetime | None = None
    window_seconds: float | None = None
    """The longest time to a reset that the platform named."""
    words: str = ""
    """What it said when it refused; empty where it only counts."""
    told_at: datetime | None = None


class SourceRun(SQLModel, table=True):
    __tablename__ = "source_runs"
    __table_args__ = (Index("ix_source_runs_source", "source_id", "id"),)
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="sources.id", ondelete="CASCADE")
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str = "running"
    """running, ok, unchanged, transient, terminal, crash."""
    error: str = ""
    pages: int = 0
    new: int = 0
    edited: int = 0
    seen: int = 0
    """Read again without a change."""
    filtered: int = 0
    """Sent by the platform, and not what the query means."""
    rejected: int = 0
    rejections: list[dict[str, str]] = _json(list)
    """The first few, as {"where", "reason"}."""


class Upload(SQLModel, table=True):
    __tablename__ = "uploads"
    id: str = Field(primary_key=True)
    name: str
    path: str
    bytes: int
    user_id: int | None = Field(default=None, foreign_key="users.id")
    created_at: datetime


class Hook(SQLModel, table=True):
    """A source that another program sends to: the address that it was given, how it signs, how it is read."""

    __tablename__ = "hooks"
    source_id: int = Field(foreign_key="sources.id", ondelete="CASCADE", primary_key=True)
    token: str = Field(unique=True)
    """The end of its address. No secret: what opens the door is the signature."""
    scheme: str
    """How it signs; see listeners/webhook_signatures.py."""
    secret: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Encrypted, as are the credentials of accounts."""
    old_secret: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    old_until: datetime | None = None
    """Until then the secret before this one is good, too."""
    layout: dict[str, Any] = _json(dict)
    """Which part of a delivery is what: {"each", "fields", "best_rating"}; {} until the first came."""
    paths: list[str] = _json(list)
    """The parts that deliveries had lately, without what stood in them."""
    confirmed_at: datetime | None = None
    """Since when deliveries are read by it; until then they wait for somebody to look."""
    refused_at: datetime | None = None
    refused: str = ""
    """The last delivery that was not taken, and why, in words."""


class HookDelivery(SQLModel, table=True):
    """What was sent once, kept as it came until every item of it has been read."""

    __tablename__ = "hook_deliveries"
    __table_args__ = (
        UniqueConstraint("source_id", "delivery_id"),
        UniqueConstraint("source_id", "nonce"),
        Index("ix_hook_deliveries_source", "source_id", "id"),
        Index("ix_hook_deliveries_state", "state", "source_id"),
        _IDS_NEVER_REUSED,
    )
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="sources.id", ondelete="CASCADE")
    delivery_id: str
    """The sender's own, else made from the body."""
    nonce: str
    """Made from the signature, which fits once."""
    apart: bool = False
    """Whether the sender's id tells two deliveries of the same words apart."""
    received_at: datetime
    state: str = "waiting"
    """waiting, read, rejected (some of it could not be read), discarded."""
    size: int
    """Bytes of the body."""
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    """JSON; what was read is null in it, and all of it is gone once nothing is left to read."""
    new: int = 0
    edited: int = 0
    seen: int = 0
    rejected: int = 0
    rejections: list[dict[str, str]] = _json(list)
    """The first few, as {"where", "reason"}."""


class Note(SQLModel, table=True):
    """What the writer of a note said about it; the note itself is a mention."""

    __tablename__ = "notes"
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    user_id: int | None = Field(default=None, foreign_key="users.id")
    heard: str = ""
    """Where: phone, visit, chat, mail, event, other."""
    noted_at: datetime


class WorkerRequest(SQLModel, table=True):
    """Something a person waits for the worker to do. kind: preview, account_test, import, sample, remove_source, …"""

    __tablename__ = "worker_requests"
    __table_args__ = (Index("ix_worker_requests_state", "state", "id"), _IDS_NEVER_REUSED)
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    payload: dict[str, Any] = _json(dict)
    state: str = "waiting"
    """waiting, running, done, failed, cancelled."""
    done: int = 0
    total: int | None = None
    words: str = ""
    result: dict[str, Any] = _json(dict)
    error: str = ""
    what_to_do: str = ""
    user_id: int | None = Field(default=None, foreign_key="users.id")
    created_at: datetime
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    fence: int = 0


class WorkerHeartbeat(SQLModel, table=True):
    __tablename__ = "worker_heartbeats"
    worker: str = Field(primary_key=True)
    started_at: datetime
    beat_at: datetime
    version: str = ""


# Who speaks -----------------------------------------------------------------------------------------------------------


class Person(SQLModel, table=True):
    __tablename__ = "people"
    __table_args__ = (_IDS_NEVER_REUSED,)
    id: int | None = Field(default=None, primary_key=True)
    display_name: str
    memo: str = ""
    """What colleagues should remember, in their words."""
    created_at: datetime
    sample: bool = False


class Identity(SQLModel, table=True):
    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("platform", "external_id"), _IDS_NEVER_REUSED)
    id: int | None = Field(default=None, primary_key=True)
    platform: str
    external_id: str
    handle: str
    display_name: str | None = None
    followers: int | None = None
    person_id: int = Field(foreign_key="people.id", index=True)
    ours: bool = False
    """One of our own accounts."""
    first_seen_at: datetime
    last_seen_at: datetime
    sample: bool = False


class Merge(SQLModel, table=True):
    __tablename__ = "merges"
    id: int | None = Field(default=None, primary_key=True)
    into_person_id: int = Field(foreign_key="people.id", ondelete="CASCADE")
    from_person_id: int = Field(foreign_key="people.id", ondelete="CASCADE")
    identity_ids: list[int] = _json(list)
    evidence: str = ""
    user_id: int = Field(foreign_key="users.id")
    at: datetime
    undone_at: datetime | None = None


# What was said --------------------------------------------------------------------------------------------------------


class Conversation(SQLModel, table=True):
    """A thread on one platform. `latest_*` speak of the newest mention that is not ours: what the inbox reads."""

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("platform", "root_id"),
        Index("ix_conversations_inbox", "state", "latest_at", "id", "shelf"),
        Index("ix_conversations_latest", "latest_at", "id"),
        Index(
            "ix_conversations_set_aside",
            "latest_at",
            "id",
            "shelf",
            sqlite_where=text("shelf = 'set_aside'"),
            postgresql_where=text("shelf = 'set_aside'"),
        ),
        Index("ix_conversations_assignee", "assignee_id", "state", "latest_at", "id"),
        Index("ix_conversations_sentiment", "sentiment", "latest_at", "id"),
        Index("ix_conversations_intent", "intent", "latest_at", "id"),
        Index("ix_conversations_person", "person_id", "latest_at"),
        _IDS_NEVER_REUSED,
    )
    id: int | None = Field(default=None, primary_key=True)
    platform: str
    root_id: str
    """external_id of the thread's first post."""
    state: str = "open"
    """open (needs an answer), waiting (we answered), closed."""
    assignee_id: int | None = Field(default=None, foreign_key="users.id")
    due_at: datetime | None = None
    version: int = 1
    """Grows whenever somebody speaks in it, they or we; a reply written against an older one is stale."""
    mention_count: int = 0
    latest_mention_id: int | None = None
    latest_at: datetime
    person_id: int | None = Field(default=None, foreign_key="people.id", ondelete="SET NULL")
    sentiment: str | None = None
    intent: str | None = None
    first_answered_at: datetime | None = None
    last_answered_at: datetime | None = None
    closed_at: datetime | None = None
    shelf: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Where it lies: "" in the inbox, copy (folded under its original), set_aside (likely spam)."""
    copies: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many copies its mentions have elsewhere, where they are the originals."""
    sample: bool = False


class Mention(SQLModel, table=True):
    __tablename__ = "mentions"
    __table_args__ = (
        UniqueConstraint("platform", "external_id"),
        Index("ix_mentions_conversation", "conversation_id", "posted_at"),
        Index("ix_mentions_identity", "identity_id", "posted_at"),
        Index("ix_mentions_posted", "posted_at", "id"),
        Index("ix_mentions_recheck", "platform", "checked_at"),
        Index(
            "ix_mentions_untagged",
            "id",
            sqlite_where=text("tagged_at IS NULL"),
            postgresql_where=text("tagged_at IS NULL"),
        ),
        _IDS_NEVER_REUSED,
    )
    id: int | None = Field(default=None, primary_key=True)
    platform: str
    external_id: str
    kind: str
    url: str | None = None
    identity_id: int | None = Field(default=None, foreign_key="identities.id")
    conversation_id: int = Field(foreign_key="conversations.id")
    title: str | None = None
    text: str
    text_hash: str = Field(index=True)
    """SHA-256 of title and text, hex: equal texts are tagged once."""
    lang_hint: str | None = None
    rating: float | None = None
    posted_at: datetime
    posted_at_estimated: bool = False
    edited_at: datetime | None = None
    parent_id: str | None = None
    root_id: str | None = None
    mentions: list[str] = _json(list)
    quotes_id: str | None = None
    quotes_author_id: str | None = None
    engagement: dict[str, int] = _json(dict)
    collected_at: datetime
    checked_at: datetime
    """When its platform was last asked about it."""
    confirmed_at: datetime | None = None
    """When its platform last gave it or said that it stands; None: not since it was collected."""
    ours: bool = False
    """Written by one of our own accounts; no mention in any count."""
    set_aside: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Likely spam; kept, and in no count. SpamVerdict says why."""
    tagged_at: datetime | None = None
    lease_until: datetime | None = None
    fence: int = 0
    sample: bool = False


class MentionSource(SQLModel, table=True):
    __tablename__ = "mention_sources"
    __table_args__ = (Index("ix_mention_sources_source", "source_id", "mention_id"),)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    source_id: int = Field(foreign_key="sources.id", ondelete="CASCADE", primary_key=True)


class LeftMention(SQLModel, table=True):
    """A mention that no source finds any more, and the removed one by whose account its platform is asked about it."""

    __tablename__ = "left_mentions"
    __table_args__ = (Index("ix_left_mentions_source", "source_id", "mention_id"),)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    source_id: int = Field(foreign_key="sources.id", ondelete="CASCADE")


class MentionEdit(SQLModel, table=True):
    """What a mention said before it was edited."""

    __tablename__ = "mention_edits"
    id: int | None = Field(default=None, primary_key=True)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", index=True)
    title: str | None = None
    text: str
    replaced_at: datetime


class MentionContext(SQLModel, table=True):
    """A post that a mention answers, quotes or stands under, as it was given with it; in no list and no count."""

    __tablename__ = "mention_context"
    id: int | None = Field(default=None, primary_key=True)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", index=True)
    external_id: str = Field(index=True)
    author_id: str | None = None
    author_name: str = ""
    url: str | None = None
    title: str | None = None
    text: str
    posted_at: datetime


class Tombstone(SQLModel, table=True):
    """HMAC of platform and external_id of what was deleted, so that it is not fetched again."""

    __tablename__ = "tombstones"
    digest: str = Field(primary_key=True)
    reason: str
    """deleted at source, erased on request, retention."""
    at: datetime


class Duty(SQLModel, table=True):
    """When something that a platform asks of us was last done, and what kept it from being done since."""

    __tablename__ = "duties"
    platform: str = Field(primary_key=True)
    duty: str = Field(primary_key=True)
    """See dialogue/duties.py."""
    met_at: datetime | None = None
    failed_at: datetime | None = None
    words: str = ""


class Export(SQLModel, table=True):
    """How much of a platform's content left in exports on a day (UTC): some platforms allow only so much."""

    __tablename__ = "exports"
    platform: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    count: int = 0


# What it means --------------------------------------------------------------------------------------------------------


class Tag(SQLModel, table=True):
    """What the model said. `sentiment` and `intent` here are the model's; see Correction for people's."""

    __tablename__ = "tags"
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    text_hash: str = Field(index=True)
    language: str
    sentiment: str
    negative: float
    neutral: float
    positive: float
    intent: str
    intent_score: float
    topics: list[dict[str, Any]] = _json(list)
    """[{"name", "score"}], best first."""
    embedding: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    model: str
    tagged_at: datetime


class EffectiveTag(SQLModel, table=True):
    """What is shown and counted: the model's tags with corrections laid over them. One row a tagged mention."""

    __tablename__ = "effective_tags"
    __table_args__ = (Index("ix_effective_tags_sentiment", "sentiment", "mention_id"),)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    language: str
    sentiment: str
    intent: str
    day: date
    """posted_at in the workspace's zone: the day it is counted on."""


class MentionTopic(SQLModel, table=True):
    """Effective topics: the model's, or people's where corrected."""

    __tablename__ = "mention_topics"
    __table_args__ = (Index("ix_mention_topics_topic", "topic", "mention_id"),)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    topic: str = Field(primary_key=True)
    score: float


class Correction(SQLModel, table=True):
    """A person's word on one field of a mention's tags. It wins over every model version and is never overwritten.

    One whose value is what the model said confirms it.
    """

    __tablename__ = "corrections"
    __table_args__ = (
        Index("ix_corrections_mention", "mention_id", "field"),
        Index("ix_corrections_field", "field", "id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE")
    field: str
    """sentiment, intent, language, topics."""
    value: list[str] = _json(list)
    """One value, or the topic names."""
    model_said: list[str] = _json(list)
    model: str = ""
    certainty: float | None = None
    """The probability that the model gave what it said, 0 to 1; None for topics and languages."""
    how: str = "passing"
    """How it came about: passing, least_certain, random. Only the last says how often the model is right."""
    user_id: int = Field(foreign_key="users.id")
    at: datetime
    replaces_id: int | None = None
    """The judgement that it took the place of, which holds again once this one is undone."""
    withdrawn_at: datetime | None = None
    """Set when it was undone or replaced by a later one."""


# What is said many times, and what nobody needs to read ---------------------------------------------------------------


class Wording(SQLModel, table=True):
    """A text without what copies change, such as links and user names; several mentions may have it."""

    __tablename__ = "wordings"
    __table_args__ = (UniqueConstraint("digest", "sample"), _IDS_NEVER_REUSED)
    id: int | None = Field(default=None, primary_key=True)
    digest: str
    sample: bool = False
    """Sample data is no copy of what people really said, nor the other way round."""
    group_id: int = Field(index=True)
    """The same for wordings that are copies of each other: the id of one that was, or is, among them."""


class WordingKey(SQLModel, table=True):
    """Copies have at least one of their few keys in common, so that one look-up finds them."""

    __tablename__ = "wording_keys"
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    wording_id: int = Field(foreign_key="wordings.id", ondelete="CASCADE", primary_key=True, index=True)


class Copy(SQLModel, table=True):
    """A mention that is long enough to be copied, not ours, and not taken out of its group by a person."""

    __tablename__ = "copies"
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    wording_id: int = Field(foreign_key="wordings.id", ondelete="CASCADE", index=True)
    personal: bool = False
    """It answers us by name: never folded."""


class CopyGroup(SQLModel, table=True):
    """Two or more mentions that say the same, those set aside left out. One row a group that has as many."""

    __tablename__ = "copy_groups"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """Wording.group_id."""
    original_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", index=True)
    """The one that was posted first."""
    size: int


class NotACopy(SQLModel, table=True):
    """A person's word that a mention stands for itself; it holds whatever the text becomes."""

    __tablename__ = "not_copies"
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    user_id: int = Field(foreign_key="users.id")
    at: datetime


class SpamVerdict(SQLModel, table=True):
    """Why a mention is set aside, or that it must not be. A person's word, where `user_id` is set, holds for good."""

    __tablename__ = "spam_verdicts"
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    spam: bool
    score: float = 0.0
    reasons: list[str] = _json(list)
    """In words."""
    user_id: int | None = Field(default=None, foreign_key="users.id")
    at: datetime


class Topic(SQLModel, table=True):
    """One topic of the taxonomy. Its examples here were typed by hand; those that people confirmed are corrections."""

    __tablename__ = "topics"
    __table_args__ = (_IDS_NEVER_REUSED,)
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    phrases: list[str] = _json(list)
    examples: list[str] = _json(list)
    position: int = 0


class Taxonomy(SQLModel, table=True):
    """The topics as they were after each change; the newest are those in force. Its id is the taxonomy's version."""

    __tablename__ = "taxonomies"
    __table_args__ = (_IDS_NEVER_REUSED,)
    id: int | None = Field(default=None, primary_key=True)
    topics: list[dict[str, Any]] = _json(list)
    """[{"id", "name", "phrases", "examples"}], in their order."""
    words: str = ""
    """What was changed, for people."""
    user_id: int | None = Field(default=None, foreign_key="users.id")
    at: datetime


class Rollup(SQLModel, table=True):
    """Tagged mentions, not ours, by day in the workspace's zone. dimension: all, topic, source, intent, platform."""

    __tablename__ = "rollups"
    day: date = Field(primary_key=True)
    dimension: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    sentiment: str = Field(primary_key=True)
    count: int = 0


class Theme(SQLModel, table=True):
    """A cluster of mentions that a run found, and found again: what the taxonomy did not foresee."""

    __tablename__ = "themes"
    __table_args__ = (Index("ix_themes_seen", "dismissed_at", "last_seen_at"), _IDS_NEVER_REUSED)
    id: int | None = Field(default=None, primary_key=True)
    name: str
    """The name of the last run; `given_name` is a person's and is shown in its place."""
    given_name: str | None = None
    phrases: list[str] = _json(list)
    """What a topic may be described with: from texts whose platform allows it, best first."""
    centroid: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """As a tag's embedding."""
    space: str = ""
    """The model whose embeddings these are."""
    cohesion: float = 0.0
    note: str = ""
    """What became of it in the last run where that is more than growing: split, merged."""
    first_seen_at: datetime
    last_seen_at: datetime
    """The last run that found it."""
    dismissed_at: datetime | None = None
    topic: str | None = None
    """The name of the topic that was made of it."""
    item_id: int | None = Field(default=None, foreign_key="feedback_items.id", ondelete="SET NULL", index=True)
    sample: bool = False


class ThemeMention(SQLModel, table=True):
    """A mention belongs to one theme at most."""

    __tablename__ = "theme_mentions"
    __table_args__ = (Index("ix_theme_mentions_theme", "theme_id", "mention_id"),)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True)
    theme_id: int = Field(foreign_key="themes.id", ondelete="CASCADE")
    score: float
    """Cosine with the theme's centre."""
    quote: int | None = None
    """1 to 3 for a typical quote."""


class ThemeRun(SQLModel, table=True):
    """One search for themes. The row that is `running` under a lease keeps others from searching."""

    __tablename__ = "theme_runs"
    id: int | None = Field(default=None, primary_key=True)
    state: str = "running"
    """running, done, failed."""
    started_at: datetime
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    newest_mention_id: int = 0
    """The highest id that it could see: what came later is new."""
    mentions: int = 0
    grouped: int = 0
    """How many of them are in a theme."""
    themes: int = 0
    words: str = ""


# What we answer -------------------------------------------------------------------------------------------------------


class Reply(SQLModel, table=True):
    """The outbox: draft, awaiting_approval, queued, sending, sent, failed, unknown, hand_off, handed_off, discarded."""

    __tablename__ = "replies"
    __table_args__ = (
        UniqueConstraint("conversation_id", "draft_key"),
        Index("ix_replies_state", "state", "send_after"),
        Index("ix_replies_conversation", "conversation_id", "id"),
        _IDS_NEVER_REUSED,
    )
    id: int | None = Field(default=None, primary_key=True)
    conversation_id: int = Field(foreign_key="conversations.id")
    mention_id: int | None = Field(default=None, foreign_key="mentions.id", ondelete="SET NULL", index=True)
    """The mention it answers; None once that was deleted at its source."""
    draft_key: str
    """Made when the composer opened; the same for a double click, and the platform's idempotency key."""
    text: str
    state: str = "draft"
    conversation_version: int
    account_id: int | None = Field(default=None, foreign_key="platform_accounts.id", ondelete="SET NULL")
    user_id: int | None = Field(default=None, foreign_key="users.id")
    made_by: str = "web"
    """web, api."""
    approved_by: int | None = Field(default=None, foreign_key="users.id")
    created_at: datetime
    changed_at: datetime
    queued_at: datetime | None = None
    send_after: datetime | None = None
    """Until then the send can be undone; also when a transient failure is tried again."""
    sending_at: datetime | None = None
    lease_until: datetime | None = None
    fence: int = 0
    tries: int = 0
    sent_at: datetime | None = None
    sent_id: str | None = None
    sent_url: str | None = None
    reason: str = ""
    """Why it failed, is unknown, or must be handed off, in words."""
    what_to_do: str = ""
    sample: bool = False


class ReplyAttempt(SQLModel, table=True):
    """The send ledger: one row before a request may leave, finished when its outcome is known."""

    __tablename__ = "reply_attempts"
    id: int | None = Field(default=None, primary_key=True)
    reply_id: int = Field(foreign_key="replies.id", ondelete="CASCADE", index=True)
    kind: str
    """send, find."""
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str = ""
    detail: str = ""


class Seen(SQLModel, table=True):
    """Up to which version a colleague has seen a conversation."""

    __tablename__ = "seen"
    user_id: int = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True)
    conversation_id: int = Field(foreign_key="conversations.id", ondelete="CASCADE", primary_key=True, index=True)
    version: int


class Presence(SQLModel, table=True):
    """Who has a conversation open now."""

    __tablename__ = "presence"
    user_id: int = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True)
    conversation_id: int = Field(foreign_key="conversations.id", ondelete="CASCADE", primary_key=True)
    at: datetime


class Undo(SQLModel, table=True):
    """What a bulk action changed, so that it can be taken back."""

    __tablename__ = "undos"
    id: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="users.id")
    action: str
    before: list[dict[str, Any]] = _json(list)
    at: datetime
    undone_at: datetime | None = None


# What is carried in ---------------------------------------------------------------------------------------------------


class FeedbackItem(SQLModel, table=True):
    __tablename__ = "feedback_items"
    __table_args__ = (_IDS_NEVER_REUSED,)
    id: int | None = Field(default=None, primary_key=True)
    title: str
    description: str = ""
    kind: str = "idea"
    """idea, need, defect."""
    state: str = "new"
    """new, reviewing, planned, shipped, declined."""
    reason: str = ""
    """Why it stands where it stands, in words for those who asked."""
    user_id: int | None = Field(default=None, foreign_key="users.id")
    created_at: datetime
    changed_at: datetime
    sample: bool = False


class FeedbackEvidence(SQLModel, table=True):
    __tablename__ = "feedback_evidence"
    item_id: int = Field(foreign_key="feedback_items.id", ondelete="CASCADE", primary_key=True)
    mention_id: int = Field(foreign_key="mentions.id", ondelete="CASCADE", primary_key=True, index=True)
    quote: str
    user_id: int | None = Field(default=None, foreign_key="users.id")
    at: datetime


ALL = SQLModel.metadata
