// Between the sound card's 48 kHz and the 8 kHz of a codec for thin links.

const TIMES = 6;
const TAPS = 16 * TIMES;

/** A windowed sinc that keeps what is below 3.6 kHz. */
const FILTER = Float32Array.from({ length: TAPS }, (_, i) => {
  const x = i - (TAPS - 1) / 2;
  const cut = 3600 / 48_000;
  const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / TAPS);
  return 2 * cut * (Math.sin(2 * Math.PI * cut * x) / (2 * Math.PI * cut * x)) * window;
});

export class Down {
  private past = new Float32Array(TAPS);

  /** 48 kHz to signed 16 bit at 8 kHz; a multiple of 6 samples. */
  take(samples: Float32Array): Int16Array {
    const all = new Float32Array(TAPS + samples.length);
    all.set(this.past);
    all.set(samples, TAPS);
    this.past = all.slice(samples.length);
    return Int16Array.from({ length: samples.length / TIMES }, (_, n) => {
      let sum = 0;
      for (let i = 0; i < TAPS; i++) sum += FILTER[i]! * all[n * TIMES + i]!;
      return Math.max(-32_768, Math.min(32_767, Math.round(sum * 32_767)));
    });
  }
}

export class Up {
  private past = new Float32Array(TAPS / TIMES);

  /** Signed 16 bit at 8 kHz to 48 kHz. */
  take(thin: Int16Array): Float32Array {
    const span = TAPS / TIMES;
    const all = new Float32Array(span + thin.length);
    all.set(this.past);
    thin.forEach((value, i) => (all[span + i] = value / 32_768));
    this.past = all.slice(thin.length);
    return Float32Array.from({ length: thin.length * TIMES }, (_, n) => {
      const [first, phase] = [Math.floor(n / TIMES), n % TIMES];
      let sum = 0;
      for (let j = 0; j < span; j++) sum += FILTER[phase + j * TIMES]! * all[first + span - j]!;
      return sum * TIMES;
    });
  }
}
