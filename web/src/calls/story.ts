// How a call went, as parts of one kind: pure, so that it can be tested.

import type { CallMoment, CallSample } from "../api";
import type { Sentence } from "./words";

export type How = "live" | "thin" | "dotted" | "pieces" | "away";
/** From `at` to `to`, in ms of the call; `delay` is the middle one. */
export type Part = { how: How; at: number; to: number; delay: number };

/** Of a hundred frames, from which on nothing is understood. */
const NOTHING = 90;
const SHORTEST = 1500;

export function how(sample: CallSample): How {
  if (sample.lost >= NOTHING) return "away";
  if (sample.rung === "bursts" || sample.way === "bursts") return "pieces";
  if (sample.rung.startsWith("Codec2")) return "dotted";
  return sample.rung.startsWith("Opus 6k") ? "thin" : "live";
}

/** The samples in parts; what is too short to be seen belongs to the part before it. */
export function parts(samples: readonly CallSample[]): Part[] {
  const out: (Part & { delays: number[] })[] = [];
  samples.forEach((sample, i) => {
    const to = samples[i + 1]?.at ?? sample.at + 1000;
    const last = out.at(-1);
    const kind = how(sample);
    if (last && (last.how === kind || to - sample.at < SHORTEST && samples[i + 1] && how(samples[i + 1]!) === last.how)) {
      last.to = to;
      last.delays.push(sample.delay);
    } else out.push({ how: kind, at: sample.at, to, delay: 0, delays: [sample.delay] });
  });
  return out.map(({ delays, ...part }) => ({
    ...part, delay: delays.sort((a, b) => a - b)[delays.length >> 1]!,
  }));
}

/** The delay along the call as a path in a box of this size; the most is at the top. */
export function line(samples: readonly CallSample[], width: number, height: number): string {
  const [most, end] = [top(samples), Math.max(1, samples.at(-1)?.at ?? 1)];
  return samples
    .map((sample, i) => {
      const [x, y] = [(sample.at / end) * width, height - (Math.min(sample.delay, most) / most) * height];
      return `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** The delay at the top of the picture, in ms: a whole second at least. */
export function top(samples: readonly CallSample[]): number {
  return Math.max(1000, Math.ceil(Math.max(0, ...samples.map((one) => one.delay)) / 1000) * 1000);
}

type Saying = { key: Sentence; values: Record<string, number | string> };

const DIRECT = 6;
const WHATS = {
  "no-way": "storyNoWay", "two-ways": "storyTwoWays", "goes-on": "storyGoesOn", coding: "storyCoding",
  bursts: "storyBursts", live: "storyLiveAgain",
} as const satisfies Record<Exclude<CallMoment["what"], "way">, Sentence>;
const WHYS = {
  start: "whyStart", came: "whyCame", gone: "whyGone", answers: "whyAnswers", silent: "whySilent",
  "all-silent": "whyAllSilent", none: "whyNone", proved: "whyProved", well: "whyWell", queue: "whyQueue",
  calm: "whyCalm", lost: "whyLost", "lost-no-more": "whyLostNoMore", behind: "whyBehind",
  "too-much": "whyTooMuch", bursting: "whyBursting",
} as const satisfies Record<CallMoment["why"], Sentence>;
/** Reasons whose first figure is no time in ms. */
const PLAIN: readonly CallMoment["why"][] = ["lost", "well"];

/** What was decided. */
export function decided(moment: CallMoment): Saying {
  if (moment.what !== "way") return { key: WHATS[moment.what], values: { of: moment.of } };
  const way = Number(moment.of);
  if (way >= DIRECT) return { key: "storyWayStraight", values: {} };
  return { key: way % 2 ? "storyWaySteady" : "storyWayQuick", values: { n: (way >> 1) + 1 } };
}

/** And why: times in seconds. */
export function because(moment: CallMoment): Saying {
  const [first = 0, second = 0] = moment.figures;
  const n = PLAIN.includes(moment.why) ? first : Math.max(0.1, Math.round(first / 100) / 10);
  return { key: WHYS[moment.why], values: { n, k: second } };
}
