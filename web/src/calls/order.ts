// A decoder answers later than silence does: frames leave in the order they were asked for.

/** So many frames behind, a decoder is not working. */
const MOST = 16;

export class Order {
  /** Numbers of the frames given to the decoder; null is a frame of silence that waits for its turn. */
  private readonly waiting: (number | null)[] = [];

  constructor(private readonly size: number, private readonly out: (frame: Float32Array) => void) {}

  get stuck(): boolean {
    return this.waiting.length > MOST;
  }

  /** The decoder was given the packet of this frame; they rise. */
  expect(frame: number): void {
    this.waiting.push(frame);
  }

  silence(): void {
    if (this.waiting.length) this.waiting.push(null);
    else this.out(new Float32Array(this.size));
  }

  /** What came out of the decoder. A packet before it that gave nothing is silence. */
  decoded(frame: number, samples: Float32Array): void {
    while (this.waiting.length && (this.waiting[0] === null || this.waiting[0]! < frame)) {
      this.waiting.shift();
      this.out(new Float32Array(this.size));
    }
    if (this.waiting[0] !== frame) return;
    this.waiting.shift();
    this.out(this.fit(samples));
    while (this.waiting[0] === null) {
      this.waiting.shift();
      this.out(new Float32Array(this.size));
    }
  }

  /** The decoder is gone: whatever was awaited of it is silence. */
  giveUp(): void {
    while (this.waiting.length) {
      this.waiting.shift();
      this.out(new Float32Array(this.size));
    }
  }

  private fit(samples: Float32Array): Float32Array {
    if (samples.length === this.size) return samples;
    const fitted = new Float32Array(this.size);
    fitted.set(samples.subarray(0, this.size));
    return fitted;
  }
}
