"""A relay of several processes: who makes them, holds their port, and makes them anew.

The parent serves nobody. It opens the port once for each process (SO_REUSEPORT: the kernel shares
connections out), makes a pair of sockets for every two of them, and starts one again that ended. On
SIGHUP it becomes the program that is installed now, without letting go of the port or its children,
and then replaces these one by one: who connects meanwhile waits in the queue of the port.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from holdfast.relay.directory import SEVERAL, take_lock
from holdfast.relay.keys import RelayError, Secrets
from holdfast.relay.mesh import Part
from holdfast.relay.program import opened
from holdfast.store.base import StoreFailed
from holdfast.store.shares import share_out
from holdfast.store.upgrade import upgrade

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
HANDOVER: Final = "HOLDFAST_RELAY_HANDOVER"
"""Variable by which the program before this one hands on what it holds."""
BACKLOG: Final = 4096
CHANCES: Final = 5
"""To find a port that is free for TCP and UDP alike."""
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 1.0
"""Before a process is started again that ended at once."""


@dataclass
class _Child:
    pid: int
    control: socket.socket
    """The parent's end."""
    since: float
    ready: bool = False


class Parent:
    """Of `count` processes. `serve` is what each does until it returns or raises `RelayError`;
    `say` is told the relay's address, `note` what an operator should know."""

    def __init__(
        self,
        data: Path,
        listen: tuple[str, int],
        count: int,
        *,
        udp: bool,
        serve: Callable[[Part], None],
        say: Callable[[str], object],
        note: Callable[[str], object],
    ) -> None:
        self._data = data
        self._count = count
        self._serve, self._say, self._note = serve, say, note
        self._children: dict[int, _Child] = {}
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stop = self._renew = False
        self._said = False
        handed = os.environ.pop(HANDOVER, "")
        if handed:
            self._take_over(json.loads(handed))
        else:
            keys = Secrets(data)
            self._lock = take_lock(data, SEVERAL)
            try:
                upgrade(data / "logs.db", data / "logs", note)
                share_out(data, count, keys.owner(count), note)
                self._listening, self._udp = _open(*listen, count, udp)
            except StoreFailed as error:
                raise RelayError(str(error)) from error

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises `RelayError`."""
        for each in (*STOPS, signal.SIGHUP):
            signal.signal(each, self._signal)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            if self._children:
                self._roll()
            while not self._stop:
                missing = [one for one in range(self._count) if one not in self._children]
                if missing:
                    self._start(missing[0])
                    continue
                self._look(None)
                if self._renew:
                    self._become_anew()
        finally:
            self._end()

    # Children.

    def _start(self, number: int) -> None:
        """One process, and wait until it serves."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()  # what is there now stays one copy in all processes
        # A signal that comes to a child before it has its own ways would be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        else:
            self._be_child(number, theirs, ours)
        theirs.close()
        child = self._children[number] = _Child(pid, ours, time.monotonic())
        for other, known in self._children.items():
            if other != number:
                _introduce(number, child.control, other, known.control)
        until = time.monotonic() + START_SECONDS
        while self._children.get(number) is child and not child.ready and not self._stop:
            if time.monotonic() > until:
                raise RelayError(f"a process of this relay did not start in {START_SECONDS:.0f} s")
            self._look(until - time.monotonic())
        if not child.ready and not self._stop and not self._said:
            raise RelayError("a process of this relay ended while it started; see above")

    def _be_child(self, number: int, control: socket.socket, other: socket.socket) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in STOPS:
                signal.signal(each, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal's goes to all
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            # Only the parent and this process hold this line: each sees the other's end by it.
            for child in self._children.values():
                child.control.close()
            other.close()
            os.close(self._woken)
            os.close(self._waker)
            packets = [] if number else self._udp
            listening = self._listening[number]
            self._serve(Part(number, self._count, listening, packets, control, bool(self._udp)))
            code = 0
        except RelayError as error:
            with contextlib.suppress(OSError):
                control.send(b"failed " + str(error).encode()[:4000])
        except BaseException:  # noqa: BLE001  this process ends here
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _look(self, seconds: float | None) -> None:
        """Wait for something to happen, and deal with it."""
        watched = {child.control.fileno(): number for number, child in self._children.items()}
        ready, _, _ = select.select([self._woken, *watched], [], [], seconds)
        for descriptor in ready:
            if descriptor == self._woken:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            else:
                self._hear(watched[descriptor])

    def _hear(self, number: int) -> None:
        child = self._children[number]
        try:
            said = child.control.recv(8192).decode()
        except OSError:
            said = ""
        what, _, rest = said.partition(" ")
        if what == "ready":
            child.ready = True
            if not self._said and all(one.ready for one in self._children.values()):
                self._said = len(self._children) == self._count
                if self._said:
                    self._say(rest)
        elif what == "failed":
            raise RelayError(rest)
        else:
            del self._children[number]
            child.control.close()
            os.waitpid(child.pid, 0)
            if not self._stop and not self._renew:
                self._note(f"process {number} of this relay ended; it is started again")
                time.sleep(max(0.0, child.since + AGAIN_SECONDS - time.monotonic()))

    def _roll(self) -> None:
        """Replace every process, one after the other."""
        for number in sorted(self._children):
            child = self._children[number]
            _tell(child, signal.SIGTERM)
            until = time.monotonic() + STOP_SECONDS
            self._renew = True
            while self._children.get(number) is child:
                if time.monotonic() > until:
                    _tell(child, signal.SIGKILL)
                self._look(1.0)
            self._renew = False
            if self._stop:
                return
            self._start(number)
        self._note("every process of this relay has been replaced")

    def _end(self) -> None:
        self._stop = True
        for child in self._children.values():
            _tell(child, signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        failed: RelayError | None = None
        while self._children:
            if time.monotonic() > until:
                for child in self._children.values():
                    _tell(child, signal.SIGKILL)
            try:
                self._look(1.0)
            except RelayError as error:
                failed = failed or error
        signal.set_wakeup_fd(-1)
        os.close(self._lock)
        if failed is not None and sys.exc_info()[0] is None:
            raise failed

    def _signal(self, number: int, _: object) -> None:
        if number in STOPS:
            self._stop = True
        elif number == signal.SIGHUP:
            self._renew = True

    # Another program in this process.

    def _become_anew(self) -> NoReturn:
        sockets = [one for each in self._listening for one in each] + self._udp
        children = {n: (child.pid, child.control.fileno()) for n, child in self._children.items()}
        handed = {
            "lock": self._lock,
            "listening": [[one.fileno() for one in each] for each in self._listening],
            "udp": [one.fileno() for one in self._udp],
            "children": children,
        }
        for one in (*sockets, *(child.control for child in self._children.values())):
            one.set_inheritable(True)
        os.set_inheritable(self._lock, True)
        signal.set_wakeup_fd(-1)
        sys.stdout.flush()
        sys.stderr.flush()
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, HANDOVER: json.dumps(handed)})

    def _take_over(self, handed: dict[str, object]) -> None:
        def adopted(descriptor: int) -> socket.socket:
            os.set_inheritable(descriptor, False)
            return socket.socket(fileno=descriptor)

        lock, listening, udp, children = (
            handed[name] for name in ("lock", "listening", "udp", "children")
        )
        assert isinstance(lock, int) and isinstance(listening, list) and isinstance(udp, list)
        assert isinstance(children, dict)
        self._lock, self._said = lock, True
        os.set_inheritable(lock, False)
        self._listening = [[adopted(one) for one in each] for each in listening]
        self._udp = [adopted(one) for one in udp]
        for number, (pid, control) in children.items():
            self._children[int(number)] = _Child(pid, adopted(control), 0.0, True)
        if len(self._listening) != self._count:
            self._note("to change the number of processes, stop the relay and start it again")
            self._count = len(self._listening)


def _introduce(one: int, to_one: socket.socket, other: int, to_other: socket.socket) -> None:
    """Give two processes a line to each other."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here, there, contextlib.suppress(OSError):  # one that ended is started again
        socket.send_fds(to_one, [b"peer %d" % other], [here.fileno()])
        socket.send_fds(to_other, [b"peer %d" % one], [there.fileno()])


def _tell(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, number)


def _open(
    host: str, port: int, count: int, udp: bool
) -> tuple[list[list[socket.socket]], list[socket.socket]]:
    """The port, for each process, and that of UDP, for the first: QUIC's packets do not tell
    the kernel whose they are once a node has moved. Raises `RelayError`."""
    for chance in range(CHANCES, 0, -1):
        made: list[socket.socket] = []
        listening: list[list[socket.socket]] = []
        at = port
        try:
            with opened(host, port):
                found = socket.getaddrinfo(
                    host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
                )
                for family, *_, address in found if port else ():
                    # By a socket that shares with nobody: whether another program has the port.
                    _bound(family, socket.SOCK_STREAM, address, shared=False).close()
                for _ in range(count):
                    listening.append([])
                    for family, *_, address in found:
                        one = _bound(family, socket.SOCK_STREAM, (address[0], at, *address[2:]))
                        made.append(one)
                        one.listen(BACKLOG)
                        listening[-1].append(one)
                        at = one.getsockname()[1]
                packets = []
                for family, *_, address in found if udp else ():
                    one = _bound(family, socket.SOCK_DGRAM, (address[0], at, *address[2:]))
                    made.append(one)
                    packets.append(one)
                return listening, packets
        except RelayError:
            for one in made:
                one.close()
            if port or chance == 1:
                raise
    raise AssertionError("unreachable")


def _bound(
    family: int, kind: socket.SocketKind, address: tuple[Any, ...], *, shared: bool = True
) -> socket.socket:
    one = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)
        one.bind(address)
    except OSError:
        one.close()
        raise
    return one
