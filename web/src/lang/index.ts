// Choosing a language and filling sentences. Adding one: a file beside en.ts, a line here.

import { en, type Plural, type Words } from "./en";
import { ru, ruEmoji } from "./ru";

export const languages: Record<string, Words> = { en, ru };
export type Filling = Record<string, string | number>;

/** The language asked for, or the first of the browser's that there is. */
export function pick(asked: string, browser: readonly string[]): string {
  if (Object.hasOwn(languages, asked)) return asked;
  for (const tag of browser) {
    const short = tag.split("-")[0]!.toLowerCase();
    if (Object.hasOwn(languages, short)) return short;
  }
  return "en";
}

/** Filled in by this program, not by people. */
const OURS = new Set(["n", "time", "from", "to"]);
const FSI = "\u2068";
const PDI = "\u2069";
/** What changes direction for more than itself; a text could close our isolate with it. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/gu;

/** Put values in place of `{name}`; text that people wrote stays within its own direction. */
export function fill(sentence: string, values: Filling = {}): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, key: string) => {
    const value = values[key];
    if (value === undefined) return whole;
    if (typeof value === "number" || OURS.has(key)) return String(value);
    return FSI + value.replace(TURNS, "") + PDI;
  });
}

/** The form of a sentence that `n` asks for. */
export function plural(language: string, forms: Plural, n: number, values: Filling = {}): string {
  const rule = new Intl.PluralRules(language).select(n);
  const form = forms[rule as keyof Plural] ?? forms.other;
  return fill(form, { n: new Intl.NumberFormat(language).format(n), ...values });
}

const EMOJI =
  "Dog|Cat|Lion|Horse|Unicorn|Pig|Elephant|Rabbit|Panda|Rooster|Penguin|Turtle|Fish|Octopus|" +
  "Butterfly|Flower|Tree|Cactus|Mushroom|Globe|Moon|Cloud|Fire|Banana|Apple|Strawberry|Corn|Pizza|" +
  "Cake|Heart|Smiley|Robot|Hat|Glasses|Spanner|Santa|Thumbs Up|Umbrella|Hourglass|Clock|Gift|" +
  "Light Bulb|Book|Pencil|Paperclip|Scissors|Lock|Key|Hammer|Telephone|Flag|Train|Bicycle|" +
  "Aeroplane|Rocket|Trophy|Ball|Guitar|Trumpet|Bell|Anchor|Headphones|Folder|Pin";
export const emojiWords: readonly string[] = EMOJI.split("|");
export const emojiIn: Record<string, readonly string[]> = {
  ru: ruEmoji.split(" ").map((word) => word.replace("-", " ")),
};

/** An emoji's name as it is said aloud; the node gives the English one. */
export function emojiWord(language: string, english: string): string {
  return emojiIn[language]?.[emojiWords.indexOf(english)] ?? english;
}
