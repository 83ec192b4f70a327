"""Tokens that an account signs for itself (JSON Web Tokens), with the private key that a platform gave out once."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_PEM = re.compile(r"-----BEGIN ((?:EC |RSA )?PRIVATE KEY)-----([A-Za-z0-9+/=\s]{40,20000})-----END \1-----")
_BYTES = 32
"""Of each half of a signature on the curve P-256."""


def p256_key(text: str) -> ec.EllipticCurvePrivateKey:
    """The key for ES256 in a PEM file's text, as `rsa_key`."""
    key = _key(text)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(_ANOTHER_KIND)
    return key


def rsa_key(text: str) -> rsa.RSAPrivateKey:
    """The key for RS256 in a PEM file's text, not encrypted. Raises ValueError, whose words quote nothing of it.

    A field of a form takes the line breaks out of what is pasted, and JSON writes them as two characters; both are
    mended.
    """
    key = _key(text)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(_ANOTHER_KIND)
    return key


_ANOTHER_KIND = "its private key is of another kind than the platform gives out"


def _key(text: str) -> object:
    found = _PEM.search(text.replace("\\n", "\n"))
    if not found:
        raise ValueError("it does not hold a private key from its BEGIN line to its END line")
    body = re.sub(r"\s", "", found[2])
    rows = [body[at : at + 64] for at in range(0, len(body), 64)]
    pem = "\n".join([f"-----BEGIN {found[1]}-----", *rows, f"-----END {found[1]}-----", ""])
    try:
        return load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("its private key is damaged or not complete") from None  # the cause may quote the key


def token(key: Key, claims: Mapping[str, Any], **header: str) -> str:
    """A signed JSON Web Token with these claims, by ES256 or RS256; `header` is added to its type and algorithm."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    parts = [{"alg": algorithm, "typ": "JWT", **header}, dict(claims)]
    signed = b".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return b".".join([signed, _base64(_signature(key, signed))]).decode()


def _signature(key: Key, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), SHA256())
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(_BYTES, "big") + s.to_bytes(_BYTES, "big")


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
