import { expect, test } from "vitest";
import type { Call, CallEntry, CallMoment, CallSample } from "../src/api";
import { because, decided, line as drawn, parts, top } from "../src/calls/story";
import {
  clock, ending, entry, live, Over, ringsHere, shape, situation, Steady, step, Turn,
} from "../src/calls/words";
import { en } from "../src/lang/en";

const call = (change: Partial<Call> = {}): Call => ({
  id: "c", contact: "a", outgoing: true, state: "talking", reason: "", since: 1, muted: false,
  their_muted: false, line: "whole", delay: 0, lost: 0, away: 0, offline: false, ...change,
});

test("a clock counts minutes, and hours when there are any", () => {
  expect([-5, 0, 8_999, 188_000, 3_723_000].map(clock)).toEqual(["0:00", "0:00", "0:08", "3:08", "1:02:03"]);
});

test("a delay is said in steps", () => {
  expect([0, 250, 300, 700, 800, 1300, 1900, 2400, 2600].map(step)).toEqual([0, 0, 0.5, 0.5, 1, 1.5, 2, 2, 3]);
});

test("every state is a sentence, and only what needs a card asks for one", () => {
  const said = (change: Partial<Call>, line: Call["line"] = "whole") => situation(call(change), line);
  expect(said({ state: "calling" })).toEqual({ key: "callCalling", grave: false });
  expect(said({ state: "ringing" }).key).toBe("callRings");
  expect(said({ state: "ringing", outgoing: false }).key).toBe("callsYou");
  expect(said({ state: "connecting" }).key).toBe("callConnecting");
  expect(said({})).toEqual({ key: "lineClear", grave: false });
  expect(said({}, "thin")).toEqual({ key: "callThin", grave: true });
  expect(said({ away: 5 })).toEqual({ key: "callAway", grave: true });
  expect(said({ away: 5, offline: true })).toEqual({ key: "callOffline", grave: true });
  expect(said({ state: "calling", offline: true }).key).toBe("callOffline");
  for (const line of ["whole", "thin", "dotted", "pieces", "double", "broken"] as const) {
    expect(en[said({}, line).key]).toBeTruthy();
  }
});

test("the end says why", () => {
  const why = (reason: Call["reason"], change: Partial<Call> = {}) =>
    en[ending(call({ state: "ended", reason, ...change }))];
  expect(why("declined")).toBe("They declined.");
  expect(why("declined", { outgoing: false })).toBe("You declined.");
  expect(why("unanswered")).toBe("Nobody answered.");
  expect(why("busy")).toBe("Busy in another call.");
  expect(why("lost")).toMatch(/their side/);
  expect(why("lost", { offline: true })).toMatch(/gone here/);
  expect(why("hung-up")).toBe("The call has ended.");
});

test("a conversation tells a missed call from one that nobody answered", () => {
  const kept = (outcome: CallEntry["outcome"], mine: boolean) => en[entry({ outcome, duration: 0 }, mine)];
  expect(kept("missed", false)).toBe("Missed call");
  expect(kept("unanswered", true)).toBe("Nobody answered.");
  expect(kept("declined", true)).toBe("They declined.");
  expect(kept("declined", false)).toBe("You declined.");
});

test("the line is broken where nothing comes, whoever's network it is", () => {
  expect(shape(call({ away: 1 }), "whole")).toBe("broken");
  expect(shape(call({ offline: true }), "whole")).toBe("broken");
  expect(shape(call(), "thin")).toBe("thin");
  expect(shape(call({ state: "ringing" }), "whole")).toBe("dotted");
});

test("only a call that comes and was not answered rings here", () => {
  expect(ringsHere(call({ outgoing: false, state: "ringing" }))).toBe(true);
  expect(ringsHere(call({ state: "ringing" }))).toBe(false);
  expect(ringsHere(call({ outgoing: false }))).toBe(false);
  expect(live(call({ state: "ended" }))).toBe(false);
  expect(live(null)).toBe(false);
});

test("worse is shown at once, better after five seconds", () => {
  const steady = new Steady();
  expect(steady.see(call({ line: "thin" }), 0)).toBe(0);
  expect(steady.line).toBe("thin");
  expect(steady.see(call(), 1000)).toBe(5000);
  expect(steady.see(call(), 5999)).toBe(1);
  expect(steady.line).toBe("thin");
  steady.see(call({ line: "broken" }), 6000);
  expect(steady.line).toBe("broken");
  expect(steady.see(call(), 7000)).toBe(5000);
  expect(steady.see(call(), 12_000)).toBe(0);
  expect(steady.line).toBe("whole");
});

test("the delay changes at most every ten seconds", () => {
  const steady = new Steady();
  steady.see(call({ delay: 600 }), 0);
  expect(steady.delay).toBe(0.5);
  expect(steady.see(call({ delay: 1600 }), 4000)).toBe(6000);
  expect(steady.delay).toBe(0.5);
  steady.see(call({ delay: 1600 }), 10_000);
  expect(steady.delay).toBe(1.5);
});

test("whoever is louder speaks, and a breath does not end it", () => {
  const turn = new Turn();
  turn.hear(0.1, 0.6, 0);
  expect(turn.who).toBe("them");
  turn.hear(0, 0, 500);
  expect(turn.who).toBe("them");
  turn.hear(0, 0, 800);
  expect(turn.who).toBe("");
  turn.hear(0.7, 0.6, 900);
  expect(turn.who).toBe("me");
});

const sample = (at: number, rung: string, way: CallSample["way"] = "live", delay = 80, lost = 0): CallSample =>
  ({ at, rung, way, delay, lost });

test("a call is told in parts", () => {
  const samples = [
    sample(0, "Opus 16k/20"), sample(1000, "Opus 16k/20"), sample(2000, "Opus 6k/120"),
    sample(3000, "Codec2 1200 x 6", "live", 600), sample(4000, "Codec2 1200 x 6", "live", 800),
    sample(5000, "Codec2 1200 x 6", "live", 700), sample(6000, "Opus 16k/20", "none", 700, 95),
    sample(7000, "bursts", "bursts", 2500), sample(8000, "Opus 16k/20", "bursts", 2600),
  ];
  expect(parts(samples)).toEqual([
    { how: "live", at: 0, to: 2000, delay: 80 },
    { how: "thin", at: 2000, to: 3000, delay: 80 },
    { how: "dotted", at: 3000, to: 6000, delay: 700 },
    { how: "away", at: 6000, to: 7000, delay: 700 },
    { how: "pieces", at: 7000, to: 9000, delay: 2600 },
  ]);
  expect(top(samples)).toBe(3000);
  expect(drawn(samples, 300, 60).match(/[ML]/g)).toHaveLength(9);
  expect(parts([])).toEqual([]);
  expect(drawn([], 300, 60)).toBe("");
});

test("a turn that is over is marked once, until somebody speaks or a moment has passed", () => {
  const over = new Over();
  const heard = (from: number, to: number, mine: number, theirs: number): boolean[] =>
    Array.from({ length: Math.ceil((to - from) / 66) }, (_, i) => over.hear(mine, theirs, from + i * 66));
  expect(heard(0, 2000, 0, 0.6)).not.toContain(true);
  expect(heard(2000, 4000, 0, 0).filter(Boolean)).toHaveLength(1);
  expect(over.until).toBeGreaterThan(4000);
  over.hear(0.6, 0, 4000);
  expect(over.until).toBe(0);
  heard(5000, 7000, 0, 0.6);
  heard(7000, 13_000, 0, 0);
  expect(over.until).toBe(0);
});

test("a word, or one who is answered already, is not marked", () => {
  const over = new Over();
  over.hear(0, 0.6, 0);
  over.hear(0, 0.6, 300);
  expect(over.hear(0, 0, 1500)).toBe(false);
  over.hear(0, 0.6, 2000);
  over.hear(0, 0.6, 4000);
  expect(over.hear(0.6, 0, 5200)).toBe(false);
  expect(over.hear(0, 0, 6500)).toBe(false);
});

test("a pause within a turn is no end of it", () => {
  const over = new Over();
  over.hear(0, 0.6, 0);
  over.hear(0, 0.6, 1500);
  expect(over.hear(0, 0, 2000)).toBe(false);
  over.hear(0, 0.6, 2300);
  expect(over.hear(0, 0, 3000)).toBe(false);
  expect(over.hear(0, 0, 3300)).toBe(true);
});

test("what was decided in a call is said in words, with figures as people count", () => {
  const moment = (change: Partial<CallMoment>): CallMoment => ({
    at: 0, what: "way", why: "came", of: "", figures: [], again: 0, ...change,
  });
  expect(decided(moment({ of: "0" }))).toEqual({ key: "storyWayQuick", values: { n: 1 } });
  expect(decided(moment({ of: "3" }))).toEqual({ key: "storyWaySteady", values: { n: 2 } });
  expect(decided(moment({ of: "6" })).key).toBe("storyWayStraight");
  expect(decided(moment({ what: "coding", of: "Opus 8k/60" })).values).toEqual({ of: "Opus 8k/60" });
  expect(because(moment({ why: "silent", figures: [240] }))).toEqual({ key: "whySilent", values: { n: 0.2, k: 0 } });
  expect(because(moment({ why: "queue", figures: [1500, 9] })).values).toEqual({ n: 1.5, k: 9 });
  expect(because(moment({ why: "lost", figures: [12] })).values.n).toBe(12);
});
