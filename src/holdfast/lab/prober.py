"""The censor's own client: it asks servers what they are, as active probes do. It runs in a thread.

What looks like a site answers a stranger's request over TLS, or without, in HTTP; has an address
that the name asked for has; and says nothing else than TLS or HTTP to a client's first bytes when
they are sent again. Sources: Ensafi et al., IMC 2015; Alice et al., IMC 2020; Frolov, Wampler,
Wustrow, NDSS 2020.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from holdfast.lab.datagrams import Suspect

PATIENCE: Final = 3.0
READ: Final = 16 * 1024
TLS_RECORDS: Final = (0x15, 0x16)
"""Alert and handshake."""
Dial = Callable[[str, int], socket.socket]


class Prober:
    """`dial` connects from where the censor stands, and raises OSError; `names` are the addresses
    that names have, {}: they are not compared."""

    def __init__(self, dial: Dial, names: Mapping[str, Sequence[bytes]]) -> None:
        self._dial, self._names = dial, names
        self._wanted: queue.SimpleQueue[tuple[Suspect, Callable[[], None]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self.found: dict[tuple[str, int], str] = {}
        """What was said of each server: "" for a site, else why it is none."""

    def ask(self, suspect: Suspect, convict: Callable[[], None]) -> None:
        """Ask a server, soon; call `convict` if it is no site."""
        self._wanted.put((suspect, convict))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._wanted.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            suspect, convict = wanted
            why = self.judge(suspect)
            if why:
                convict()
            self.found[suspect.host, suspect.port] = why

    def judge(self, suspect: Suspect) -> str:
        """Why it is no site; "" if it seems to be one, or cannot be reached."""
        if suspect.name and self._names:
            at = set(self._names.get(suspect.host, ()))
            if not at & set(self._names.get(suspect.name, ())):
                return "the name that is asked for has another address"
        try:
            answer = self._request(suspect, tls=True) or self._request(suspect, tls=False)
            if not answer.startswith(b"HTTP/"):
                return "it answers no request for a page"
            again = self._say(suspect, suspect.first)
        except OSError:
            return ""
        if again and again[0] not in TLS_RECORDS and not again.startswith(b"HTTP/"):
            return "it answers first bytes that are sent again"
        return ""

    def _request(self, suspect: Suspect, *, tls: bool) -> bytes:
        host = suspect.name or suspect.host
        asked = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        if not tls:
            return self._say(suspect, asked)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self._dial(suspect.host, suspect.port) as sock:
            sock.settimeout(PATIENCE)
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(sock, server_hostname=host) as wrapped,
            ):
                wrapped.sendall(asked)
                return wrapped.recv(READ)
        return b""

    def _say(self, suspect: Suspect, data: bytes) -> bytes:
        with self._dial(suspect.host, suspect.port) as sock:
            sock.settimeout(PATIENCE)
            with contextlib.suppress(OSError):
                sock.sendall(data)
                return sock.recv(READ)
        return b""
