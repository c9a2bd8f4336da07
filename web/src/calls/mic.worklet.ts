// The microphone, in the audio thread: frames of 20 ms, straight to the codec's worker.

import { FRAME } from "./frames";

class Mic extends AudioWorkletProcessor {
  private to: MessagePort | null = null;
  private frame = new Float32Array(FRAME);
  private filled = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => (this.to = data as MessagePort);
  }

  process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    // Without a microphone, or while one takes the place of another, silence keeps the rhythm.
    const input = inputs[0]?.[0];
    const length = input?.length ?? outputs[0]?.[0]?.length ?? 128;
    let from = 0;
    while (from < length) {
      const take = Math.min(length - from, FRAME - this.filled);
      if (input) this.frame.set(input.subarray(from, from + take), this.filled);
      this.filled += take;
      from += take;
      if (this.filled === FRAME) {
        this.to?.postMessage(this.frame, [this.frame.buffer]);
        this.frame = new Float32Array(FRAME);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("holdfast-mic", Mic);
