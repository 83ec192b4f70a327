"""The secret key: encrypts the credentials of platforms, and makes digests that nobody without it can make.

Two keys are derived from it, so that neither use weakens the other. Without SECRET_KEY it is made once and kept beside
the embedded database; a PostgreSQL database is shared by machines that share no folder, so there it must be set.

A key that took the place of another (`dialogue.rotating`) carries the former one's digest key along: what was digested
can never be digested anew, since nobody has it any more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from db import workspace as rows
from db.engine import Database
from dialogue.context import DialogueError

KEY_FILE = "secret.key"
NEXT_KEY_FILE = "secret.key.next"
"""The key that a rotation is bringing in. While it is there, what was sealed with either can be opened."""
SHORTEST_KEY = 32
_ROTATED = re.compile(r"samtal2\.[\w-]{43}\.([0-9a-f]{64})", re.ASCII)


class SecretsError(DialogueError):
    """The secret key is missing, too short, or another one than before; the message says what to do."""


class SecretBox:
    """Encrypts what must be read again and hashes what must not. Satisfies `dialogue.context.Secrets`."""

    def __init__(self, key: str, others: Sequence[str] = ()) -> None:
        """Seals with `key`, and opens what was sealed with it or with one of `others`."""
        for one in (key, *others):
            if len(one) < SHORTEST_KEY:
                raise SecretsError(
                    f"SECRET_KEY is too short: it needs at least {SHORTEST_KEY} characters. "
                    "`python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes one."
                )
        self._own = _fernet(key)
        self._fernet = MultiFernet([self._own, *map(_fernet, others)])
        self._digest_key = _digest_key(key)

    def encrypt(self, values: dict[str, str]) -> bytes:
        """Seals names and values."""
        return self._own.encrypt(json.dumps(values).encode())

    def decrypt(self, sealed: bytes) -> dict[str, str]:
        """What was sealed. Raises SecretsError when it was sealed with another key, or is damaged."""
        try:
            opened = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise SecretsError(
                "These credentials were encrypted with another secret key. Enter them again, "
                "or put back the SECRET_KEY or DATA_DIR/secret.key they were saved with."
            ) from None
        return {str(name): str(value) for name, value in opened.items()}

    def resealed(self, sealed: bytes) -> bytes | None:
        """The same under this box's own key; None where that has sealed it already. Raises as `decrypt`."""
        try:
            self._own.decrypt(sealed)
        except InvalidToken:
            return self.encrypt(self.decrypt(sealed))
        return None

    def digest(self, text: str) -> str:
        """HMAC-SHA-256 under the secret key, hex."""
        return hmac.new(self._digest_key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def next_key(key: str) -> str:
    """A new key to take the place of `key`: it seals by itself, and makes the digests that `key` makes."""
    return f"samtal2.{secrets.token_urlsafe(32)}.{_digest_key(key).hex()}"


def _fernet(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_derived(key, b"samtal encryption")))


def _digest_key(key: str) -> bytes:
    carried = _ROTATED.fullmatch(key)
    return bytes.fromhex(carried[1]) if carried else _derived(key, b"samtal digests")


def _derived(key: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.encode())


def open_box(secret_key: str | None, data_dir: Path, *, embedded: bool, old_secret_key: str | None = None) -> SecretBox:
    """The box for SECRET_KEY, or for the key kept in `data_dir`, made there when there is none yet.

    It also opens what was sealed with `old_secret_key`, or with the key that a rotation has not finished to bring in.
    Raises SecretsError when the database is not `embedded` and no key is set, or when the file cannot be used.
    """
    others = [old_secret_key] if old_secret_key else []
    if secret_key:
        return SecretBox(secret_key, others)
    if not embedded:
        raise SecretsError(
            "SECRET_KEY must be set when DATABASE_URL names a server: every process needs the same key. "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes one."
        )
    coming = data_dir / NEXT_KEY_FILE
    return SecretBox(kept_key(data_dir / KEY_FILE), [*others, *([kept_key(coming)] if coming.exists() else [])])


def kept_key(path: Path, new: str | None = None) -> str:
    """The key in a file; where there is none, it is made of `new`, or by chance. Raises SecretsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path, new or secrets.token_urlsafe(32))
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsError(f"The secret key {path} cannot be used: {error}. Restore it from your backup.") from None
    if len(key) < SHORTEST_KEY:
        raise SecretsError(f"The secret key {path} is damaged: it is too short. Restore it from your backup.")
    return key


def _make_key(path: Path, key: str) -> None:
    """Writes the file whole or not at all; of two processes that start at once, both get the first one's key."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        os.unlink(temporary)
    settle(path.parent)


def settle(folder: Path) -> None:
    """Has the names of a folder's files outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check(database: Database, box: SecretBox) -> None:
    """Raises SecretsError when the database was made with another key: tombstones, reply keys and links would not fit.

    The first start writes the key's digest into the database.
    """
    mine = box.digest("samtal key check")
    with database.reading() as tx:
        known = rows.read(tx).key_check
    if not known:
        accept(database, box)
    elif not hmac.compare_digest(known, mine):
        raise SecretsError(
            "This database was made with another secret key. Put back the SECRET_KEY or DATA_DIR/secret.key it was "
            "made with. If it is lost for good, `python -m dialogue.start accept-new-key` goes on with the new one: "
            "platform accounts must then be entered again, and deleted posts may be collected once more."
        )


def accept(database: Database, box: SecretBox) -> None:
    """Makes `box` the key of this database from now on."""
    with database.transaction() as tx:
        rows.write(tx, key_check=box.digest("samtal key check"))
