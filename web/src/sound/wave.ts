// The shape of a voice note: loudness along it, small enough to go with the message.

/** Values of a message's wave, and how high one can be (see Attachment in the node's API). */
export const POINTS = 64;
export const HIGH = 31;

/** `levels` from 0 to 1, one a frame, as at most 64 values from 0 to 31: the loudest of each part. */
export function wave(levels: readonly number[]): number[] {
  return parts(levels, Math.min(POINTS, levels.length)).map((level) =>
    Math.round(Math.min(1, Math.max(0, level)) * HIGH));
}

/** Heights from 0 to 1 of exactly `count` bars; a wave without values is flat. */
export function bars(values: readonly number[], count: number): number[] {
  if (!values.length) return Array.from({ length: count }, () => 0);
  return parts(values, count).map((value) => Math.min(1, Math.max(0, value / HIGH)));
}

/** The loudest in each of `count` parts of equal length; values repeat where there are fewer. */
function parts(values: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, part) => {
    const from = Math.floor((part * values.length) / count);
    const to = Math.max(from + 1, Math.floor(((part + 1) * values.length) / count));
    let most = 0;
    for (let i = from; i < to; i++) most = Math.max(most, values[i] ?? 0);
    return most;
  });
}
