"""The head-end's key ring as a file beside its store: read with care, replaced in one piece, never printed.

It is the one secret that a forger of commands needs, so nobody but its owner may read it (mode 0600), as ssh asks
of its keys.
"""

import fcntl
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from headend.errors import HeadendError
from headend.wire.keys import KeyRing, MasterKey

SECRET_BYTES: Final = 32
FIRST_KEY: Final = "k1"

_log = logging.getLogger(__name__)


def key_ring_path(store: Path) -> Path:
    """Where the key ring of a store lies: `var/headend.db.keys`."""
    return store.with_name(store.name + ".keys")


def load(path: Path, now_s: int) -> KeyRing:
    """Read the key ring.

    Raises:
        HeadendError: it is missing, others may read it, it is none, or no key of it may sign now.
    """
    ring = _read(path)
    if ring.signing_key(now_s) is None:
        raise HeadendError(
            f"{path}: no key may sign now; check sign_from_s and accept_until_s, or `headend keys rotate`"
        )
    return ring


def load_or_create(path: Path, now_s: int) -> KeyRing:
    """Read the key ring; where there is none, make one with a first key that signs at once.

    Raises:
        HeadendError: as `load`, or it cannot be written.
    """
    with _alone(path):
        if not path.exists():
            first = MasterKey(key=FIRST_KEY, secret=secrets.token_hex(SECRET_BYTES), sign_from_s=now_s)
            write_secret(path, _text(KeyRing(keys=[first])))
    return load(path, now_s)


def rotate(path: Path, now_s: int, sign_after_s: int, overlap_s: int) -> MasterKey:
    """Add a key that signs from `now_s + sign_after_s`; meters heed the others `overlap_s` longer than that.

    Keys whose time is over leave the ring. An id is never used again: the newest key always stays.

    Raises:
        HeadendError: the ring cannot be read or written.
    """
    with _alone(path):
        ring = _read(path)
        fresh = MasterKey(
            key=f"k{max(map(_number, ring.keys)) + 1}",
            secret=secrets.token_hex(SECRET_BYTES),
            sign_from_s=now_s + sign_after_s,
        )
        until_s = fresh.sign_from_s + overlap_s
        kept = [_retired(key, until_s) for key in ring.keys if key.is_accepted(now_s)]
        write_secret(path, _text(KeyRing(keys=[*kept, fresh])))
        return fresh


class KeyRingFile:
    """The key ring of a running head-end, read again when the file has changed."""

    def __init__(self, path: Path, now_s: int) -> None:
        """Read it, or make it.

        Raises:
            HeadendError: as `load_or_create`.
        """
        self._path = path
        self._ring = load_or_create(path, now_s)
        self._seen = _identity(path)

    def ring(self, now_s: int) -> KeyRing:
        """The ring as it is in the file now. While that cannot be used, the last one that could."""
        identity = _identity(self._path)
        if identity != self._seen:
            self._seen = identity
            try:
                self._ring = load(self._path, now_s)
                _log.info("key ring read again: %s", ", ".join(key.key for key in self._ring.keys))
            except HeadendError as error:
                _log.error("%s; the keys known so far go on", error)
        return self._ring


def write_secret(path: Path, text: str) -> None:
    """Replace a file in one piece by one that only its owner may read; it survives a power cut.

    Raises:
        HeadendError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise HeadendError(f"{path}: {error.strerror}; check the path and its permissions") from error


def _read(path: Path) -> KeyRing:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError as error:
        raise HeadendError(f"key ring {path} does not exist; `headend serve` makes one") from error
    except OSError as error:
        raise HeadendError(f"key ring {path}: {error.strerror}; check the path and its permissions") from error
    if mode & 0o077:
        raise HeadendError(f"key ring {path} has mode {mode:04o}: others may read it; chmod 600 {path}")
    try:
        return KeyRing.model_validate_json(content)
    except ValidationError as error:
        # Without the input, which may be a secret.
        first = error.errors(include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise HeadendError(f"{path} is no key ring: {where}: {first['msg']}") from None


def _text(ring: KeyRing) -> str:
    return ring.model_dump_json(indent=1) + "\n"


def _retired(key: MasterKey, until_s: int) -> MasterKey:
    """A key that a newer one takes over from; an earlier end stays."""
    if key.accept_until_s is not None and key.accept_until_s <= until_s:
        return key
    return key.model_copy(update={"accept_until_s": until_s})


def _number(key: MasterKey) -> int:
    """The number of a key of ours (k7: 7); 0 for an id that somebody else gave."""
    digits = key.key.removeprefix("k")
    return int(digits) if digits.isascii() and digits.isdigit() and key.key.startswith("k") else 0


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One at a time: two rotations at once would lose a key."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HeadendError(f"key ring {path}: {error.strerror}; check the path and its permissions") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
