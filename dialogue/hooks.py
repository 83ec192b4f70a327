"""Webhooks: other programs send what people told them. What is signed is stored first and read after.

A delivery is kept as it came until every item of it has become a mention. Nothing is therefore lost by a layout that
does not fit: what could not be read is listed with the reason, and read again once somebody has mended the layout.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db import hooks as rows
from db import mentions, sources, workspace
from db.engine import Transaction
from db.hooks import DeliveryRow, HookRow
from db.mentions import Stored
from dialogue import audit, points
from dialogue.collecting import as_mention
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from listeners import webhook
from listeners import webhook_signatures as signatures
from listeners.base import Post, Rejected, Terminal, clean
from listeners.webhook import BEST_RATINGS as BEST_RATINGS
from listeners.webhook import FIELDS as FIELDS
from listeners.webhook import Layout, Reading
from listeners.webhook_signatures import SCHEMES, Scheme

LARGEST = 1024 * 1024
"""Bytes of one delivery."""
A_MINUTE = 300
"""Deliveries of one source."""
MOST_KEPT = 100 * 1024 * 1024
"""Bytes of one source's deliveries that are not read to their end."""
OLD_SECRET_GOOD = timedelta(hours=24)
KEPT = timedelta(days=30)
"""How long it is remembered that a delivery came, and how long one that cannot be read waits for somebody."""
REMEMBERED_REFUSAL = timedelta(seconds=10)
READ_AT_ONCE = 200
KEPT_REJECTIONS = 20
TRIED = 5
"""Items that are shown as they would be read."""

log = logging.getLogger(__name__)


class BadSignature(DialogueError):
    """It is not proven who sent it."""


class TooLarge(DialogueError):
    """It holds more than one delivery may."""


class TooMuch(DialogueError):
    """Too much came lately; `seconds` say when it may come again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class SchemeInfo:
    """One way in which a sender can sign."""

    name: str
    label: str
    help: str


@dataclass(frozen=True, slots=True)
class Made:
    """A new address, or a new secret of one. `secret` is shown this once."""

    source_id: int
    path: str
    scheme: str
    secret: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A delivery that is stored. `new` False: it came before."""

    delivery: int
    source_id: int
    new: bool


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """What became of a delivery. state: waiting, read, rejected, discarded."""

    id: int
    received_at: datetime
    state: str
    words: str
    rejections: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class PartView:
    """A part of the last delivery that can be chosen: its JSON Pointer, its name for people, what stands there."""

    pointer: str
    name: str
    words: str


@dataclass(frozen=True, slots=True)
class TriedItem:
    """An item as it would be read: by whom, when, the rating, the words; or why it would be none."""

    author: str
    posted_at: datetime | None
    rating: float | None
    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class HookView:
    """A source's address, how it is read, and how it goes."""

    source_id: int
    label: str
    path: str
    scheme: SchemeInfo
    old_until: datetime | None
    layout: Layout
    confirmed: bool
    parts: tuple[PartView, ...]
    lists: tuple[PartView, ...]
    """Where the newest delivery has lists that may be its items, with how many there are."""
    waiting: int
    rejected: int
    refused_at: datetime | None
    refused: str
    deliveries: tuple[DeliveryView, ...]


# The address and its secret -------------------------------------------------------------------------------------------


def schemes() -> list[SchemeInfo]:
    """The ways in which a sender can sign, ours first."""
    return [_scheme_info(one) for one in SCHEMES.values()]


def _scheme_info(one: Scheme) -> SchemeInfo:
    return SchemeInfo(one.name, one.label, one.help)


def create(ctx: Context, actor: Actor, label: str, scheme: str = "samtal", secret: str = "") -> Made:
    """Adds a source with an address of its own. `secret` is the tool's where the tool makes one, else ours."""
    require(actor, Role.ADMIN)
    chosen = _scheme(scheme)
    secret = _checked_secret(chosen, secret)
    token = secrets.token_urlsafe(18)
    now = ctx.clock()
    allows = webhook.CAPABILITY
    with ctx.database.transaction() as tx:
        source_id = sources.add(
            tx, now, platform=allows.platform, mode=allows.default_mode,
            label=" ".join(clean(label).split())[:100] or allows.title,
        )  # fmt: skip
        rows.add(tx, source_id, token=token, scheme=chosen.name, secret=ctx.secrets.encrypt({"secret": secret}))
        audit.record(tx, ctx, actor, "added", "source", source_id, platform=allows.platform, label=label)
        workspace.bump(tx)
    return Made(source_id, path_of(token), chosen.name, secret)


def rotate(ctx: Context, actor: Actor, source_id: int, secret: str = "") -> Made:
    """Gives the source a new secret; the one before it is good for another 24 hours, one before that ends at once."""
    require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        hook = _found(tx, source_id, lock=True)
        scheme = _scheme(hook.scheme)
        secret = _checked_secret(scheme, secret)
        rows.change(
            tx, source_id, secret=ctx.secrets.encrypt({"secret": secret}), old_secret=hook.secret,
            old_until=ctx.clock() + OLD_SECRET_GOOD,
        )  # fmt: skip
        audit.record(tx, ctx, actor, "changed the secret", "source", source_id)
        workspace.bump(tx)
    return Made(source_id, path_of(hook.token), hook.scheme, secret)


def path_of(token: str) -> str:
    """The path at which a source's deliveries are taken."""
    return f"/hooks/{token}"


def _scheme(name: str) -> Scheme:
    scheme = SCHEMES.get(name)
    if scheme is None:
        raise DialogueError(f"There is no way to sign called '{name[:50]}'. There are {', '.join(SCHEMES)}.")
    return scheme


def _checked_secret(scheme: Scheme, secret: str) -> str:
    secret = secret.strip()
    if not secret:
        return signatures.new_secret(scheme)
    try:
        signatures.check_secret(scheme, secret)
    except ValueError as error:
        raise DialogueError(f"{error} Leave it empty, and one is made.") from error
    return secret


def _found(tx: Transaction, source_id: int, *, lock: bool = False) -> HookRow:
    hook = rows.get(tx, source_id, lock=lock)
    if hook is None:
        raise Missing("This source is not there any more.")
    return hook


# What comes in --------------------------------------------------------------------------------------------------------


def known(ctx: Context, token: str) -> bool:
    """Whether there is such an address."""
    with ctx.database.reading() as tx:
        return rows.by_token(tx, token) is not None


def accept(ctx: Context, token: str, headers: Mapping[str, str], body: bytes) -> Receipt:
    """Stores a signed delivery; when it returns, the delivery outlives a crash. Sent again it is known and not new.

    Raises Missing, BadSignature, TooLarge, TooMuch, and DialogueError for what is no JSON.
    """
    now = ctx.clock()
    with ctx.database.reading() as tx:
        hook = rows.by_token(tx, token)
    if hook is None:
        raise Missing("There is no such address. Copy it from the page Sources.")
    try:
        proof = signatures.prove(_scheme(hook.scheme), _good_secrets(ctx, hook, now), headers, body, now=now)
        data = _checked(hook, body)
    except signatures.SignatureError as error:
        _note_refusal(ctx, hook, str(error), now)
        raise BadSignature(str(error)) from error
    except DialogueError as error:
        _note_refusal(ctx, hook, str(error), now)
        raise
    own_id = proof.delivery_id or f"sha256:{hashlib.sha256(body).hexdigest()}"
    with ctx.database.transaction() as tx:
        before = rows.known(tx, hook.source_id, own_id, proof.nonce)
        if before is not None:
            return Receipt(before, hook.source_id, False)
        _keep_to_the_bounds(tx, hook, len(body), now)
        stored = rows.store(
            tx, source_id=hook.source_id, delivery_id=own_id, nonce=proof.nonce, apart=proof.apart, received_at=now,
            size=len(body), body=body,
        )  # fmt: skip
        if stored is None:  # the same came at the same moment through another process
            return Receipt(rows.known(tx, hook.source_id, own_id, proof.nonce) or 0, hook.source_id, False)
        _learn(tx, hook.source_id, data, now)
        _tell(tx, hook.source_id, now)
        workspace.bump(tx)
    points.reached("hooks.stored")
    return Receipt(stored, hook.source_id, True)


def _good_secrets(ctx: Context, hook: HookRow, now: datetime) -> list[str]:
    sealed = [hook.secret]
    if hook.old_secret is not None and hook.old_until is not None and now < hook.old_until:
        sealed.append(hook.old_secret)
    return [ctx.secrets.decrypt(one)["secret"] for one in sealed]


def _checked(hook: HookRow, body: bytes) -> Any:
    """The delivery's JSON, if it has the shape of one: an object, or a list of few enough."""
    if len(body) > LARGEST:
        raise TooLarge(f"A delivery has at most {LARGEST // 1024:,} KB. Send fewer items in each.")
    try:
        data = webhook.load(body)
    except Terminal as error:
        raise DialogueError(f"{error} {error.what_to_do}") from error
    if not isinstance(data, dict | list) or not data:
        raise DialogueError('The body must be a JSON object, such as {"text": "…"}, or a list of them.')
    if isinstance(data, list) and len(data) > webhook.MOST_ITEMS:
        raise TooLarge(f"These are {len(data):,} items; {webhook.MOST_ITEMS:,} fit. Send them in several deliveries.")
    return data


def _note_refusal(ctx: Context, hook: HookRow, words: str, now: datetime) -> None:
    with ctx.database.transaction() as tx:
        rows.refused(tx, hook.source_id, clean(words)[:500], now, now - REMEMBERED_REFUSAL)
    log.info("Source %d: a delivery was refused: %s", hook.source_id, clean(words)[:200])


def _keep_to_the_bounds(tx: Transaction, hook: HookRow, size: int, now: datetime) -> None:
    first = rows.nth_newest(tx, hook.source_id, A_MINUTE)
    if first is not None and now - first < timedelta(minutes=1):
        wait = math.ceil((first + timedelta(minutes=1) - now).total_seconds())
        raise TooMuch(f"At most {A_MINUTE} deliveries a minute are taken. Send the rest later.", max(1, wait))
    if rows.kept_bytes(tx, hook.source_id) + size > MOST_KEPT:
        raise TooMuch(
            "Too many deliveries wait to be read: an administrator must say which part of them is what (page Sources).",
            3_600,
        )


def _learn(tx: Transaction, source_id: int, data: Any, now: datetime) -> None:
    """Until somebody has said which part is what, the newest delivery is guessed from."""
    hook = _found(tx, source_id, lock=True)
    values: dict[str, Any] = {}
    if hook.confirmed_at is None:
        guessed = webhook.guess(data)
        if "text" in guessed.fields or not hook.layout:
            values["layout"] = guessed.as_json()
        if guessed.is_plain:
            values["confirmed_at"] = now
        each = guessed.each
    else:
        each = str(hook.layout.get("each", ""))
    paths = [one.pointer for one in webhook.leaves(data, each)]
    values["paths"] = list(dict.fromkeys([*paths, *hook.paths]))[:300]
    rows.change(tx, source_id, **values)


# Reading what came ----------------------------------------------------------------------------------------------------


def due(ctx: Context) -> list[int]:
    """Sources with deliveries to read now."""
    with ctx.database.reading() as tx:
        return rows.ready(tx)


def read_waiting(ctx: Context, source_id: int) -> int:
    """Reads what waits at a source, each delivery in one transaction with what becomes of it; returns how many.

    None is read before somebody has looked at how, unless it names its parts as we do.
    """
    done = 0
    while done < READ_AT_ONCE:
        stored = _read_next(ctx, source_id)
        if stored is None:
            break
        done += 1
        points.reached("hooks.after_read")
        if stored.new or stored.edited:
            ctx.triggers.understand()
    return done


def _read_next(ctx: Context, source_id: int) -> Stored | None:
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        hook = rows.get(tx, source_id)
        if hook is None or hook.confirmed_at is None:
            return None
        found = rows.next_waiting(tx, source_id)
        if found is None:
            return None
        delivery, body = found
        stored = _read(ctx, tx, hook, delivery, body, now)
        sources.change(tx, source_id, last_success_at=now)
        _tell(tx, source_id, now)
        workspace.bump(tx)
    return stored


def _read(ctx: Context, tx: Transaction, hook: HookRow, delivery: DeliveryRow, body: bytes, now: datetime) -> Stored:
    """Stores the items that can be read; the others stay in the delivery, with the reason."""
    try:
        layout = webhook.layout_of(hook.layout)
        data = webhook.load(body)
        own_id = delivery.delivery_id if delivery.apart else ""
        items = webhook.read(data, Reading(layout, str(hook.source_id), delivery.received_at, own_id))
    except Terminal as error:
        whole = [{"where": "the delivery", "reason": f"{error} {error.what_to_do}"}]
        rows.write(tx, delivery.id, state="rejected", rejected=1, rejections=whole)
        return Stored()
    posts = {place: one for place, one in items if isinstance(one, Post)}
    rejected = [one for _, one in items if isinstance(one, Rejected)]
    stored = mentions.upsert(
        tx, map(as_mention, posts.values()), now=now, digest=ctx.secrets.digest, source_id=hook.source_id
    )
    left = webhook.without(data, layout, posts) if rejected else None
    rows.write(
        tx, delivery.id, state="rejected" if rejected else "read", body=left, size=len(left or b""),
        new=delivery.new + stored.new, edited=delivery.edited + stored.edited, seen=delivery.seen + stored.seen,
        rejected=len(rejected), rejections=[_rejection(one) for one in rejected[:KEPT_REJECTIONS]],
    )  # fmt: skip
    return stored


def _rejection(one: Rejected) -> dict[str, str]:
    return {"where": clean(one.where)[:200], "reason": clean(one.reason)[:500]}


def _tell(tx: Transaction, source_id: int, now: datetime) -> None:
    """Says on the source what needs somebody: deliveries that wait for a look, or that could not be read."""
    by_state = rows.counts(tx, source_id)
    hook = _found(tx, source_id)
    waiting, rejected = by_state.get("waiting", 0), by_state.get("rejected", 0)
    trouble: dict[str, Any] = {"last_error": "", "last_error_kind": "", "what_to_do": ""}
    if waiting and hook.confirmed_at is None:
        are = "delivery waits" if waiting == 1 else "deliveries wait"
        trouble = _needs_somebody(
            f"{waiting:,} {are} for you to say which part is what.", "Open Connection, look, save."
        )
    elif rejected:
        are = "delivery" if rejected == 1 else "deliveries"
        words = f"Something in {rejected:,} {are} could not be read; nothing of it is lost."
        trouble = _needs_somebody(words, "Open Connection, mend which part is what, and save.")
    if trouble["last_error"]:
        trouble["last_error_at"] = now
    sources.change(tx, source_id, **trouble)


def _needs_somebody(words: str, what_to_do: str) -> dict[str, Any]:
    return {"last_error": words, "last_error_kind": "terminal", "what_to_do": what_to_do}


# What people see and change -------------------------------------------------------------------------------------------


def view(ctx: Context, actor: Actor, source_id: int, limit: int = 10) -> HookView:
    """The source's address, how it is read, and its last deliveries."""
    require(actor, Role.ADMIN)
    with ctx.database.reading() as tx:
        hook = _found(tx, source_id)
        source = sources.get(tx, source_id)
        by_state = rows.counts(tx, source_id)
        last = rows.newest(tx, source_id, max(1, min(limit, 100)))
        body = rows.newest_body(tx, source_id)
    old_until = hook.old_until if hook.old_until is not None and hook.old_until > ctx.clock() else None
    layout = _layout_or_none(hook.layout)
    return HookView(
        source_id=source_id,
        label=source.label if source is not None else "",
        path=path_of(hook.token),
        scheme=_scheme_info(_scheme(hook.scheme)),
        old_until=old_until,
        layout=layout,
        confirmed=hook.confirmed_at is not None,
        parts=_parts(hook, layout, body),
        lists=_lists(body),
        waiting=by_state.get("waiting", 0),
        rejected=by_state.get("rejected", 0),
        refused_at=hook.refused_at,
        refused=hook.refused,
        deliveries=tuple(_delivery_view(one, hook.confirmed_at is not None) for one in last),
    )


def _layout_or_none(stored: Mapping[str, Any]) -> Layout:
    """As it is stored, even where it names no text yet."""
    fields = {name: tuple(pointers) for name, pointers in stored.get("fields", {}).items()}
    return Layout(str(stored.get("each", "")), fields, int(stored.get("best_rating", 5)))


def _parts(hook: HookRow, layout: Layout, body: bytes | None) -> tuple[PartView, ...]:
    """What can be chosen: the parts of what is kept, with their words, and those that came before."""
    words = {one.pointer: one.words for one in webhook.leaves(webhook.load(body), layout.each)} if body else {}
    chosen = [pointer for pointers in layout.fields.values() for pointer in pointers]
    pointers = dict.fromkeys([*words, *hook.paths, *chosen])
    return tuple(PartView(one, webhook.in_words(one), words.get(one, "")) for one in pointers)


def _lists(body: bytes | None) -> tuple[PartView, ...]:
    found = webhook.lists(webhook.load(body)) if body else {}
    return tuple(
        PartView(one, webhook.in_words(one), "1 item" if count == 1 else f"{count:,} items")
        for one, count in found.items()
    )


def layout_at(ctx: Context, actor: Actor, source_id: int, named: str) -> tuple[Layout, tuple[PartView, ...]]:
    """What can be chosen where somebody says that the items are, "" being the delivery itself, and a guess at it.

    Raises DialogueError where the newest delivery that is not read to its end has no list there.
    """
    require(actor, Role.ADMIN)
    with ctx.database.reading() as tx:
        _found(tx, source_id)
        body = rows.newest_body(tx, source_id)
    if body is None:
        raise DialogueError("Everything that came has been read. Send a delivery first, so that it can be shown.")
    try:
        each, data = webhook.pointer_of(named), webhook.load(body)
        webhook.items(data, Layout(each))
    except Terminal as error:
        raise DialogueError(f"{error} {error.what_to_do}") from error
    found = webhook.leaves(data, each)
    parts = tuple(PartView(one.pointer, webhook.in_words(one.pointer), one.words) for one in found)
    return webhook.guess(data, each), parts


def _delivery_view(row: DeliveryRow, confirmed: bool) -> DeliveryView:
    return DeliveryView(row.id, row.received_at, row.state, _outcome(row, confirmed), tuple(row.rejections))


def _outcome(row: DeliveryRow, confirmed: bool) -> str:
    if row.state == "waiting":
        return "is being read" if confirmed else "waits for a look"
    counts = [(row.new, "new"), (row.edited, "edited"), (row.seen, "known before")]
    parts = [f"{count:,} {name}" for count, name in counts if count]
    if row.rejected:
        parts.append(f"{row.rejected:,} not read" if row.state == "rejected" else f"{row.rejected:,} discarded")
    return ", ".join(parts) or "nothing in it"


def try_layout(ctx: Context, actor: Actor, source_id: int, stored: Mapping[str, Any]) -> tuple[TriedItem, ...]:
    """How the newest delivery that is not read to its end would be read; empty where there is none."""
    require(actor, Role.ADMIN)
    with ctx.database.reading() as tx:
        _found(tx, source_id)
        body = rows.newest_body(tx, source_id)
    if body is None:
        return ()
    try:
        reading = Reading(webhook.layout_of(stored), str(source_id), ctx.clock())
        items = webhook.read(webhook.load(body), reading)
    except Terminal as error:
        raise DialogueError(f"{error} {error.what_to_do}") from error
    return tuple(_tried(one) for _, one in items[:TRIED])


def _tried(one: Post | Rejected) -> TriedItem:
    if isinstance(one, Rejected):
        return TriedItem("", None, None, "", f"{one.where}: {one.reason}")
    name = (one.author.display_name or one.author.handle) if one.author else ""
    return TriedItem(name, None if one.posted_at_estimated else one.posted_at, one.rating, one.text, "")


def set_layout(ctx: Context, actor: Actor, source_id: int, stored: Mapping[str, Any]) -> int:
    """Says which part is what; what waits and what could not be read is then read. Returns how many deliveries."""
    require(actor, Role.ADMIN)
    try:
        layout = webhook.layout_of(stored)
    except Terminal as error:
        raise DialogueError(f"{error} {error.what_to_do}") from error
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        _found(tx, source_id, lock=True)
        rows.change(tx, source_id, layout=layout.as_json(), confirmed_at=now)
        again = rows.move(tx, source_id, "rejected", "waiting")
        waiting = rows.counts(tx, source_id).get("waiting", 0)
        _tell(tx, source_id, now)
        audit.record(tx, ctx, actor, "set how it is read", "source", source_id, read_again=again)
        workspace.bump(tx)
    return waiting


def discard(ctx: Context, actor: Actor, source_id: int) -> int:
    """Gives up on what could not be read; returns of how many deliveries."""
    require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        _found(tx, source_id, lock=True)
        gone = rows.move(tx, source_id, "rejected", "discarded", body=None)
        _tell(tx, source_id, ctx.clock())
        audit.record(tx, ctx, actor, "discarded what could not be read", "source", source_id, deliveries=gone)
        workspace.bump(tx)
    return gone


def tidy(ctx: Context) -> None:
    """Forgets deliveries of a month ago, with what nobody could read of them."""
    with ctx.database.transaction() as tx:
        rows.forget(tx, ctx.clock() - KEPT)


def example(scheme: str, address: str, secret: str = "") -> str:
    """Commands for a shell that send one item, signed, to `address`."""
    lines = "\n".join((_SECRET, _BODY, *_EXAMPLES[_scheme(scheme).name]))
    return lines.replace("ADDRESS", shlex.quote(address)).replace("GIVEN", shlex.quote(secret or "the secret"))


_SECRET = "SECRET=GIVEN"
_BODY = """BODY='{"text": "The hinge squeaks", "author": "jane@example.com", "rating": 2}'"""
_SEND = 'curl -i ADDRESS -H "Content-Type: application/json" -d "$BODY" \\\n  '
_EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "samtal": (
        "TIME=$(date +%s)",
        'SIGNATURE=$(printf "%s.%s" "$TIME" "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -c1-64)',
        _SEND + '-H "X-Samtal-Timestamp: $TIME" -H "X-Samtal-Signature: sha256=$SIGNATURE"',
    ),
    "hub": (
        'SIGNATURE=$(printf "%s" "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -c1-64)',
        _SEND + '-H "X-Hub-Signature-256: sha256=$SIGNATURE"',
    ),
    "typeform": (
        'SIGNATURE=$(printf "%s" "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -binary | base64)',
        _SEND + '-H "Typeform-Signature: sha256=$SIGNATURE"',
    ),
    "standard": (
        "TIME=$(date +%s); ID=example-$TIME",
        "KEY=$(printf '%s' \"${SECRET#whsec_}\" | base64 -d | od -An -v -tx1 | tr -d ' \\n')",
        'SIGNATURE=$(printf "%s.%s.%s" "$ID" "$TIME" "$BODY" \\\n'
        '  | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | base64)',
        _SEND + '-H "webhook-id: $ID" -H "webhook-timestamp: $TIME" -H "webhook-signature: v1,$SIGNATURE"',
    ),
}


def words_of(count: int) -> str:
    """'1 delivery', '2 deliveries'."""
    return "1 delivery" if count == 1 else f"{count:,} deliveries"
