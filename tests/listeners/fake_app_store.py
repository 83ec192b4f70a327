"""The App Store with a memory: a feed for each country, and App Store Connect, which checks who signed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.listeners.fake_server import FakeServer, Reply, Request

APP = "123456789"
KEY_ID, ISSUER = "KEY1234567", "11111111-2222-3333-4444-555555555555"
KEY = ec.generate_private_key(ec.SECP256R1())
P8 = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ACCOUNT = {"issuer_id": ISSUER, "key_id": KEY_ID, "private_key": P8}
LIMIT = 3_600


class AppStoreServer(FakeServer):
    """Keeps reviews and responses. `speaks_of` says under which ids `posts` and `deletes` name them."""

    def __init__(self, speaks_of: str = "connect", countries: tuple[str, ...] = ("us",)) -> None:
        super().__init__()
        self.speaks_of = speaks_of
        self.countries = countries
        self.reviews: list[dict[str, Any]] = []
        self.responses: dict[str, dict[str, Any]] = {}
        self.overwritten: list[str] = []
        """Texts of responses that a second one took the place of."""
        self.empty_pages: set[int] = set()
        """Pages of feeds that a cache serves without any entry."""
        self.closed: dict[str, Reply] = {}
        """What the feed of a country answers in place of reviews."""
        self.left = LIMIT
        self.started = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)

    # --- what happens there

    def posts(self, how_many: int) -> list[str]:
        first = len(self.reviews)
        for n in range(first, first + how_many):
            self.reviews.append({
                "n": n, "country": self.countries[n % len(self.countries)], "title": f"Review {n}",
                "text": f"Kettle {n}", "stars": n % 5 + 1, "name": f"person_{n}",
                "at": self.started + timedelta(minutes=n),
            })  # fmt: skip
        return [self.id_of(review) for review in self.reviews[first:]]

    def id_of(self, review: dict[str, Any]) -> str:
        n = review["n"]
        return f"connect:{n:08}-b08c-0014" if self.speaks_of == "connect" else f"feed:{10_400_000_000 + n}"

    def edits(self, external_id: str, text: str) -> None:
        """Its author changes a review. In a feed it is dated anew and moves to the top; App Store Connect leaves it."""
        review = next(one for one in self.reviews if self.id_of(one) == external_id)
        review["text"] = text
        if self.speaks_of == "feed":
            self.reviews.remove(review)
            self.reviews.append(review | {"at": datetime.now(UTC).replace(microsecond=0)})

    def deletes(self, external_id: str) -> None:
        self.reviews = [one for one in self.reviews if self.id_of(one) != external_id]

    def answers_under(self, external_id: str) -> list[str]:
        response = self.responses.get(external_id.removeprefix("connect:"))
        return [response["responseBody"]] if response else []

    def responds_elsewhere(self, external_id: str, text: str, at: datetime | None = None) -> None:
        """A colleague responds in App Store Connect itself."""
        self._keeps(external_id.removeprefix("connect:"), text, at or datetime.now(UTC))

    def _keeps(self, review: str, text: str, at: datetime) -> dict[str, Any]:
        if review in self.responses:
            self.overwritten.append(self.responses[review]["responseBody"])
        self.responses[review] = {
            "responseBody": text, "lastModifiedDate": at.isoformat(), "state": "PENDING_PUBLISH"
        }  # fmt: skip
        return self._response(review)

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        body = {"errors": [{"status": "429", "code": "RATE_LIMIT_EXCEEDED", "detail": "The hour's are used up."}]}
        spent = f"user-hour-lim:{LIMIT};user-hour-rem:0;"
        self.fails(Reply(body, 429, {"Retry-After": str(seconds), "X-Rate-Limit": spent}), after)

    # --- what it answers

    def reply_to(self, request: Request) -> Reply:
        _, *path = request.path.split("/")
        if path[1:3] == ["rss", "customerreviews"]:
            country, page = path[0], int(path[3].removeprefix("page="))
            assert path[4:] == [f"id={path[4].removeprefix('id=')}", "sortby=mostrecent", "json"]
            return self.closed.get(country) or Reply({"feed": self._feed(country, path[4].removeprefix("id="), page)})
        if not self._is_signed(request):
            return Reply({"errors": [{"status": "401", "code": "NOT_AUTHORIZED", "detail": "Provide a token."}]}, 401)
        self.left -= 1
        reply = self._connect(request, path[1:])
        return Reply(reply.body, reply.status, {"X-Rate-Limit": f"user-hour-lim:{LIMIT};user-hour-rem:{self.left};"})

    def _feed(self, country: str, app: str, page: int) -> dict[str, Any]:
        reviews = [one for one in reversed(self.reviews) if one["country"] == country and app == APP]
        some = reviews[(page - 1) * self.page_size : page * self.page_size]
        last = max(1, -(-len(reviews) // self.page_size))
        base = f"https://itunes.apple.com/{country}/rss/customerreviews"
        links = {"self": f"{base}/page={page}/id={app}/json", "last": f"{base}/page={last}/id={app}/xml"}
        feed: dict[str, Any] = {
            "updated": {"label": datetime.now(UTC).isoformat()},
            "link": [{"attributes": {"rel": rel, "href": href}} for rel, href in links.items()],
        }
        entries = [self._entry(one) for one in some] if page not in self.empty_pages else []
        if entries:
            feed["entry"] = entries if len(entries) > 1 else entries[0]
        return feed

    def _entry(self, review: dict[str, Any]) -> dict[str, Any]:
        n, country = review["n"], review["country"]
        labels = {
            "id": str(10_400_000_000 + n), "updated": review["at"].isoformat(), "im:rating": str(review["stars"]),
            "title": review["title"], "content": review["text"], "im:voteCount": "0",
        }  # fmt: skip
        author = {"uri": f"https://itunes.apple.com/{country}/reviews/id{70_000 + n}", "name": review["name"]}
        href = f"https://itunes.apple.com/{country}/review?id={APP}&type=Purple%20Software"
        return {
            **{name: {"label": label} for name, label in labels.items()},
            "author": {name: {"label": label} for name, label in author.items()},
            "link": {"attributes": {"rel": "related", "href": href}},
        }

    def _connect(self, request: Request, path: list[str]) -> Reply:
        nothing = Reply({"errors": [{"status": "404", "code": "NOT_FOUND", "detail": "There is no such thing."}]}, 404)
        if path == ["apps"]:
            return Reply({"data": [{"type": "apps", "id": APP, "attributes": {"name": "Kettle Timer"}}]})
        if path == ["apps", APP, "customerReviews"]:
            return self._reviews(request)
        if path == ["customerReviewResponses"] and request.method == "POST":
            data = request.json()["data"]
            review = data["relationships"]["review"]["data"]["id"]
            assert data["type"] == "customerReviewResponses"
            if self._found(review) is None:
                return nothing
            return Reply({"data": self._keeps(review, data["attributes"]["responseBody"], datetime.now(UTC))}, 201)
        found = self._found(path[1]) if len(path) > 1 and path[0] == "customerReviews" else None
        if found is None or (path[2:] == ["response"] and path[1] not in self.responses):
            return nothing
        return Reply({"data": self._response(path[1]) if path[2:] == ["response"] else self._review(found)})

    def _found(self, number: str) -> dict[str, Any] | None:
        return next((one for one in self.reviews if self.id_of(one) == f"connect:{number}"), None)

    def _reviews(self, request: Request) -> Reply:
        assert request.params["sort"] == "-createdDate"
        newest_first = list(reversed(self.reviews))
        at = int(request.params.get("cursor", "0"))
        some = newest_first[at : at + self.page_size]
        numbers = [self.id_of(one).removeprefix("connect:") for one in some]
        base = f"https://api.appstoreconnect.apple.com/v1/apps/{APP}/customerReviews"
        links = {"self": base}
        if at + self.page_size < len(newest_first):
            links["next"] = f"{base}?cursor={at + self.page_size}&limit=200"
        included = [self._response(number) for number in numbers if number in self.responses]
        return Reply({"data": [self._review(one) for one in some], "included": included, "links": links})

    def _review(self, review: dict[str, Any]) -> dict[str, Any]:
        number = self.id_of(review).removeprefix("connect:")
        said = {
            "rating": review["stars"], "title": review["title"], "body": review["text"],
            "reviewerNickname": review["name"], "createdDate": review["at"].isoformat(), "territory": "USA",
        }  # fmt: skip
        response = (
            {"data": {"type": "customerReviewResponses", "id": f"r-{number}"}} if number in self.responses else {}
        )
        return {
            "type": "customerReviews", "id": number, "attributes": said, "relationships": {"response": response}
        }  # fmt: skip

    def _response(self, review: str) -> dict[str, Any]:
        return {"type": "customerReviewResponses", "id": f"r-{review}", "attributes": dict(self.responses[review])}

    def _is_signed(self, request: Request) -> bool:
        """As Apple looks at it: who, for whom, until when, and by which key."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        head, claims, signature = (_unpacked(part) for part in token.split(".")) if token.count(".") == 2 else [b""] * 3
        if scheme != "Bearer" or not head:
            return False
        said, header, now = json.loads(claims), json.loads(head), datetime.now(UTC).timestamp()
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        try:
            KEY.public_key().verify(encode_dss_signature(r, s), token.rpartition(".")[0].encode(), ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        fits = header == {"alg": "ES256", "typ": "JWT", "kid": KEY_ID} and said["aud"] == "appstoreconnect-v1"
        whose = said.get("iss") == ISSUER or ("iss" not in said and said.get("sub") == "user")
        return fits and whose and said["iat"] <= now < said["exp"] <= said["iat"] + 1_200


def _unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
