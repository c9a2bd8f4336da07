import { expect, test } from "vitest";
import type { Attachment, Message } from "../src/api";
import { ending, fileLine, here, left, part, preview, size, speed, thumb } from "../src/files/words";
import { fill, languages, type Filling } from "../src/lang";
import type { Words } from "../src/lang/en";
import { keep, recall } from "../src/sound/places";
import { bars, wave } from "../src/sound/wave";

const say = (language: string) => (key: keyof Words, values?: Filling) =>
  fill(languages[language]![key] as string, values);
const plain = (text: string) => text.replace(/\u00a0/g, "_");

const file = (more: Partial<Attachment> = {}): Attachment => ({
  kind: "file", name: "timetable.pdf", type: "", size: 4_200_000, state: "fetching", done: 2_600_000,
  rate: 0, thumb: "", width: 0, height: 0, duration: 0, wave: [], ...more,
});
const message = (more: Partial<Message>): Message =>
  ({ mine: false, kind: "file", deleted: false, text: "", file: file(), ...more }) as Message;

test("sizes are round, in the language's units, and do not break", () => {
  const all = [0, 999, 1000, 4_200_000, 12_400_000, 999_960, 5_000_000_000];
  expect(all.map((bytes) => plain(size("en", bytes)))).toEqual([
    "0_byte", "999_byte", "1_kB", "4.2_MB", "12_MB", "1_MB", "5_GB",
  ]);
  expect(plain(size("ru", 4_200_000))).toBe("4,2_МБ");
  expect(plain(speed("en", 310_400))).toBe("310_kB/s");
  expect(plain(speed("en", 12))).toBe("0_kB/s");
  // The second letter "с" is a Latin one in some versions of the locale data.
  expect(plain(speed("ru", 1_500_000))).toMatch(/^1,5_МБ\/[cс]$/);
});

test("what is done is told in the unit of the whole", () => {
  expect(part("en", 2_600_000, 4_200_000)).toBe("2.6");
  expect(part("en", 9e9, 4_200_000)).toBe("4.2");
  expect(part("en", 40_000, 4_200_000)).toBe("0");
  expect(part("en", 3, 7)).toBe("3");
});

test("what is left is round, and nothing where nothing moves", () => {
  const en = say("en");
  expect([10, 0.1, 90, 7300, 1e9].map((seconds) => plain(left(en, seconds * 1000, 1000)))).toEqual([
    "10_s left", "1_s left", "2_min left", "2_h left", "",
  ]);
  expect(left(en, 1000, 0)).toBe("");
});

test("every state of a file has its words", () => {
  const line = (more: Partial<Attachment>, mine = false, language = "en") =>
    plain(fileLine(say(language), language, file(more), mine));
  expect(line({})).toBe("2.6 of 4.2_MB · goes on by itself");
  expect(line({}, false, "ru")).toBe("2,6 из 4,2_МБ · продолжится само");
  expect(line({ rate: 310_000 })).toBe("2.6 of 4.2_MB · 310_kB/s · 6_s left");
  expect(line({ state: "offered" })).toBe("4.2_MB");
  expect(line({ state: "whole" })).toBe("4.2_MB");
  expect(line({ state: "whole" }, true)).not.toBe("4.2_MB");
  const states = ["sending", "sent", "whole"] as const;
  expect(new Set(states.map((state) => line({ state }, true))).size).toBe(3);
  expect(line({ state: "gone" })).not.toContain("MB");
});

test("bytes are here when they are mine or all have come", () => {
  expect(here(message({ file: file({ state: "whole" }) }))).toBe(true);
  expect(here(message({ mine: true, file: file({ state: "sent" }) }))).toBe(true);
  expect(here(message({ file: file({ state: "fetching" }) }))).toBe(false);
});

test("a message in one line", () => {
  const en = say("en");
  expect(preview(en, message({ kind: "text", file: null, text: "Hello" }))).toBe("Hello");
  expect(preview(en, message({}))).toBe("timetable.pdf");
  expect(preview(en, message({ file: file({ kind: "picture" }) }))).toBe("Picture");
  expect(preview(en, message({ file: file({ kind: "voice", duration: 41_300 }) }))).toBe("Voice note, 0:41");
  expect(preview(en, message({ deleted: true }))).toBe("Taken back");
});

test("an ending is letters of the name", () => {
  expect(["a.pdf", "b.tar.gz", "c", "d.", "e.p f", "имя.док"].map(ending)).toEqual(
    ["PDF", "GZ", "", "", "", "ДОК"]);
});

test("only small pictures in base64 are shown", () => {
  expect(thumb(file({ thumb: "data:image/webp;base64,UklGRg==" }))).not.toBe("");
  for (const bad of [
    "data:image/svg+xml;base64,PHN2Zz4=", "https://example.org/a.png", "data:text/html;base64,PGI+",
    "data:image/png;base64,AA==\" onerror=", "/files/1", "data:image/png,abc", "",
  ]) expect(thumb(file({ thumb: bad }))).toBe("");
});

test("a wave has at most 64 values from 0 to 31 and keeps what was loudest", () => {
  expect(wave([])).toEqual([]);
  expect(wave([0, 0.5, 1, 7, -1])).toEqual([0, 16, 31, 31, 0]);
  const long = Array.from({ length: 3000 }, (_, i) => (i === 1500 ? 1 : 0.1));
  const made = wave(long);
  expect(made).toHaveLength(64);
  expect(made.filter((value) => value === 31)).toHaveLength(1);
  expect(made.indexOf(31)).toBe(32);
});

test("bars are as many as there is room for", () => {
  expect(bars([], 3)).toEqual([0, 0, 0]);
  expect(bars([31, 0], 4)).toEqual([1, 1, 0, 0]);
  expect(bars([0, 31, 99, 0], 2)).toEqual([1, 1]);
});

test("places in voice notes are few, and newest first", () => {
  let places = keep([], "a", 1200.4);
  places = keep(places, "b", 5);
  expect(keep(places, "a", 3000)).toEqual([["a", 3000], ["b", 5]]);
  expect(keep(places, "b", 0)).toEqual([["a", 1200]]);
  for (let i = 0; i < 80; i++) places = keep(places, `n${i}`, 1);
  expect(places).toHaveLength(50);
  expect(recall(JSON.stringify(places))).toEqual(places);
});

test("places that were spoilt are forgotten", () => {
  for (const bad of [null, "", "{", "{}", "7", "null", '[["a"],[1,2],["a","b"],null]']) {
    expect(recall(bad)).toEqual([]);
  }
});
