// A decoder answers later than silence does: frames leave in the order they were asked for.

/** So many frames behind, a decoder is not working. */
const MOST = 16;

type Waiting = { frame: number | null; frames: number; speed: number; samples?: Float32Array };

export class Order {
  /** What was given to the decoder, or what needs none and waits for its turn. */
  private readonly waiting: Waiting[] = [];

  /** `out` is given samples, for how many frames they are, and how fast to play them. */
  constructor(
    private readonly size: number,
    private readonly out: (samples: Float32Array, frames: number, speed: number) => void,
  ) {}

  get stuck(): boolean {
    return this.waiting.length > MOST;
  }

  /** The decoder was given the packet that begins at this frame; they rise. */
  expect(frame: number, frames = 1, speed = 100): void {
    this.waiting.push({ frame, frames, speed });
  }

  silence(frames = 1): void {
    this.ready(new Float32Array(0), frames, 100);
  }

  /** What needs no decoder. */
  ready(samples: Float32Array, frames: number, speed: number): void {
    const one = { frame: null, frames, speed, samples };
    if (this.waiting.length) this.waiting.push(one);
    else this.give(one);
  }

  /** What came out of the decoder. A packet before it that gave nothing is silence. */
  decoded(frame: number, samples: Float32Array): void {
    while (this.waiting.length && (this.waiting[0]!.frame ?? -1) < frame) this.give(this.waiting.shift()!);
    if (this.waiting[0]?.frame !== frame) return;
    this.give(this.waiting.shift()!, samples);
    while (this.waiting[0]?.frame === null) this.give(this.waiting.shift()!);
  }

  /** The decoder is gone: whatever was awaited of it is silence. */
  giveUp(): void {
    while (this.waiting.length) this.give(this.waiting.shift()!);
  }

  private give({ frames, speed, samples: ready }: Waiting, decoded?: Float32Array): void {
    const samples = decoded ?? ready ?? new Float32Array(0);
    const size = frames * this.size;
    let fitted = samples;
    if (samples.length !== size) {
      fitted = new Float32Array(size);
      fitted.set(samples.subarray(0, size));
    }
    this.out(fitted, frames, speed);
  }
}
