"""Setting conversations aside as spam, and bringing them back."""

from __future__ import annotations

from collections.abc import Sequence

from dialogue import spam
from pages.parts import context, look, state, text

ICON = ":material/block:"


def set_aside(conversation_ids: Sequence[int]) -> None:
    """Callback: out of the inbox and of every count, with what is folded under them."""
    with look.telling_errors_later():
        undo_id = spam.set_aside(context.ctx(), context.actor(), conversation_ids)
        words = "set aside. Find it under Set aside in the inbox."
        state.tell(f"{text.counted(len(conversation_ids), 'conversation')} {words}", undo_id=undo_id, undo_of="aside")
        state.select_none()


def bring_back(conversation_ids: Sequence[int]) -> None:
    """Callback: back for good; no rule sets these aside again."""
    with look.telling_errors_later():
        undo_id = spam.not_spam(context.ctx(), context.actor(), conversation_ids)
        words = "back in the inbox for good, with all that says the same."
        state.tell(f"{text.counted(len(conversation_ids), 'conversation')} {words}", undo_id=undo_id, undo_of="aside")
        state.select_none()
