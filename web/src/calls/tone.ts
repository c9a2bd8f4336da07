// Ringing, softly: two notes made here, so that no file has to be fetched or decoded.

import { through, type Sinking } from "./devices";

const NOTES = { here: [659.3, 523.3], there: [392, 392] } as const;
const EVERY = { here: 2600, there: 4000 } as const;

/** Ring until stopped: `here` for a call that comes, `there` for one that rings at theirs. */
export function ring(kind: keyof typeof NOTES): () => void {
  const context = new AudioContext();
  void through(context as Sinking);
  const once = () => {
    // A browser that has not been touched yet keeps a page quiet: no notes pile up meanwhile.
    if (context.state === "running") NOTES[kind].forEach((pitch, i) => note(context, pitch, kind, i));
  };
  context.onstatechange = once;
  once();
  const timer = setInterval(once, EVERY[kind]);
  return () => {
    clearInterval(timer);
    context.onstatechange = null;
    void context.close();
  };
}

/** Their turn is over: one note, softer than speech. */
export function over(): void {
  const context = new AudioContext();
  void through(context as Sinking);
  note(context, 784, "there", 0);
  setTimeout(() => void context.close(), 1000);
}

function note(context: AudioContext, pitch: number, kind: keyof typeof NOTES, place: number): void {
  const from = context.currentTime + place * 0.28;
  const loud = kind === "here" ? 0.16 : 0.05;
  const gain = context.createGain();
  gain.gain.setValueAtTime(0, from);
  gain.gain.linearRampToValueAtTime(loud, from + 0.03);
  gain.gain.exponentialRampToValueAtTime(0.001, from + 0.7);
  gain.connect(context.destination);
  for (const [times, share] of [[1, 1], [2, 0.2]] as const) {
    const tone = context.createOscillator();
    const part = context.createGain();
    part.gain.value = share;
    tone.frequency.value = pitch * times;
    tone.connect(part).connect(gain);
    tone.start(from);
    tone.stop(from + 0.75);
  }
}
