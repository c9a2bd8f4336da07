import { describe, expect, test } from "vitest";
import type { Message } from "../src/api";
import { entries, initials, pieces, Times, tint } from "../src/text";

describe("links in a text", () => {
  test("http and https alone are links, and say their host", () => {
    expect(pieces("see https://example.org/a?b=c, or not")).toEqual([
      { text: "see " },
      { text: "https://example.org/a?b=c", href: "https://example.org/a?b=c", host: "example.org" },
      { text: ", or not" },
    ]);
  });
  test.each([
    "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "https://",
    "http://user:secret@example.org/", "ftp://example.org",
  ])("%s is no link", (text) => {
    expect(pieces(text).every((p) => !p.href)).toBe(true);
  });
  test("nothing of the text is lost or added", () => {
    for (const text of ["", "a", "https://a.b c https://d.e.", "(https://a.b/c)", "x\nhttps://ä.example/y"]) {
      expect(pieces(text).map((p) => p.text).join("")).toBe(text);
    }
  });
  test("a direction mark ends a link", () => {
    const [link] = pieces("https://example.org/\u202egro.live");
    expect(link!.text).toBe("https://example.org/");
  });
});

test("faces", () => {
  expect(initials("Amina Rahal")).toBe("AR");
  expect(initials("юля")).toBe("Ю");
  expect(initials("👩‍🚒 Fire")).toBe("👩F");
  expect(initials("  ")).toBe("?");
  expect(tint("abc")).toBe(tint("abc"));
});

const at = (id: number, minute: number, mine: boolean, kind: Message["kind"] = "text") =>
  ({ id: String(id), order: id, mine, kind, received: new Date(2026, 10, 23, 10, minute).getTime() }) as Message;

test("messages are grouped by person and nearness, with a line between days", () => {
  const next = { ...at(5, 0, true), received: new Date(2026, 10, 24, 0, 1).getTime() };
  const list = entries([at(1, 0, false), at(2, 1, false), at(3, 2, true), at(4, 30, true), next]);
  expect(list.map((e) => (e.kind === "day" ? "day" : e.first))).toEqual([
    "day", true, false, true, true, "day", true,
  ]);
});

test("times are short in a list", () => {
  const now = new Date(2026, 10, 23, 15, 0).getTime();
  const times = new Times("en-GB");
  expect(times.short(now - 3_600_000, now)).toBe("14:00");
  expect(times.short(now - 2 * 86_400_000, now)).toBe("Sat");
  expect(times.short(now - 40 * 86_400_000, now)).toBe("14 October");
  expect(times.day(now - 86_400_000, now, "Today", "Yesterday")).toBe("Yesterday");
});
