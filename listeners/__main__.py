"""Tries a platform from the command line: `python -m listeners list`, `fetch PLATFORM`, `parse PLATFORM FILE`.

Posts go to standard output, a JSON object each; rejected items and the one line of a failure to standard error. Exit
status 2: it will not work until something is changed; 3: it may work later. Private addresses may be asked.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from listeners import registry, translation
from listeners.base import (
    Answering,
    Capability,
    Listener,
    ListeningError,
    Mode,
    Options,
    Post,
    Rejected,
    Terminal,
    Transient,
)
from listeners.query import QueryError, pointer
from listeners.translation import Plan

TERMINAL, TRANSIENT = 2, 3
GZIP = b"\x1f\x8b"
MAX_UNPACKED = 50_000_000
"""Bytes of an unpacked answer, as many as one over the wire may have."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every other failure."""
        self.exit(TERMINAL, f"{self.prog}: {message}. Try {self.prog} --help\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    logging.getLogger("listeners").addHandler(logging.NullHandler())
    logging.getLogger("listeners").propagate = False
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    given = _arguments().parse_args(arguments)
    try:
        given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except _BadQuery as error:
        status = _fail(str(error), TERMINAL)
        print(error.pointer, file=sys.stderr)
        return status
    except Terminal as error:
        return _fail(f"{error} {error.what_to_do}", TERMINAL)
    except Transient as error:
        wait = f" Try again in {error.retry_after:.0f} seconds." if error.retry_after else " Try again later."
        return _fail(f"{error}{wait}", TRANSIENT)
    except ListeningError as error:
        return _fail(str(error), TRANSIENT)
    return 0


def _fail(message: str, status: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return status


def _arguments() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m listeners", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="the platforms and what they allow")
    how = listing.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON object per platform")
    how.add_argument("--markdown", action="store_true", help="the table of docs/listeners.md")
    how.add_argument("--queries", action="store_true", help="the table of docs/queries.md")
    how.add_argument("--reach", action="store_true", help="the table of docs/sources.md: how far back each can be read")
    listing.set_defaults(run=_list)

    fetch = commands.add_parser("fetch", help="posts from a platform")
    fetch.add_argument("platform")
    fetch.add_argument(
        "--query", default="", help="words, a name or an address, as the mode needs; see docs/queries.md"
    )
    fetch.add_argument("--raw", action="store_true", help="the query is written in the platform's own syntax")
    fetch.add_argument("--only", default="", help="print only what matches this; for addresses, names and --raw")
    fetch.add_argument("--mode", default="", help="one of the platform's modes; the first where it is not given")
    fetch.add_argument("--limit", type=int, metavar="N", help="stop after N posts")
    _add_settings(fetch)
    fetch.set_defaults(run=_fetch)

    parse = commands.add_parser("parse", help="posts from a saved answer of a platform")
    parse.add_argument("platform")
    parse.add_argument("file", help="the raw answer, as it came over the wire; - for standard input")
    _add_settings(parse)
    parse.set_defaults(run=_parse)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="base_url, timeout, an account's field, or an option of the platform;\n"
        "account fields are also read from SAMTAL_<PLATFORM>_<FIELD> in the environment",
    )


def _list(given: argparse.Namespace) -> None:
    capabilities = registry.capabilities()
    if given.json:
        for allows in capabilities.values():
            print(json.dumps(_described(allows), ensure_ascii=False))
    elif given.markdown:
        for cells in [_MARKDOWN_HEADER, ["---"] * len(_MARKDOWN_HEADER), *map(_markdown_row, capabilities.values())]:
            print(f"| {' | '.join(cells)} |")
    elif given.queries:
        _print_queries(capabilities)
    elif given.reach:
        _print_reach(capabilities)
    else:
        _print_table([("PLATFORM", "TITLE", "MODES", "NEEDS KEY", "ANSWERING"), *map(_row, capabilities.values())])
    for name, reason in registry.broken().items():
        print(f"{name} could not be loaded: {reason}", file=sys.stderr)


def _described(allows: Capability) -> dict[str, object]:
    return {
        "platform": allows.platform,
        "title": allows.title,
        "modes": [{"name": mode.name, "label": mode.label, "query": mode.query_label} for mode in allows.modes],
        "key_needed": allows.key_needed,
        "account": [field.name for field in allows.credentials],
        "answering": allows.answering.value,
        "answering_rule": allows.answering_rule,
        "checked_on": allows.checked_on.isoformat(),
    }


def _row(allows: Capability) -> tuple[str, ...]:
    modes = ", ".join(mode.name for mode in allows.modes)
    return allows.platform, allows.title, modes, "yes" if allows.key_needed else "no", allows.answering.value


_MARKDOWN_HEADER = [
    "platform",
    "listens to",
    "needs a key",
    "answers",
    "deletions asked about",
    "read further back",
    "export",
    "AI training",
]


def _markdown_row(allows: Capability) -> list[str]:
    length = f", at most {allows.max_chars:,} {allows.counted_in}" if allows.max_chars else ""
    recheck = f"every {allows.recheck_every.total_seconds() / 3600:g} h" if allows.recheck_every else "cannot be"
    cells = [
        f"**{allows.title}** (`{allows.platform}`)",
        ", ".join(f"`{mode.name}`: {mode.label}" for mode in allows.modes),
        "yes" if allows.key_needed else "no",
        f"through its API{length}" if allows.answering is Answering.API else "by hand-off: text to copy, link to open",
        recheck,
        "yes" if allows.looks_back else "no",
        "yes" if allows.exportable else "limited",
        "yes" if allows.trainable else "no",
    ]
    return [cell.replace("|", "\\|") for cell in cells]


def _print_queries(capabilities: Mapping[str, Capability]) -> None:
    """For each search: which operators the platform itself is asked for."""
    searches = [(allows, mode, mode.syntax) for allows in capabilities.values() for mode in allows.modes if mode.syntax]
    for cells in (["search", *translation.OPERATORS], ["---"] * (len(translation.OPERATORS) + 1)):
        print(f"| {' | '.join(cells)} |")
    for allows, mode, syntax in searches:
        # A stream hears everything, and finds by itself what is meant.
        asked = [False] * len(translation.OPERATORS) if mode.streams else translation.operators(syntax)
        told = ["platform" if one else "here" for one in asked]
        print(f"| {' | '.join([f'**{allows.title}** `{mode.name}`', *told])} |")


def _print_reach(capabilities: Mapping[str, Capability]) -> None:
    """For each way to listen that is asked for news: how far back it can be read. A stream has no past of its own."""
    print("| way to listen | read further back | how far |")
    print("| --- | --- | --- |")
    for allows in capabilities.values():
        for mode in allows.modes:
            if mode.reach is not None:
                can = "yes" if mode.reach.possible else "no"
                print(f"| **{allows.title}** `{mode.name}` | {can} | {mode.reach.words} |")


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _fetch(given: argparse.Namespace) -> None:
    allows = registry.capability(given.platform)
    modes = [mode.name for mode in allows.modes]
    if given.mode and given.mode not in modes:
        raise Terminal(f"{allows.title} has no mode {given.mode!r}.", f"It has {', '.join(modes)}.")
    if given.limit is not None and given.limit < 1:
        raise Terminal("The limit is at least 1.", "Leave --limit out for everything.")
    mode = next(mode for mode in allows.modes if mode.name == (given.mode or modes[0]))
    plan = _plan(allows, mode, given)
    _explain(plan, given.query)
    left, left_out = given.limit, 0
    for page in plan.fetch(_opened(given), mode.name, {}):
        posts = page.posts if left is None else page.posts[:left]
        _print([*posts, *page.rejected])
        left_out += page.filtered
        if left is not None and (left := left - len(posts)) == 0:
            break
    if left_out:
        print(f"left out: {left_out} that the query does not mean", file=sys.stderr)


class _BadQuery(Terminal):
    """A query that cannot be read or asked; `pointer` shows where."""

    def __init__(self, error: QueryError, text: str) -> None:
        super().__init__(str(error), "")
        self.pointer = pointer(text, error.position)


def _plan(allows: Capability, mode: Mode, given: argparse.Namespace) -> Plan:
    """Raises _BadQuery."""
    common = mode.syntax is not None and not given.raw
    if common and given.only:
        raise Terminal("--only goes with an address, a name or --raw.", "Write it into the query.")
    try:
        if mode.syntax is None or not common:
            return translation.as_typed(given.query, given.only)
        if mode.streams:
            return translation.as_streamed(given.query)
        return translation.translate(given.query, mode.syntax, allows.platform, allows.title)
    except QueryError as error:
        raise _BadQuery(error, given.query if common else given.only) from error


def _explain(plan: Plan, typed: str) -> None:
    """What the platform is asked, unless that is what was typed, and what it cannot express."""
    if plan.asked != (typed,):
        for words in plan.asked:
            print(f"asked for: {words}", file=sys.stderr)
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)


def _parse(given: argparse.Namespace) -> None:
    try:
        answer = sys.stdin.buffer.read() if given.file == "-" else Path(given.file).read_bytes()
    except (OSError, ValueError) as error:
        raise Terminal(f"The file {given.file} cannot be read.", "Check its name.") from error
    _print(_opened(given, for_parsing=True).parse(_unpacked(answer)))


def _unpacked(answer: bytes) -> bytes:
    """The answer without the gzip that it travelled in, as recordings keep it."""
    if not answer.startswith(GZIP):
        return answer
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(answer, MAX_UNPACKED)
    except zlib.error as error:
        raise Terminal("The file is packed with gzip, and damaged.", "Save the answer again.") from error
    if not unpacker.eof:
        raise Terminal("The file is packed with gzip, and breaks off or is too large.", "Save the answer unpacked.")
    return unpacked


def _print(found: Iterable[Post | Rejected]) -> None:
    for one in found:
        if isinstance(one, Post):
            print(one.model_dump_json())
        else:
            print(f"rejected: {one.where} {one.reason}", file=sys.stderr)


def _opened(given: argparse.Namespace, *, for_parsing: bool = False) -> Listener:
    allows = registry.capability(given.platform)
    extra_options = registry.extra_options(given.platform)
    fields = [field.name for field in allows.credentials]
    possible = ["base_url", "timeout", *fields, *extra_options]
    settings = _settings(given.settings, possible, allows)
    account = {name: settings[name] for name in fields if name in settings}
    options = Options(
        base_url=settings.get("base_url"),
        timeout=_seconds(settings.get("timeout", "20")),
        allow_private_hosts=True,
        extra={**_own_machine(extra_options), **{name: settings[name] for name in extra_options if name in settings}},
    )
    if for_parsing and not account:  # parsing asks nobody, so that no key is needed
        return registry.parser(given.platform, options)
    return registry.open(given.platform, account, options)


def _own_machine(extra_options: Mapping[str, str]) -> dict[str, str]:
    """Whoever runs a command may read this machine's files; a query on a page may not."""
    return {"folder": "/"} if "folder" in extra_options else {}


def _settings(given: list[str], possible: list[str], allows: Capability) -> dict[str, str]:
    """By name, from the environment and the command line, which wins."""
    prefix = f"SAMTAL_{allows.platform}_".upper()
    names = [field.name for field in allows.credentials]
    settings = {name: os.environ[prefix + name.upper()] for name in names if prefix + name.upper() in os.environ}
    for setting in given:
        name, separator, value = setting.partition("=")
        if not separator or name not in possible:
            raise Terminal(
                f"{allows.title} has no option {name!r}.", f"--set takes {', '.join(possible)}, each with =VALUE."
            )
        settings[name] = value
    return settings


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 600:
        raise Terminal("The timeout is a number of seconds, at most 600.", "Write --set timeout=20.")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
