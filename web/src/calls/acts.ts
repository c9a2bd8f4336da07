// What a call is shown to go through, one after the other: pure, so that it can be tested.

import type { Sentence } from "./words";

/** Switches that are on for so long, and what is said of it. */
export type Act = { on: readonly string[]; seconds: number; key: Sentence };

export const ACTS: readonly Act[] = [
  { on: [], seconds: 10, key: "demoOpen" },
  { on: ["udp"], seconds: 10, key: "demoUdp" },
  { on: ["throttle"], seconds: 18, key: "demoThrottle" },
  { on: ["cut"], seconds: 6, key: "demoCut" },
  { on: ["calls"], seconds: 40, key: "demoCalls" },
  { on: [], seconds: 20, key: "demoAgain" },
];

/** The one of so many ms after the beginning; null when all are over. */
export function at(ms: number): Act | null {
  let until = 0;
  return ACTS.find((act) => ms < (until += act.seconds * 1000)) ?? null;
}
