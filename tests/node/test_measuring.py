"""What a node measures beside the ladder: how calls went, and other services against a control."""

import asyncio
import http.server
import json
import threading
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import report
from holdfast.core.call.grade import grade
from holdfast.core.finding import Finding
from holdfast.drive.fetch import Look, look
from holdfast.node import measuring, reporting
from holdfast.node.measuring import Heard
from holdfast.node.rpc import ApiError

GOOD = [("live", 120, 0)] * 20


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (GOOD, 4),
        (GOOD[:4], 0),
        ([("live", 150, 10)] * 20, 2),
        ([("live", 900, 0)] * 20, 1),
        ([("bursts", 3000, 0)] * 12 + GOOD[:8], 1),
        ([("none", 0, 0)] * 5, 1),
    ],
)
def test_a_call_is_graded_as_people_hear_it(samples, expected):
    assert grade(samples) == expected


SAMPLES = st.tuples(
    st.sampled_from(["live", "bursts", "none"]), st.integers(0, 10**6), st.integers(0, 100)
)


@given(st.lists(SAMPLES, max_size=30))
def test_grades_are_steps(samples):
    assert grade(samples) in range(6)


def test_calls_work_if_most_do():
    good, bad, none = Heard(True, 4), Heard(True, 1), Heard(False)
    assert measuring.heard([]) == measuring.heard([Heard(True)]) == (True, 0)  # too short to tell
    assert measuring.heard([good, good, bad]) == (True, 4)
    assert measuring.heard([good, bad]) == (False, 4)
    assert measuring.heard([none]) == (False, 0)
    results = {r.function: r for r in reporting.conclude(Finding("clear"), True, [bad, none])}
    assert not results["calls"].ok and results["calls"].grade == 1 and results["text"].ok
    # Those of this program may pass where what others need for theirs does not.
    results = {r.function: r for r in reporting.conclude(Finding("udp-block"), True, [good])}
    assert not results["calls"].ok and results["calls"].grade == 4


MUCH = 400_000


@pytest.mark.parametrize(
    ("seen", "ok", "verdict"),
    [
        (Look(MUCH, 0.5, 200, ""), True, "clear"),
        (Look(MUCH, 20, 200, ""), False, "throttled"),
        (Look(0, 0, 0, "dns"), False, "dns-block"),
        (Look(0, 0, 0, "connect"), False, "address-block"),
        (Look(0, 0, 0, "tls"), False, "name-block"),
        (Look(0, 0, 0, "mute"), False, "name-block"),
        (Look(16_000, 1, 200, "frozen"), False, "freeze"),
        (Look(100, 0, 301, ""), True, "clear"),
        (Look(100, 0, 503, ""), False, "unknown"),
    ],
)
def test_a_service_is_judged_against_a_control(seen, ok, verdict):
    found = measuring.judge("video", seen, 8192)
    assert (found.function, found.ok, found.verdict) == ("service:video", ok, verdict)
    assert bool(found.rate) == bool(found.control) == (seen.size >= MUCH)


async def test_nothing_is_said_of_services_where_the_line_is_down():
    async def dark(url):
        return Look(0, 0, 0, "dns")

    assert await measuring.measure(dark, {"video": "a"}, "b", ["video"]) == ()
    (found,) = await measuring.measure(dark, {"video": "a"}, "", ["video", "no page"])
    assert found.verdict == "dns-block"


PLACES: dict[str, object] = {}


class Pages(http.server.BaseHTTPRequestHandler):
    """A fast page, one that crawls, one that freezes; and an observatory's places."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        try:
            if self.path == "/fast":
                self.wfile.write(bytes(300_000))
            elif self.path == "/places.json":
                self.wfile.write(json.dumps(PLACES).encode())
            else:
                for _ in range(9):
                    self.wfile.write(bytes(4096))
                    time.sleep(0.15)
        except OSError:
            pass

    def log_message(self, *about):
        pass


@contextmanager
def pages():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


async def test_looks_measure_what_comes():
    with pages() as root:
        fast = await look(root + "/fast")
        assert fast.size >= 256 * 1024 and not fast.why and measuring.rate(fast) >= 8192
        slow = await look(root + "/slow")
        assert slow.size == 9 * 4096 and slow.status == 200 and measuring.rate(slow) <= 256
    assert (await look(root + "/fast")).why == "connect"


async def test_a_node_measures_what_was_chosen_and_tells_it_once_an_hour(world, monkeypatch):
    with pages() as root:
        PLACES.update(
            regions=[{"code": "A"}], operators=[{"code": "b"}], services=["video"],
            looks={"video": root + "/slow"}, control=root + "/fast",
        )  # fmt: skip
        person = await world.person("Amina", await world.relay())
        node = person.node
        reporter = node._reporter
        reporter._finding = lambda: Finding("clear")
        with pytest.raises(ApiError, match="choose"):
            await node.measure_now()
        with pytest.raises(ApiError, match="no page"):
            await node.set_reporting(root, "A", "b", services=["other"])
        chosen = await node.set_reporting(root, "A", "b", services=["video"])
        assert chosen.measured == ["video"] and chosen.looks[0].url == root + "/slow"
        async with asyncio.timeout(60):
            while not reporter._connected():
                await asyncio.sleep(0.02)
        told = await node.measure_now()
        assert (told.counted, told.waiting) == (0, 1)  # nobody takes reports here
        one = report.decode(reporter.chosen.waiting[0].report)
        assert isinstance(one, report.Measurement)
        results = {each.function: each for each in one.results}
        assert sorted(results) == ["calls", "media", "service:video", "text"]
        video = results["service:video"]
        assert video.verdict == "throttled" and video.rate in report.RATES and video.control >= 8192
        assert (await node.measure_now()).waiting == 1  # the later one instead
        reporter.chosen.done["measure"] = report.window("measure", reporter.now)
        with pytest.raises(ApiError, match="already"):
            await node.measure_now()
        await person.stop()
        await person.start()
        assert (await person.node.reporting()).measured == ["video"]


def test_pages_are_asked_for_in_secret_unless_the_observatory_is_not():
    listed = {"a": "http://192.168.1.1/", "b": "https://b.example/"}
    assert reporting._pages("https://w.example", listed) == {"b": "https://b.example/"}
    assert reporting._pages("http://127.0.0.1:1", listed) == listed


async def test_calls_of_the_last_hour_count(world):
    anna, boris, at_anna, _ = await world.pair()
    call = await anna.node.start_call(at_anna)
    await boris.wait(lambda: _rings(boris))
    await boris.node.accept_call((await boris.node.calls())[0].id)
    await anna.wait(lambda: _talks(anna))
    await anna.node.hang_up(call.id)
    await anna.wait(lambda: _over(anna))
    assert await anna.node._reporter._calls() == [Heard(True, 0)]
    anna.shift = 2 * 3_600_000
    assert await anna.node._reporter._calls() == []


async def _rings(person):
    return any(one.state == "ringing" for one in await person.node.calls())


async def _talks(person):
    return any(one.state == "talking" for one in await person.node.calls())


async def _over(person):
    return not any(one.state != "ended" for one in await person.node.calls()) and (
        await person.node._reporter._calls()
    )
