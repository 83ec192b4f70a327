"""WordPress itself: Debian's packages, a database and PHP's own web server, started here on loopback.

Skipped where they are not installed: apt-get install wordpress mariadb-server-core php-cli php-mysql
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from listeners import registry
from listeners.base import Absent, Options, Post, Query, Sent, Terminal, Transient
from listeners.wordpress import WordPress
from tests.listeners.contract import collect

SOURCE = Path("/usr/share/wordpress")
ALL = Query("", "comments")
PHP_OPTIONS = ["-d", "sendmail_path=/bin/true", "-d", "opcache.enable_cli=1"]

CONFIG = """<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', file_exists(__DIR__ . '/down') ? 'localhost:/nowhere' : 'localhost:{socket}');
define('DB_CHARSET', 'utf8mb4');
define('WP_ENVIRONMENT_TYPE', 'local');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('WP_DEBUG_DISPLAY', false);
define('WP_HOME', 'http://127.0.0.1:{port}');
define('WP_SITEURL', 'http://127.0.0.1:{port}');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {{
    define($name . '_KEY', 'of a test');
    define($name . '_SALT', 'of a test');
}}
$table_prefix = 'wp_';
define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""

INSTALL = """<?php
define('WP_INSTALLING', true);
require 'wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Kettles', 'admin', 'admin@example.com', true, '', 'a password');
wp_delete_comment(1, true);
update_option('comments_notify', 0);
update_option('moderation_notify', 0);
$accounts = [];
foreach (['editor', 'author'] as $role) {
    $id = wp_insert_user(['user_login' => "the-$role", 'user_pass' => 'another', 'user_email' => "$role@example.com",
        'display_name' => "Jane the $role", 'role' => $role]);
    $accounts[$role] = WP_Application_Passwords::create_new_application_password($id, ['name' => 'Samtal'])[0];
}
echo json_encode($accounts);
"""

SCRIPT = """<?php
require 'wp-load.php';
$asked = json_decode(file_get_contents('php://input'), true);
echo json_encode(call_user_func_array($asked[0], $asked[1]));
"""

ROUTER = """<?php
// What a web server's rewrite rules do.
$file = __DIR__ . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (is_file($file)) { return false; }
require __DIR__ . '/index.php';
"""


@dataclass(frozen=True)
class Site:
    """A running WordPress."""

    folder: Path
    url: str
    passwords: Mapping[str, str]

    def call(self, function: str, *arguments: Any) -> Any:
        """Calls a function of WordPress, as a plugin would."""
        answer = httpx.post(f"{self.url}/script.php", json=[function, arguments], timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def comment(self, text: str, post: int = 1, **more: Any) -> int:
        """Somebody writes a comment, as WordPress' own form stores it; its number."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        data = {
            "comment_post_ID": post,
            "comment_author": "Ann",
            "comment_author_email": "ann@example.com",
            "comment_content": text,
            "comment_date_gmt": now,
            "comment_date": now,
            "comment_approved": 1,
            "comment_type": "comment",
        }
        return int(self.call("wp_insert_comment", data | more))

    def listener(self, role: str = "editor") -> WordPress:
        account = {"site": self.url, "username": f"the-{role}", "application_password": self.passwords[role]}
        found = registry.open("wordpress", account, Options(timeout=20.0, allow_private_hosts=True))
        assert isinstance(found, WordPress)
        return found

    def id(self, number: int) -> str:
        return f"{self.url.removeprefix('http://')}#comment-{number}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    if not (SOURCE / "wp-load.php").exists() or not shutil.which("php") or not _mariadb():
        pytest.skip("wordpress, mariadb-server-core, php-cli and php-mysql are not all installed")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="samtal-wordpress-"))  # a short path: that of a socket is bounded
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database = folder / "s"
        stack.callback(_end, _start_database(folder / "data", database))
        port = _free_port()
        shutil.copytree(
            SOURCE, folder / "site", symlinks=False, ignore=_links_and_config, ignore_dangling_symlinks=True
        )
        pages = {"wp-config": CONFIG.format(socket=database, port=port), "install": INSTALL}
        for name, text in (pages | {"script": SCRIPT, "router": ROUTER}).items():
            (folder / "site" / f"{name}.php").write_text(text)
        _wait_for(database.exists, "MariaDB")
        subprocess.run(["mariadb", "--no-defaults", "-uroot", f"-S{database}", "-e", "CREATE DATABASE wordpress"],
                       check=True, timeout=60)  # fmt: skip
        installed = subprocess.run(
            ["php", *PHP_OPTIONS, "install.php"],
            cwd=folder / "site",
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert installed.returncode == 0, installed.stdout + installed.stderr
        web = subprocess.Popen(
            ["php", *PHP_OPTIONS, "-S", f"127.0.0.1:{port}", "router.php"],
            cwd=folder / "site",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, web)
        _wait_for(lambda: _answers(port), "PHP")
        yield Site(folder / "site", f"http://127.0.0.1:{port}", json.loads(installed.stdout.splitlines()[-1]))


def _mariadb() -> str | None:
    return shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def _start_database(data: Path, path: Path) -> subprocess.Popen[bytes]:
    who = ["--user=root"] if os.geteuid() == 0 else []
    small = ["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M"]
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", *who, f"--datadir={data}", "--auth-root-authentication-method=normal",
         "--skip-test-db", *small],
        check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    quick = ["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--skip-log-bin"]
    return subprocess.Popen(
        [str(_mariadb()), "--no-defaults", *who, f"--datadir={data}", f"--socket={path}", f"--pid-file={path}.pid",
         "--skip-networking", *small, *quick],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _links_and_config(folder: str, names: list[str]) -> set[str]:
    """What the copy does without: Debian's own configuration, fonts, pictures and scripts."""
    return {
        name for name in names if name in ("wp-config.php", ".htaccess", "js", "css", "images", "fonts", "blocks-json")
    }


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(ready: Any, what: str) -> None:
    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until, f"{what} did not start in time"
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # nothing of it is kept
    process.wait()


@pytest.fixture(scope="module")
def editor(site: Site) -> WordPress:
    return site.listener()


def one_comment(site: Site, editor: WordPress, text: str) -> Post:
    external_id = site.id(site.comment(text))
    return read(editor)[external_id]


def read(listener: WordPress) -> dict[str, Post]:
    return {post.external_id: post for post in collect(listener, ALL, {})[0]}


def test_we_are_who_we_say_and_without_the_right_to_moderate_are_told(site: Site, editor: WordPress) -> None:
    health = editor.check()
    assert health.ok
    assert health.account is not None
    assert health.account.handle == "Jane the editor"
    author = site.listener("author").check()
    assert not author.ok
    assert "Editor" in author.words
    wrong = {"site": site.url, "username": "the-editor", "application_password": "wrong"}
    with pytest.raises(Terminal, match="application password"):
        registry.open("wordpress", wrong, Options(allow_private_hosts=True)).check()


def test_a_comment_is_read_and_answered_once(site: Site, editor: WordPress) -> None:
    post = one_comment(site, editor, 'It\'s "hissing" -- again... <b>Loudly</b> & twice')
    assert post.text == "It’s “hissing” — again… Loudly & twice"
    assert post.title == "Hello world!"
    assert post.author is not None
    assert "/guest/" in post.author.id
    assert "example.com" not in post.author.id
    assert editor.may_answer(post).allowed
    text = 'If a<b & you "press" it -- C:\\kettle:\nit\'s <b>done</b> 🙂'
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert editor.find(post, text, "k1", before) == Absent()
    sent = editor.answer(post, text, "k1")
    assert editor.answer(post, text, "k1") == sent
    for key in ("k1", "no key of ours"):  # by its key, and by its words as WordPress gives them back
        found = editor.find(post, text, key, before)
        assert isinstance(found, Sent)
        assert found.external_id == sent.external_id
    answer = read(editor)[sent.external_id]
    assert "<b>done</b> 🙂" in answer.text
    assert (answer.parent_id, answer.root_id) == (post.external_id, post.external_id)
    account = editor.check().account
    assert answer.author is not None
    assert account is not None
    assert answer.author.id == account.id


def test_wordpress_itself_refuses_the_same_words_twice(site: Site, editor: WordPress) -> None:
    post = one_comment(site, editor, "Where is my kettle?")
    first = editor.answer(post, "On its way.", "k1")
    assert editor.answer(post, "On its way.", "k2").external_id == first.external_id
    below = [one for one in read(editor).values() if one.parent_id == post.external_id]
    assert len(below) == 1


def test_what_is_public_follows_the_moderator(site: Site, editor: WordPress) -> None:
    held = site.comment("Is this thing on?", comment_approved=0)
    posts, cursor = collect(editor, ALL, {})
    assert site.id(held) not in {post.external_id for post in posts}
    site.call("wp_set_comment_status", held, "approve")
    posts, cursor = collect(editor, ALL, cursor)
    assert site.id(held) in {post.external_id for post in posts}
    assert editor.still_there([site.id(held)]) == {site.id(held): True}
    for status in ("spam", "approve", "trash", "approve", "hold"):
        site.call("wp_set_comment_status", held, status)
        assert editor.still_there([site.id(held)]) == {site.id(held): status == "approve"}
    site.call("wp_delete_comment", held, True)
    assert editor.still_there([site.id(held), site.id(10**6)]) == {site.id(held): False, site.id(10**6): False}


def test_a_comment_that_is_gone_and_a_post_that_is_closed_are_not_answered(site: Site, editor: WordPress) -> None:
    gone = site.comment("Forget it.")
    closed = site.call("wp_insert_post", {"post_title": "Old", "post_status": "publish", "comment_status": "closed"})
    late = site.comment("Am I too late?", post=closed)
    posts = read(editor)
    site.call("wp_set_comment_status", gone, "trash")
    with pytest.raises(Terminal, match="not public any more"):
        editor.answer(posts[site.id(gone)], "Gladly.", "k1")
    with pytest.raises(Terminal, match="closed for comments"):
        editor.answer(posts[site.id(late)], "You are.", "k2")
    assert not [one for one in read(editor).values() if one.parent_id in (site.id(gone), site.id(late))]


def test_threads_and_pages(site: Site, editor: WordPress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("listeners.wordpress.PER_PAGE", 3)
    first = site.comment("First of a thread")
    numbers = [first]
    for n in range(4):
        numbers.append(site.comment(f"Below {n}", comment_parent=numbers[-1]))
    posts = read(editor)
    assert {site.id(number) for number in numbers} <= set(posts)
    assert {posts[site.id(number)].root_id for number in numbers[1:]} == {site.id(first)}
    assert posts[site.id(numbers[-1])].parent_id == site.id(numbers[-2])


def test_too_fast_a_writer_is_told_to_wait_in_these_words(site: Site) -> None:
    """Editors may write as fast as they like, so this asks as somebody who may not."""
    post, auth = site.comment("Hello?"), httpx.BasicAuth("the-author", site.passwords["author"])
    address = f"{site.url}/?rest_route=/wp/v2/comments"
    answers = [httpx.post(address, json={"post": 1, "parent": post, "content": text}, auth=auth) for text in "ab"]
    assert [(one.status_code, one.json().get("code")) for one in answers] == [(201, None), (400, "comment_flood")]


def test_plain_permalinks_make_no_difference(site: Site) -> None:
    number = site.comment("Plainly")
    for structure in ("", "/%postname%/"):
        site.call("update_option", "permalink_structure", structure)
        site.call("flush_rewrite_rules")
        is_rest = httpx.get(f"{site.url}/wp-json/wp/v2/comments").headers["content-type"].startswith("application/json")
        assert is_rest == bool(structure), "the site does not do what this test is about"
        listener = site.listener()
        post = read(listener)[site.id(number)]
        assert isinstance(listener.answer(post, f"With {structure or 'nothing'}", structure), Sent)


def test_a_database_that_is_gone_is_an_outage(site: Site) -> None:
    down = site.folder / "down"
    down.touch()
    try:
        with pytest.raises(Transient, match="out of order"):
            read(site.listener())
    finally:
        down.unlink()
