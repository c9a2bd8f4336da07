import { expect, test } from "vitest";
import { ACTS, at } from "../src/calls/acts";
import { en } from "../src/lang/en";

test("each act has its time, one after the other, and then it is over", () => {
  const seen = [];
  for (let ms = 0, last; ms < 300_000; ms += 250) {
    const now = at(ms);
    if (now !== last) seen.push(now);
    last = now;
  }
  expect(seen).toEqual([...ACTS, null]);
});

test("it begins and ends with everything open, and says what is done", () => {
  expect([ACTS[0]!.on, ACTS.at(-1)!.on]).toEqual([[], []]);
  for (const act of ACTS) expect(en[act.key]).toBeTruthy();
  expect(ACTS.reduce((sum, act) => sum + act.seconds, 0)).toBeLessThan(110);
});
