"""Text as the encoder was trained to see it: bounded, without control characters, names and links masked."""

from __future__ import annotations

import html
import re
import unicodedata

MAX_CHARACTERS = 2_000
"""What is read of a text. 128 tokens seldom reach past 700 characters; the rest would only cost time."""

_JOINERS = "\u200d\u200c\ufe0f"
"""Invisible, yet part of a word or an emoji: the joiners and the emoji variation selector."""

_SCANNED = 2 * MAX_CHARACTERS
# A user name: @name, @name@server (Mastodon), @name.bsky.social (Bluesky), u/name (Reddit).
_USER = re.compile(r"(?<![\w@/])(?:@\w[\w.-]{0,63}(?:@\w[\w.-]{0,253})?|/?u/[\w-]{2,32})(?<![.-])")
# What exports leave behind of a character: \u2019 for an apostrophe, \" for a quotation mark.
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\([\"'/])")
_LINK = re.compile(r"\b(?:https?://|www\.)\S{1,2048}", re.IGNORECASE)


def clean(text: str) -> str:
    """The first characters of `text`, one line, without control characters, lone surrogates or doubled blanks.

    HTML entities and literal escapes are read as the characters they stand for: feeds and exports are full of them.
    Takes any string of any length in bounded time. "" means that there is nothing to read.
    """
    read = text[:_SCANNED]
    if "\\" in read:
        read = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], read)
        # Two escapes of one emoji are a surrogate pair; joined they are its character.
        read = read.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if "&" in read:
        read = html.unescape(read)
    kept = "".join(character if character.isprintable() or character in _JOINERS else " " for character in read)
    return " ".join(kept.split())[:MAX_CHARACTERS].rstrip()


def mask(text: str) -> str:
    """`text` with user names as `@user` and links as `http`, the masks of the TweetEval training data.

    Whom a text addresses says nothing about its mood, and the model has never seen another name.
    """
    return _USER.sub("@user", _LINK.sub("http", text))


def spell_emoji(text: str) -> str:
    """`text` with each emoji as the words of its Unicode name, and a row of the same one as one.

    The model's vocabulary is from before most emoji; of "\U0001f621" it would see nothing, of "pouting face" it sees
    enough. Skin colours, joiners and variation selectors are left out.
    """
    if text.isascii():
        return text
    spelled: list[str] = []
    last = ""
    for character in text:
        if _is_emoji(character):
            if character != last:
                spelled.append(f" {unicodedata.name(character, '').lower().removesuffix(' sign')} ")
        elif character in _JOINERS or "\U0001f3fb" <= character <= "\U0001f3ff":
            continue
        else:
            spelled.append(character)
        last = character
    return " ".join("".join(spelled).split())


def _is_emoji(character: str) -> bool:
    return ("\u2600" <= character <= "\u27bf" or "\U0001f300" <= character <= "\U0001faff") and (
        unicodedata.category(character) == "So"
    )
