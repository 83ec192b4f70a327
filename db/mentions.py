"""What was said: storing a page of posts, and forgetting what was deleted at its source."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, case, literal, or_, select, update

from db import context, hours, rollups, workspace
from db.context import NewContext
from db.engine import Transaction
from db.sql import chunks, insert_many, one_at_a_time, reserve, table
from db.tables import (
    Conversation,
    EffectiveTag,
    Identity,
    Mention,
    MentionEdit,
    MentionSource,
    Person,
    PlatformAccount,
    Reply,
    Tombstone,
)

LONG_AGO = timedelta(days=7)
"""A mention collected later than this after it was posted reopens nothing and has no due time."""

_mentions = table(Mention)
_identities = table(Identity)
_people = table(Person)
_conversations = table(Conversation)
_links = table(MentionSource)
_edits = table(MentionEdit)
_replies = table(Reply)
_tombstones = table(Tombstone)
_accounts = table(PlatformAccount)
_effective = table(EffectiveTag)


@dataclass(frozen=True, slots=True)
class NewMention:
    """One post as a listener read it; checked and clean. Times are UTC-aware."""

    platform: str
    external_id: str
    kind: str
    text: str
    posted_at: datetime
    author_id: str | None = None
    author_handle: str = ""
    author_name: str | None = None
    author_followers: int | None = None
    url: str | None = None
    title: str | None = None
    lang_hint: str | None = None
    rating: float | None = None
    posted_at_estimated: bool = False
    edited_at: datetime | None = None
    parent_id: str | None = None
    root_id: str | None = None
    """None: it is the first of its thread."""
    mentions: tuple[str, ...] = ()
    quotes_id: str | None = None
    quotes_author_id: str | None = None
    engagement: Mapping[str, int] = field(default_factory=dict)
    context: tuple[NewContext, ...] = ()
    """What it answers, quotes or stands under, as far as that came along."""
    ours: bool = False
    """Written by one of our own accounts. Found out by `upsert` too, from the platform accounts."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a page: `seen` were stored before and unchanged, `buried` were deleted and stay so."""

    new: int = 0
    edited: int = 0
    seen: int = 0
    buried: int = 0
    new_ids: tuple[int, ...] = ()

    def __add__(self, other: Stored) -> Stored:
        return Stored(
            self.new + other.new,
            self.edited + other.edited,
            self.seen + other.seen,
            self.buried + other.buried,
            self.new_ids + other.new_ids,
        )


def text_hash(title: str | None, text: str) -> str:
    """SHA-256 of title and text, hex: equal texts are tagged once."""
    return hashlib.sha256(f"{title or ''}\0{text}".encode()).hexdigest()


def buried_as(platform: str, external_id: str) -> str:
    """What is digested into a tombstone."""
    return f"{platform}\0{external_id}"


def upsert(
    tx: Transaction,
    posts: Iterable[NewMention],
    *,
    now: datetime,
    digest: Callable[[str], str],
    source_id: int | None = None,
    sample: bool = False,
) -> Stored:
    """Stores a page: people, identities, conversations, mentions, links to the source, edits.

    Reading a post again is harmless: it is known by platform and external_id. Posts may come in any order; an answer
    and its thread's first post end in one conversation whichever comes first. `digest` is the secret key's.
    """
    one_at_a_time(tx)
    by_platform: defaultdict[str, dict[str, NewMention]] = defaultdict(dict)
    for post in posts:
        by_platform[post.platform][post.external_id] = post
    stored = Stored()
    for platform, page in sorted(by_platform.items()):
        stored += _Page(tx, platform, page, now, source_id, sample).store(digest)
    if stored.new or stored.edited:
        workspace.bump(tx)
    return stored


def known(tx: Transaction, platform: str, external_ids: Sequence[str]) -> dict[str, int]:
    """The ids of those of these posts that are stored, by external id."""
    found: dict[str, int] = {}
    for some in chunks(list(external_ids)):
        query = select(_mentions.c.external_id, _mentions.c.id).where(
            _mentions.c.platform == platform, _mentions.c.external_id.in_(some)
        )
        found.update((row.external_id, row.id) for row in tx.connection.execute(query))
    return found


def written_by(tx: Transaction, platform: str, author_ids: Sequence[str]) -> list[int]:
    """The ids of whatever is stored of these authors, by their ids on the platform."""
    found: list[int] = []
    for some in chunks(list(author_ids)):
        query = (
            select(_mentions.c.id)
            .join(_identities, _identities.c.id == _mentions.c.identity_id)
            .where(_identities.c.platform == platform, _identities.c.external_id.in_(some))
        )
        found += tx.connection.execute(query).scalars()
    return found


class _Page:
    """One page of one platform on its way into the tables."""

    def __init__(
        self,
        tx: Transaction,
        platform: str,
        posts: dict[str, NewMention],
        now: datetime,
        source_id: int | None,
        sample: bool,
    ) -> None:
        self.tx = tx
        self.platform = platform
        self.posts = posts
        self.now = now
        self.source_id = source_id
        self.sample = sample

    def store(self, digest: Callable[[str], str]) -> Stored:
        buried = self._buried(digest)
        left = len(buried & self.posts.keys())
        self.posts = {id_: post for id_, post in self.posts.items() if id_ not in buried}
        known = self._known()
        new = [post for id_, post in self.posts.items() if id_ not in known]
        new.sort(key=lambda post: (post.posted_at, post.external_id))
        ours = self._ours()
        people = self._identify(ours)
        edited = self._refresh(known)
        new = self._in_their_threads(new)
        new_ids = dict(zip((post.external_id for post in new), reserve(self.tx, _mentions, len(new)), strict=True))
        threads = self._threads(new)
        self._converse(new, new_ids, people, threads, ours)
        insert_many(self.tx, _conversations, [self._opened(one) for one in threads.values() if one.is_new])
        self._insert(new, new_ids, people, threads, ours)
        posted = {id_: self.posts[external_id].posted_at for external_id, id_ in new_ids.items()}
        posted |= {row.id: self.posts[external_id].posted_at for external_id, row in known.items()}
        self._link(posted, set(new_ids.values()))
        self._surround(new_ids | {external_id: row.id for external_id, row in known.items()}, buried)
        self._write_threads(threads)
        self._reopen(edited)
        return Stored(len(new), len(edited), len(known) - len(edited), left, tuple(new_ids.values()))

    def _buried(self, digest: Callable[[str], str]) -> set[str]:
        """The ids of what was deleted before and came again, be it only as context."""
        if self.tx.connection.execute(select(_tombstones.c.digest).limit(1)).first() is None:
            return set()
        around = (one.external_id for post in self.posts.values() for one in post.context)
        digests = {digest(buried_as(self.platform, id_)): id_ for id_ in (*self.posts, *around)}
        buried: list[str] = []
        for some in chunks(list(digests)):
            buried += self.tx.connection.execute(
                select(_tombstones.c.digest).where(_tombstones.c.digest.in_(some))
            ).scalars()
        return {digests[found] for found in buried}

    def _known(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        columns = (
            _mentions.c.id, _mentions.c.external_id, _mentions.c.title, _mentions.c.text, _mentions.c.text_hash,
            _mentions.c.edited_at, _mentions.c.ours, _mentions.c.conversation_id, _mentions.c.kind, _mentions.c.rating,
            _mentions.c.url,
        )  # fmt: skip
        for some in chunks(list(self.posts)):
            query = select(*columns).where(_mentions.c.platform == self.platform, _mentions.c.external_id.in_(some))
            found.update({row.external_id: row for row in self.tx.connection.execute(query)})
        return found

    # Who speaks ---------------------------------------------------------------------------------------------------

    def _ours(self) -> set[str]:
        """The ids of those authors on this page who are our own accounts."""
        query = select(_accounts.c.external_id, _accounts.c.handle).where(_accounts.c.platform == self.platform)
        accounts = self.tx.connection.execute(query).all()
        ids = {row.external_id for row in accounts if row.external_id}
        handles = {row.handle.casefold() for row in accounts if row.handle and not row.external_id}
        return {
            post.author_id
            for post in self.posts.values()
            if post.author_id is not None
            and (post.ours or post.author_id in ids or post.author_handle.casefold() in handles)
        }

    def _identify(self, ours: set[str]) -> dict[str, tuple[int, int]]:
        """Identity and person of each author; a new identity gets a person of its own."""
        authors = {post.author_id: post for post in self.posts.values() if post.author_id is not None}
        known: dict[str, Any] = {}
        for some in chunks(list(authors)):
            query = select(_identities).where(
                _identities.c.platform == self.platform, _identities.c.external_id.in_(some)
            )
            known.update({row.external_id: row for row in self.tx.connection.execute(query)})
        self._rename(known, authors, ours)
        found = {id_: (row.id, row.person_id) for id_, row in known.items()}
        new = [id_ for id_ in authors if id_ not in known]
        if new:
            person_ids = reserve(self.tx, _people, len(new))
            identity_ids = reserve(self.tx, _identities, len(new))
            self._insert_authors([(authors[id_], id_ in ours) for id_ in new], person_ids, identity_ids)
            found.update(zip(new, zip(identity_ids, person_ids, strict=True), strict=True))
        return found

    def _insert_authors(
        self, authors: Sequence[tuple[NewMention, bool]], person_ids: Sequence[int], identity_ids: Sequence[int]
    ) -> None:
        insert_many(
            self.tx,
            _people,
            [
                {
                    "id": person, "display_name": post.author_name or post.author_handle, "memo": "",
                    "created_at": self.now, "sample": self.sample,
                }
                for person, (post, _) in zip(person_ids, authors, strict=True)
            ],
        )  # fmt: skip
        insert_many(
            self.tx,
            _identities,
            [
                {
                    "id": identity, "platform": self.platform, "external_id": post.author_id,
                    "handle": post.author_handle, "display_name": post.author_name,
                    "followers": post.author_followers, "person_id": person, "ours": ours,
                    "first_seen_at": self.now, "last_seen_at": self.now, "sample": self.sample,
                }
                for identity, person, (post, ours) in zip(identity_ids, person_ids, authors, strict=True)
            ],
        )  # fmt: skip

    def _rename(self, known: Mapping[str, Any], authors: Mapping[str, NewMention], ours: set[str]) -> None:
        """Keeps handle, name and followers of known identities as they are now, and people called by such a name."""
        changed, called = [], []
        for id_, row in known.items():
            post = authors[id_]
            name = post.author_name or row.display_name
            # What only knows the id, such as a stream that tells no more, takes no handle away.
            handle = row.handle if post.author_handle == id_ else post.author_handle
            followers = row.followers if post.author_followers is None else post.author_followers
            now_ours = row.ours or id_ in ours
            if (row.handle, row.display_name, row.followers, row.ours) != (
                handle,
                name,
                followers,
                now_ours,
            ):
                changed.append(
                    {
                        "b_id": row.id,
                        "handle": handle,
                        "display_name": name,
                        "followers": followers,
                        "ours": now_ours,
                        "last_seen_at": self.now,
                    }  # fmt: skip
                )
            before, after = row.display_name or row.handle, name or handle
            if before != after:
                called.append({"b_id": row.person_id, "b_before": before, "display_name": after})
        if changed:
            self.tx.connection.execute(update(_identities).where(_identities.c.id == bindparam("b_id")), changed)
        if called:
            theirs = (_people.c.id == bindparam("b_id"), _people.c.display_name == bindparam("b_before"))
            self.tx.connection.execute(update(_people).where(*theirs), called)

    # What was known -----------------------------------------------------------------------------------------------

    def _refresh(self, known: Mapping[str, Any]) -> list[tuple[NewMention, Any]]:
        """Notes that the known ones still stand, with their engagement as it is now; keeps edits. Returns these."""
        if not known:
            return []
        counted, untold = [], []  # what comes by itself, such as an edit, may come without its counts
        for id_, row in sorted(known.items(), key=lambda item: int(item[1].id)):
            values = {"b_id": row.id, **_given(self.now)}
            if engagement := dict(self.posts[id_].engagement):
                counted.append(values | {"engagement": engagement})
            else:
                untold.append(values)
        for rows in filter(None, (counted, untold)):
            self.tx.connection.execute(update(_mentions).where(_mentions.c.id == bindparam("b_id")), rows)
        edited = [(self.posts[id_], row) for id_, row in known.items() if _is_edit(self.posts[id_], row)]
        edited.sort(key=lambda pair: int(pair[1].id))
        if edited:
            self._edit(edited)
        return edited

    def _edit(self, edited: Sequence[tuple[NewMention, Any]]) -> None:
        self.tx.connection.execute(
            _edits.insert(),
            [
                {"mention_id": row.id, "title": row.title, "text": row.text, "replaced_at": self.now}
                for _, row in edited
            ],
        )
        # The old tags go on being shown and counted until new ones take their place; a worker that is tagging the old
        # text right now loses its claim.
        self.tx.connection.execute(
            update(_mentions)
            .where(_mentions.c.id == bindparam("b_id"))
            .values(fence=_mentions.c.fence + 1, lease_until=None),
            [
                {
                    "b_id": row.id, "title": post.title, "text": post.text,
                    "text_hash": text_hash(post.title, post.text), "edited_at": post.edited_at or self.now,
                    "rating": post.rating, "url": post.url or row.url, "mentions": list(post.mentions),
                    "tagged_at": self.now if row.ours else None,
                }
                for post, row in edited
            ],
        )  # fmt: skip
        theirs = sorted({row.conversation_id for _, row in edited if not row.ours})
        if theirs:
            self.tx.connection.execute(
                update(_conversations)
                .where(_conversations.c.id == bindparam("b_id"))
                .values(version=_conversations.c.version + 1),
                [{"b_id": id_} for id_ in theirs],
            )

    def _reopen(self, edited: Sequence[tuple[NewMention, Any]]) -> None:
        """Opens conversations whose review was changed after our answer: its author has no other way to speak again.

        To be called when what we said is stored, too: our answer may come with the edit.
        """
        reviews = {row.conversation_id: post for post, row in edited if not row.ours and row.kind == "review"}
        within = timedelta(minutes=workspace.read(self.tx).answer_within_minutes) if reviews else timedelta(0)
        waits_already = and_(_conversations.c.state == "open", _conversations.c.due_at.is_not(None))
        for id_, post in sorted(reviews.items()):
            at = post.edited_at or self.now
            if self.now - at > LONG_AGO:
                continue
            unanswered = or_(_conversations.c.last_answered_at.is_(None), _conversations.c.last_answered_at < at)
            due = case(
                (waits_already, _conversations.c.due_at), else_=literal(at + within, _conversations.c.due_at.type)
            )
            self.tx.connection.execute(
                update(_conversations)
                .where(_conversations.c.id == id_, unanswered)
                .values(state="open", due_at=due, closed_at=None)
            )

    # What is new --------------------------------------------------------------------------------------------------

    def _in_their_threads(self, new: Sequence[NewMention]) -> list[NewMention]:
        """The posts, with the first of their thread where their platform told only what they answer and that is known.

        What they answer may be stored, be on this page, or be an answer that was sent from here.
        """
        answered = [post.parent_id for post in new if post.parent_id is not None and post.root_id == post.parent_id]
        first_of = self._first_of(answered)
        found: list[NewMention] = []
        for post in new:
            if post.parent_id is not None and post.root_id == post.parent_id:
                post = replace(post, root_id=first_of.get(post.parent_id, post.parent_id))
            first_of[post.external_id] = post.root_id or post.external_id
            found.append(post)
        return found

    def _first_of(self, external_ids: Sequence[str]) -> dict[str, str]:
        """The first post of the thread that each of these stands in: mentions, and answers that were sent from here."""
        found: dict[str, str] = {}
        for some in chunks(external_ids):
            for column, thread in (
                (_replies.c.sent_id, _replies.c.conversation_id),
                (_mentions.c.external_id, _mentions.c.conversation_id),
            ):
                query = select(column, _conversations.c.root_id).join(_conversations, _conversations.c.id == thread)
                there = query.where(_conversations.c.platform == self.platform, column.in_(some))
                found |= {row[0]: row[1] for row in self.tx.connection.execute(there)}
        return found

    def _threads(self, new: Sequence[NewMention]) -> dict[str, _Thread]:
        """The conversation of each new post, by the id of its thread's first post."""
        roots = list(dict.fromkeys(post.root_id or post.external_id for post in new))
        threads: dict[str, _Thread] = {}
        for some in chunks(roots):
            query = (
                select(*(_conversations.c[name] for name in _Thread.READ))
                .where(_conversations.c.platform == self.platform, _conversations.c.root_id.in_(some))
                .order_by(_conversations.c.id)
                .with_for_update()
            )
            threads.update({row.root_id: _Thread.of(row) for row in self.tx.connection.execute(query)})
        missing = [root for root in roots if root not in threads]
        for root, id_ in zip(missing, reserve(self.tx, _conversations, len(missing)), strict=True):
            threads[root] = _Thread(id_, root, is_new=True)
        return threads

    def _opened(self, thread: _Thread) -> dict[str, Any]:
        return {"id": thread.id, "platform": self.platform, "root_id": thread.root_id, "sample": self.sample} | (
            thread.values()
        )

    def _write_threads(self, threads: Mapping[str, _Thread]) -> None:
        known = sorted((thread for thread in threads.values() if not thread.is_new), key=lambda thread: thread.id)
        if known:
            self.tx.connection.execute(
                update(_conversations).where(_conversations.c.id == bindparam("b_id")),
                [{"b_id": thread.id, **thread.values()} for thread in known],
            )

    def _insert(
        self,
        new: Sequence[NewMention],
        ids: Mapping[str, int],
        people: Mapping[str, tuple[int, int]],
        threads: Mapping[str, _Thread],
        ours: set[str],
    ) -> None:
        if not new:
            return
        now, sample = self.now, self.sample
        rows: list[dict[str, Any]] = []
        for post in new:
            is_ours = post.author_id in ours
            rows.append(
                {
                    "id": ids[post.external_id],
                    "platform": self.platform,
                    "external_id": post.external_id,
                    "kind": post.kind,
                    "url": post.url,
                    "identity_id": None if post.author_id is None else people[post.author_id][0],
                    "conversation_id": threads[post.root_id or post.external_id].id,
                    "title": post.title,
                    "text": post.text,
                    "text_hash": text_hash(post.title, post.text),
                    "lang_hint": post.lang_hint,
                    "rating": post.rating,
                    "posted_at": post.posted_at,
                    "posted_at_estimated": post.posted_at_estimated,
                    "edited_at": post.edited_at,
                    "parent_id": post.parent_id,
                    "root_id": post.root_id,
                    "mentions": list(post.mentions),
                    "quotes_id": post.quotes_id,
                    "quotes_author_id": post.quotes_author_id,
                    "engagement": dict(post.engagement),
                    "collected_at": now,
                    "checked_at": now,
                    "ours": is_ours,
                    "tagged_at": now if is_ours else None,  # nothing of ours is tagged: nobody waits for it
                    "lease_until": None,
                    "fence": 0,
                    "sample": sample,
                }
            )
        with _indexed_at_once(self.tx, rows[0]["id"], rows[-1]["id"]):
            insert_many(self.tx, _mentions, rows)

    def _link(self, ids: Mapping[int, datetime], new: set[int]) -> None:
        """Says that the source found these. One that was found and counted before counts for this source now too."""
        if self.source_id is None or not ids:
            return
        linked: set[int] = set()
        old = [id_ for id_ in ids if id_ not in new]
        for some in chunks(old):
            query = select(_links.c.mention_id).where(
                _links.c.source_id == self.source_id, _links.c.mention_id.in_(some)
            )
            linked.update(self.tx.connection.execute(query).scalars())
        missing = [{"mention_id": id_, "source_id": self.source_id} for id_ in ids if id_ not in linked]
        if missing:
            with rollups.kept(self.tx, [id_ for id_ in old if id_ not in linked]):
                insert_many(self.tx, _links, missing)
            hours.add(self.tx, self.source_id, [ids[one["mention_id"]] for one in missing], self.now)

    def _surround(self, ids: Mapping[str, int], buried: set[str]) -> None:
        """Keeps what came along with these, which have these ids here; what was deleted stays gone."""
        posts = ((id_, self.posts[external_id]) for external_id, id_ in ids.items())
        around = {
            id_: [one for one in post.context if one.external_id not in buried] for id_, post in posts if post.context
        }
        context.keep(self.tx, around)

    def _converse(
        self,
        new: Sequence[NewMention],
        ids: Mapping[str, int],
        people: Mapping[str, tuple[int, int]],
        threads: Mapping[str, _Thread],
        ours: set[str],
    ) -> None:
        """Tells each conversation what was said in it, in the order in which it was said."""
        if not new:
            return
        answered = self._answered(new, threads, ours)
        sent = self._sent_by_us(new, ours)
        within = timedelta(minutes=workspace.read(self.tx).answer_within_minutes)
        for post in new:
            thread = threads[post.root_id or post.external_id]
            if post.author_id in ours:
                thread.we_said(post, already_recorded=post.external_id in sent)
            else:
                person = None if post.author_id is None else people[post.author_id][1]
                thread.they_said(post, ids[post.external_id], person, self.now, within, post.external_id in answered)

    def _answered(self, new: Sequence[NewMention], threads: Mapping[str, _Thread], ours: set[str]) -> set[str]:
        """The ids of posts that an answer of ours stands under: it may be collected before what it answers."""
        found = {post.parent_id for post in new if post.author_id in ours and post.parent_id}
        touched = [thread.id for thread in threads.values() if thread.last_answered_at is not None]
        for some in chunks(touched):
            query = select(_mentions.c.parent_id).where(
                _mentions.c.conversation_id.in_(some), _mentions.c.ours.is_(True), _mentions.c.parent_id.is_not(None)
            )
            found.update(self.tx.connection.execute(query).scalars())
        return found

    def _sent_by_us(self, new: Sequence[NewMention], ours: set[str]) -> set[str]:
        """The ids of those of our posts that were sent from here: their conversations know of them."""
        mine = [post.external_id for post in new if post.author_id in ours]
        found: set[str] = set()
        for some in chunks(mine):
            query = (
                select(_replies.c.sent_id)
                .join(_conversations, _conversations.c.id == _replies.c.conversation_id)
                .where(_conversations.c.platform == self.platform, _replies.c.sent_id.in_(some))
            )
            found.update(self.tx.connection.execute(query).scalars())
        return found


@contextmanager
def _indexed_at_once(tx: Transaction, first: int, last: int) -> Iterator[None]:
    """Puts the mentions with these ids, inserted by the block, into SQLite's search index in one go."""
    if not tx.on_sqlite:
        yield
        return
    run = tx.connection.exec_driver_sql
    run("INSERT INTO mention_search_paused VALUES (1)")
    yield
    run(
        "INSERT INTO mention_search(rowid, title, text) SELECT id, title, text FROM mentions WHERE id BETWEEN ? AND ?",
        (first, last),
    )
    run("DELETE FROM mention_search_paused")


def _given(now: datetime) -> dict[str, datetime]:
    """What changes when a platform gives a mention again."""
    return {"checked_at": now, "confirmed_at": now}


def _is_edit(post: NewMention, row: Any) -> bool:
    if text_hash(post.title, post.text) == row.text_hash and post.rating == row.rating:
        return False
    # A cache at the platform may still serve what it said before.
    return not (post.edited_at and row.edited_at and post.edited_at < row.edited_at)


@dataclass(slots=True)
class _Thread:
    """A conversation while a page goes into it."""

    id: int
    root_id: str
    state: str | None = None
    """None: it was made by this page and nobody has spoken in it yet."""
    due_at: datetime | None = None
    version: int = 0
    mention_count: int = 0
    latest_mention_id: int | None = None
    latest_at: datetime | None = None
    person_id: int | None = None
    sentiment: str | None = None
    intent: str | None = None
    first_answered_at: datetime | None = None
    last_answered_at: datetime | None = None
    closed_at: datetime | None = None
    shelf: str = ""
    is_new: bool = False

    READ = (
        "id", "root_id", "state", "due_at", "version", "mention_count", "latest_mention_id", "latest_at", "person_id",
        "sentiment", "intent", "first_answered_at", "last_answered_at", "closed_at", "shelf",
    )  # fmt: skip

    @classmethod
    def of(cls, row: Any) -> _Thread:
        return cls(**{name: getattr(row, name) for name in cls.READ})

    def values(self) -> dict[str, Any]:
        """The columns that what was said can change."""
        return {name: getattr(self, name) for name in self.READ if name not in ("id", "root_id")}

    def we_said(self, post: NewMention, *, already_recorded: bool) -> None:
        if not already_recorded:
            self.version += 1
        if self.shelf == "copy":  # never fold what we take part in
            self.shelf = ""
        if self.latest_mention_id is None:
            self.latest_at = max(post.posted_at, self.latest_at or post.posted_at)
        answers = post.parent_id is not None
        if answers:
            self.first_answered_at = min(post.posted_at, self.first_answered_at or post.posted_at)
            self.last_answered_at = max(post.posted_at, self.last_answered_at or post.posted_at)
        has_last_word = self.latest_at is None or post.posted_at >= self.latest_at
        if self.state is None or (self.state == "open" and answers and has_last_word):
            self.state, self.due_at = "waiting", None

    def they_said(
        self, post: NewMention, id_: int, person: int | None, now: datetime, within: timedelta, answered: bool
    ) -> None:
        self.version += 1
        self.mention_count += 1
        self.shelf = ""  # whether this is a copy, or spam, is found out when it is read
        if self.latest_mention_id is None or self.latest_at is None or post.posted_at >= self.latest_at:
            self.latest_mention_id, self.latest_at, self.person_id = id_, post.posted_at, person
            self.sentiment = self.intent = None
        if answered:
            self.state = self.state or "waiting"
            return
        if now - post.posted_at > LONG_AGO:
            self.state = self.state or "open"
            return
        due = post.posted_at + within
        waits_already = self.state == "open" and self.due_at is not None
        self.due_at = min(due, self.due_at) if waits_already and self.due_at else due
        self.state, self.closed_at = "open", None
