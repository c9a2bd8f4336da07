// Samples on their way to the sound card: a ring, so that the audio thread allocates nothing.

export class Ring {
  private readonly store: Float32Array;
  private at = 0;
  length = 0;

  constructor(capacity: number) {
    this.store = new Float32Array(capacity);
  }

  /** Add samples; what does not fit is dropped, and how many were is answered. */
  push(samples: Float32Array): number {
    const room = this.store.length - this.length;
    const fit = Math.min(room, samples.length);
    let to = (this.at + this.length) % this.store.length;
    for (let i = 0; i < fit; i++) {
      this.store[to] = samples[i]!;
      to = to + 1 === this.store.length ? 0 : to + 1;
    }
    this.length += fit;
    return samples.length - fit;
  }

  /** Fill `out` as far as there are samples, the rest with silence; answers how many there were. */
  pull(out: Float32Array): number {
    const take = Math.min(out.length, this.length);
    for (let i = 0; i < take; i++) {
      out[i] = this.store[this.at]!;
      this.at = this.at + 1 === this.store.length ? 0 : this.at + 1;
    }
    out.fill(0, take);
    this.length -= take;
    return take;
  }
}

const LEAST = 1920;
const MOST = 3600;
const STEP = 240;

/** The listener's end: asks early enough, waits longer where that was too late. */
export class Ear {
  /** Samples wanted ahead: 40 ms, more after every underrun. */
  ahead = LEAST;
  underruns = 0;
  private readonly ring = new Ring(19_200);
  private asked = 0;
  private playing = false;
  private dry = false;
  /** Samples of silence since it ran dry. */
  private missed = 0;

  constructor(private readonly frame: number) {}

  /** What was asked for: samples that answer for so many frames, however many they are. */
  give(samples: Float32Array, frames = 1): void {
    this.asked = Math.max(0, this.asked - frames);
    // What came a moment too late is left out, but for the step by which it waits longer now.
    const late = this.missed > STEP && this.missed <= this.frame + STEP ? this.missed - STEP : 0;
    this.missed = 0;
    this.ring.push(samples.subarray(Math.min(late, samples.length)));
    if (this.ring.length >= this.ahead) this.playing = true;
  }

  /** Fill one quantum; answers how many frames to ask for now. */
  play(out: Float32Array): number {
    let got = 0;
    if (!this.playing) out.fill(0);
    else if ((got = this.ring.pull(out)) < out.length) {
      this.missed += out.length - got;
      if (!this.dry) {
        this.underruns += 1;
        this.ahead = Math.min(MOST, this.ahead + STEP);
      }
      this.dry = true;
    } else this.dry = false;
    let wanted = 0;
    while (this.ring.length + this.asked * this.frame < this.ahead) {
      this.asked += 1;
      wanted += 1;
    }
    return wanted;
  }
}
