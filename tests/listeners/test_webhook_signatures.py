"""Who sent a delivery is proven by its signature, in every way that tools sign, or nothing is taken."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listeners import webhook_signatures as signatures
from listeners.webhook_signatures import SCHEMES, Scheme, SignatureError, prove, sign

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BODY = b'{"text": "The hinge squeaks"}'
ALL = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)


def signed(scheme: Scheme, secret: str, body: bytes = BODY, at: datetime = NOW, id_: str = "d-1") -> dict[str, str]:
    return sign(scheme, secret, body, at=at, delivery_id=id_)


def test_each_scheme_signs_as_its_tools_do() -> None:
    """Worked out by hand, not by the code under test."""
    moment = str(int(NOW.timestamp())).encode()

    def mac(key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, hashlib.sha256).digest()

    secret = "a secret of 24 characters"
    ours = signed(SCHEMES["samtal"], secret)
    assert ours["X-Samtal-Signature"] == "sha256=" + mac(secret.encode(), moment + b"." + BODY).hex()
    hub = signed(SCHEMES["hub"], secret)
    assert hub["X-Hub-Signature-256"] == "sha256=" + mac(secret.encode(), BODY).hex()
    form = signed(SCHEMES["typeform"], secret)
    assert form["Typeform-Signature"] == "sha256=" + base64.b64encode(mac(secret.encode(), BODY)).decode()
    standard = signed(SCHEMES["standard"], "whsec_" + base64.b64encode(b"k" * 32).decode())
    expected = base64.b64encode(mac(b"k" * 32, b"d-1." + moment + b"." + BODY)).decode()
    assert standard["webhook-signature"] == "v1," + expected


def test_the_example_of_githubs_documentation_passes() -> None:
    headers = {
        "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    }
    assert prove(SCHEMES["hub"], ["It's a Secret to Everybody"], headers, b"Hello, World!", now=NOW).nonce


@ALL
def test_what_is_signed_passes_and_what_was_tampered_with_does_not(scheme: Scheme) -> None:
    secret = signatures.new_secret(scheme)
    headers = signed(scheme, secret)
    assert prove(scheme, [secret], headers, BODY, now=NOW).delivery_id == ("d-1" if scheme.id_headers else "")
    with pytest.raises(SignatureError, match="does not fit"):
        prove(scheme, [secret], headers, BODY + b" ", now=NOW)
    with pytest.raises(SignatureError, match="does not fit"):
        prove(scheme, [signatures.new_secret(scheme)], headers, BODY, now=NOW)


@ALL
def test_nothing_passes_unsigned(scheme: Scheme) -> None:
    secret = signatures.new_secret(scheme)
    headers = signed(scheme, secret)
    for broken in ("", "sha256=", "v1,", "0" * 64, "sha256=zz", "v1,====", "sha1=abc", "None"):
        with pytest.raises(SignatureError):
            prove(scheme, [secret], headers | {scheme.header: broken}, BODY, now=NOW)
    for missing in headers:
        if missing not in scheme.id_headers or scheme.signs_id:
            with pytest.raises(SignatureError):
                prove(scheme, [secret], {k: v for k, v in headers.items() if k != missing}, BODY, now=NOW)
    with pytest.raises(SignatureError):
        prove(scheme, [], headers, BODY, now=NOW)


@pytest.mark.parametrize("name", [name for name, scheme in SCHEMES.items() if scheme.time_header])
def test_five_minutes_are_let_pass_and_no_more(name: str) -> None:
    scheme = SCHEMES[name]
    secret = signatures.new_secret(scheme)
    for off in (timedelta(minutes=5), timedelta(minutes=-5)):
        assert prove(scheme, [secret], signed(scheme, secret, at=NOW + off), BODY, now=NOW)
    for off, words in ((timedelta(seconds=301), "future"), (timedelta(seconds=-301), "past")):
        with pytest.raises(SignatureError, match=words):
            prove(scheme, [secret], signed(scheme, secret, at=NOW + off), BODY, now=NOW)


def test_a_time_that_was_not_signed_does_not_refresh_an_old_delivery() -> None:
    scheme = SCHEMES["samtal"]
    secret = signatures.new_secret(scheme)
    old = signed(scheme, secret, at=NOW - timedelta(hours=1))
    with pytest.raises(SignatureError, match="does not fit"):
        prove(scheme, [secret], old | {"X-Samtal-Timestamp": str(int(NOW.timestamp()))}, BODY, now=NOW)


def test_the_same_signature_has_the_same_nonce_however_it_is_written() -> None:
    scheme = SCHEMES["samtal"]
    secret = signatures.new_secret(scheme)
    headers = signed(scheme, secret)
    shouted = {name.upper(): value for name, value in headers.items()}
    shouted["X-SAMTAL-SIGNATURE"] = "sha256=" + headers["X-Samtal-Signature"].removeprefix("sha256=").upper()
    shouted["X-SAMTAL-DELIVERY"] = "another id, which is not signed"
    first = prove(scheme, [secret], headers, BODY, now=NOW)
    again = prove(scheme, [secret], shouted, BODY, now=NOW)
    assert first.nonce == again.nonce
    assert first.delivery_id != again.delivery_id


@ALL
def test_after_a_rotation_both_secrets_are_good(scheme: Scheme) -> None:
    old, new = signatures.new_secret(scheme), signatures.new_secret(scheme)
    for secret in (old, new):
        assert prove(scheme, [new, old], signed(scheme, secret), BODY, now=NOW)


def test_a_sender_may_give_several_signatures() -> None:
    scheme = SCHEMES["standard"]
    old, new = signatures.new_secret(scheme), signatures.new_secret(scheme)
    both = signed(scheme, old)[scheme.header] + " " + signed(scheme, new)[scheme.header]
    assert prove(scheme, [new], signed(scheme, new) | {scheme.header: "v1a,xx " + both}, BODY, now=NOW)


def test_an_error_never_quotes_what_would_fit() -> None:
    scheme = SCHEMES["samtal"]
    secret = signatures.new_secret(scheme)
    right = signed(scheme, secret)["X-Samtal-Signature"].removeprefix("sha256=")
    wrong = signed(scheme, "some other secret of mine")
    with pytest.raises(SignatureError) as caught:
        prove(scheme, [secret], wrong, BODY, now=NOW)
    assert right not in str(caught.value)
    assert secret not in str(caught.value)


def test_a_poor_secret_is_refused_without_quoting_it() -> None:
    with pytest.raises(ValueError, match="16 characters") as caught:
        signatures.check_secret(SCHEMES["hub"], "hunter2")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match="whsec_"):
        signatures.check_secret(SCHEMES["standard"], "whsec_no base64 at all, is it?")


_HEADERS = sorted({name for one in SCHEMES.values() for name in (one.header, one.time_header, *one.id_headers) if name})


@given(st.dictionaries(st.sampled_from(_HEADERS), st.text()), st.binary(max_size=50), st.sampled_from(sorted(SCHEMES)))
def test_whatever_stands_in_the_headers_is_refused_in_words(headers: dict[str, str], body: bytes, name: str) -> None:
    with pytest.raises(SignatureError) as caught:
        prove(SCHEMES[name], [signatures.new_secret(SCHEMES[name])], headers, body, now=NOW)
    assert str(caught.value).endswith(".")
