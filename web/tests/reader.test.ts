// What a relay sends to the page for readers of a channel: files are whole and right, or not there.
import { afterEach, expect, test, vi } from "vitest";
// @ts-expect-error plain JavaScript
import { concat, hkdf, number, place, records, same, sha256, unpack } from "../../src/holdfast/relay/reader/bytes.js";
// @ts-expect-error plain JavaScript
import { Getting, told } from "../../src/holdfast/relay/reader/files.js";

const CHUNK = 256;
const SIZE = 2 * CHUNK + 100;

/** The same numbers in every run, below `most`. */
function dice(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);
const hashed = (kind: number, ...parts: Uint8Array[]): Promise<Uint8Array> =>
  sha256(concat(new Uint8Array([kind]), ...parts));

async function encrypt(key: Uint8Array, iv: Uint8Array, plain: Uint8Array, bound = new Uint8Array()): Promise<Uint8Array> {
  const cipher = await crypto.subtle.importKey("raw", key.slice(), "AES-GCM", false, ["encrypt"]);
  const how = { name: "AES-GCM", iv: iv.slice(), additionalData: bound.slice() };
  return new Uint8Array(await crypto.subtle.encrypt(how, cipher, plain.slice()));
}

/** A file of three chunks as its sender makes it: its bytes, what the post says, its records. */
async function sent(): Promise<{ data: Uint8Array; file: any; made: Uint8Array[] }> {
  const next = dice(1);
  const data = Uint8Array.from({ length: SIZE }, () => next(256));
  const secret = filled(32, 7);
  const [key, id] = [await hkdf(secret, "file/key/1"), await hkdf(secret, "file/id/1", [], 16)];
  const sealed: Uint8Array[] = [];
  for (let i = 0; i < 3; i++) {
    const plain = filled(CHUNK, 0);
    plain.set(data.subarray(i * CHUNK, (i + 1) * CHUNK));
    const salt = filled(16, i);
    const context = [salt, id, number(i, 4), number(i === 2 ? 1 : 0, 1), number(SIZE, 8)];
    const keys = await hkdf(key, "chunk/1", context, 64);
    sealed.push(concat(salt, keys.subarray(32), await encrypt(keys.subarray(0, 32), filled(12, 0), plain)));
  }
  const [a, b, c] = await Promise.all(sealed.map((one) => hashed(0, one)));
  const both = await hashed(1, a!, b!);
  const proofs = [[b!, c!], [a!, c!], [both]];
  const made = sealed.map((one, i) => concat(number(i, 4), ...proofs[i]!, one));
  const root = await hashed(1, both, c!);
  return { data, file: told(["file", "a.bin", "", SIZE, CHUNK, secret, root, []]), made };
}

const bytes = async (getting: any) => new Uint8Array(await getting.blob().arrayBuffer());

afterEach(() => vi.unstubAllGlobals());

test("a file is put together from its records in any order", async () => {
  const { data, file, made } = await sent();
  const getting = new Getting(file, filled(32, 1));
  for (const i of [2, 0, 1]) {
    expect(getting.whole).toBe(false);
    await getting.take(made[i]);
  }
  expect([getting.whole, getting.done]).toEqual([true, SIZE]);
  expect(same(await bytes(getting), data)).toBe(true);
});

test("no record that is damaged in any way is taken", async () => {
  const { data, file, made } = await sent();
  const next = dice(2);
  const getting = new Getting(file, filled(32, 1));
  for (let i = 0; i < 300; i++) {
    let record: Uint8Array = made[next(3)]!.slice();
    const [how, at] = [next(5), next(record.length)];
    if (how === 0) record[at]! ^= 1 + next(255);
    else if (how === 1) record = record.slice(0, at);
    else if (how === 2) record = concat(record, filled(1 + next(64), next(256)));
    else if (how === 3) record = concat(number(next(2 ** 32), 4), record.subarray(4));
    else record = Uint8Array.from({ length: next(600) }, () => next(256));
    if (made.some((one) => same(one, record))) continue;
    await expect(getting.take(record)).rejects.toThrow();
  }
  expect([getting.chunks.size, getting.done]).toEqual([0, 0]);
  for (const record of made) await getting.take(record);
  await expect(getting.take(made[0])).rejects.toThrow();
  expect(same(await bytes(getting), data)).toBe(true);
});

test("what a relay answers is read to its end, whatever it is", async () => {
  const { data, file, made } = await sent();
  const [next, pin] = [dice(3), filled(32, 1)];
  const secrets = await hkdf(file.secret, "file/log/1", [number(0, 4)], 128);
  const where = await place(pin, secrets.slice(0, 32), secrets.slice(64, 96));
  const stored = await Promise.all(made.map(async (record, i) => {
    const nonce = filled(12, i);
    const body = concat(nonce, await encrypt(where.key, nonce, concat(filled(16, 9), record), where.log));
    return concat(number(i + 1, 8), number(body.length, 4), body);
  }));
  let answer: Uint8Array = concat(...stored);
  vi.stubGlobal("fetch", async () => new Response(answer.slice()));
  expect((await records(where, 0)).map(([seq]: [number]) => seq)).toEqual([1, 2, 3]);
  const getting = new Getting(file, pin);
  for (let i = 0; i < 100; i++) {
    answer = Uint8Array.from({ length: next(400) }, () => next(256));
    if (i % 2) {
      answer = concat(...stored);
      for (let n = 0; n < 8; n++) answer[next(stored[0]!.length)]! ^= 1 + next(255);
      answer = answer.slice(0, next(stored[0]!.length));
    }
    await getting.more().catch(() => false);
  }
  expect(getting.chunks.size).toBe(0);
  answer = concat(...stored);
  getting.since.clear();
  while (!getting.whole) expect(await getting.more()).toBe(true);
  expect(same(await bytes(getting), data)).toBe(true);
});

test("a post's bytes and what it says of a file are refused or read, and nothing else", async () => {
  const next = dice(4);
  let read = 0;
  for (let i = 0; i < 3_000; i++) {
    const data = Uint8Array.from({ length: 1 + next(40) }, () => (next(2) ? [0x91, 0xc4, 0xd9, 0xdd, 0xc0, 0x01, 0x00][next(7)]! : next(256)));
    try {
      unpack(data);
      read++;
    } catch (error) {
      expect(["Bad", "TypeError", "Error"]).toContain((error as Error).constructor.name);
    }
  }
  expect(read).toBeGreaterThan(0);
  const odd = [null, true, -1, 0, 1.5, 2 ** 60, "x", "300", [], filled(31, 1), filled(32, 1)];
  const right = ["file", "a.bin", "", SIZE, CHUNK, filled(32, 1), filled(32, 1), []];
  for (let i = 0; i < 1_000; i++) {
    const fields = right.map((one) => (next(3) ? one : odd[next(odd.length)]));
    let said: any;
    try {
      said = told(fields);
    } catch {
      continue;
    }
    expect(Number.isSafeInteger(said.size) && Number.isSafeInteger(said.chunk)).toBe(true);
    for (const one of [said.secret, said.root]) expect(one instanceof Uint8Array && one.length === 32).toBe(true);
    expect(said.thumb).toBeInstanceOf(Uint8Array);
  }
});
