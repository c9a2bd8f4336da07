// The page as sound card and codec of one call. Here only the parts are put together: sound goes
// from the audio threads to the worker and back, never through the page's own thread.

import { chosen, devices, microphone, through, trouble, type Kind, type Sinking, type Trouble } from "./devices";
import { RATE, type FromWorker, type ToWorker } from "./frames";
import * as scripts from "./scripts";

export type Ears = {
  loud(mine: number, theirs: number): void;
  /** Another page carries the sound of this call now. */
  taken(): void;
  /** What was plugged in and is not any more; the system's own device takes its place. */
  unplugged(kind: Kind): void;
  /** No microphone: they hear silence. Null when there is one again. */
  without(trouble: Trouble | null): void;
  underruns(count: number): void;
};

export class Engine {
  private readonly context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  private readonly worker = new Worker(scripts.worker, { type: "module" });
  private stream: MediaStream | null = null;
  private source: MediaStreamAudioSourceNode | null = null;
  private mic: AudioWorkletNode | null = null;
  /** The threads are connected; only then a call can be opened. */
  ready = false;
  private off = false;
  private closed = false;
  private readonly replug = () => void this.plugged();

  constructor(private readonly ears: Ears) {
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if ("mine" in data) this.ears.loud(data.mine, data.theirs);
      else if (data.link === "taken") this.ears.taken();
    };
  }

  /** Ask for the microphone and connect the threads. Throws where the microphone is refused. */
  async prepare(): Promise<void> {
    await this.listen(true);
    await Promise.all([
      this.context.audioWorklet.addModule(scripts.mic),
      this.context.audioWorklet.addModule(scripts.ear),
    ]);
    if (this.closed) return;
    this.mic = new AudioWorkletNode(this.context, "holdfast-mic", {
      numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1],
      channelCount: 1, channelCountMode: "explicit",
    });
    const ear = new AudioWorkletNode(this.context, "holdfast-ear", {
      numberOfInputs: 0, numberOfOutputs: 1, outputChannelCount: [1],
    });
    const spoken = new MessageChannel();
    const heard = new MessageChannel();
    this.mic.port.postMessage(spoken.port1, [spoken.port1]);
    ear.port.postMessage(heard.port1, [heard.port1]);
    ear.port.onmessage = ({ data }) => this.ears.underruns(data as number);
    const begin: ToWorker = { act: "begin", mic: spoken.port2, ear: heard.port2 };
    this.worker.postMessage(begin, [spoken.port2, heard.port2]);
    // An audio thread runs only what leads somewhere; the microphone's output is silence.
    this.mic.connect(this.context.destination);
    ear.connect(this.context.destination);
    this.source?.connect(this.mic);
    await through(this.context as Sinking);
    navigator.mediaDevices.addEventListener("devicechange", this.replug);
    this.ready = true;
  }

  /** Whether the browser lets this page sound; it may wait for a press first. */
  get silent(): boolean {
    return this.context.state !== "running";
  }

  wake(): Promise<void> {
    return this.context.resume();
  }

  /** From now on, and no earlier, sound goes to the node. */
  open(call: string): void {
    this.post({ act: "open", url: `ws://${location.host}/sound?call=${encodeURIComponent(call)}` });
  }

  mute(off: boolean): void {
    this.off = off;
    for (const track of this.stream?.getTracks() ?? []) track.enabled = !off;
  }

  /** The device chosen for `kind` is another now; the call goes on with it. */
  async change(kind: Kind): Promise<void> {
    if (kind === "speaker") await through(this.context as Sinking);
    else await this.listen(false);
  }

  async close(): Promise<void> {
    this.closed = true;
    navigator.mediaDevices?.removeEventListener("devicechange", this.replug);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.post({ act: "close" });
    this.worker.terminate();
    if (this.context.state !== "closed") await this.context.close();
  }

  /** Open the chosen microphone in place of the last; without any, silence goes out. */
  private async listen(first: boolean): Promise<void> {
    let stream: MediaStream | null = null;
    try {
      stream = await microphone();
      this.ears.without(null);
    } catch (error) {
      const why = trouble(error);
      if (first && why === "denied") throw error;
      this.ears.without(why);
    }
    if (this.closed) {
      for (const track of stream?.getTracks() ?? []) track.stop();
      return;
    }
    const before = this.stream;
    this.source?.disconnect();
    this.stream = stream;
    this.source = stream && this.context.createMediaStreamSource(stream);
    if (this.mic) this.source?.connect(this.mic);
    this.mute(this.off);
    for (const track of before?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    for (const track of stream?.getTracks() ?? []) {
      track.onended = () => {
        this.ears.unplugged("microphone");
        void this.listen(false);
      };
    }
  }

  /** Devices came or went: a chosen loudspeaker that is gone gives way to the system's own. */
  private async plugged(): Promise<void> {
    const id = chosen("speaker");
    const there = !id || (await devices("speaker")).some((one) => one.id === id);
    if (!there) this.ears.unplugged("speaker");
    await through(this.context as Sinking);
    if (!this.stream || (await this.elsewhere())) await this.listen(false);
  }

  /** The chosen microphone is there, again perhaps, and another one is in use. */
  private async elsewhere(): Promise<boolean> {
    const id = chosen("microphone");
    const used = this.stream?.getAudioTracks()[0]?.getSettings().deviceId;
    return !!id && !!used && used !== id && (await devices("microphone")).some((one) => one.id === id);
  }

  private post(message: ToWorker): void {
    this.worker.postMessage(message);
  }
}
