import { expect, test } from "vitest";
import { loudness } from "../src/calls/frames";
import { Order } from "../src/calls/order";
import { Ear, Ring } from "../src/calls/ring";
import { Tempo } from "../src/calls/tempo";
import { Down, Up } from "../src/calls/thin";

const ramp = (from: number, length: number) => Float32Array.from({ length }, (_, i) => from + i);

test("a ring gives back in order what fits, and silence for what is not there", () => {
  const ring = new Ring(10);
  const out = new Float32Array(4);
  let next = 0;
  let read = 0;
  for (let round = 0; round < 20; round++) {
    expect(ring.push(ramp(next, 4))).toBe(0);
    next += 4;
    expect(ring.pull(out)).toBe(4);
    expect([...out]).toEqual([...ramp(read, 4)]);
    read += 4;
  }
  expect(ring.push(ramp(0, 12))).toBe(2);
  expect(ring.pull(new Float32Array(9))).toBe(9);
  expect(ring.pull(out)).toBe(1);
  expect([...out]).toEqual([9, 0, 0, 0]);
});

test("an ear asks before it runs low, never twice for the same", () => {
  const ear = new Ear(960);
  const out = new Float32Array(128);
  expect(ear.play(out)).toBe(2);
  expect(ear.play(out)).toBe(0);
  ear.give(ramp(1, 960));
  ear.give(ramp(961, 960));
  ear.play(out);
  expect(out[0]).toBe(1);
  let asked = 0;
  for (let quantum = 0; quantum < 750; quantum++) {
    const wanted = ear.play(out);
    asked += wanted;
    for (let i = 0; i < wanted; i++) ear.give(new Float32Array(960));
  }
  expect(asked).toBe(100);
  expect(ear.underruns).toBe(0);
});

test("an ear that runs dry counts it once and waits longer from then on", () => {
  const ear = new Ear(960);
  const out = new Float32Array(128);
  const wanted = ear.play(out);
  for (let i = 0; i < wanted; i++) ear.give(new Float32Array(960));
  const before = ear.ahead;
  for (let quantum = 0; quantum < 30; quantum++) ear.play(out);
  expect(ear.underruns).toBe(1);
  expect(ear.ahead).toBeGreaterThan(before);
});

test("frames come out in the order asked for, whatever the decoder swallows", () => {
  const heard: number[] = [];
  const order = new Order(4, (frame) => heard.push(frame[0]!));
  order.silence();
  order.expect(0);
  order.silence();
  order.expect(20);
  order.expect(40);
  order.silence();
  expect(heard).toEqual([0]);
  order.decoded(0, Float32Array.of(1, 1, 1, 1));
  expect(heard).toEqual([0, 1, 0]);
  order.decoded(40, Float32Array.of(3, 3, 3, 3));
  expect(heard).toEqual([0, 1, 0, 0, 3, 0]);
  order.decoded(40, Float32Array.of(9, 9, 9, 9));
  expect(heard).toHaveLength(6);
});

test("a decoder that gives nothing any more is noticed, and everything asked for is answered", () => {
  const heard: Float32Array[] = [];
  const order = new Order(4, (frame) => heard.push(frame));
  for (let i = 0; i <= 16; i++) order.expect(i);
  expect(order.stuck).toBe(true);
  order.giveUp();
  expect(heard).toHaveLength(17);
  order.expect(20);
  order.decoded(20, Float32Array.of(1, 2));
  expect([...heard[17]!]).toEqual([1, 2, 0, 0]);
});

test("a packet of several frames answers for all of them", () => {
  const heard: [number, number, number][] = [];
  const order = new Order(4, (samples, frames, speed) => heard.push([samples.length, frames, speed]));
  order.expect(0, 3, 115);
  order.ready(new Float32Array(8).fill(1), 2, 100);
  order.silence(2);
  order.decoded(0, new Float32Array(12));
  expect(heard).toEqual([[12, 3, 115], [8, 2, 100], [8, 2, 100]]);
  const ear = new Ear(960);
  expect(ear.play(new Float32Array(128))).toBe(2);
  ear.give(new Float32Array(2880), 3);
  expect(ear.play(new Float32Array(128))).toBe(0);
});

const voice = (length: number, pitch: number, loud = 0.3) =>
  Float32Array.from({ length }, (_, i) => loud * Math.sin((2 * Math.PI * pitch * i) / 48_000));
/** Steps from below to above zero: the periods of a pure tone. */
const periods = (samples: Float32Array) =>
  samples.reduce((sum, value, i) => sum + (i > 0 && samples[i - 1]! < 0 && value >= 0 ? 1 : 0), 0);

test("faster and slower keep the pitch", () => {
  const said = voice(24_000, 150);
  for (const speed of [70, 115, 150]) {
    const tempo = new Tempo();
    const all: number[] = [];
    for (let at = 0; at < 24_000; at += 960) {
      all.push(...tempo.change(said.slice(at, at + 960), speed));
    }
    expect(all.length).toBeGreaterThan((24_000 * 100) / speed - 1500);
    expect(all.length).toBeLessThan((24_000 * 100) / speed + 1500);
    expect(periods(Float32Array.from(all)) / (all.length / 48_000)).toBeCloseTo(150, -1);
  }
});

test("small changes wait until it is quiet", () => {
  const tempo = new Tempo();
  const loud = voice(2880, 150);
  expect(tempo.change(loud, 110)).toBe(loud);
  const quiet = voice(2880, 150, 0.001);
  expect(tempo.change(quiet, 110).length).toBeLessThan(2880);
  expect(new Tempo().change(quiet, 90).length).toBeGreaterThan(2880);
  expect(tempo.change(new Float32Array(960), 150).length).toBe(240);
});

test("between 48 and 8 kHz a voice stays what it is", () => {
  const [down, up] = [new Down(), new Up()];
  const back: number[] = [];
  const said = voice(9600, 400);
  for (let at = 0; at < 9600; at += 960) back.push(...up.take(down.take(said.subarray(at, at + 960))));
  const rms = (part: number[]) => Math.sqrt(part.reduce((sum, x) => sum + x * x, 0) / part.length);
  expect(back).toHaveLength(9600);
  expect(rms(back.slice(2000)) / rms([...said.subarray(2000)])).toBeCloseTo(1, 1);
  expect(periods(Float32Array.from(back.slice(4800)))).toBe(40);
});

test("loudness is 0 for silence, 1 at most, and rises with the voice", () => {
  expect(loudness(new Float32Array(960))).toBe(0);
  expect(loudness(new Float32Array(960).fill(1))).toBe(1);
  const [quiet, loud] = [0.01, 0.1].map((level) => loudness(new Float32Array(960).fill(level)));
  expect(quiet).toBeGreaterThan(0.1);
  expect(loud).toBeGreaterThan(quiet!);
});
