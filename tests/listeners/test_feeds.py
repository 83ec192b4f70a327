"""RSS and Atom: polite, salvaging what can be salvaged, and clear about what cannot."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from listeners import feeds, registry
from listeners.base import Cursor, ListeningError, Options, Page, Post, Query, Rejected, Terminal, Transient
from tests.listeners.contract import EditsContract, NetworkContract, Rig
from tests.listeners.fake_server import FakeServer, Reply, Request
from tests.listeners.faults import FaultsContract

OWN = Options(timeout=2.0, allow_private_hosts=True)

FIXTURES = Path(__file__).parent / "fixtures" / "feeds"
RSS = (FIXTURES / "kettles.rss").read_bytes()
ATOM = (FIXTURES / "tea.atom").read_bytes()


class FeedServer(FakeServer):
    """A blog: its feed with validators at /feed, a page that names it at /."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self.body: bytes | None = None

    @property
    def feed(self) -> str:
        return self.url + "/feed"

    def posts(self, how_many: int) -> list[str]:
        first = len(self.items)
        now = datetime.now(UTC) - timedelta(hours=1)
        for i in range(first, first + how_many):
            at = format_datetime(now + timedelta(seconds=i))
            self.items.insert(
                0, f"<item><title>Post {i}</title><guid isPermaLink='false'>g{i}</guid><pubDate>{at}</pubDate></item>"
            )
        return [f"{self.feed} g{i}" for i in range(first, first + how_many)]

    def edits(self, external_id: str, text: str) -> None:
        """The blog changes an entry, which stays where it is and keeps its date."""
        at = next(n for n, one in enumerate(self.items) if f">{external_id.rpartition(' ')[2]}<" in one)
        self.items[at] = self.items[at].replace("</item>", f"<description>{text}</description></item>")

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        """At once: a feed is a single request."""
        super().rate_limits(0, seconds)

    def reply_to(self, request: Request) -> Reply:
        if request.path == "/":
            link = '<link rel="alternate" type="application/rss+xml" href="/feed">'
            return Reply(
                f"<!doctype html><html><head>{link}</head></html>".encode(), 200, {"Content-Type": "text/html"}
            )
        body = self.body
        if body is None:
            body = f"<rss version='2.0'><channel><title>B</title>{''.join(self.items)}</channel></rss>".encode()
        etag = f'"{hash(body)}"'
        if request.headers.get("if-none-match") == etag:
            return Reply(b"", 304, {"ETag": etag})
        return Reply(body, 200, {"Content-Type": "application/rss+xml", "ETag": etag, "Last-Modified": "yesterday"})


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as running:
        yield running


def fetch(query: str, cursor: Cursor | None = None) -> Page:
    (page,) = registry.open("feed", {}, OWN).fetch(Query(query), cursor or {})
    return page


class TestContract(FaultsContract, NetworkContract, EditsContract):
    @pytest.fixture
    def rig(self, server: FeedServer) -> Rig:
        return Rig(registry.open("feed", {}, OWN), server, Query(server.feed), raw=[RSS, ATOM])


def test_an_rss_item_becomes_a_post(server: FeedServer) -> None:
    server.body = RSS
    page = fetch(server.feed)
    first = page.posts[0]
    assert first.external_id == f"{server.feed} k-1"
    assert first.title == "Boils & whistles"
    assert first.text == "It boils.\n\nIt whistles & sings."
    assert first.url == f"{server.url}/posts/1"
    assert first.author is not None
    assert first.author.display_name == "Ann Example"
    assert first.posted_at == datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    assert not first.posted_at_estimated
    assert first.lang == "en-GB"
    assert first.engagement == {"comments": 4}


def test_an_atom_entry_becomes_a_post() -> None:
    (post,) = registry.open("feed", {}, OWN).parse(ATOM)
    assert isinstance(post, Post)
    assert (post.external_id, post.url) == ("https://blog.example/feed.atom urn:e1", "https://blog.example/e1")
    assert (post.title, post.text) == ("Tee trinken", "Ein Satz.\nNoch einer.")
    assert post.posted_at == datetime(2026, 11, 19, 8, tzinfo=UTC)
    assert post.edited_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert post.lang == "de"


def test_an_undated_entry_is_of_now_and_says_that_it_is_an_estimate(server: FeedServer) -> None:
    server.body = RSS
    before = datetime.now(UTC)
    undated = fetch(server.feed).posts[1]
    assert undated.posted_at_estimated
    assert before <= undated.posted_at <= datetime.now(UTC)


def test_what_is_no_post_is_rejected_with_its_place(server: FeedServer) -> None:
    server.body = RSS
    page = fetch(server.feed)
    assert [(one.where, one.reason) for one in page.rejected] == [
        ("entry 3", "has neither a title nor a text"),
        ("entry 4", "has the same guid as an entry before it"),
    ]
    assert page.posts[-1].url is None, "a link that is no web address is dropped"


def test_two_feeds_same_guid_and_author_are_two_posts_and_two_people(server: FeedServer) -> None:
    server.body = RSS
    one, other = fetch(server.feed).posts[0], fetch(server.url + "/other").posts[0]
    assert one.external_id != other.external_id
    assert one.author and other.author and one.author.id != other.author.id


def test_an_unchanged_feed_is_not_sent_again(server: FeedServer) -> None:
    server.posts(2)
    first = fetch(server.feed)
    again = fetch(server.feed, first.cursor)
    assert server.requests[-1].headers["if-none-match"] == first.cursor["etag"]
    assert server.requests[-1].headers["if-modified-since"] == "yesterday"
    assert list(again.posts) == []
    assert again.cursor == first.cursor
    server.posts(1)
    assert len(fetch(server.feed, again.cursor).posts) == 3


def test_a_page_that_names_its_feed_leads_there(server: FeedServer) -> None:
    server.posts(2)
    page = fetch(server.url)
    assert len(page.posts) == 2
    assert [one.reason for one in page.rejected] == [f"is a web page; the feed that it names is read: {server.feed}"]
    again = fetch(server.url, page.cursor)
    assert server.requests[-1].path == "/feed", "the page itself is not asked again"
    assert not again.rejected


def test_a_damaged_feed_is_salvaged_told_and_not_taken_for_unchanged(server: FeedServer) -> None:
    server.body = RSS[: RSS.index(b"<item><guid")] + b"<item><title>Bad & worse</titel>"
    page = fetch(server.feed)
    assert [post.title for post in page.posts][:2] == ["Boils & whistles", "No date"]
    assert page.rejected[-1].where == "the feed"
    assert "not well-formed (line " in page.rejected[-1].reason
    assert "read nevertheless" in page.rejected[-1].reason
    assert fetch(server.feed, page.cursor).rejected == page.rejected


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", Transient, "sent nothing"),
        (b"<html><body>Hi</body></html>", Terminal, "web page that names no feed"),
        (b'{"a": 1}', Terminal, "no RSS or Atom"),
        (b"\x00\xff\xfe\x00", Terminal, "no RSS or Atom"),
        (b"<rss version='2.0'><channel><item><tit", Transient, "damaged"),
    ],
)
def test_what_is_no_feed_says_so(server: FeedServer, body: bytes, kind: type[ListeningError], words: str) -> None:
    server.body = body
    with pytest.raises(kind, match=words):
        fetch(server.feed)


@pytest.mark.parametrize("address", ["", "no address", "ftp://example.com/feed", "http://", "javascript:alert(1)"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Terminal, match="no web address"):
        fetch(address)


def test_a_file_s_name_in_a_feed_is_never_opened(tmp_path: Path, server: FeedServer) -> None:
    """feedparser opens a string, and even bytes, as a file's name: whoever serves a feed must not choose one."""
    secret = tmp_path / "secret.xml"
    secret.write_bytes(RSS)
    server.body = str(secret).encode()
    with pytest.raises(Terminal, match="no RSS or Atom"):
        fetch(server.feed)


def test_entities_do_not_explode() -> None:
    levels = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    rss = '<rss version="2.0"><channel><item><title>&l9;</title></item></channel></rss>'
    bomb = f'<!DOCTYPE r [<!ENTITY l0 "ha">{levels}]>{rss}'
    try:
        found = registry.open("feed", {}, OWN).parse(bomb.encode())
    except Terminal:
        found = []
    assert all(len(post.text) <= 100_000 for post in found if isinstance(post, Post))


def test_hostile_entries_are_bounded() -> None:
    long = "x" * 300_000
    body = f"""<rss version="2.0"><channel><item>
    <title>{long}</title><guid>{long}</guid><description>{long}</description><author>{long}</author>
    <pubDate>Fri, 99 Nov 99999 09:30:00 GMT</pubDate><link>http://[::1</link></item></channel></rss>"""
    found = registry.open("feed", {}, OWN).parse(body.encode())
    (post,) = [one for one in found if isinstance(one, Post)]
    assert len(post.text) == 100_000
    assert len(post.external_id) < 1_000
    assert post.posted_at_estimated
    assert not [one for one in found if isinstance(one, Rejected)]


def test_a_moved_entry_keeps_its_id() -> None:
    moved = RSS.replace(b"<title>Boils", b"<title>Still boils").replace(b"/posts/1", b"/posts/one")
    first, second = (registry.open("feed", {}, OWN).parse(body)[0] for body in (RSS, moved))
    assert isinstance(first, Post)
    assert isinstance(second, Post)
    assert first.external_id == second.external_id
    assert first != second


@pytest.mark.timeout(20)
@pytest.mark.parametrize("element", ["author", "managingEditor"])
def test_a_long_author_takes_no_time(element: str) -> None:
    """feedparser by itself takes hours for such a word in the place of a mail address."""
    name = "x" * 1_000_000
    body = f"<rss version='2.0'><channel><item><title>t</title><{element}>{name}</{element}></item></channel></rss>"
    (post,) = registry.open("feed", {}, OWN).parse(body.encode())
    assert isinstance(post, Post)


def test_a_feed_over_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MAX_FEED", len(RSS) - 1)
    with pytest.raises(Terminal, match="larger than"):
        registry.open("feed", {}, OWN).parse(RSS)


# --- A real server


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[str]:
    """nginx with a feed at /feed.xml, the same under a limit of one request a second at /limited/, and 503 at /down."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        pytest.skip("nginx is not installed")
    (tmp_path / "www" / "limited").mkdir(parents=True)
    for place in ("feed.xml", "limited/feed.xml"):
        (tmp_path / "www" / place).write_bytes(RSS)
    (tmp_path / "www" / "limited" / "slow_down").write_bytes(b"")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    temporary = "\n".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(f"""
        {"user root;" if os.geteuid() == 0 else ""}
        daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
        events {{ worker_connections 32; }}
        http {{
            {temporary}
            access_log off; types {{ application/rss+xml xml; }}
            limit_req_zone $server_port zone=slow:1m rate=1r/m;
            server {{
                listen 127.0.0.1:{port}; root {tmp_path}/www;
                location /limited/ {{ limit_req zone=slow; limit_req_status 429; add_header Retry-After 60 always; }}
                location /down {{ add_header Retry-After 120 always; return 503; }}
            }}
        }}""")
    process = subprocess.Popen(
        [binary, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], stderr=subprocess.PIPE
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while datetime.now(UTC) < deadline:
        if process.poll() is not None:
            raise AssertionError(f"nginx did not start: {process.stderr.read() if process.stderr else b''!r}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            continue
        return
    raise AssertionError("nginx did not start in time")


def test_nginx_s_own_validators_are_obeyed(nginx: str) -> None:
    first = fetch(nginx + "/feed.xml")
    assert len(first.posts) == 3
    assert first.cursor.keys() == {"etag", "modified"}
    again = fetch(nginx + "/feed.xml", first.cursor)
    assert list(again.posts) == []
    assert again.cursor == first.cursor


def test_nginx_s_rate_limit_is_transient_and_says_when(nginx: str) -> None:
    first = fetch(nginx + "/limited/feed.xml")
    assert first.posts
    with pytest.raises(Transient, match="too many requests") as caught:
        fetch(nginx + "/limited/feed.xml", first.cursor)
    assert caught.value.retry_after == 60


def test_nginx_out_of_order_is_transient_and_says_when(nginx: str) -> None:
    with pytest.raises(Transient, match="503") as caught:
        fetch(nginx + "/down")
    assert caught.value.retry_after == 120
