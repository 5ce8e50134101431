"""What a power cut may take: the changes to a store's files since each file's last honest sync.

Owns the model of what survives. A change is kept with the bytes that it replaced, so the files as they are can be
brought back to their last sync, and any of the changes put on again. Knows neither SQLite nor why a sync failed.

What survives is drawn per file, sector by sector (512 bytes): a sector holds what it held at the last sync or
after any one of the changes since, whatever the other sectors hold; likewise the file's size. A file that was
removed without a sync of its folder may be back. In a journal on the disk the same stands for another process to
read after SIGKILL.
"""

import json
import os
import random
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SECTOR_BYTES: Final = 512
CACHE_BYTES: Final = 64 << 20
"""What a lying disk may hold back; its oldest changes reach the platter when more comes."""

_JOURNAL_BYTES_MAX: Final = 4 * CACHE_BYTES
SUFFIXES: Final = ("", "-wal", "-journal")
"""The files of a store, by number."""

_CHANGE: Final = struct.Struct("<cB?qqqII")
_SYNCED: Final = struct.Struct("<cB")


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes `old` at `offset` became `new`, and the size `new_size`. A removal is a truncation to nothing."""

    file: int
    offset: int
    old: bytes
    new: bytes
    old_size: int
    new_size: int
    removes: bool = False

    def packed(self) -> bytes:
        """The change in the journal."""
        numbers = (self.offset, self.old_size, self.new_size, len(self.old), len(self.new))
        return _CHANGE.pack(b"c", self.file, self.removes, *numbers) + self.old + self.new

    def sectors(self) -> range:
        """The numbers of the sectors whose content it changes."""
        end = self.offset + max(len(self.new), len(self.old))
        return range(self.offset // SECTOR_BYTES, -(-end // SECTOR_BYTES))

    def content(self, sector: int) -> tuple[int, bytes]:
        """What it puts into a sector, and where. What a truncation takes away would read as zeros."""
        start = max(self.offset, sector * SECTOR_BYTES)
        end = min((sector + 1) * SECTOR_BYTES, self.offset + max(len(self.new), len(self.old)))
        if self.new:
            return start, self.new[start - self.offset : end - self.offset]
        return start, bytes(end - start)


@dataclass(frozen=True, slots=True)
class Damage:
    """What a power cut took: changes kept whole, in part (torn), not at all; files that came back."""

    kept: int = 0
    torn: int = 0
    lost: int = 0
    returned: int = 0

    def __add__(self, other: "Damage") -> "Damage":
        return Damage(
            self.kept + other.kept,
            self.torn + other.torn,
            self.lost + other.lost,
            self.returned + other.returned,
        )


class Unsynced:
    """The changes to a store's files that no honest sync has covered, oldest first."""

    def __init__(self, journal: "Journal | None" = None) -> None:
        self._changes: deque[Change] = deque()
        self._bytes = 0
        self._journal = journal

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, change: Change) -> None:
        """Remember a change, before it is made."""
        if self._journal is not None:
            self._journal.append(change.packed(), self._changes)
        self._changes.append(change)
        self._bytes += len(change.old) + len(change.new)
        while self._bytes > CACHE_BYTES:
            first = self._changes.popleft()
            self._bytes -= len(first.old) + len(first.new)

    def synced(self, file: int) -> None:
        """A file is durable as it is now."""
        self._keep([change for change in self._changes if change.file != file])
        self._note(b"s", file)

    def folder_synced(self) -> None:
        """No removed file comes back."""
        kept: list[Change] = []
        for change in self._changes:
            if change.removes:
                kept = [earlier for earlier in kept if earlier.file != change.file]
            else:
                kept.append(change)
        self._keep(kept)
        self._note(b"f", 0)

    def _note(self, kind: bytes, file: int) -> None:
        if self._journal is not None:
            if self._changes:
                self._journal.append(_SYNCED.pack(kind, file), self._changes)
            else:
                self._journal.clear()

    def _keep(self, changes: list[Change]) -> None:
        self._changes = deque(changes)
        self._bytes = sum(len(change.old) + len(change.new) for change in changes)

    def cut_power(self, store: Path, chance: random.Random) -> Damage:
        """Rewrite a store's files, which nobody has open, to what is left of them. Then all is durable."""
        damage = Damage()
        for file, suffix in enumerate(SUFFIXES):
            changes = [change for change in self._changes if change.file == file]
            if changes:
                damage += _cut(store.with_name(store.name + suffix), changes, chance, is_store=not suffix)
        # Shared memory in a file: the next opening makes it anew from the log.
        store.with_name(f"{store.name}-shm").unlink(missing_ok=True)
        self._keep([])
        if self._journal is not None:
            self._journal.clear()
        return damage


class Journal:
    """The same changes in a file, so that they outlive the process that made them. For one process at a time."""

    def __init__(self, path: Path, store: Path) -> None:
        self._path = path
        self._head = json.dumps({"store": os.path.realpath(store)}).encode() + b"\n"
        self._descriptor = -1
        self._size = 0
        self._write_anew([])

    def append(self, record: bytes, before: Sequence[Change]) -> None:
        """Add a record; what stands before it is written anew when the file has grown too long."""
        if self._size > _JOURNAL_BYTES_MAX:
            self._write_anew(before)
        os.write(self._descriptor, record)
        self._size += len(record)

    def clear(self) -> None:
        """Nothing is unsynced."""
        if self._size > len(self._head):
            os.ftruncate(self._descriptor, len(self._head))
            self._size = len(self._head)

    def close(self) -> None:
        """End it; the file stays."""
        os.close(self._descriptor)

    def _write_anew(self, changes: Sequence[Change]) -> None:
        content = b"".join([self._head, *(change.packed() for change in changes)])
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_bytes(content)
        fresh.replace(self._path)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = len(content)


def power_cut_file(journal: Path, chance: random.Random, store: Path | None = None) -> Damage:
    """Cut the power to the store of a process that is dead, by the journal that it left. The journal is used up.

    All that used the store must be dead, and nobody may have written since. `store` is where the files are now, if
    they were moved.

    Raises:
        OSError: there is no journal.
        ValueError: it is none.
    """
    content = journal.read_bytes()
    head, newline, records = content.partition(b"\n")
    if not newline:
        raise ValueError(f"{journal} is no journal of a disk")
    path = Path(json.loads(head)["store"]) if store is None else store
    damage = _replayed(memoryview(records)).cut_power(path, chance)
    journal.unlink()
    return damage


def _replayed(records: memoryview) -> Unsynced:
    unsynced = Unsynced()
    position = 0
    # A record that is not whole at the end was being written when the process died: its change was not made.
    while position + _SYNCED.size <= len(records):
        kind, file = _SYNCED.unpack_from(records, position)
        if kind != b"c":
            unsynced.synced(file) if kind == b"s" else unsynced.folder_synced()
            position += _SYNCED.size
            continue
        start = position + _CHANGE.size
        if start > len(records):
            break
        _, _, removes, offset, old_size, new_size, old, new = _CHANGE.unpack_from(records, position)
        position = start + old + new
        if position > len(records):
            break
        contents = bytes(records[start : start + old]), bytes(records[start + old : position])
        unsynced.add(Change(file, offset, *contents, old_size, new_size, removes))
    return unsynced


def _cut(path: Path, changes: list[Change], chance: random.Random, *, is_store: bool) -> Damage:
    """Draw what is left of one file."""
    lives: list[list[Change]] = [[]]
    removals = [change for change in changes if change.removes]
    for change in changes:
        if change.removes:
            lives.append([])
        else:
            lives[-1].append(change)
    last = len(lives) - 1
    life = last if chance.random() < 0.5 else chance.randrange(len(lives))
    with _opened(path) as descriptor:
        for number in range(last, life - 1, -1):
            for change in reversed(lives[number]):
                _undo(descriptor, change)
            if number > life:
                _undo(descriptor, removals[number - 1])
        damage = _redo(descriptor, lives[life], chance)
        is_empty = os.fstat(descriptor).st_size == 0
    if is_empty and not is_store:
        path.unlink()
    later = sum(len(lives[number]) for number in range(life + 1, last + 1))
    return damage + Damage(lost=later, returned=int(life < last))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _undo(descriptor: int, change: Change) -> None:
    os.pwrite(descriptor, change.old, change.offset)
    os.ftruncate(descriptor, change.old_size)


def _redo(descriptor: int, changes: list[Change], chance: random.Random) -> Damage:
    """Put some of the changes on again, and draw the size."""
    if not changes:
        return Damage()
    sectors_of, size = chance.choice((_all, _none, _in_order, _in_order, _in_any_order, _in_any_order))(
        changes, chance
    )
    kept = torn = 0
    for change, sectors in zip(changes, sectors_of, strict=True):
        for sector in sectors:
            start, content = change.content(sector)
            os.pwrite(descriptor, content, start)
        if len(sectors) == len(change.sectors()):
            kept += 1
        elif sectors:
            torn += 1
    os.ftruncate(descriptor, size)
    return Damage(kept, torn, len(changes) - kept - torn)


_Drawn = tuple[list[list[int]], int]
"""The sectors that survive of each change, and the file's size."""


def _all(changes: list[Change], chance: random.Random) -> _Drawn:
    return [list(change.sectors()) for change in changes], changes[-1].new_size


def _none(changes: list[Change], chance: random.Random) -> _Drawn:
    return [[] for _ in changes], changes[0].old_size


def _in_order(changes: list[Change], chance: random.Random) -> _Drawn:
    """The changes up to one, which may be torn: some of its sectors, and any size on its way."""
    whole = chance.randrange(len(changes) + 1)
    size = changes[whole - 1].new_size if whole else changes[0].old_size
    sectors = [list(change.sectors()) for change in changes[:whole]]
    if whole < len(changes):
        torn = changes[whole]
        sectors.append([sector for sector in torn.sectors() if chance.random() < 0.5])
        low, high = sorted((torn.old_size, torn.new_size))
        size = min(high, max(low, chance.randint(low // SECTOR_BYTES, high // SECTOR_BYTES + 1) * SECTOR_BYTES))
    sectors += [[] for _ in changes[len(sectors) :]]
    return sectors, size


def _in_any_order(changes: list[Change], chance: random.Random) -> _Drawn:
    """Each sector as after any one of the changes to it, the size likewise."""
    touching: dict[int, list[int]] = {}
    for number, change in enumerate(changes):
        for sector in change.sectors():
            touching.setdefault(sector, []).append(number)
    sectors: list[list[int]] = [[] for _ in changes]
    for sector, numbers in touching.items():
        for number in numbers[: chance.randint(0, len(numbers))]:
            sectors[number].append(sector)
    size = chance.choice([changes[0].old_size, *(change.new_size for change in changes)])
    return sectors, size
