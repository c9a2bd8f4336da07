// Faster or slower at the same pitch: whole periods of the voice are left out or repeated, the seams
// blended (time-domain, as WSOLA; Verhelst and Roelands, 1993). Small changes happen where it is quiet.

import { loudness } from "./frames";

/** Samples of a period, 2.5 to 10 ms. */
const SHORTEST = 120;
const LONGEST = 480;
/** Within so many percent of 100 only what is quiet is changed. */
const GENTLE = 10;
const PAUSE = 4;
/** Below this nobody is heard to speak. */
const QUIET = 0.25;
/** Samples that a small frame may leave to the next. */
const OWED = 960;

export class Tempo {
  /** Samples to be left out; below zero, to be repeated. */
  private owed = 0;

  /** `speed` in percent. */
  change(samples: Float32Array, speed: number): Float32Array {
    const quiet = speed !== 100 && loudness(samples) < QUIET;
    if (speed === 100 || (Math.abs(speed - 100) <= GENTLE && !quiet)) {
      this.owed = 0;
      return samples;
    }
    if (quiet && speed > 100 + GENTLE) return pause(samples);
    let share = 1 - 100 / speed;
    if (quiet) share = speed > 100 ? Math.max(0.25, share * 1.5) : -0.25;
    const most = Math.max(OWED, samples.length);
    this.owed = Math.max(-most, Math.min(most, this.owed + samples.length * share));
    return this.owed > 0 ? this.shorter(samples) : this.longer(samples);
  }

  private shorter(samples: Float32Array): Float32Array {
    const out = new Float32Array(samples.length);
    let [at, to] = [0, 0];
    while (samples.length - at >= 2 * SHORTEST) {
      const lag = period(samples, at);
      if (this.owed < lag) break;
      for (let i = 0; i < lag; i++) out[to++] = blend(samples[at + i]!, samples[at + lag + i]!, i / lag);
      at += 2 * lag;
      this.owed -= lag;
    }
    out.set(samples.subarray(at), to);
    return out.slice(0, to + samples.length - at);
  }

  private longer(samples: Float32Array): Float32Array {
    const out = new Float32Array(2 * samples.length);
    let [at, to] = [0, 0];
    while (samples.length - at >= 2 * SHORTEST) {
      const lag = period(samples, at);
      if (-this.owed < lag) break;
      for (let i = 0; i < lag; i++) out[to++] = samples[at + i]!;
      for (let i = 0; i < lag; i++) out[to++] = blend(samples[at + lag + i]!, samples[at + i]!, i / lag);
      at += lag;
      this.owed += lag;
    }
    out.set(samples.subarray(at), to);
    return out.slice(0, to + samples.length - at);
  }
}

/** A quarter of it, where there is much to catch up with and nobody speaks. */
function pause(samples: Float32Array): Float32Array {
  const size = Math.floor(samples.length / PAUSE);
  const end = samples.subarray(samples.length - size);
  return samples.slice(0, size).map((one, i) => blend(one, end[i]!, i / size));
}

function blend(from: number, to: number, share: number): number {
  return from * (1 - share) + to * share;
}

/** The lag at which what follows is most like what is there (normalised correlation). */
function period(samples: Float32Array, at: number): number {
  let [best, most] = [SHORTEST, -Infinity];
  for (let lag = SHORTEST; lag <= Math.min(LONGEST, (samples.length - at) >> 1); lag += 2) {
    let [both, one, other] = [0, 1e-9, 1e-9];
    for (let i = at; i < at + lag; i += 4) {
      const [a, b] = [samples[i]!, samples[i + lag]!];
      both += a * b;
      one += a * a;
      other += b * b;
    }
    const likeness = both / Math.sqrt(one * other);
    if (likeness > most) [best, most] = [lag, likeness];
  }
  return best;
}
