"""What is said at one end is understood at the other, soon: real speech, two Chromiums.

Each browser's microphone is a recording. What enters the page's sound graph and what leaves it
is recorded there, with the clock of the machine, which both share.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, FLAGS, FreshNode, Person
from listening import RATE, Sound, clips, joined, score, write
from playwright.sync_api import Playwright, expect, sync_playwright

from holdfast.testing.processes import Processes

pytestmark = pytest.mark.timeout(300)

TAP = """
(() => {
  const code = `
    registerProcessor("tap", class extends AudioWorkletProcessor {
      constructor(o) { super(); this.kept = []; this.first = null; this.offset = Infinity;
        this.port.onmessage = () => { this.port.postMessage(
          { kept: this.kept, first: this.first, offset: this.offset }); }; }
      process(inputs) {
        if (this.first === null) this.first = currentFrame;
        this.offset = Math.min(this.offset, Date.now() - currentFrame / 48);
        const input = inputs[0][0];
        this.kept.push(input ? input.slice() : new Float32Array(128));
        return true;
      }
    });`;
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const taps = {};
  window.__taps = taps;
  const connect = AudioNode.prototype.connect;
  const tap = (name, node) => {
    if (taps[name]) return;
    const context = node.context;
    taps[name] = context.audioWorklet.addModule(url).then(() => {
      const one = new AudioWorkletNode(context, "tap", { numberOfOutputs: 1 });
      connect.call(node, one);
      connect.call(one, context.destination);
      return one;
    });
  };
  AudioNode.prototype.connect = function (to, ...more) {
    if (this instanceof MediaStreamAudioSourceNode) tap("mouth", this);
    else if (this instanceof AudioWorkletNode && this.numberOfInputs === 0) tap("ear", this);
    return connect.call(this, to, ...more);
  };
  window.__recorded = async (name) => {
    const node = await taps[name];
    const kept = await new Promise((resolve) => {
      node.port.onmessage = ({ data }) => resolve(data);
      node.port.postMessage(0);
    });
    const all = new Int16Array(kept.kept.length * 128);
    kept.kept.forEach((part, i) => part.forEach((v, j) => {
      all[i * 128 + j] = Math.max(-1, Math.min(1, v)) * 32767;
    }));
    let text = "";
    const bytes = new Uint8Array(all.buffer);
    for (let i = 0; i < bytes.length; i += 8192) {
      text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    }
    return { begin: kept.offset + kept.first / 48, data: btoa(text) };
  };
})();
"""
BLOCK = "() => { const end = performance.now() + 150; while (performance.now() < end); }"


def recorded(person: Person, name: str) -> tuple[float, Sound]:
    """When (s) the recording began, and what is on it."""
    found = person.page.evaluate("(name) => window.__recorded(name)", name)
    sound = np.frombuffer(base64.b64decode(found["data"]), "<i2").astype(np.float64) / 32_768
    sound = sound[: len(sound) // 3 * 3].reshape(-1, 3).mean(axis=1)
    return found["begin"] / 1000, sound


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as one:
        yield one


def test_speech_is_understood_and_soon_while_the_page_is_busy(
    playwright: Playwright, tmp_path: Path
) -> None:
    spoken = clips(4)
    people = []
    with ExitStack() as stack:
        programs = stack.enter_context(Processes(tmp_path))
        relay = programs.relay()
        for name, mine in (("anna", spoken[:2]), ("boris", spoken[2:])):
            voice = tmp_path / f"{name}.wav"
            write(voice, joined(mine, 3.0, 1.0) * 0.5)
            node = FreshNode(tmp_path / name, relay.address)
            programs._all.append(node)
            node.start()
            chromium = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[*FLAGS, f"--use-file-for-fake-audio-capture={voice}%noloop"],
            )
            stack.callback(chromium.close)
            person = Person(chromium, node, bypass_csp=True)
            person.page.add_init_script(TAP)
            person.page.reload()
            people.append(person)
        anna, boris = people
        anna.onboard("Anna")
        boris.onboard("Boris")
        boris.accept(anna.invite())
        expect(anna.page.get_by_role("log")).to_be_visible()
        anna.page.get_by_role("button", name="Call", exact=True).click()
        boris.page.locator("dialog.incoming").get_by_role("button", name="Answer").click()
        for person in people:
            call = person.page.locator("section.call")
            expect(call).to_have_attribute("data-state", "talking", timeout=30_000)
        length = max(len(joined(mine, 3.0, 1.0)) for mine in (spoken[:2], spoken[2:])) / RATE
        for _ in range(int(length / 2)):
            boris.page.evaluate(BLOCK)
            boris.page.wait_for_timeout(1_850)
            print([p.page.locator("section.call").get_attribute("data-underruns") for p in people])
        boris.page.wait_for_timeout(1_000)
        report = []
        for speaker, listener, mine in ((anna, boris, spoken[:2]), (boris, anna, spoken[2:])):
            mouth_begin, mouth = recorded(speaker, "mouth")
            ear_begin, ear = recorded(listener, "ear")
            for clip in mine:
                at_mouth, at_ear = score(clip, mouth), score(clip, ear)
                delay = ear_begin + at_ear.at - mouth_begin - at_mouth.at
                report.append((at_ear.stoi, at_mouth.stoi, delay))
        underruns = [
            person.page.locator("section.call").get_attribute("data-underruns") for person in people
        ]
        for person in people:
            assert person.errors == []
    print(report, underruns, float(abs(ear).max()), len(ear))
    assert underruns == ["0", "0"]
    for understood, _, delay in report:
        assert understood >= 0.95, report
        assert delay <= 0.120, report
