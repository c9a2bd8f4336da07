import { expect, test } from "vitest";
import { placed } from "../src/placed";

const one = (id: string, order: number, cursor = 1) => ({ id, order, cursor });
const ids = (messages: { id: string }[]) => messages.map((each) => each.id).join("");
const part = (more: boolean, newest = true) => ({ messages: [one("b", 2), one("d", 4)], more, newest });

test("what is new stands where it belongs", () => {
  expect(ids(placed(part(true), one("e", 5)))).toBe("bde");
  expect(ids(placed(part(true), one("c", 3)))).toBe("bcd");
  expect(ids(placed({ messages: [], more: false, newest: true }, one("a", 1)))).toBe("a");
});

test("what belongs before all others is first, unless older ones are not here yet", () => {
  expect(ids(placed(part(false), one("a", 1)))).toBe("abd");
  expect(ids(placed(part(true), one("a", 1)))).toBe("bd");
});

test("where the end is not here, nothing is added", () => {
  expect(ids(placed(part(false, false), one("e", 5)))).toBe("bd");
});

test("what changed is replaced, and not by what it was before", () => {
  const messages = [one("b", 2, 7)];
  expect(placed({ messages, more: false, newest: true }, one("b", 2, 8))[0]!.cursor).toBe(8);
  expect(placed({ messages, more: false, newest: true }, one("b", 2, 6))[0]!.cursor).toBe(7);
});
