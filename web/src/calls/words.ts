// A call as people are told of it: pure, so that every state can be tested.

import type { Call, CallEntry } from "../api";
import type { Words } from "../lang/en";

export type Sentence = { [K in keyof Words]: Words[K] extends string ? K : never }[keyof Words];

/** Whether somebody is, or may soon be, at the other end. */
export function live(call: Call | null | undefined): call is Call {
  return !!call && call.state !== "ended";
}

/** It rings here and was neither answered nor declined. */
export function ringsHere(call: Call | null | undefined): call is Call {
  return live(call) && !call.outgoing && (call.state === "ringing" || call.state === "calling");
}

/** 3:08, or 1:02:03 from an hour on; `ms` below zero is 0:00. */
export function clock(ms: number): string {
  const all = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** A delay in seconds as it is said: steps of 0.5 below 2, of 1 above; 0 if nobody notices it. */
export function step(ms: number): number {
  if (ms < 300) return 0;
  return ms < 2000 ? Math.max(0.5, Math.round(ms / 500) / 2) : Math.round(ms / 1000);
}

const LINES: Record<Call["line"], Sentence> = {
  whole: "lineClear", thin: "callThin", dotted: "callDotted", pieces: "callPieces",
  double: "callDouble", broken: "callBroken",
};

/** What is happening; `grave` asks for the card, everything else is one small line. */
export function situation(call: Call, line: Call["line"]): { key: Sentence; grave: boolean } {
  if (call.state === "ended") return { key: ending(call), grave: false };
  if (call.offline) return { key: "callOffline", grave: true };
  if (call.state === "calling") return { key: "callCalling", grave: false };
  if (call.state === "ringing") return { key: call.outgoing ? "callRings" : "callsYou", grave: false };
  if (call.state === "connecting") return { key: "callConnecting", grave: false };
  if (call.away) return { key: "callAway", grave: true };
  return { key: LINES[line], grave: line !== "whole" };
}

/** The shape of what is between the two ends now. */
export function shape(call: Call, line: Call["line"]): Call["line"] {
  if (call.offline || call.away) return "broken";
  return call.state === "talking" ? line : call.state === "ended" ? "broken" : "dotted";
}

/** Why it ended, in plain words. */
export function ending(call: Call): Sentence {
  switch (call.reason) {
    case "declined": return call.outgoing ? "endDeclined" : "endYouDeclined";
    case "busy": return "endBusy";
    case "missed": return "endMissed";
    case "unanswered": return "endUnanswered";
    case "lost": return call.offline ? "endLostHere" : "endLost";
    case "failed": return "endFailed";
    default: return "endOver";
  }
}

/** What a conversation keeps of a call. */
export function entry(call: CallEntry, mine: boolean): Sentence {
  switch (call.outcome) {
    case "talked": return mine ? "entryMine" : "entryTheirs";
    case "missed": return mine ? "endUnanswered" : "entryMissed";
    case "unanswered": return mine ? "endUnanswered" : "entryMissed";
    case "declined": return mine ? "endDeclined" : "endYouDeclined";
    case "busy": return mine ? "endBusy" : "entryWhileBusy";
    case "lost": return "entryLost";
    default: return "endFailed";
  }
}

const WORSE: readonly Call["line"][] = ["whole", "double", "thin", "dotted", "pieces", "broken"];
const BETTER_AFTER = 5000;
const DELAY_EVERY = 10_000;

/** A line that does not flicker: worse is shown at once, better after five seconds; the delay
    changes at most every ten. */
export class Steady {
  line: Call["line"] = "whole";
  /** Seconds, a `step`. */
  delay = 0;
  private better = 0;
  private delayed = -DELAY_EVERY;

  /** Answers in how many ms to ask again, 0 if nothing is held back. */
  see(call: Call, now: number): number {
    let again = 0;
    if (WORSE.indexOf(call.line) >= WORSE.indexOf(this.line)) {
      this.line = call.line;
      this.better = 0;
    } else {
      this.better ||= now;
      again = this.better + BETTER_AFTER - now;
      if (again <= 0) {
        this.line = call.line;
        this.better = again = 0;
      }
    }
    const delay = step(call.delay);
    if (delay !== this.delay) {
      const wait = this.delayed + DELAY_EVERY - now;
      if (wait > 0) return again ? Math.min(again, wait) : wait;
      this.delay = delay;
      this.delayed = now;
    }
    return again;
  }
}

const HEARD = 0.35;
const STAYS = 700;

const TURN = 800;
const OVER = 900;
const MARKED = 4000;

/** Where they are heard seconds late, two who talk cannot feel when the other one has ended: a turn of
    theirs that is over is marked, for a moment or until somebody speaks. */
export class Over {
  /** When the mark goes, 0 if there is none. */
  until = 0;
  private since = 0;
  private last = 0;

  /** Whether a turn has ended just now. */
  hear(mine: number, theirs: number, now: number): boolean {
    if (theirs >= HEARD) {
      this.since ||= now;
      this.last = now;
      this.until = 0;
      return false;
    }
    if (mine >= HEARD || now >= this.until) this.until = 0;
    if (!this.since || now - this.last < OVER) return false;
    const long = this.last - this.since >= TURN;
    this.since = 0;
    // Who has begun to speak meanwhile needs no mark.
    if (!long || mine >= HEARD) return false;
    this.until = now + MARKED;
    return true;
  }
}

/** Who speaks: the louder one, for a moment longer than they do. */
export class Turn {
  who: "" | "me" | "them" = "";
  private until = 0;

  hear(mine: number, theirs: number, now: number): void {
    if (Math.max(mine, theirs) >= HEARD) {
      this.who = mine > theirs ? "me" : "them";
      this.until = now + STAYS;
    } else if (now >= this.until) this.who = "";
  }
}
