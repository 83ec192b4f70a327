"""Google Play with a memory: reviews, one reply to each, and a token endpoint that checks who signed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.listeners.fake_server import FakeServer, Reply, Request

PACKAGE = "com.example.kettle"
EMAIL = "samtal@kettle-works.iam.example.com"
KEY = rsa.generate_private_key(65_537, 2_048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
KEY_FILE: dict[str, Any] = {
    "type": "service_account",
    "project_id": "kettle-works",
    "private_key_id": "0123456789abcdef",
    "private_key": PEM,
    "client_email": EMAIL,
    "client_id": "100000000000000000001",
    "token_uri": "https://oauth2.googleapis.com/token",
}
ACCOUNT = {"service_account": json.dumps(KEY_FILE, indent=2)}
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def refusal(status: int, name: str, words: str, reason: str = "forbidden") -> Reply:
    """An error as Google writes it."""
    errors = [{"message": words, "domain": "androidpublisher", "reason": reason}]
    return Reply({"error": {"code": status, "message": words, "status": name, "errors": errors}}, status)


class GooglePlayServer(FakeServer):
    """Keeps reviews and replies."""

    def __init__(self) -> None:
        super().__init__()
        self.reviews: list[dict[str, Any]] = []
        self.overwritten: list[str] = []
        """Texts of replies that a second one took the place of."""
        self.tokens: set[str] = set()
        self.started = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)

    # --- what happens there

    def posts(self, how_many: int) -> list[str]:
        first = len(self.reviews)
        for n in range(first, first + how_many):
            self.reviews.append({
                "id": f"gp:AOqp_{n:04}", "text": f"Kettle {n}", "stars": n % 5 + 1, "name": f"Person {n}",
                "at": self.started + timedelta(minutes=n), "reply": None,
            })  # fmt: skip
        return [review["id"] for review in self.reviews[first:]]

    def edits(self, external_id: str, text: str, stars: int = 4, at: datetime | None = None) -> None:
        """Its author changes a review, which moves to the top."""
        self._found(external_id).update(text=text, stars=stars, at=at or datetime.now(UTC))

    def replies_elsewhere(self, external_id: str, text: str, at: datetime | None = None) -> None:
        """A colleague replies in the Play Console."""
        review = self._found(external_id)
        if review["reply"]:
            self.overwritten.append(review["reply"]["text"])
        review["reply"] = {"text": text, "lastModified": _seconds(at or datetime.now(UTC))}

    def answers_under(self, external_id: str) -> list[str]:
        reply = self._found(external_id)["reply"]
        return [reply["text"]] if reply else []

    def is_sending(self, request: Request) -> bool:
        return request.path.endswith(":reply")

    def _found(self, number: str) -> dict[str, Any]:
        return next(one for one in self.reviews if one["id"] == number)

    # --- what it answers

    def reply_to(self, request: Request) -> Reply:
        if request.path == "/token":
            return self._token(request)
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        package, reviews, *rest = request.path.removeprefix("/androidpublisher/v3/applications/").split("/")
        assert reviews == "reviews"
        if package != PACKAGE:
            return refusal(404, "NOT_FOUND", f"Package not found: {package}.")
        if not rest:
            return self._list(request)
        number = unquote(rest[0]).removesuffix(":reply")
        if not any(one["id"] == number for one in self.reviews):
            return refusal(404, "NOT_FOUND", "Review not found.")
        if not request.path.endswith(":reply"):
            return Reply(self._review(self._found(number)))
        text = request.json()["replyText"]
        if len(text) > 350:
            return refusal(400, "INVALID_ARGUMENT", "The reply is too long.")
        self.replies_elsewhere(number, text)
        return Reply({"result": {"replyText": text, "lastEdited": self._found(number)["reply"]["lastModified"]}})

    def _list(self, request: Request) -> Reply:
        newest_first = sorted(self.reviews, key=lambda review: review["at"], reverse=True)
        at = int(request.params.get("token", "0"))
        some = newest_first[at : at + self.page_size]
        answer: dict[str, Any] = {"reviews": [self._review(one) for one in some]} if some else {}
        if at + self.page_size < len(newest_first):
            answer["tokenPagination"] = {"nextPageToken": str(at + self.page_size)}
        return Reply(answer)

    def _review(self, review: dict[str, Any]) -> dict[str, Any]:
        said = {
            "text": review["text"], "lastModified": _seconds(review["at"]), "starRating": review["stars"],
            "reviewerLanguage": "en",
        }  # fmt: skip
        comments: list[dict[str, Any]] = [{"userComment": said}]
        if review["reply"]:
            comments.append({"developerComment": review["reply"]})
        return {"reviewId": review["id"], "authorName": review["name"], "comments": comments}

    def _token(self, request: Request) -> Reply:
        """As Google looks at it: who, for what, for whom, until when, and by which key."""
        form = request.form()
        head, claims, signature = (_unpacked(part) for part in form["assertion"].split("."))
        said, now = json.loads(claims), datetime.now(UTC).timestamp()
        try:
            data = form["assertion"].rpartition(".")[0].encode()
            KEY.public_key().verify(signature, data, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return Reply({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        fits = json.loads(head) == {"alg": "RS256", "typ": "JWT", "kid": KEY_FILE["private_key_id"]}
        fits = fits and said["iss"] == EMAIL and said["aud"] == KEY_FILE["token_uri"] and form["grant_type"] == GRANT
        fits = fits and said["scope"].endswith("/auth/androidpublisher") and said["iat"] <= now < said["exp"]
        if not fits or said["exp"] > said["iat"] + 3_600:
            return Reply({"error": "invalid_grant", "error_description": "Invalid JWT."}, 400)
        self.tokens.add(token := f"ya29.token-{len(self.tokens)}")
        return Reply({"access_token": token, "expires_in": 3_599, "token_type": "Bearer"})


def _seconds(at: datetime) -> dict[str, Any]:
    return {"seconds": str(int(at.timestamp())), "nanos": 0}


def _unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
