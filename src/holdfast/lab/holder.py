"""Holds one host of the packet lab: a network namespace with a TUN device; see `hosts`.

    unshare --net --mount … python -m holdfast.lab.holder FD

FD is one end of a Unix socket. On it comes, first, a JSON line: `{"addresses": ["A/LENGTH", …],
"files": {"/etc/hosts": "text", …}}`; the answer is a line with the TUN device's descriptor, or one
that begins with `!` and says what is wrong. After that each line is answered: `socket FAMILY TYPE`
with a new socket that is in the namespace, `move FROM TO` with a line when the one address is the
other, `stop` and `go` with a line when every process there stands still, or goes on. When the other
end closes, because its program has ended in whatever way, every process in the namespace is killed,
and with the last of them it is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

TUNSETIFF: Final = 0x400454CA
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
DEVICE: Final = "net0"
QUEUE: Final = 1_000
"""Packets that wait for the middlebox."""


def tun() -> int:
    """A TUN device in this namespace: packets without a header before them."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    wanted = struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI)
    fcntl.ioctl(device, TUNSETIFF, wanted)
    return device


def configure(addresses: list[str]) -> None:
    """Addresses and routes: everything but the host itself is behind the device."""
    lines = ["link set lo up", f"link set {DEVICE} txqueuelen {QUEUE} addrgenmode none up"]
    for address in addresses:
        lines += add(address)
    ip(lines)


def add(address: str) -> list[str]:
    """One address and the route that it makes possible."""
    six = ":" in address
    return [
        f"address add {address} dev {DEVICE}{' nodad' if six else ''}",
        f"route replace {'::/0' if six else '0.0.0.0/0'} dev {DEVICE}",
    ]


def move(old: str, new: str) -> None:
    """Have another address from now on, as in another network."""
    ip([f"address del {old} dev {DEVICE}", *add(new)])


def ip(lines: list[str]) -> None:
    """Have `ip` do all of it. Raises subprocess.CalledProcessError."""
    subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(lines) + "\n",
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )


def lay(path: str, text: str) -> None:
    """Put a text over a file, for this namespace alone, and nothing on the disk."""
    with tempfile.NamedTemporaryFile("w", delete=False) as made:
        made.write(text)
    Path(made.name).chmod(0o644)
    try:
        subprocess.run(
            ["mount", "--bind", made.name, str(Path(path).resolve())],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
    finally:
        Path(made.name).unlink()


def inmates() -> list[int]:
    """The other processes in this namespace."""
    here = Path("/proc/self/ns/net").readlink()
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdecimal() and int(one.name) != os.getpid():
            with contextlib.suppress(OSError):
                if (one / "ns/net").readlink() == here:
                    found.append(int(one.name))
    return found


def tell(number: signal.Signals) -> None:
    """Send a signal to each of them."""
    for pid in inmates():
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def clear() -> None:
    """Kill them, and those that they started meanwhile."""
    for _ in range(100):
        if not inmates():
            return
        tell(signal.SIGKILL)


def main() -> int:
    """Until the other end closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a shell's Ctrl-C is not for this
    link = socket.socket(fileno=int(sys.argv[1]))
    lines = link.makefile("rb")
    try:
        asked = json.loads(lines.readline())
        device = tun()
        configure(asked["addresses"])
        for path, text in asked["files"].items():
            lay(path, text)
    except subprocess.CalledProcessError as error:
        link.sendall(b"!" + error.stderr.strip().encode() + b"\n")
        return 1
    except (OSError, ValueError) as error:
        link.sendall(f"!{error}\n".encode())
        return 1
    socket.send_fds(link, [b"\n"], [device])
    os.close(device)
    try:
        for line in lines:
            match line.decode().split():
                case ["socket", family, kind]:
                    with socket.socket(int(family), int(kind)) as made:
                        socket.send_fds(link, [b"\n"], [made.fileno()])
                    continue
                case ["move", old, new]:
                    move(old, new)
                case [what]:
                    tell(signal.SIGSTOP if what == "stop" else signal.SIGCONT)
            link.sendall(b"\n")
    except OSError:
        pass
    finally:
        clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
