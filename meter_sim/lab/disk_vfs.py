"""A layer beneath SQLite: the files that are under it ask a `CoveredFile` before they touch the disk.

Owns the C side by ctypes: SQLite's tables of functions, our copy of its unix VFS as the process's default, the
open files. Knows no fault and no durability.

The library is the one inside `pysqlite3`, which a head-end in this process uses. A file that is not covered keeps
the functions of the unix VFS and costs nothing. A covered file is the unix VFS's own too, with its table of
functions replaced by one in which reads, writes, truncations, syncs and the close are ours: all the rest (locks,
shared memory) stays C. Our table says version 2, so SQLite maps no covered file into memory behind our back.
"""

import ctypes
import os
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int64, c_void_p, cast, string_at
from pathlib import Path
from typing import Any, Final, Protocol

import pysqlite3._sqlite3

OK: Final = 0
FULL: Final = 13
CANTOPEN: Final = 14
IOERR: Final = 10
IOERR_READ: Final = IOERR | 1 << 8
IOERR_SHORT_READ: Final = IOERR | 2 << 8
IOERR_WRITE: Final = IOERR | 3 << 8
IOERR_FSYNC: Final = IOERR | 4 << 8
IOERR_TRUNCATE: Final = IOERR | 6 << 8
IOERR_DELETE: Final = IOERR | 10 << 8

_OPEN_CREATE: Final = 0x0004
_OPEN_JOURNALS: Final = 0x0800 | 0x80000  # a rollback journal, a write-ahead log
_PRNG_SEED: Final = 28
_NAME: Final = b"meter-sim-disk"

_Close = CFUNCTYPE(c_int, c_void_p)
_ReadWrite = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
_FileSize = CFUNCTYPE(c_int, c_void_p, POINTER(c_int64))
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


_IO_METHODS: Final = """
    xClose xRead xWrite xTruncate xSync xFileSize xLock xUnlock xCheckReservedLock xFileControl xSectorSize
    xDeviceCharacteristics xShmMap xShmLock xShmBarrier xShmUnmap xFetch xUnfetch
"""
_VFS_METHODS: Final = """
    xOpen xDelete xAccess xFullPathname xDlOpen xDlError xDlSym xDlClose xRandomness xSleep xCurrentTime
    xGetLastError xCurrentTimeInt64 xSetSystemCall xGetSystemCall xNextSystemCall
"""


class _IoMethods(Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = [("iVersion", c_int), *((name, c_void_p) for name in _IO_METHODS.split())]


class _Vfs(Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        *((name, c_void_p) for name in _VFS_METHODS.split()),
    ]


class CoveredFile(Protocol):
    """What decides about one file. Each answers a result code of SQLite's; an exception becomes an I/O error."""

    def open(self) -> int:
        """Whether the file may be opened now."""

    def read(self) -> int:
        """Whether a read may go on."""

    def write(self, file: "OpenFile", address: int, size: int, offset: int) -> int:
        """Write `size` bytes from a memory address."""

    def truncate(self, file: "OpenFile", size: int) -> int:
        """Set the file's size."""

    def sync(self, file: "OpenFile", flags: int) -> int:
        """Make what was written durable."""

    def delete(self, unlink: Callable[[], int], *, sync_folder: bool) -> int:
        """Remove the file. Nobody has it open."""


class _Original:
    """The unix VFS's functions for one kind of file, and our table in their place."""

    def __init__(self, address: int) -> None:
        methods = _IoMethods.from_address(address)
        self.close = _Close(methods.xClose)
        self.read = _ReadWrite(methods.xRead)
        self.write = _ReadWrite(methods.xWrite)
        self.truncate = _Truncate(methods.xTruncate)
        self.sync = _Sync(methods.xSync)
        self.file_size = _FileSize(methods.xFileSize)
        assert methods.iVersion >= 2, "the write-ahead log needs shared memory"
        self.ours = _IoMethods.from_buffer_copy(methods)
        self.ours.iVersion = 2
        self.ours.xFetch = self.ours.xUnfetch = None
        for name, callback in _CALLBACKS.items():
            setattr(self.ours, name, cast(callback, c_void_p).value)


class OpenFile:
    """An open covered file: what really reads and writes it."""

    __slots__ = ("_original", "address", "covered", "syncs_folder")

    def __init__(self, address: int, original: _Original, covered: CoveredFile, syncs_folder: bool) -> None:
        self.address = address
        self.covered = covered
        self.syncs_folder = syncs_folder
        """Whether its next sync makes its folder durable too: the first one of a new journal does."""
        self._original = original

    def size(self) -> int:
        """Bytes in the file."""
        size = c_int64()
        if self._original.file_size(self.address, byref(size)) != OK:
            raise OSError("the size of the file cannot be read")
        return size.value

    def content(self, offset: int, size: int) -> bytes:
        """Some bytes that are there."""
        # Never by a file descriptor of ours: to close one would drop the locks that SQLite holds.
        if size <= 0:
            return b""
        buffer = ctypes.create_string_buffer(size)
        if self._original.read(self.address, ctypes.addressof(buffer), size, offset) != OK:
            raise OSError("the file cannot be read")
        return buffer.raw

    def read(self, address: int, size: int, offset: int) -> int:
        """Read into memory; a result code."""
        return int(self._original.read(self.address, address, size, offset))

    def write(self, address: int, size: int, offset: int) -> int:
        """Write from memory; a result code."""
        return int(self._original.write(self.address, address, size, offset))

    def truncate(self, size: int) -> int:
        """Set the size; a result code."""
        return int(self._original.truncate(self.address, size))

    def sync(self, flags: int) -> int:
        """Make it durable; a result code."""
        return int(self._original.sync(self.address, flags))

    def close(self) -> int:
        """Close it; a result code."""
        return int(self._original.close(self.address))


_covered: dict[bytes, CoveredFile] = {}
_open_files: dict[int, OpenFile] = {}
_originals: dict[int, _Original] = {}
_trouble: list[BaseException] = []


def memory(address: int, size: int) -> bytes:
    """A copy of what SQLite hands over to be written."""
    return string_at(address, size)


def cover(path: Path, files: dict[str, CoveredFile]) -> None:
    """Put a database under us, from its next opening on: what decides about it, by the suffix of the file.

    Raises:
        ValueError: it is under us already.
    """
    name = os.path.realpath(path)
    if os.fsencode(name) in _covered:
        raise ValueError(f"{name} is covered already")
    if not _covered:
        _check(_library.sqlite3_vfs_register(byref(_ours), 1))
    _covered.update({os.fsencode(name + suffix): file for suffix, file in files.items()})


def uncover(path: Path, suffixes: tuple[str, ...]) -> None:
    """Leave a database alone, from its next opening on. With the last one, the unix VFS is the default again."""
    name = os.path.realpath(path)
    for suffix in suffixes:
        _covered.pop(os.fsencode(name + suffix), None)
    if not _covered:
        _check(_library.sqlite3_vfs_unregister(byref(_ours)))


def is_open(file: CoveredFile) -> bool:
    """Whether a connection of this process has it open."""
    return any(opened.covered is file for opened in _open_files.values())


def take_trouble() -> list[BaseException]:
    """The exceptions that became I/O errors since the last call. Any is a mistake of ours."""
    trouble = _trouble[:]
    _trouble.clear()
    return trouble


def seed_chance_of_sqlite(seed: int) -> None:
    """Make SQLite's own random numbers (in the log's header) the same again; 0 makes them random again."""
    _library.sqlite3_test_control(_PRNG_SEED, seed, None)


def _check(status: int) -> None:
    if status != OK:
        raise RuntimeError(f"SQLite refused our VFS with status {status}")


def _guarded(function: Callable[..., int], failure: int) -> Callable[..., int]:
    # An exception that left a callback would be printed and answered to SQLite as success.
    def call(*values: Any) -> int:
        try:
            return function(*values)
        except BaseException as error:
            _trouble.append(error)
            return failure

    return call


def _x_open(vfs: int, name: int | None, address: int, flags: int, out_flags: Any) -> int:
    covered = None if name is None or not _covered else _covered.get(string_at(name))
    if covered is None:
        return int(_unix_open(_unix_address, name, address, flags, out_flags))
    pointer = c_void_p.from_address(address)
    pointer.value = None  # or SQLite would close what was never opened
    if (status := covered.open()) != OK:
        return status
    status = int(_unix_open(_unix_address, name, address, flags, out_flags))
    methods = pointer.value
    if status != OK or methods is None:
        return status
    original = _originals.get(methods) or _originals.setdefault(methods, _Original(methods))
    syncs_folder = bool(flags & _OPEN_CREATE and flags & _OPEN_JOURNALS)
    _open_files[address] = OpenFile(address, original, covered, syncs_folder)
    pointer.value = ctypes.addressof(original.ours)
    return OK


def _x_delete(vfs: int, name: bytes, sync_folder: int) -> int:
    def unlink() -> int:
        return int(_unix_delete(_unix_address, name, sync_folder))

    covered = _covered.get(name)
    return unlink() if covered is None else covered.delete(unlink, sync_folder=bool(sync_folder))


def _x_close(address: int) -> int:
    return _open_files.pop(address).close()


def _x_read(address: int, target: int, size: int, offset: int) -> int:
    file = _open_files[address]
    return file.covered.read() or file.read(target, size, offset)


def _x_write(address: int, source: int, size: int, offset: int) -> int:
    file = _open_files[address]
    return file.covered.write(file, source, size, offset)


def _x_truncate(address: int, size: int) -> int:
    file = _open_files[address]
    return file.covered.truncate(file, size)


def _x_sync(address: int, flags: int) -> int:
    file = _open_files[address]
    return file.covered.sync(file, flags)


_CALLBACKS: Final[dict[str, Any]] = {
    "xClose": _Close(_guarded(_x_close, IOERR)),
    "xRead": _ReadWrite(_guarded(_x_read, IOERR_READ)),
    "xWrite": _ReadWrite(_guarded(_x_write, IOERR_WRITE)),
    "xTruncate": _Truncate(_guarded(_x_truncate, IOERR_TRUNCATE)),
    "xSync": _Sync(_guarded(_x_sync, IOERR_FSYNC)),
}

# Kept for ever: connections that were opened through our VFS go on pointing to it after it was uncovered.
_library: Final = ctypes.CDLL(pysqlite3._sqlite3.__file__)
_library.sqlite3_vfs_find.argtypes = [c_char_p]
_library.sqlite3_vfs_find.restype = c_void_p
_library.sqlite3_vfs_register.argtypes = [POINTER(_Vfs), c_int]
_library.sqlite3_vfs_unregister.argtypes = [POINTER(_Vfs)]
_library.sqlite3_test_control.argtypes = [c_int, c_int, c_void_p]
_unix_address: Final[int] = _library.sqlite3_vfs_find(b"unix")
_unix: Final = _Vfs.from_address(_unix_address)
assert _unix.iVersion >= 3, "our table has the fields of version 3"
_unix_open: Final = _Open(_unix.xOpen)
_unix_delete: Final = _Delete(_unix.xDelete)
_ours: Final = _Vfs.from_buffer_copy(_unix)
_ours.zName = _NAME
_ours.pNext = None
_VFS_CALLBACKS: Final[dict[str, Any]] = {
    "xOpen": _Open(_guarded(_x_open, CANTOPEN)),
    "xDelete": _Delete(_guarded(_x_delete, IOERR_DELETE)),
}
for _name, _callback in _VFS_CALLBACKS.items():
    setattr(_ours, _name, cast(_callback, c_void_p).value)
