// Codec and connection to the node. The audio threads speak to it directly, so that a page that
// is busy with something else costs the call nothing.

import {
  FRAME, HOW, loudness, MISSING, PACKET, RATE, RAW, SILENCE, SPOKEN, TAKEN, WANTED,
  type FromWorker, type Given, type ToWorker,
} from "./frames";
import { Order } from "./order";
import { Tempo } from "./tempo";
import { Down, Up } from "./thin";

/** What the node says of how to code: bit/s (or samples a second, where it codes itself), ms and
    bytes of a packet. The rung goes before each packet. */
type How = { rung: number; codec: "opus" | "pcm"; rate: number; frame: number; bytes: number };
/** The encoder's options that TypeScript's library does not know yet. */
type Opus = OpusEncoderConfig & { application: "voip"; signal: "voice" };

/** A node that does not read is not given more than this, in bytes. */
const UNREAD = 8000;
/** The head of an Opus packet of 20 ms without anything in it. */
const QUIET = new Uint8Array([0x48]);
const AGAIN = 300;
const TELL = 66;

class Sound {
  private url = "";
  private socket: WebSocket | null = null;
  private how: How | null = null;
  private coming: How | null = null;
  private encoder: AudioEncoder | null = null;
  /** Frames of the packet that is being made. */
  private fed: Float32Array[] = [];
  private readonly down = new Down();
  private readonly up = new Up();
  private decoder: AudioDecoder | null = null;
  private spoken = 0;
  private heard = 0;
  private toc = 0;
  private owed = 0;
  private mine = 0;
  private theirs = 0;
  private readonly order = new Order(FRAME, (samples, frames, speed) => this.play(samples, frames, speed));
  private readonly tempo = new Tempo();

  constructor(mic: MessagePort, private readonly ear: MessagePort) {
    mic.onmessage = ({ data }) => this.speak(data as Float32Array);
    ear.onmessage = ({ data }) => this.want(data as number);
    setInterval(() => {
      tell({ mine: this.mine, theirs: this.theirs });
      this.mine = this.theirs = 0;
    }, TELL);
  }

  open(url: string): void {
    this.url = url;
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = ({ data }) => this.receive(new Uint8Array(data as ArrayBuffer));
    socket.onclose = ({ code }) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.code(null);
      for (; this.owed > 0; this.owed--) this.order.silence();
      tell({ link: code === TAKEN ? "taken" : "down" });
      if (code === TAKEN) this.url = "";
      else setTimeout(() => this.url === url && !this.socket && this.open(url), AGAIN);
    };
  }

  close(): void {
    this.url = "";
    this.socket?.close();
    this.encoder = shut(this.encoder);
    this.decoder = shut(this.decoder);
  }

  private receive(message: Uint8Array): void {
    const body = message.subarray(1);
    switch (message[0]) {
      case HOW:
        this.coming = JSON.parse(new TextDecoder().decode(body)) as How;
        if (!this.fed.length) this.code(this.coming);
        this.decoder ??= this.newDecoder();
        tell({ link: "up" });
        return;
      case PACKET: {
        if (body.length < 3) return;
        const [speed, frames, packet] = [body[0]!, Math.max(1, body[1]!), body.subarray(2)];
        this.toc = one(packet[0]!);
        this.decode(packet, frames, speed);
        break;
      }
      // A packet of a first byte alone is what a decoder conceals for as long as that byte says;
      // before there was any, there is nothing to go on from.
      case MISSING:
        if (this.heard) this.decode(new Uint8Array([this.toc]), 1, 100);
        else this.order.silence();
        break;
      case RAW: {
        if (body.length < 4) return;
        const thin = new Int16Array(body.slice(2, body.length & ~1).buffer);
        this.order.ready(this.up.take(thin), Math.max(1, body[1]!), body[0]!);
        break;
      }
      case SILENCE: this.order.silence(body[0] || 1); break;
      default: return;
    }
    this.owed = Math.max(0, this.owed - 1);
  }

  // From the microphone.

  /** From the next packet on. What is being coded still leaves. */
  private code(how: How | null): void {
    const last = this.encoder;
    this.how = how;
    this.coming = null;
    this.fed = [];
    this.encoder = how?.codec === "opus" ? this.newEncoder(how) : null;
    if (last?.state === "configured") {
      last.flush().catch(() => undefined).finally(() => shut(last));
    }
  }

  private newEncoder(how: How): AudioEncoder {
    const opus: Opus = {
      application: "voip", signal: "voice", format: "opus",
      frameDuration: how.frame * 1000, complexity: 10, usedtx: false, useinbandfec: false,
    };
    const encoder = new AudioEncoder({
      output: (chunk) => {
        const packet = new Uint8Array(chunk.byteLength);
        chunk.copyTo(packet);
        this.say(how, packet);
      },
      error: () => {
        if (this.encoder === encoder) this.code(how);
      },
    });
    encoder.configure({
      codec: "opus", sampleRate: RATE, numberOfChannels: 1,
      bitrate: how.rate, bitrateMode: "constant", opus,
    });
    return encoder;
  }

  private speak(samples: Float32Array): void {
    this.mine = Math.max(this.mine, loudness(samples));
    if (!this.how) return;
    if (this.encoder?.state === "configured") {
      const data = new AudioData({
        format: "f32-planar", sampleRate: RATE, numberOfFrames: samples.length, numberOfChannels: 1,
        timestamp: (this.spoken++ * FRAME * 1e6) / RATE, data: samples as Float32Array<ArrayBuffer>,
      });
      this.encoder.encode(data);
      data.close();
    }
    this.fed.push(samples);
    if (this.fed.length * FRAME < (this.how.frame * RATE) / 1000) return;
    if (this.how.codec === "pcm") {
      const thin = this.fed.map((frame) => this.down.take(frame));
      const packet = new Uint8Array(this.how.bytes);
      let at = 0;
      for (const part of thin) {
        packet.set(new Uint8Array(part.buffer).subarray(0, packet.length - at), at);
        at = Math.min(packet.length, at + part.byteLength);
      }
      this.say(this.how, packet);
    }
    this.fed = [];
    if (this.coming) this.code(this.coming);
  }

  private say(how: How, packet: Uint8Array): void {
    if ((this.socket?.bufferedAmount ?? 0) > UNREAD) return;
    const message = new Uint8Array(2 + packet.length);
    message[0] = SPOKEN;
    message[1] = how.rung;
    message.set(packet, 2);
    this.send(message);
  }

  // To the loudspeaker.

  private want(count: number): void {
    if (this.socket?.readyState !== WebSocket.OPEN) {
      for (let i = 0; i < count; i++) this.order.silence();
      return;
    }
    this.owed += count;
    this.send(new Uint8Array([WANTED, count]));
  }

  private decode(packet: Uint8Array, frames: number, speed: number): void {
    this.decoder ??= this.newDecoder();
    const frame = this.heard;
    this.heard += frames;
    this.order.expect(frame, frames, speed);
    try {
      this.decoder.decode(new EncodedAudioChunk({
        type: "key", timestamp: this.stamp(frame), data: packet as Uint8Array<ArrayBuffer>,
      }));
    } catch {
      this.restart();
    }
    if (this.order.stuck) this.restart();
  }

  private stamp(frame: number): number {
    return (frame * FRAME * 1e6) / RATE;
  }

  private newDecoder(): AudioDecoder {
    const decoder = new AudioDecoder({
      output: (data) => {
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
        // A decoder's timestamps are its own sums of samples, a microsecond off now and then.
        this.order.decoded(Math.round((data.timestamp * RATE) / (FRAME * 1e6)), samples);
        data.close();
      },
      // Whatever a packet held, the call goes on with the next one.
      error: () => {
        if (this.decoder === decoder) this.restart();
      },
    });
    decoder.configure({ codec: "opus", sampleRate: RATE, numberOfChannels: 1 });
    // The first frame takes longer than the sound card waits: one of silence, that nobody
    // awaits, goes before it.
    decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: this.stamp(this.heard - 1), data: QUIET }));
    return decoder;
  }

  private restart(): void {
    this.decoder = shut(this.decoder);
    this.order.giveUp();
  }

  private play(decoded: Float32Array, frames: number, speed: number): void {
    this.theirs = Math.max(this.theirs, loudness(decoded));
    const samples = this.tempo.change(decoded, speed);
    const given: Given = { samples, frames };
    this.ear.postMessage(given, [samples.buffer]);
  }

  private send(message: Uint8Array): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(message as Uint8Array<ArrayBuffer>);
  }
}

/** Of a packet's first byte, one that says the same and 20 ms (RFC 6716, 3.1). */
function one(toc: number): number {
  const config = toc >> 3;
  const twenty = config < 12 ? (config & ~3) | 1 : config < 16 ? config | 1 : config | 3;
  return (twenty << 3) | (toc & 4);
}

/** Let a codec go; one that failed is closed already. */
function shut(codec: { state: string; close(): void } | null): null {
  if (codec && codec.state !== "closed") codec.close();
  return null;
}

function tell(news: FromWorker): void {
  postMessage(news);
}

let sound: Sound | null = null;
self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.act === "begin") sound = new Sound(data.mic, data.ear);
  else if (data.act === "open") sound?.open(data.url);
  else sound?.close();
};
