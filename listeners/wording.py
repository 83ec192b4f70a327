"""A wording as far as stores and platforms keep it: white space is their own."""

from __future__ import annotations

import hashlib

from listeners.base import clean


def words(text: str) -> list[str]:
    """What remains of a text once a platform has trimmed its ends and lines."""
    return clean(text).split()


def wording_id(parent: str, kind: str, text: str) -> str:
    """An id for one wording of the answer to `parent`, where the platform gives none or keeps one for all.

    A wording that took another's place has an id of its own: what was said first was said.
    """
    digest = hashlib.sha256(" ".join(words(text)).encode("utf-8", "replace")).hexdigest()
    return f"{parent}:{kind}:{digest[:16]}"
