"""How a webhook proves who sent it: an HMAC-SHA256 of its body under a secret that both sides know, in a header.

Tools differ in which header, in which letters, and in what they sign beside the body. Each way is a `Scheme`; none of
them lets anything pass unsigned.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(minutes=5)
"""How far a signed time may lie from ours."""
SHORTEST_SECRET = 16
LONGEST_ID = 200
_MOST_SIGNATURES = 5
"""In one header: a sender that changes its secret may give one for each."""
_ENCODED_SECRET = "whsec_"


class SignatureError(Exception):
    """Who sent it is not proven. The message says what is missing or does not fit, and never what would."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to sign. `help` is for somebody who looks for it in a tool's settings."""

    name: str
    label: str
    help: str
    header: str
    """Where the signature stands."""
    id_headers: tuple[str, ...] = ()
    """Where the sender's id of the delivery may stand, the first that is there counts."""
    time_header: str = ""
    """Where the signed time stands, in seconds since 1970; empty where none is signed."""
    prefix: str = "sha256="
    encoding: str = "hex"
    """hex or base64."""
    signs_id: bool = False
    """Whether id, time and body are signed together, the id then being required."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a signature that fits says. `nonce` comes from the signature: a second delivery with it is the first one."""

    nonce: str
    delivery_id: str
    """The sender's own id; empty where none was given."""
    apart: bool
    """Whether the id can be believed: where no time is signed, an old delivery could come again under another id."""


SCHEMES: Mapping[str, Scheme] = {
    one.name: one
    for one in (
        Scheme(
            "samtal",
            "Time and body (recommended)",
            "For a script of your own: the time, a dot and the body are signed.",
            header="X-Samtal-Signature",
            id_headers=("X-Samtal-Delivery",),
            time_header="X-Samtal-Timestamp",
        ),
        Scheme(
            "hub",
            "X-Hub-Signature-256",
            "As GitHub and many other tools sign: enter the secret where the tool asks for one.",
            header="X-Hub-Signature-256",
            id_headers=("X-GitHub-Delivery", "X-Delivery-Id", "X-Request-Id"),
        ),
        Scheme(
            "typeform",
            "Typeform-Signature",
            "In Typeform: Connect, Webhooks, Edit, Secret.",
            header="Typeform-Signature",
            encoding="base64",
        ),
        Scheme(
            "standard",
            "Standard Webhooks (webhook-signature)",
            "As the Standard Webhooks specification says, such as tools that send through Svix.",
            header="webhook-signature",
            id_headers=("webhook-id",),
            time_header="webhook-timestamp",
            prefix="v1,",
            encoding="base64",
            signs_id=True,
        ),
    )
}


def new_secret(scheme: Scheme) -> str:
    """A secret to enter on the sender's side."""
    if scheme.signs_id:
        return _ENCODED_SECRET + base64.b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_urlsafe(32)


def check_secret(scheme: Scheme, secret: str) -> None:
    """Raises ValueError, whose words quote nothing of it, for a secret that a tool can hardly have made."""
    if len(secret) < SHORTEST_SECRET or not secret.isprintable():
        raise ValueError(f"A secret has at least {SHORTEST_SECRET} characters.")
    if scheme.signs_id:
        _key(scheme, secret)


def sign(scheme: Scheme, secret: str, body: bytes, *, at: datetime, delivery_id: str = "") -> dict[str, str]:
    """The headers with which `body` passes `prove`."""
    moment = str(int(at.timestamp()))
    mac = _mac(scheme, secret, _signed(scheme, delivery_id, moment, body))
    headers = {scheme.header: scheme.prefix + _written(scheme, mac)}
    if scheme.time_header:
        headers[scheme.time_header] = moment
    if delivery_id and scheme.id_headers:
        headers[scheme.id_headers[0]] = delivery_id
    return headers


def prove(scheme: Scheme, secrets_: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: datetime) -> Proof:
    """Checks the headers (names in any case) of a delivery against each secret that is good. Raises SignatureError."""
    given = {name.lower(): value.strip() for name, value in headers.items()}
    signatures = _signatures(scheme, given)
    moment = _moment(scheme, given, now)
    delivery_id = next((given[name.lower()] for name in scheme.id_headers if given.get(name.lower())), "")
    if scheme.signs_id and not delivery_id:
        raise SignatureError(f"The header {scheme.id_headers[0]} is missing.")
    signed = _signed(scheme, delivery_id, moment, body)
    fits = b""
    for secret in secrets_:
        mac = _mac(scheme, secret, signed)
        for signature in signatures:
            # Every pair is compared, and in constant time: how long it takes says nothing of how near a guess was.
            if hmac.compare_digest(mac, signature):
                fits = mac
    if not fits:
        raise SignatureError(
            f"The signature in {scheme.header} does not fit. {_what_is_signed(scheme)} must be signed with this "
            "source's secret, and the body sent exactly as it was signed."
        )
    return Proof(hashlib.sha256(fits).hexdigest(), _bounded(delivery_id), bool(scheme.time_header and delivery_id))


def _what_is_signed(scheme: Scheme) -> str:
    if scheme.signs_id:
        return "The id, a dot, the time, a dot and the body"
    return "The time, a dot and the body" if scheme.time_header else "The body"


def _signatures(scheme: Scheme, given: Mapping[str, str]) -> list[bytes]:
    header = given.get(scheme.header.lower(), "")
    if not header:
        raise SignatureError(f"The header {scheme.header} is missing: only what is signed is taken.")
    found = [
        signature
        for part in header.split()[:_MOST_SIGNATURES]
        if part.startswith(scheme.prefix) and (signature := _read(scheme, part.removeprefix(scheme.prefix))) is not None
    ]
    if not found:
        letters = "64 hexadecimal digits" if scheme.encoding == "hex" else "Base64"
        raise SignatureError(f"The header {scheme.header} must hold {scheme.prefix} and the signature in {letters}.")
    return found


def _moment(scheme: Scheme, given: Mapping[str, str], now: datetime) -> str:
    """The signed time as it was written, where one is signed."""
    if not scheme.time_header:
        return ""
    said = given.get(scheme.time_header.lower(), "")
    if not re.fullmatch(r"[0-9]{9,11}", said):
        raise SignatureError(f"The header {scheme.time_header} must hold the time in seconds since 1970.")
    off = int(said) - int(now.timestamp())
    if abs(off) > TOLERANCE.total_seconds():
        raise SignatureError(
            f"The time in {scheme.time_header} lies {abs(off):,} seconds in the {'future' if off > 0 else 'past'}; "
            f"{TOLERANCE.total_seconds():.0f} are let pass. Check the sender's clock, and sign anew for each try."
        )
    return said


def _signed(scheme: Scheme, delivery_id: str, moment: str, body: bytes) -> bytes:
    parts = [delivery_id] if scheme.signs_id else []
    parts += [moment] if scheme.time_header else []
    return b".".join([*(part.encode("utf-8", "surrogateescape") for part in parts), body])


def _mac(scheme: Scheme, secret: str, signed: bytes) -> bytes:
    return hmac.new(_key(scheme, secret), signed, hashlib.sha256).digest()


def _key(scheme: Scheme, secret: str) -> bytes:
    if not scheme.signs_id:
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_ENCODED_SECRET), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"This scheme's secrets are {_ENCODED_SECRET} and Base64.") from None


def _written(scheme: Scheme, mac: bytes) -> str:
    return mac.hex() if scheme.encoding == "hex" else base64.b64encode(mac).decode()


def _read(scheme: Scheme, text: str) -> bytes | None:
    try:
        mac = bytes.fromhex(text) if scheme.encoding == "hex" else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return mac if len(mac) == hashlib.sha256().digest_size else None


def _bounded(delivery_id: str) -> str:
    """The id as it is, or a digest of one that is too long or odd to be kept."""
    if len(delivery_id) <= LONGEST_ID and delivery_id.isprintable():
        return delivery_id
    return hashlib.sha256(delivery_id.encode("utf-8", "surrogateescape")).hexdigest()
