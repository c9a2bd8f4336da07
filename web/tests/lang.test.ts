import { expect, test } from "vitest";
import { emojiIn, emojiWord, emojiWords, fill, languages, pick, plural } from "../src/lang";
import { en, type Plural } from "../src/lang/en";

const names = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();
const forms = (value: string | Plural) => (typeof value === "string" ? [value] : Object.values(value));

for (const [code, words] of Object.entries(languages)) {
  test(`${code} says everything, with the same things filled in`, () => {
    for (const [key, english] of Object.entries(en)) {
      const here = words[key as keyof typeof words] as string | Plural;
      const wanted = names(forms(english as string | Plural)[0]!);
      for (const form of forms(here)) {
        expect(form.trim(), key).not.toBe("");
        expect(names(form), key).toEqual(wanted);
      }
    }
    expect(Object.keys(words).sort()).toEqual(Object.keys(en).sort());
  });
}

test("Russian has the plurals it needs", () => {
  const results = languages["ru"]!.results;
  expect([1, 2, 5, 21, 22, 25].map((n) => plural("ru", results, n))).toEqual([
    "1 сообщение", "2 сообщения", "5 сообщений", "21 сообщение", "22 сообщения", "25 сообщений",
  ]);
});

test("a name cannot reorder the sentence around it", () => {
  const said = fill("Reply to {name}!", { name: "\u2069\u202eanna" });
  expect(said).toBe("Reply to \u2068anna\u2069!");
  expect(fill("Hello {nobody}", {})).toBe("Hello {nobody}");
});

test("the language is the chosen one, else the browser's, else English", () => {
  expect(pick("ru", ["en"])).toBe("ru");
  expect(pick("auto", ["fr-FR", "ru-RU"])).toBe("ru");
  expect(pick("auto", ["fr"])).toBe("en");
  expect(pick("toString", [])).toBe("en");
});

test("every emoji of a comparison has a name of its own in every language", () => {
  expect(new Set(emojiWords).size).toBe(64);
  for (const words of Object.values(emojiIn)) expect(new Set(words).size).toBe(64);
  expect(emojiWord("ru", "Light Bulb")).toBe("Лампочка");
  expect(emojiWord("ru", "Pin")).toBe("Булавка");
  expect(emojiWord("en", "Pin")).toBe("Pin");
});
