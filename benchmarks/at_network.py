"""A real Bluesky network on this machine, with a language for tests and benchmarks.

    network = AtNetwork()
    alice = network.account("alice")
    uri = alice.posts("The new samtal app is lovely.")
    network.until(lambda: uri in network.search("lovely"))
    bob.replies(uri, "It is.")
    network.replies_to(uri)  # [Reply(text="It is.", …)]
    alice.deletes(uri)

It speaks plain HTTP and none of the product's own code, so that what it says about the product is independent of it.
A post can be read at once where it was written, and in search and threads a moment later: `until` waits for that.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

PDS = "http://localhost:2583"
APPVIEW = "http://localhost:2584"
POST = "app.bsky.feed.post"

T = TypeVar("T")


class NetworkError(Exception):
    """The network refused something that the script of a test or benchmark asked for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as readers of a thread see it."""

    uri: str
    handle: str
    text: str


class AtNetwork:
    """The network: its accounts' server (PDS) and the index that everybody reads (AppView)."""

    def __init__(self, pds: str = PDS, appview: str = APPVIEW) -> None:
        self.pds = pds
        self._appview = appview
        self._http = httpx.Client(timeout=30, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def is_up(self) -> bool:
        """Whether both servers answer."""
        try:
            return all(self._http.get(f"{url}/xrpc/_health", timeout=3).is_success for url in (self.pds, self._appview))
        except httpx.HTTPError:
            return False

    def account(self, name: str, display_name: str | None = None) -> Account:
        """A new account; its handle begins with `name` and is unlike every other."""
        handle = f"{re.sub('[^a-z0-9]', '', name.lower())[:10]}{secrets.token_hex(4)}.test"
        password = secrets.token_urlsafe(12)
        made = self.call(
            "com.atproto.server.createAccount",
            {"handle": handle, "email": f"{handle}@example.com", "password": password},
        )
        account = Account(self, handle, made["did"], password, made["accessJwt"])
        if display_name is not None:
            account.calls_itself(display_name)
        return account

    def search(self, word: str) -> list[str]:
        """Addresses of the posts that hold `word`, case-sensitive, newest first: at most 100."""
        found = self.ask("app.bsky.feed.searchPosts", q=word, sort="latest", limit=100)
        return [post["uri"] for post in found["posts"]]

    def replies_to(self, uri: str) -> list[Reply]:
        """The direct replies that stand below a post, oldest first."""
        thread = self.ask("app.bsky.feed.getPostThread", uri=uri, depth=1)["thread"]
        posts = [reply["post"] for reply in thread.get("replies", []) if "post" in reply]
        posts.sort(key=lambda post: post["indexedAt"])
        return [Reply(post["uri"], post["author"]["handle"], post["record"]["text"]) for post in posts]

    def is_shown(self, uri: str) -> bool:
        """Whether readers can see a post."""
        return bool(self.ask("app.bsky.feed.getPosts", uris=[uri])["posts"])

    def until(self, condition: Callable[[], T], seconds: float = 30.0) -> T:
        """Asks again until `condition` gives something true, and returns that. Raises TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if value := condition():
                    return value
            except NetworkError as error:  # what is not indexed yet is refused as unknown
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not within {seconds:.0f} s: {error}") from error
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:.0f} s")
            time.sleep(0.1)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Reads from the index, as anybody may. Raises NetworkError."""
        return _answer(self._http.get(f"{self._appview}/xrpc/{method}", params=params))

    def call(self, method: str, data: dict[str, Any], token: str | None = None) -> dict[str, Any]:
        """Has the accounts' server do something. Raises NetworkError."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return _answer(self._http.post(f"{self.pds}/xrpc/{method}", json=data, headers=headers))

    def record(self, uri: str) -> dict[str, Any] | None:
        """A record as {uri, cid, value}, read where it was written; None where it is not there."""
        repo, collection, key = uri.removeprefix("at://").split("/")
        params = {"repo": repo, "collection": collection, "rkey": key}
        response = self._http.get(f"{self.pds}/xrpc/com.atproto.repo.getRecord", params=params)
        return None if response.status_code == 400 else _answer(response)


@dataclass
class Account:
    """Somebody on the network. What they do is a verb; posts are named by their at:// address."""

    network: AtNetwork
    handle: str
    did: str
    password: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def credentials(self) -> dict[str, str]:
        """What the product's Bluesky account wants to know."""
        return {"handle": self.handle, "app_password": self.password}

    def posts(
        self, text: str, *, mentions: Iterable[Account] = (), quotes: str | None = None, langs: Iterable[str] = ("en",)
    ) -> str:
        """Writes a post. Whoever is in `mentions` must occur in the text as @handle."""
        extra: dict[str, Any] = {"langs": list(langs)}
        if facets := [_mention(text, account) for account in mentions]:
            extra["facets"] = facets
        if quotes:
            extra["embed"] = {"$type": "app.bsky.embed.record", "record": self._reference(quotes)}
        return self._creates(POST, {"text": text, **extra})

    def replies(self, to: str, text: str) -> str:
        """Writes a reply below a post."""
        parent = self._record(to)
        reply = {"parent": self._reference(to), "root": self._reference(to)}
        if "reply" in parent["value"]:
            reply["root"] = parent["value"]["reply"]["root"]
        return self._creates(POST, {"text": text, "reply": reply})

    def deletes(self, uri: str) -> None:
        """Takes back a post of their own."""
        _, collection, key = uri.removeprefix("at://").split("/")
        self._does("com.atproto.repo.deleteRecord", repo=self.did, collection=collection, rkey=key)

    def blocks(self, other: Account) -> str:
        return self._creates("app.bsky.graph.block", {"subject": other.did})

    def lets_nobody_reply(self, uri: str) -> None:
        """Closes a post of their own to replies."""
        self._creates("app.bsky.feed.threadgate", {"post": uri, "allow": []}, key=uri.rpartition("/")[2])

    def leaves(self) -> None:
        """Closes the account; all its posts go from sight."""
        self._does("com.atproto.server.deactivateAccount")

    def calls_itself(self, display_name: str) -> None:
        self._creates("app.bsky.actor.profile", {"displayName": display_name}, key="self")

    def written(self) -> list[str]:
        """The texts of all their posts and replies, as they stand where they were written."""
        params: dict[str, str | int] = {"repo": self.did, "collection": POST, "limit": 100}
        response = self.network._http.get(f"{self.network.pds}/xrpc/com.atproto.repo.listRecords", params=params)
        return [record["value"]["text"] for record in _answer(response)["records"]]

    def _creates(self, collection: str, record: dict[str, Any], key: str | None = None) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data: dict[str, Any] = {"repo": self.did, "collection": collection}
        if key is not None:
            data["rkey"] = key
        made = self._does(
            "com.atproto.repo.createRecord", **data, record={"$type": collection, "createdAt": now, **record}
        )
        return str(made["uri"])

    def _does(self, method: str, **data: Any) -> dict[str, Any]:
        return self.network.call(method, data, self.token)

    def _record(self, uri: str) -> dict[str, Any]:
        record = self.network.record(uri)
        if record is None:
            raise NetworkError(f"{uri} is not there")
        return record

    def _reference(self, uri: str) -> dict[str, str]:
        return {"uri": uri, "cid": self._record(uri)["cid"]}


def _mention(text: str, account: Account) -> dict[str, Any]:
    name = f"@{account.handle}".encode()
    start = text.encode().index(name)
    return {
        "index": {"byteStart": start, "byteEnd": start + len(name)},
        "features": [{"$type": "app.bsky.richtext.facet#mention", "did": account.did}],
    }


def _answer(response: httpx.Response) -> dict[str, Any]:
    if not response.is_success:
        raise NetworkError(f"{response.request.url.path} answered {response.status_code}: {response.text[:300]}")
    answer: dict[str, Any] = response.json() if response.content else {}
    return answer
