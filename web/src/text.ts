// What messages and times look like, without a page: pure, tested.

import type { Message } from "./api";

export type Piece = { text: string; href?: string; host?: string };

const LINK = /https?:\/\/[^\s<>"'`\u2066-\u2069\u202a-\u202e]+/gi;

/** A text cut into plain pieces and web links; a link says which host it leads to. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    const raw = match[0].replace(/[.,;:!?)\]}»”]+$/u, "");
    let url: URL;
    try {
      url = new URL(raw);
    } catch {
      continue;
    }
    if (!url.hostname || url.username || url.password) continue;
    if (match.index > at) found.push({ text: text.slice(at, match.index) });
    found.push({ text: raw, href: url.href, host: url.host });
    at = match.index + raw.length;
  }
  if (at < text.length || found.length === 0) found.push({ text: text.slice(at) });
  return found;
}

/** Up to two letters for a face. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0]!, words[words.length - 1]!] : words;
  return letters.map((word) => [...word][0] ?? "").join("").toUpperCase() || "?";
}

/** One of four quiet tints, always the same for a contact. */
export function tint(id: string): number {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  return (sum % 4) + 1;
}

export type Entry =
  | { kind: "day"; at: number; key: string }
  | { kind: "message"; message: Message; first: boolean; key: string };

/** Whether somebody wrote, spoke or sent this, rather than that it happened. */
export function said(message: Message): boolean {
  return message.kind === "text" || message.kind === "file";
}

const CLOSE = 5 * 60_000;

/** Messages with a line between days; `first` begins a group by one person. */
export function entries(messages: readonly Message[]): Entry[] {
  const out: Entry[] = [];
  let before: Message | null = null;
  for (const message of messages) {
    const newDay = !before || day(before.received) !== day(message.received);
    if (newDay) out.push({ kind: "day", at: message.received, key: `d${message.id}` });
    const first =
      newDay || !said(before!) || before!.mine !== message.mine
      || before!.author?.id !== message.author?.id
      || message.received - before!.received > CLOSE;
    out.push({ kind: "message", message, first, key: message.id });
    before = message;
  }
  return out;
}

function day(at: number): string {
  return new Date(at).toDateString();
}

// A time stands in every message: twenty-four hours are shorter than "AM" and "PM".
const HOURS = { hour: "numeric", minute: "2-digit", hourCycle: "h23" } as const;

export class Times {
  private readonly clock: Intl.DateTimeFormat;
  private readonly weekday: Intl.DateTimeFormat;
  private readonly date: Intl.DateTimeFormat;
  private readonly until: Intl.DateTimeFormat;

  constructor(language: string) {
    this.clock = new Intl.DateTimeFormat(language, HOURS);
    this.weekday = new Intl.DateTimeFormat(language, { weekday: "short" });
    this.date = new Intl.DateTimeFormat(language, { day: "numeric", month: "long" });
    this.until = new Intl.DateTimeFormat(language, {
      weekday: "long", ...HOURS,
    });
  }

  time(at: number): string {
    return this.clock.format(at);
  }

  /** For a list: the time today, the weekday this week, else the date. */
  short(at: number, now: number): string {
    if (day(at) === day(now)) return this.clock.format(at);
    return now - at < 6 * 86_400_000 ? this.weekday.format(at) : this.date.format(at);
  }

  day(at: number, now: number, today: string, yesterday: string): string {
    if (day(at) === day(now)) return today;
    if (day(at) === day(now - 86_400_000)) return yesterday;
    return this.date.format(at);
  }

  dated(at: number): string {
    return this.date.format(at);
  }

  untilWhen(at: number): string {
    return this.until.format(at);
  }
}
