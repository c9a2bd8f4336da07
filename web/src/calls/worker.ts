// Codec and connection to the node. The audio threads speak to it directly, so that a page that
// is busy with something else costs the call nothing.

import {
  FRAME, HOW, loudness, MISSING, PACKET, RATE, SILENCE, SPOKEN, TAKEN, WANTED,
  type FromWorker, type ToWorker,
} from "./frames";
import { Order } from "./order";

/** What the node says of how to code: bit/s, ms and bytes of a packet. */
type How = { rate: number; frame: number; bytes: number };
/** The encoder's options that TypeScript's library does not know yet. */
type Opus = OpusEncoderConfig & { application: "voip"; signal: "voice" };

/** A node that does not read is not given more than this, in bytes. */
const UNREAD = 8000;
/** The head of an Opus packet of 20 ms without anything in it. */
const QUIET = new Uint8Array([0x48]);
/** Of the first byte: the kind of packet, without how many frames are in it (RFC 6716, 3.1). */
const ONE_FRAME = 0xfc;
const AGAIN = 300;
const TELL = 66;

class Sound {
  private url = "";
  private socket: WebSocket | null = null;
  private encoder: AudioEncoder | null = null;
  private decoder: AudioDecoder | null = null;
  private spoken = 0;
  private heard = 0;
  private toc = 0;
  private owed = 0;
  private mine = 0;
  private theirs = 0;
  private readonly order = new Order(FRAME, (frame) => this.play(frame));

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
      this.encoder = shut(this.encoder);
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
        this.code(JSON.parse(new TextDecoder().decode(body)) as How);
        this.decoder ??= this.newDecoder();
        tell({ link: "up" });
        return;
      case PACKET:
        if (body.length) this.toc = body[0]! & ONE_FRAME;
        this.decode(body.length ? body : new Uint8Array([this.toc]));
        break;
      // A packet of the last one's first byte alone is what a decoder conceals for as long as
      // that one was; before there was any, there is nothing to go on from.
      case MISSING:
        if (this.heard) this.decode(new Uint8Array([this.toc]));
        else this.order.silence();
        break;
      case SILENCE: this.order.silence(); break;
      default: return;
    }
    this.owed = Math.max(0, this.owed - 1);
  }

  // From the microphone.

  private code(how: How): void {
    const opus: Opus = {
      application: "voip", signal: "voice", format: "opus",
      frameDuration: how.frame * 1000, complexity: 10, usedtx: false, useinbandfec: false,
    };
    this.encoder = shut(this.encoder);
    const encoder = new AudioEncoder({
      output: (chunk) => {
        if ((this.socket?.bufferedAmount ?? 0) > UNREAD) return;
        const message = new Uint8Array(1 + chunk.byteLength);
        message[0] = SPOKEN;
        chunk.copyTo(message.subarray(1));
        this.send(message);
      },
      error: () => {
        if (this.encoder === encoder) this.code(how);
      },
    });
    encoder.configure({
      codec: "opus", sampleRate: RATE, numberOfChannels: 1,
      bitrate: how.rate, bitrateMode: "constant", opus,
    });
    this.encoder = encoder;
  }

  private speak(samples: Float32Array): void {
    this.mine = Math.max(this.mine, loudness(samples));
    if (!this.encoder || this.encoder.state !== "configured") return;
    const data = new AudioData({
      format: "f32-planar", sampleRate: RATE, numberOfFrames: samples.length, numberOfChannels: 1,
      timestamp: (this.spoken++ * FRAME * 1e6) / RATE, data: samples as Float32Array<ArrayBuffer>,
    });
    this.encoder.encode(data);
    data.close();
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

  private decode(packet: Uint8Array): void {
    this.decoder ??= this.newDecoder();
    const frame = this.heard++;
    this.order.expect(frame);
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

  private play(frame: Float32Array): void {
    this.theirs = Math.max(this.theirs, loudness(frame));
    this.ear.postMessage(frame, [frame.buffer]);
  }

  private send(message: Uint8Array): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(message as Uint8Array<ArrayBuffer>);
  }
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
