import { expect, test } from "vitest";
import type { Fact } from "../src/api";
import { fill, languages } from "../src/lang";
import { FACTS, TROUBLES, VERDICTS, fact } from "../src/network";

for (const [code, words] of Object.entries(languages)) {
  const t = (key: string, filling = {}) => fill(words[key as keyof typeof words] as string, filling);

  test(`${code} has words for every verdict but those that there is nothing to say of`, () => {
    const said = Object.entries(VERDICTS).map(([verdict, key]) => [verdict, key && t(key)]);
    expect(said.filter(([, sentence]) => !sentence).map(([verdict]) => verdict)).toEqual(["clear", "unknown"]);
    const sentences = said.map(([, sentence]) => sentence).filter(Boolean);
    expect(new Set(sentences).size).toBe(sentences.length);
  });

  test(`${code} says every fact, differently`, () => {
    const whats = Object.keys(FACTS) as Fact["what"][];
    const said = whats.map((what) => fact({ place: "relay.example:443", path: "browser", what, kbits: 64 }, t));
    expect(new Set(said).size).toBe(whats.length);
    for (const sentence of said) {
      expect(sentence).toContain("relay.example:443");
      expect(sentence).not.toMatch(/[{}]|undefined/);
    }
    for (const key of Object.values(TROUBLES)) expect(t(key)).toMatch(/\.$/);
  });

  test(`${code} names places, and a path that it does not know as it is called`, () => {
    expect(fact({ place: "foreign", path: "", what: "silent", kbits: 0 }, t)).not.toContain("foreign");
    expect(fact({ place: "a:1", path: "pigeon", what: "works", kbits: 0 }, t)).toContain("pigeon");
    expect(fact({ place: "a:1", path: "", what: "crawls", kbits: 64 }, t)).toContain("64");
  });
}
