"""The sound of a call against a small node of the test's own: clock, order, garbage, the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import picows
import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from holdfast.node.client import Address, Client
from holdfast.node.rpc import ApiError
from holdfast.sound import wav
from holdfast.sound.call import Heard, Source, talk
from holdfast.sound.opus import BadSound, Encoder
from holdfast.testing.listening import align, samples, speech, stoi

CONFIG = b"\0" + json.dumps({"rate": 16000, "frame": 20, "bytes": 40}).encode()
PLAY = bytes((3, 100, 1))
Answer = Callable[["SmallNode"], bytes | None]


class SmallNode(WSListener):
    """Says how to code, keeps what is said, answers each wish as the test wants."""

    def __init__(self, answer: Answer, config: bytes = CONFIG, most: int = 10**9) -> None:
        self.answer, self.config, self.most = answer, config, most
        self.said: list[bytes] = []
        self.wishes = self.back = 0
        self.header = ""
        self.path = ""

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.BINARY, self.config)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif message[0] == 1:
            self.said.append(message[1:])
        elif message[0] == 2:
            for _ in range(message[1]):
                self.wishes += 1
                if self.wishes > self.most:
                    transport.send_close(picows.WSCloseCode.OK)
                    transport.disconnect()
                    return
                answer = self.answer(self)
                if answer is not None:
                    transport.send(WSMsgType.BINARY, answer)


@asynccontextmanager
async def serving(node: SmallNode) -> AsyncIterator[Client]:
    def accept(request: picows.WSUpgradeRequest) -> SmallNode:
        node.path = request.path.decode()
        node.header = request.headers.get("authorization", "")
        return node

    server = await picows.ws_create_server(accept, "127.0.0.1", 0)
    client = Client()
    client.address = Address(server.sockets[0].getsockname()[1], "s3cret", 0)
    try:
        yield client
    finally:
        server.close()


async def run(
    node: SmallNode, source: list[bytes], seconds: float, wait: bool = False
) -> tuple[Heard, list[bytes]]:
    out: list[bytes] = []
    talking = asyncio.Event()
    if not wait:
        talking.set()
    async with serving(node) as client, asyncio.timeout(60):
        heard = await talk(client, "c-1", iter(source), out.append, talking, seconds)
    return heard, out


def echo(node: SmallNode) -> bytes:
    """What is said comes back, in order."""
    if node.back < len(node.said):
        node.back += 1
        return PLAY + node.said[node.back - 1][1:]
    return b"\5"


def test_what_is_said_comes_back_whole_and_in_time() -> None:
    said = list(wav.read(speech()[0], format="g722"))[:200]
    node = SmallNode(echo)
    heard, out = asyncio.run(run(node, said, 60))
    assert node.path == "/sound?call=c-1"
    assert node.header == "Bearer s3cret"
    assert {len(packet) for packet in node.said} == {41}
    assert {len(pcm) for pcm in out} == {1920}
    # The source, and a second more; each frame written has one that was said, but the first.
    assert len(out) == heard.frames == len(node.said) + 1
    assert 250 <= heard.frames <= 253
    spoken, back = samples(b"".join(said)), samples(b"".join(out))
    assert 0 < align(spoken, back) < 48_000 * 0.2
    if not heard.late:
        assert stoi(spoken, back) > 0.95
    assert heard.started > 0
    assert heard.concealed == heard.broken == 0


def test_before_the_call_talks_nothing_is_said_or_kept() -> None:
    node = SmallNode(echo, most=20)
    heard, out = asyncio.run(run(node, [bytes(1920)] * 50, 60, wait=True))
    assert node.said == out == []
    assert heard == Heard()  # nobody talked


def test_it_ends_when_the_node_ends_it() -> None:
    node = SmallNode(lambda _: b"\5", most=25)
    heard, out = asyncio.run(run(node, [bytes(1920)] * 500, 60))
    assert 20 <= heard.frames < 100
    assert all(pcm == bytes(1920) for pcm in out)


@pytest.mark.parametrize("breaks", [1, 3])
def test_a_connection_that_breaks_is_made_again(breaks: int) -> None:
    class Breaking(SmallNode):
        """Its connection breaks, without a goodbye, at every 20th wish."""

        left = breaks
        came = 0

        def on_ws_connected(self, transport: WSTransport) -> None:
            self.came += 1
            super().on_ws_connected(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            super().on_ws_frame(transport, frame)
            if self.left and self.wishes >= 20 * (breaks - self.left + 1):
                self.left -= 1
                transport.underlying_transport.abort()

    node = Breaking(echo)
    said = list(wav.read(speech()[0], format="g722"))[:150]
    heard, out = asyncio.run(run(node, said, 60))
    assert node.came == 1 + breaks
    assert heard.broke == breaks
    assert heard.frames == len(out) >= 199
    assert any(pcm != bytes(1920) for pcm in out[-80:-60])


def test_it_ends_when_the_time_is_over() -> None:
    node = SmallNode(lambda _: b"\5")
    heard, out = asyncio.run(run(node, [bytes(1920)] * 500, 0.2))
    assert heard.frames == len(out) == 10


def test_a_missing_frame_is_bridged_and_counted() -> None:
    encoder = Encoder()
    tone = list(wav.read(speech()[0], format="g722"))[50:80]
    packets = [PLAY + encoder.encode(pcm) for pcm in tone]

    def answer(node: SmallNode) -> bytes:
        return b"\4" if node.wishes % 5 == 0 else packets[node.wishes % len(packets)]

    heard, out = asyncio.run(run(SmallNode(answer), [bytes(1920)] * 500, 0.6))
    assert heard.concealed >= 4
    assert {len(pcm) for pcm in out} == {1920}


@pytest.mark.parametrize(
    "answer",
    [b"\3", b"\3garbage" * 20, b"\3" + bytes((255,)) * 40, b"\x09", PLAY, b"\6dd\1", b"\6\0\0"],
)
def test_garbage_is_counted_and_nothing_stops(answer: bytes) -> None:
    heard, out = asyncio.run(run(SmallNode(lambda _: answer), [bytes(1920)] * 500, 0.3))
    assert len(out) == 15
    assert {len(pcm) for pcm in out} == {1920}
    if answer in (b"\3", PLAY):
        assert heard.broken >= 10


def test_a_silent_node_is_not_asked_twice_for_a_frame() -> None:
    node = SmallNode(lambda _: None)
    heard, out = asyncio.run(run(node, [bytes(1920)] * 500, 0.3))
    assert node.wishes <= 3  # and one for each of those that were late, at most two
    assert heard.late == 15
    assert b"".join(out) == bytes(1920 * 15)


@pytest.mark.parametrize(
    "config", [b"\0", b"\0{}", b'\0{"rate":"a"}', b'\0{"rate":16000,"frame":7,"bytes":40}']
)
def test_a_node_of_another_version_is_said(config: bytes) -> None:
    with pytest.raises(BadSound):
        asyncio.run(run(SmallNode(lambda _: b"\5", config), [bytes(1920)] * 500, 2))


def test_another_coding_is_followed() -> None:
    coding = {"rung": 2, "rate": 12000, "frame": 60, "bytes": 90}
    node = SmallNode(echo, b"\0" + json.dumps(coding).encode())
    _, out = asyncio.run(run(node, [bytes(1920)] * 20, 0.6))
    assert {(packet[0], len(packet)) for packet in node.said[2:]} == {(2, 91)}
    assert set(map(len, out)) == {1920}


def test_what_the_node_codes_itself_comes_and_goes_at_8_khz() -> None:
    coding = {"rung": 5, "codec": "pcm", "rate": 8000, "frame": 40, "bytes": 640}
    said = list(wav.read(speech()[0], format="g722"))[:200]

    def answer(node: SmallNode) -> bytes:
        if node.back < len(node.said):
            node.back += 1
            return bytes((6, 100, 2)) + node.said[node.back - 1][1:]
        return b"\5"

    node = SmallNode(answer, b"\0" + json.dumps(coding).encode())
    heard, out = asyncio.run(run(node, said, 60))
    assert {(packet[0], len(packet)) for packet in node.said} == {(5, 641)}
    spoken, back = samples(b"".join(said)), samples(b"".join(out))
    if not heard.late:
        assert stoi(spoken, back) > 0.8
    assert heard.broken == 0


def test_no_such_call_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = await picows.ws_create_server(lambda _: None, "127.0.0.1", 0)
        client = Client()
        client.address = Address(server.sockets[0].getsockname()[1], "s", 0)
        with pytest.raises(ApiError, match="call is over"):
            await talk(client, "x", iter([bytes(1920)]), lambda _: None, asyncio.Event())
        server.close()
        with pytest.raises(ConnectionError, match="does not answer"):
            await talk(client, "x", iter([bytes(1920)]), lambda _: None, asyncio.Event())

    asyncio.run(scenario())


def test_a_source_is_cut_to_size_and_goes_on_as_silence() -> None:
    source = Source(iter([b"ab", b"cdefgh", b"ij"]))
    assert [source.take(2) for _ in range(4)] == [b"abcd", b"efgh", b"ij\0\0", bytes(4)]
    assert source.over
    assert Source(iter([])).over
