import { expect, test } from "vitest";
import type { Event } from "../src/api";
import { ApiError, Rpc, type Wire } from "../src/rpc";

class Line implements Wire {
  sent: { id: number; method: string; params: unknown }[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.onclose?.();
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify({ jsonrpc: "2.0", ...message }) });
  }
}

function connected() {
  const line = new Line();
  const heard: Event[] = [];
  const ups: boolean[] = [];
  const rpc = new Rpc(() => line, (e) => heard.push(e), (up) => ups.push(up));
  rpc.connect();
  line.onopen?.();
  return { line, heard, ups, rpc };
}

test("answers find their calls, in any order", async () => {
  const { line, rpc } = connected();
  const [one, two] = [rpc.call("contact", { contact: "a" }), rpc.call("contact", { contact: "b" })];
  line.say({ id: line.sent[1]!.id, result: { id: "b" } });
  line.say({ id: line.sent[0]!.id, result: { id: "a" } });
  expect([(await one).id, (await two).id]).toEqual(["a", "b"]);
});

test("a refusal carries its code and its sentence", async () => {
  const { line, rpc } = connected();
  const call = rpc.call("unlock", { passphrase: "x" });
  line.say({ id: line.sent[0]!.id, error: { code: -32000, message: "no", data: { code: "wrong-passphrase" } } });
  await expect(call).rejects.toMatchObject({ code: "wrong-passphrase", message: "no" });
});

test("events are heard, strange answers passed over", () => {
  const { line, heard } = connected();
  line.say({ method: "event", params: { type: "typing", contact: "a", typing: true } });
  line.say({ id: 99, result: null });
  expect(heard).toEqual([{ type: "typing", contact: "a", typing: true }]);
});

test("when the node goes away nobody waits for ever", async () => {
  const { line, ups, rpc } = connected();
  const call = rpc.call("status");
  line.close();
  await expect(call).rejects.toBeInstanceOf(ApiError);
  await expect(rpc.call("status")).rejects.toMatchObject({ code: "gone" });
  expect(ups).toEqual([true, false]);
});
