"""`holdfast relay status`: what a relay that runs says of itself."""

from __future__ import annotations

import argparse
import http.client
import json
import ssl
import time
from pathlib import Path
from typing import Final

from cryptography import x509

from holdfast.cli.say import Exit, Trouble, show

SECONDS: Final = 10.0


def status(asked: argparse.Namespace) -> None:
    """Ask the relay of a directory on its own port."""
    from holdfast.relay.directory import is_running
    from holdfast.relay.keys import RelayError, Secrets

    data: Path = asked.data
    if not is_running(data):
        show({"running": False}, asked.json, "No relay runs there.")
        raise Trouble("start it with `holdfast relay`", Exit.NOT_RUNNING)
    try:
        keys = Secrets(data)
        text, paths = _numbers(data, keys.operators, keys.paths[0])
    except RelayError as error:
        raise Trouble(str(error)) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Trouble(f"the relay of {data} runs, and does not answer: {error}") from None
    values = dict(line.split(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    found = {name: float(value) for name, value in values.items()}
    show({"running": True, **found, **paths}, asked.json, _said(found, paths))


def _numbers(data: Path, operator: bytes, path: bytes) -> tuple[str, dict[str, str]]:
    from holdfast.relay.certificate import key_hash
    from holdfast.relay.watching import HEALTH, NUMBERS, path_of

    host, port = json.loads((data / "at").read_text())
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    line = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    try:
        line.connect()
        shown = line.sock.getpeercert(True) if isinstance(line.sock, ssl.SSLSocket) else None
        seen = key_hash(x509.load_der_x509_certificate(shown or b""))
        paths = {
            "numbers": path_of(operator, NUMBERS, seen),
            "health": path_of(path, HEALTH, seen),
        }
        line.request("GET", paths["numbers"], headers={"Host": "localhost"})
        answer = line.getresponse()
        body = answer.read(1 << 20)
        if answer.status != 200 or not body.endswith(b"# EOF\n"):
            raise ValueError("something else answers on its port")
        return body.decode("ascii"), paths
    finally:
        line.close()


def _said(found: dict[str, float], paths: dict[str, str]) -> str:
    """For people."""

    def size(name: str) -> str:
        return f"{found[name] / 2**20:,.1f} MiB"

    days = (found["holdfast_certificate_end_seconds"] - time.time()) / 86_400
    up = (time.time() - found["process_start_time_seconds"]) / 3_600
    processor, memory = found["process_cpu_seconds_total"], size("process_resident_memory_bytes")
    nodes, refused = found["holdfast_connections"], found["holdfast_refused_total"]
    used, most = size("holdfast_disk_bytes"), size("holdfast_disk_limit_bytes")
    lines = [
        f"Running for {up:.1f} hours; {processor:.0f} s of processor, {memory} of memory",
        f"Nodes: {nodes:.0f}, {refused:.0f} refused; others: {found['holdfast_strangers']:.0f}",
        f"Disk: {used} of {most}; {size('holdfast_disk_free_bytes')} of the file system free",
        f"Certificate: {days:.0f} days left",
        f"Numbers for monitoring, on a path to keep secret: {paths['numbers']}",
        f"Whether it is there, for all who have its address: {paths['health']}",
    ]
    return "\n".join(lines)
