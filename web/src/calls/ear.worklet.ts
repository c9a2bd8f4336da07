// The loudspeaker, in the audio thread: asks the codec's worker for frames as it runs low.

import { FRAME, type Given } from "./frames";
import { Ear } from "./ring";

class Speaker extends AudioWorkletProcessor {
  private readonly ear = new Ear(FRAME);
  private from: MessagePort | null = null;
  private told = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      this.from = data as MessagePort;
      this.from.onmessage = ({ data }: MessageEvent<Given>) => this.ear.give(data.samples, data.frames);
    };
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const [left, ...others] = outputs[0] ?? [];
    if (!left || !this.from) return true;
    const wanted = this.ear.play(left);
    for (const other of others) other.set(left);
    if (wanted) this.from.postMessage(wanted);
    if (this.ear.underruns !== this.told) {
      this.told = this.ear.underruns;
      this.port.postMessage(this.told);
    }
    return true;
  }
}

registerProcessor("holdfast-ear", Speaker);
