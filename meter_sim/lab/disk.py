"""A disk that can be made slow, full, failing or lying beneath one SQLite store, and whose power can be cut.

Owns the faults and their counts. How SQLite is reached is in `disk_vfs`, what a power cut leaves in `unsynced`.
Everything may be changed while connections are open. It works on connections of this process only, and on those
that are opened after the disk was made.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from meter_sim.lab import disk_vfs as vfs
from meter_sim.lab.unsynced import SUFFIXES, Change, Damage, Journal, Unsynced

Kind = Literal["read", "write", "sync"]
"""What SQLite asks of a disk. To truncate or remove a file is a write."""


@dataclass(slots=True)
class Counts:
    """Operations asked for since the disk was made, whether they failed or not."""

    read: int = 0
    write: int = 0
    sync: int = 0

    @property
    def changes(self) -> int:
        """Writes and syncs: the boundaries at which a power cut can fall."""
        return self.write + self.sync


@dataclass(slots=True)
class _Plan:
    left: int
    kinds: tuple[Kind, ...]
    once: bool
    cuts: bool


class Disk:
    """The disk under one store: its file, its log, its journal."""

    def __init__(
        self,
        store: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
        flush: bool = False,
        journal: Path | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Take the store under us, before it is opened.

        `sleep` is what a slow operation calls, inside SQLite: it must not touch the store. Without `flush` an
        honest sync is one by the model only, which is all that `power_cut` asks for. With a `journal` another
        process can cut the power (`unsynced.power_cut_file`). `before` is called before every operation.
        """
        self.delay_s = 0.0
        self.full = False
        self.bytes_left: int | None = None
        """By how much the files may still grow; None is no limit."""
        self.fails: Kind | None = None
        self.lies = False
        self.frozen = False
        """The power is gone: nothing works, and nothing reaches the files."""
        self.counts = Counts()
        self.fired = 0
        """How many operations failed because of `fail_after` or `freeze_after`."""
        self._store = store
        self._sleep = sleep
        self._flush = flush
        self._before = before
        self._plan: _Plan | None = None
        self._journal = None if journal is None else Journal(journal, store)
        self._unsynced = Unsynced(self._journal)
        self._files = {suffix: _File(self, number) for number, suffix in enumerate(SUFFIXES)}
        vfs.cover(store, dict(self._files))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the store alone from its next opening on, and `check`."""
        vfs.uncover(self._store, SUFFIXES)
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self.check()

    def check(self) -> None:
        """See that nothing of ours went wrong beneath SQLite; to be called now and then.

        Raises:
            BaseException: what did (Ctrl-C too), which SQLite took for an I/O error.
        """
        if trouble := vfs.take_trouble():
            raise trouble[0]

    @property
    def unsynced(self) -> int:
        """How many changes a power cut may take now."""
        return len(self._unsynced)

    def fail_after(self, count: int, *kinds: Kind, once: bool = True) -> None:
        """After `count` more operations of these kinds (writes and syncs, if none is named) one fails, or all do.

        For every point in turn: `for n in itertools.count()`, run with `fail_after(n)`, until `fired` stays 0.
        """
        self.fired = 0
        self._plan = _Plan(count, kinds or ("write", "sync"), once, cuts=False)

    def freeze_after(self, count: int, *kinds: Kind) -> None:
        """After `count` more operations of these kinds (writes and syncs, if none is named) the power is gone."""
        self.fired = 0
        self._plan = _Plan(count, kinds or ("write", "sync"), once=False, cuts=True)

    def freeze(self) -> None:
        """Take the power away: no operation reaches the files until `power_cut`, also not those of a close."""
        self.frozen = True

    def thaw(self) -> None:
        """Give the power back with the files as they are: what was frozen was the process, not the machine."""
        self.frozen = False
        if self._plan is not None and self._plan.cuts:
            self._plan = None

    def settle(self) -> None:
        """What is in the files is durable: for a laboratory that has put other files in their place."""
        for number in range(len(SUFFIXES)):
            self._unsynced.synced(number)

    def heal(self) -> None:
        """A sound disk again; what is unsynced stays so."""
        self.delay_s = 0.0
        self.full = self.lies = self.frozen = False
        self.bytes_left = self.fails = self._plan = None

    def power_cut(self, chance: random.Random) -> Damage:
        """Leave of the files what a power cut leaves, and give the power back. Other faults stay.

        First `freeze` (or let `freeze_after` do it), then close the store's connections, which changes nothing any
        more, then this.

        Raises:
            RuntimeError: a connection is still open.
        """
        if any(vfs.is_open(file) for file in self._files.values()):
            raise RuntimeError(f"{self._store} is still open: freeze the disk and close its connections first")
        damage = self._unsynced.cut_power(self._store, chance)
        self.thaw()
        return damage

    # --- what the files ask -------------------------------------------------------------------------------------

    def _fails(self, kind: Kind) -> bool:
        """Whether an operation fails; counts it, and takes the time that it takes."""
        if self._before is not None:
            self._before()
        setattr(self.counts, kind, getattr(self.counts, kind) + 1)
        if self._plan is not None and kind in self._plan.kinds:
            self._advance(self._plan)
            if self._plan.left < 0:
                self.fired += 1
                if self._plan.once:
                    self._plan = None
                return True
        if self.frozen or self.fails == kind:
            return True
        if self.delay_s > 0 and kind != "read":
            self._sleep(self.delay_s)
        return False

    def _advance(self, plan: _Plan) -> None:
        plan.left -= 1
        if plan.left < 0 and plan.cuts:
            self.frozen = True

    def _has_room(self, bytes_more: int) -> bool:
        if bytes_more > 0 and self.full:
            return False
        if self.bytes_left is not None:
            if bytes_more > self.bytes_left:
                return False
            self.bytes_left -= bytes_more
        return True


class _File:
    """One of the store's files. See `disk_vfs.CoveredFile`."""

    def __init__(self, disk: Disk, number: int) -> None:
        self._disk = disk
        self._number = number

    def open(self) -> int:
        """A disk without power opens nothing."""
        return vfs.CANTOPEN if self._disk.frozen else vfs.OK

    def read(self) -> int:
        """See `CoveredFile.read`."""
        return vfs.IOERR_READ if self._disk._fails("read") else vfs.OK

    def write(self, file: vfs.OpenFile, address: int, size: int, offset: int) -> int:
        """See `CoveredFile.write`."""
        disk = self._disk
        if disk._fails("write"):
            return vfs.IOERR_WRITE
        old_size = file.size()
        new_size = max(old_size, offset + size)
        if not disk._has_room(new_size - old_size):
            return vfs.FULL
        old = file.content(offset, min(size, old_size - offset))
        new = vfs.memory(address, size)
        disk._unsynced.add(Change(self._number, offset, old, new, old_size, new_size))
        return file.write(address, size, offset)

    def truncate(self, file: vfs.OpenFile, size: int) -> int:
        """See `CoveredFile.truncate`."""
        disk = self._disk
        if disk._fails("write"):
            return vfs.IOERR_TRUNCATE
        old_size = file.size()
        if not disk._has_room(size - old_size):
            return vfs.FULL
        old = file.content(size, old_size - size)
        disk._unsynced.add(Change(self._number, min(size, old_size), old, b"", old_size, size))
        return file.truncate(size)

    def sync(self, file: vfs.OpenFile, flags: int) -> int:
        """See `CoveredFile.sync`."""
        disk = self._disk
        if disk._fails("sync"):
            return vfs.IOERR_FSYNC
        if disk.lies:
            return vfs.OK
        if disk._flush and (status := file.sync(flags)) != vfs.OK:
            return status
        disk._unsynced.synced(self._number)
        if file.syncs_folder:
            disk._unsynced.folder_synced()
            file.syncs_folder = False
        return vfs.OK

    def delete(self, unlink: Callable[[], int], *, sync_folder: bool) -> int:
        """See `CoveredFile.delete`."""
        disk = self._disk
        if disk._fails("write"):
            return vfs.IOERR_DELETE
        path = disk._store.with_name(disk._store.name + SUFFIXES[self._number])
        # SQLite holds locks on the store's file only, and that one it never removes.
        old = path.read_bytes() if path.exists() else b""
        disk._unsynced.add(Change(self._number, 0, old, b"", len(old), 0, removes=True))
        status = unlink()
        disk._has_room(-len(old))
        if sync_folder and not disk.lies and status == vfs.OK:
            disk._unsynced.folder_synced()
        return status
