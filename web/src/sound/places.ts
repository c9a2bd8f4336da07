// Where one stopped in voice notes: the latest few, bounded.

/** A message's id and milliseconds. */
export type Place = [string, number];

const MOST = 50;

/** The places with one more in front; a note at its start needs none. */
export function keep(places: readonly Place[], id: string, ms: number): Place[] {
  const others = places.filter(([other]) => other !== id);
  return (ms > 0 ? [[id, Math.round(ms)] as Place, ...others] : others).slice(0, MOST);
}

/** Those that were kept; whatever else stands there is left out. */
export function recall(text: string | null): Place[] {
  try {
    const found: unknown = JSON.parse(text ?? "[]");
    if (!Array.isArray(found)) return [];
    return found.filter((one): one is Place => Array.isArray(one) && one.length === 2
      && typeof one[0] === "string" && Number.isFinite(one[1])).slice(0, MOST);
  } catch {
    return [];
  }
}
