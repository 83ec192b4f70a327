"""Whether a mention can be answered from here, as whom, and if not, why not: said before anybody types."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from db import replies as rows
from db.conversations import ConversationRow, MentionRow
from db.engine import Transaction
from dialogue import platforms
from dialogue.context import Context, DialogueError
from dialogue.credentials import check_access, keeper
from listeners import registry
from listeners.base import Answers, Author, Kind, Listener, ListeningError, Options, Post, Terminal

GONE = "There is nothing to answer any more: it was deleted where it was made."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outlook:
    """How an answer would travel. how: api, hand_off, none. `reason` is shown either way.

    `opening` is what the answer should begin with; it goes into an empty draft, where it is seen.
    """

    how: str
    reason: str
    as_whom: str = ""
    account_id: int | None = None
    opening: str = ""
    platform: platforms.Platform | None = None
    """What the platform allows this account, where that is known; else what it allows anybody holds."""


def outlook(ctx: Context, tx: Transaction, conversation: ConversationRow, mention: MentionRow | None) -> Outlook:
    """What to say about answering `mention`. Asks no network; a listener that fails is a reason like any other."""
    if mention is None:
        return Outlook("none", GONE)
    if conversation.sample or mention.sample:
        return Outlook("api", platforms.SAMPLE, "our sample account")
    platform = platforms.of(conversation.platform)
    account = rows.account_for(tx, mention.id, conversation.platform) if platform.by_api else None
    possible, reason = platforms.answering(platform, connected=account is not None, sample=False)
    if not possible or account is None:
        return Outlook("hand_off", reason)
    try:
        post, listener = post_of(mention), opened(ctx, account)
        verdict = listener.may_answer(post)
        opening = platform.opening(post)
        ours = platform.as_for(listener.capability)
    except ListeningError as error:
        return Outlook("hand_off", str(error))
    except Exception:  # a listener from another package may raise anything; its thread must still open
        log.exception("Whether mention %d may be answered could not be told", mention.id)
        return Outlook("hand_off", f"{platform.title} could not say whether this may be answered from here.")
    if not verdict.allowed:
        return Outlook("hand_off", verdict.reason)
    return Outlook("api", verdict.reason or platform.rule, account.handle or account.label, account.id, opening, ours)


class Answerer(Listener, Answers, Protocol):
    """A listener that can answer."""


def opened(ctx: Context, account: rows.AccountRow) -> Answerer:
    """The account's listener. Raises Terminal where it cannot be opened or has no power to answer, Transient."""
    check_access(account, ctx.clock())
    options = Options(
        base_url=account.base_url,
        allow_private_hosts=ctx.allow_private_hosts,
        known_as=account.external_id,
        limits=account.limits,
        on_credentials=keeper(ctx, account.id, account.saved_at),
    )
    try:
        credentials = ctx.secrets.decrypt(account.credentials)
    except DialogueError as error:
        raise Terminal(str(error), "Enter the account's credentials again.") from error
    listener = registry.open(account.platform, credentials, options)
    if not isinstance(listener, Answers):
        raise Terminal("This platform takes no answers through its API.", "Copy the answer and send it there.")
    return listener


def post_of(mention: MentionRow) -> Post:
    """The mention as its listener once gave it."""
    author = None
    if mention.author_id and mention.handle:
        author = Author(
            id=mention.author_id, handle=mention.handle, display_name=mention.author_name, followers=mention.followers
        )
    return Post(
        platform=mention.platform,
        external_id=mention.external_id,
        url=mention.url,
        author=author,
        title=mention.title,
        text=mention.text,
        lang=mention.lang_hint,
        rating=mention.rating,
        posted_at=mention.posted_at,
        posted_at_estimated=mention.posted_at_estimated,
        edited_at=mention.edited_at,
        parent_id=mention.parent_id,
        root_id=mention.root_id,
        mentions=tuple(mention.mentions),
        quotes_id=mention.quotes_id,
        quotes_author_id=mention.quotes_author_id,
        kind=Kind(mention.kind),
    )
