// A voice note being recorded: microphone, encoder, and what was said so far. Needs no network;
// until it is sent or deleted, it stays with its conversation.

import { microphone, trouble } from "../calls/devices";
import { FRAME, loudness, RATE } from "../calls/frames";
import * as scripts from "../calls/scripts";
import type { Sentence } from "../calls/words";
import { troubleOf } from "../files/outbox.svelte";
import { upload } from "../files/upload";
import { model } from "../model.svelte";
import { ogg, SKIP, skipOf } from "./ogg";
import { wave } from "./wave";

const BITRATE = 24_000;
const LONGEST = 3_600_000;
/** Frames of which the loudness is seen while one speaks. */
export const SHOWN = 120;
/** The encoder's options that TypeScript's library does not know yet. */
type Opus = OpusEncoderConfig & { application: "voip"; signal: "voice" };
const OPUS: Opus = {
  application: "voip", signal: "voice", format: "opus", frameDuration: (FRAME * 1e6) / RATE,
};
const REFUSED = { denied: "micDenied", missing: "recordNone", busy: "recordBusy" } as const;

export class Recording {
  state = $state<"starting" | "recording" | "held" | "sending">("starting");
  /** Loudness of the last frames, 0 to 1. */
  levels = $state.raw<number[]>([]);
  ms = $state(0);
  trouble = $state("");
  /** A sentence about why it stopped by itself. */
  why = $state<Sentence | "">("");

  private readonly key = crypto.randomUUID();
  private readonly all: number[] = [];
  private readonly packets: Uint8Array[] = [];
  private skip = SKIP;
  private stream: MediaStream | null = null;
  private context: AudioContext | null = null;
  private encoder: AudioEncoder | null = null;
  private upload = "";
  private gone = false;

  constructor(readonly contact: string) {}

  /** Ask for the microphone and begin; answers the sentence to show if there is none. */
  async start(): Promise<Sentence | ""> {
    if (!("AudioEncoder" in globalThis) || !("AudioWorkletNode" in globalThis)) return "recordCannot";
    try {
      this.stream = await microphone();
    } catch (error) {
      return REFUSED[trouble(error)];
    }
    try {
      await this.listen(this.stream);
    } catch {
      await this.close();
      return "recordCannot";
    }
    // Left or deleted while the browser asked.
    if (this.gone) await this.close();
    else this.state = "recording";
    return "";
  }

  private async listen(stream: MediaStream): Promise<void> {
    this.encoder = new AudioEncoder({
      output: (chunk, about) => {
        const packet = new Uint8Array(chunk.byteLength);
        chunk.copyTo(packet);
        this.packets.push(packet);
        const head = about?.decoderConfig?.description;
        if (head) this.skip = skipOf(bytes(head));
      },
      error: () => void this.hold("recordCannot"),
    });
    this.encoder.configure({
      codec: "opus", sampleRate: RATE, numberOfChannels: 1, bitrate: BITRATE, opus: OPUS,
    });
    const context = new AudioContext({ sampleRate: RATE });
    this.context = context;
    await context.audioWorklet.addModule(scripts.mic);
    const mic = new AudioWorkletNode(context, "holdfast-mic", {
      numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1],
      channelCount: 1, channelCountMode: "explicit",
    });
    const frames = new MessageChannel();
    frames.port1.onmessage = ({ data }) => this.take(data as Float32Array);
    mic.port.postMessage(frames.port2, [frames.port2]);
    context.createMediaStreamSource(stream).connect(mic);
    // An audio thread runs only what leads somewhere; this output is silence.
    mic.connect(context.destination);
    for (const track of stream.getTracks()) track.onended = () => void this.hold("recordUnplugged");
  }

  private take(samples: Float32Array): void {
    if (this.state !== "recording" || this.encoder?.state !== "configured") return;
    const data = new AudioData({
      format: "f32-planar", sampleRate: RATE, numberOfFrames: samples.length, numberOfChannels: 1,
      timestamp: (this.all.length * FRAME * 1e6) / RATE, data: samples as Float32Array<ArrayBuffer>,
    });
    this.encoder.encode(data);
    data.close();
    this.all.push(loudness(samples));
    // Shown sixteen times a second: nobody sees more.
    if (this.all.length % 3 === 0) this.show();
    if (this.ms >= LONGEST) void this.hold("recordFull");
  }

  private show(): void {
    this.ms = (this.all.length * FRAME * 1000) / RATE;
    this.levels = this.all.slice(-SHOWN);
  }

  /** Let the microphone go and keep what was said. */
  async hold(why: Sentence | "" = ""): Promise<void> {
    if (this.state === "starting") this.gone = true;
    if (this.state !== "recording") return;
    this.state = "held";
    this.why = why;
    this.show();
    await this.close();
  }

  private async close(): Promise<void> {
    for (const track of this.stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.stream = null;
    const { context, encoder } = this;
    this.context = this.encoder = null;
    if (encoder?.state === "configured") {
      await encoder.flush().catch(() => undefined);
      if (encoder.state === "configured") encoder.close();
    }
    await context?.close();
  }

  /** Answers whether it is a message now; otherwise `trouble` says why, and it is kept. */
  async send(reply: string | null): Promise<boolean> {
    if (this.state === "recording") await this.hold();
    if (this.state !== "held" || !this.packets.length) return false;
    this.state = "sending";
    this.trouble = "";
    const samples = this.all.length * FRAME;
    const serial = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const file = new Blob(
      ogg(this.packets, FRAME, samples, this.skip, serial) as Uint8Array<ArrayBuffer>[],
    );
    try {
      this.upload ||= await upload(file, () => undefined, new AbortController().signal);
      await model.ask("send_file", {
        contact: this.contact, upload: this.upload, name: "voice.ogg", kind: "voice",
        type: "audio/ogg", duration: Math.round(this.ms), wave: wave(this.all),
        reply_to: reply, key: this.key,
      });
      return true;
    } catch (error) {
      this.trouble = troubleOf(error);
      this.state = "held";
      return false;
    }
  }
}

function bytes(source: AllowSharedBufferSource): Uint8Array {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
}

/** By conversation: what is being recorded, or was and waits to be sent. */
class Recordings {
  of = $state<Record<string, Recording>>({});

  /** Answers the sentence to show if it could not begin. */
  async start(contact: string): Promise<Sentence | ""> {
    const recording = new Recording(contact);
    this.of[contact] = recording;
    const trouble = await recording.start();
    if ((trouble || recording.state === "starting") && this.of[contact] === recording) {
      delete this.of[contact];
    }
    return trouble;
  }

  drop(recording: Recording): void {
    const { contact } = recording;
    void recording.hold();
    delete this.of[contact];
    model.say(model.t("recordDropped"), () => {
      if (!this.of[contact] && recording.ms) this.of[contact] = recording;
    });
  }
}

export const recordings = new Recordings();
