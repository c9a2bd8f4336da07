"""Makes caps.json and log.json beside this file: `python spec/vectors/log.py`.

Everything follows from the specification alone and comes out the same every time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from holdfast.core import caps, wire
from holdfast.core.caps import Caps, Envelope, Home

HERE: Final = Path(__file__).parent

FRAMES: Final[dict[str, wire.ClientFrame | wire.RelayFrame]] = {
    "hello": wire.Hello(1),
    "create": wire.Create(1, b"i" * 16, b"a" * 32, b"r" * 32, b"o" * 32, 8),
    "attach, all fields": wire.Attach(
        2, b"i" * 16, b"a" * 32, b"r" * 32, b"o" * 32, 4_294_967_296, False
    ),
    "attach, to append": wire.Attach(3, b"i" * 16, append=b"a" * 32),
    "append": wire.Append(3, 1, 604_800, b"body"),
    "live": wire.Live(3, b"sound"),
    "beside": wire.Beside(b"t" * 16),
    "trim": wire.Trim(2, 9_007_199_254_740_991),
    "drop": wire.Drop(4_294_967_295),
    "detach": wire.Detach(0),
    "welcome": wire.Welcome(1, b"k" * 32, b"p" * 64, 66_000, 7_776_000),
    "attached": wire.Attached(2, 1, 300),
    "acked": wire.Acked(2),
    "records": wire.Records(2, ((1, b"one"), (0, b"live"))),
    "done": wire.Done(2, "read"),
    "refused": wire.Refused(3, "full", "this log is full", 7),
    "bye": wire.Bye("malformed", "not a frame"),
}
MALFORMED: Final = {
    "nothing": b"",
    "not an array": b"\x01",
    "unknown tag": b"\x92\x7f\x01",
    "too few fields": b"\x91\x01",
    "a field too many": b"\x93\x01\x01\x01",
    "negative handle": b"\x92\x07\xff",
    "two frames": b"\x92\x07\x01\x92\x07\x01",
}


def log_vectors() -> dict[str, Any]:
    """Frames and their bytes, and bytes that are no frame of a node."""
    return {
        "version": wire.VERSION,
        "frames": {name: wire.encode(frame).hex() for name, frame in FRAMES.items()},
        "malformed": {name: data.hex() for name, data in MALFORMED.items()},
    }


def caps_vectors() -> dict[str, Any]:
    """One log at two homes."""
    held = Caps.make(bytes(range(128)))
    rid, body, nonce = bytes(range(16)), b"a body", bytes(range(100, 112))
    out: dict[str, Any] = {
        "secrets": bytes(range(128)).hex(),
        "conv_id": held.conv_id.hex(),
        "rid": rid.hex(),
        "body": body.hex(),
        "nonce": nonce.hex(),
        "homes": [],
    }
    for host, port, fill in (("relay.example", 443, 1), ("2001:db8::1", 8443, 2)):
        home = Home(host, port, bytes([fill]) * 16, bytes([fill + 16]) * 32)
        pin = home.pin
        roles: tuple[caps.Role, ...] = ("append", "read", "owner")
        out["homes"].append(
            {
                "address": str(home),
                "relay_id": pin.hex(),
                "request_path_for_tls_key_hash_of_zeros": caps.request_path(home, b"\0" * 32),
                "log_id": held.log_id(pin).hex(),
                "tokens": {role: (held.token(role, pin) or b"").hex() for role in roles},
                "verifiers": {role: held.verifier(role, pin).hex() for role in roles},
                "record": Envelope(held.locator, pin).seal(rid, body, nonce).hex(),
            }
        )
    return out


def text(vectors: dict[str, Any]) -> str:
    """As kept in the repository."""
    return json.dumps(vectors, indent=1) + "\n"


if __name__ == "__main__":
    (HERE / "log.json").write_text(text(log_vectors()))
    (HERE / "caps.json").write_text(text(caps_vectors()))
