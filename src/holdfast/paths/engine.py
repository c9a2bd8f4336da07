"""OpenSSL's data path on memory buffers, without a copy or an exception for each step.

pyOpenSSL makes and checks connections; what goes through them afterwards is handed to OpenSSL
directly, into buffers that are used again. Measured in decisions/2026-11-25-hot-path.md. It uses
three attributes of pyOpenSSL that have had their names since 2011; tests would notice.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

SIZE: Final = 256 * 1024
_RECORD: Final = 16 * 1024
"""Plain bytes in one TLS record; OpenSSL reads one at a time."""
_ffi: Any = ffi
_NULL: Any = ffi.NULL
_lib: Any = lib


class Buffers:
    """Of one connection at a time: what it read is there until it gives them back."""

    def __init__(self) -> None:
        self.plain = _ffi.new("char[]", SIZE)
        self.view = memoryview(_ffi.buffer(self.plain))


class _Thread(threading.local):
    """Of each thread: while OpenSSL writes into one's buffers, other threads run."""

    def __init__(self) -> None:
        self.sealed = _ffi.new("char[]", SIZE)
        self.free: list[Buffers] = []


_thread = _Thread()


def borrow() -> Buffers:
    """To read into, until `give_back`. What uses what was read may read from a connection within
    this one meanwhile, which then has others."""
    return _thread.free.pop() if _thread.free else Buffers()


def give_back(buffers: Buffers) -> None:
    """What stands in them is not used any more."""
    _thread.free.append(buffers)


class Engine:
    """One connection's. All methods on the thread that made it; all raise `SSL.Error`."""

    __slots__ = ("_connection", "_error", "_from", "_into", "_sealed", "_ssl", "more")

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection: Any = connection
        self._ssl = self._connection._ssl
        self._into = self._connection._into_ssl
        self._from = self._connection._from_ssl
        self._error: SSL.Error | None = None
        self.more = False
        """`read` is to be called again."""
        self._sealed = _thread.sealed

    def put(self, sealed: bytes) -> None:
        """Encrypted bytes came from the socket."""
        if _lib.BIO_write(self._into, sealed, len(sealed)) != len(sealed):
            raise MemoryError

    def read(self, into: Buffers) -> memoryview:
        """Plain bytes, empty if there are no more now; they stand in the buffers."""
        if self._error is not None:
            raise self._error
        plain, view = into.plain, into.view
        got = 0
        self.more = True
        while got <= SIZE - _RECORD:
            result = _lib.SSL_read(self._ssl, plain + got, SIZE - got)
            if result <= 0:
                if _lib.SSL_get_error(self._ssl, result) == _lib.SSL_ERROR_WANT_READ:
                    self.more = False
                    break
                try:
                    self._connection._raise_ssl_error(self._ssl, result)
                except SSL.WantReadError:
                    self.more = False
                    break
                except SSL.Error as error:
                    if not got:
                        raise
                    self._error = error  # after what came before it
                break
            got += result
            # Asking in vain costs as much as a read: what was put is counted instead.
            if not _lib.BIO_get_mem_data(self._into, _NULL):
                self.more = False
                break
        return view[:got]

    def write(self, plain: bytes) -> None:
        """Encrypt."""
        size = len(plain)
        result = _lib.SSL_write(self._ssl, plain, size)
        if result == size:
            return
        written = 0
        with _ffi.from_buffer(plain) as data:
            while True:
                if result <= 0:
                    self._connection._raise_ssl_error(self._ssl, result)
                written += result
                if written == size:
                    return
                result = _lib.SSL_write(self._ssl, data + written, size - written)

    def take(self) -> bytes:
        """Encrypted bytes for the socket."""
        sealed = self._sealed
        result = _lib.BIO_read(self._from, sealed, SIZE)
        if result <= 0:
            return b""
        first: bytes = _ffi.buffer(sealed, result)[:]
        if result < SIZE:
            return first
        chunks = [first]
        while (result := _lib.BIO_read(self._from, sealed, SIZE)) > 0:
            chunks.append(_ffi.buffer(sealed, result)[:])
        return b"".join(chunks)
