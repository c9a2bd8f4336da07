// Microphones and loudspeakers: which there are, which was chosen, how to open one.

export type Kind = "microphone" | "speaker";
export type Device = { id: string; name: string };
/** Why there is no microphone: the person or the browser said no, there is none, it is in use. */
export type Trouble = "denied" | "missing" | "busy";

/** What browsers can do beyond what TypeScript's library says. */
export type Sinking = { setSinkId?: (id: string) => Promise<void> };

const MEDIA = { microphone: "audioinput", speaker: "audiooutput" } as const;

/** The device chosen for this browser; empty for the system's own choice. */
export function chosen(kind: Kind): string {
  return localStorage.getItem(kind) ?? "";
}

export function choose(kind: Kind, id: string): void {
  if (id) localStorage.setItem(kind, id);
  else localStorage.removeItem(kind);
}

/** Those that can be chosen; names are known once a microphone was allowed. */
export async function devices(kind: Kind): Promise<Device[]> {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all
    .filter((one) => one.kind === MEDIA[kind] && one.label
      && !["", "default", "communications"].includes(one.deviceId))
    .map((one) => ({ id: one.deviceId, name: one.label }));
}

/** The chosen microphone, or the system's where that one is not there. Throws what browsers do. */
export async function microphone(): Promise<MediaStream> {
  const audio: MediaTrackConstraints = {
    channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true,
  };
  const id = chosen("microphone");
  if (id) {
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: { ...audio, deviceId: { exact: id } } });
    } catch (error) {
      if (trouble(error) !== "missing") throw error;
    }
  }
  return navigator.mediaDevices.getUserMedia({ audio });
}

export function trouble(error: unknown): Trouble {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "denied";
  return name === "NotReadableError" || name === "AbortError" ? "busy" : "missing";
}

/** Play through the chosen loudspeaker, or the system's where that one is not there. */
export async function through(sink: Sinking): Promise<void> {
  try {
    await sink.setSinkId?.(chosen("speaker"));
  } catch {
    await sink.setSinkId?.("").catch(() => undefined);
  }
}
