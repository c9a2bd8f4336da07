// What a frame of sound is between the sound card, the codec and the node.

/** Samples a second, everywhere in the page. */
export const RATE = 48_000;
/** Samples of one frame: 20 ms. */
export const FRAME = 960;

/** From the worker to the ear: `samples` answer for so many frames. */
export type Given = { samples: Float32Array; frames: number };

/** First bytes of the messages at /sound. */
export const HOW = 0;
export const SPOKEN = 1;
export const WANTED = 2;
export const PACKET = 3;
export const MISSING = 4;
export const SILENCE = 5;
export const RAW = 6;

/** The node closed the connection on purpose: another page has the sound, or the call is over. */
export const TAKEN = 1000;

export type Ports = { mic: MessagePort; ear: MessagePort };
export type ToWorker = ({ act: "begin" } & Ports) | { act: "open"; url: string } | { act: "close" };
/** Loudness of both sides from 0 to 1, or what became of the connection to the node. */
export type FromWorker = { mine: number; theirs: number } | { link: "up" | "down" | "taken" };

/** Root mean square on a scale of 50 dB: 0 for silence, 1 for full scale. */
export function loudness(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const level = Math.sqrt(sum / Math.max(1, samples.length));
  return Math.min(1, Math.max(0, 1 + Math.log10(Math.max(level, 1e-5)) / 2.5));
}
