// Bytes, hashes and ciphers, as the page and its files use them.

export const utf8 = new TextEncoder();
export const text = new TextDecoder("utf-8", { fatal: true });
const { subtle } = crypto;

export class Bad extends Error {}

export function need(right, why = "damaged") {
  if (!right) throw new Bad(why);
}

export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    all.set(part, place);
    place += part.length;
  }
  return all;
}

export function number(value, length) {
  const bytes = new Uint8Array(length);
  for (let i = length - 1; i >= 0; i--) {
    bytes[i] = value % 256;
    value = Math.floor(value / 256);
  }
  return bytes;
}

export const joined = (...fields) => concat(...fields.flatMap((field) => [number(field.length, 4), field]));
export const read = (bytes) => bytes.reduce((sum, byte) => sum * 256 + byte, 0);
export const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
export const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
export const sha256 = async (bytes) => new Uint8Array(await subtle.digest("SHA-256", bytes));
export const digest = (label, ...fields) => sha256(joined(utf8.encode(`holdfast/${label}`), ...fields));

export async function hkdf(secret, label, context = [], length = 32) {
  const key = await subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const info = joined(utf8.encode(`holdfast/${label}`), ...context);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
  return new Uint8Array(await subtle.deriveBits(how, key, length * 8));
}

export async function unseal(key, iv, sealed, additionalData = new Uint8Array()) {
  const cipher = await subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  return new Uint8Array(await subtle.decrypt({ name: "AES-GCM", iv, additionalData }, cipher, sealed));
}

/** MessagePack, as far as posts use it: arrays, bytes, strings, whole numbers, nil, true, false. */
export function unpack(bytes) {
  let place = 0;
  const take = (length) => {
    need(place + length <= bytes.length);
    return bytes.subarray(place, (place += length));
  };
  const value = (depth) => {
    need(depth < 16);
    const tag = take(1)[0];
    const list = (count) => {
      need(count <= bytes.length);
      return Array.from({ length: count }, () => value(depth + 1));
    };
    if (tag < 0x80) return tag;
    if (tag >= 0x90 && tag < 0xa0) return list(tag - 0x90);
    if (tag >= 0xa0 && tag < 0xc0) return text.decode(take(tag - 0xa0));
    if (tag === 0xc0) return null;
    if (tag === 0xc2 || tag === 0xc3) return tag === 0xc3;
    if (tag >= 0xc4 && tag <= 0xc6) return take(read(take(1 << (tag - 0xc4))));
    if (tag >= 0xcc && tag <= 0xcf) return read(take(1 << (tag - 0xcc)));
    if (tag >= 0xd9 && tag <= 0xdb) return text.decode(take(read(take(1 << (tag - 0xd9)))));
    need(tag === 0xdc || tag === 0xdd);
    return list(read(take(tag === 0xdc ? 2 : 4)));
  };
  const found = value(0);
  need(place === bytes.length);
  return found;
}

/** What a relay is asked with for a log: of its secrets, for this relay. */
export async function place(pin, locator, reads) {
  return {
    log: await hkdf(locator, "id/1", [pin], 16),
    token: await hkdf(reads, "cap/1", [utf8.encode("read"), pin]),
    key: await hkdf(locator, "home/1", [pin]),
  };
}

/** The records of a log behind `since`, each as its number and, unless it is no record, its body. */
export async function records(where, since) {
  const body = concat(where.log, where.token, number(since, 8));
  const answer = await fetch("log", { method: "POST", body, credentials: "omit" });
  need(answer.ok);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const found = [];
  for (let from = 0; from + 12 <= bytes.length;) {
    const seq = read(bytes.subarray(from, from + 8));
    const length = read(bytes.subarray(from + 8, from + 12));
    const stored = bytes.slice(from + 12, (from += 12 + length));
    const plain = await unseal(where.key, stored.subarray(0, 12), stored.subarray(12), where.log).catch(() => null);
    found.push([seq, plain && plain.subarray(16)]);
  }
  return found;
}
