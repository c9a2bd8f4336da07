// A file as people are told of it: pure, so that every state can be tested.

import type { Attachment, Message } from "../api";
import { clock } from "../calls/words";
import type { Filling } from "../lang";
import type { Words } from "../lang/en";

type Sentence = { [K in keyof Words]: Words[K] extends string ? K : never }[keyof Words];
type Say = (key: Sentence, values?: Filling) => string;

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;
const NARROW = /[ \u202f]/g;

function step(bytes: number): number {
  let at = 0;
  // By what would be shown: 999 960 bytes are 1 MB, not 1000 kB.
  while (at < UNITS.length - 1 && Math.round(bytes / 1000 ** at) >= 1000) at += 1;
  return at;
}

function figure(language: string, value: number, more: Intl.NumberFormatOptions): string {
  const digits = value < 10 ? 1 : 0;
  const format = new Intl.NumberFormat(language, { maximumFractionDigits: digits, ...more });
  return format.format(value).replace(NARROW, "\u00a0");
}

/** "4.2 MB", with a space that does not break. */
export function size(language: string, bytes: number): string {
  const at = step(bytes);
  return figure(language, bytes / 1000 ** at, {
    style: "unit", unit: UNITS[at]!, unitDisplay: "short",
    ...(at === 0 ? { maximumFractionDigits: 0 } : {}),
  });
}

/** "310 kB/s". */
export function speed(language: string, rate: number): string {
  const at = Math.max(1, step(rate));
  return figure(language, rate / 1000 ** at, {
    style: "unit", unit: `${UNITS[at]}-per-second`, unitDisplay: "short",
  });
}

/** What of a whole is done, in the whole's unit: "2.6", for "2.6 of 4.2 MB". */
export function part(language: string, done: number, all: number): string {
  const value = Math.min(done, all) / 1000 ** step(all);
  return figure(language, value, step(all) === 0 ? { maximumFractionDigits: 0 } : {});
}

/** "5 s left"; empty where nothing moves, or it would be a guess of days. */
export function left(say: Say, bytes: number, rate: number): string {
  if (rate <= 0) return "";
  const seconds = Math.ceil(bytes / rate);
  if (seconds < 60) return say("secondsLeft", { n: Math.max(1, seconds) });
  if (seconds < 5400) return say("minutesLeft", { n: Math.round(seconds / 60) });
  return seconds < 100 * 3600 ? say("hoursLeft", { n: Math.round(seconds / 3600) }) : "";
}

/** Whether bytes are on their way now, or will be by themselves. */
export function moving(file: Attachment): boolean {
  return file.state === "sending" || file.state === "fetching";
}

/** Whether all the bytes are on this computer. */
export function here(message: Message): boolean {
  return !!message.file && (message.mine || message.file.state === "whole");
}

/** What became of a file, in one line. */
export function fileLine(say: Say, language: string, file: Attachment, mine: boolean): string {
  const all = size(language, file.size);
  switch (file.state) {
    case "sending":
    case "fetching": {
      const done = say("fileOf", { n: part(language, file.done, file.size), to: all });
      if (!file.rate) return `${done} · ${say("fileWaits")}`;
      const rest = left(say, file.size - file.done, file.rate);
      return [done, speed(language, file.rate), rest].filter(Boolean).join(" · ");
    }
    case "sent": return `${all} · ${say("fileSent")}`;
    case "whole": return mine ? `${all} · ${say("fileTheirs")}` : all;
    case "gone": return say("fileGone");
    default: return all;
  }
}

/** Up to four letters that say what kind of file it is. */
export function ending(name: string): string {
  const found = /\.([\p{L}\p{N}]{1,4})$/u.exec(name);
  return found ? found[1]!.toUpperCase() : "";
}

/** A message in one line, for the list and for what it answers. */
export function preview(say: Say, message: Message): string {
  const { file } = message;
  if (message.deleted) return say("deleted");
  if (!file) return message.text;
  if (file.kind === "voice") return say("voiceOf", { time: clock(file.duration) });
  return file.kind === "picture" ? say("picture") : file.name;
}

/** The small picture, if it is one that cannot hold anything else. */
export function thumb(file: Attachment): string {
  return /^data:image\/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}$/.test(file.thumb) ? file.thumb : "";
}
