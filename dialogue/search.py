"""The search line of the inbox: the one query language (`listeners.query`), looked up in the database.

Here `source:` and `on:` name a platform, and a # or @ before a word makes no difference: the index does not keep them.
"""

from __future__ import annotations

from db import search as tree
from dialogue.context import DialogueError
from listeners import query as language
from listeners.query import MAX_LENGTH as MAX_LENGTH
from listeners.query import MAX_TERMS as MAX_TERMS


class SearchError(DialogueError):
    """The query cannot be read. `position` is the character at which it went wrong, counted from 0.

    `pointer` is two lines for a fixed-width font: the query, and a caret under that character.
    """

    def __init__(self, error: language.QueryError, query: str) -> None:
        super().__init__(str(error))
        self.position = error.position
        self.pointer = language.pointer(query, error.position)


def parse(query: str) -> tree.Node | None:
    """The query as a tree of the database's; None for an empty one. Raises SearchError."""
    try:
        node = language.parse(query)
    except language.QueryError as error:
        raise SearchError(error, query) from None
    return None if node is None else _looked_up(node)


def _looked_up(node: language.Node) -> tree.Node:
    match node:
        case language.Words():
            return _words(node)
        case language.Near():
            return tree.Near(tuple(map(_words, node.left)), tuple(map(_words, node.right)), node.within)
        case language.Author():
            return tree.Author(node.name)
        case language.Language():
            return tree.Language(node.code)
        case language.Source():
            return tree.Platform(node.platform)
        case language.Not():
            return tree.Not(_looked_up(node.part))
        case language.And():
            return tree.All(tuple(map(_looked_up, node.parts)))
        case language.Or():
            return tree.Any_(tuple(map(_looked_up, node.parts)))


def _words(node: language.Words) -> tree.Words:
    return tree.Words(node.text, node.prefix)
