import { expect, test } from "vitest";
import { loudness } from "../src/calls/frames";
import { Order } from "../src/calls/order";
import { Ear, Ring } from "../src/calls/ring";

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

test("loudness is 0 for silence, 1 at most, and rises with the voice", () => {
  expect(loudness(new Float32Array(960))).toBe(0);
  expect(loudness(new Float32Array(960).fill(1))).toBe(1);
  const [quiet, loud] = [0.01, 0.1].map((level) => loudness(new Float32Array(960).fill(level)));
  expect(quiet).toBeGreaterThan(0.1);
  expect(loud).toBeGreaterThan(quiet!);
});
