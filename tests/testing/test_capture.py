"""The packet capture keeps the frames of its ports and of no others."""

from __future__ import annotations

import socket
import time

from holdfast.testing.capture import Capture, ports_of, possible


def exchange(server: socket.socket, text: bytes) -> None:
    with socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(text)
            assert accepted.recv(100) == text


def test_frames_of_a_port_are_kept_and_others_are_not() -> None:
    if not possible():
        assert ports_of(b"") == ()  # nothing more can be shown without root
        return
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        with Capture([one.getsockname()[1]]) as capture:
            exchange(one, b"this is kept")
            exchange(two, b"this is not")
            deadline = time.monotonic() + 5
            while b"this is kept" not in capture.content and time.monotonic() < deadline:
                time.sleep(0.01)
        assert b"this is kept" in capture.content
        assert b"this is not" not in capture.content


def test_what_is_no_tcp_segment_has_no_ports() -> None:
    for frame in (b"", bytes(13), bytes(100), b"\0" * 12 + b"\x86\xdd" + bytes(60)):
        assert ports_of(frame) == ()
