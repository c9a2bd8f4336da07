// Pictures, voice notes and other files of a channel, got chunk by chunk from the relay that serves
// this page; each chunk is opened and checked against the root that the post signs. spec/seal.md, "Files".

import { concat, hkdf, need, number, place, read, records, same, sha256, unseal } from "./bytes.js";

const WORDS = {
  en: {
    show: (size) => `Load the picture, ${size}`, get: (size) => `Load, ${size}`, hear: (size) => `Load the voice note, ${size}`,
    came: (done, size) => `${done} of ${size}`, checking: "Loading…",
    again: "It does not come just now. It is tried again by itself.",
    save: "Save", large: "Too large for this page. Read the channel in a Holdfast of your own to get it.",
    picture: "Picture", voice: "Voice note",
  },
  ru: {
    show: (size) => `Загрузить картинку, ${size}`, get: (size) => `Загрузить, ${size}`, hear: (size) => `Загрузить голосовое, ${size}`,
    came: (done, size) => `${done} из ${size}`, checking: "Загружается…",
    again: "Сейчас не приходит. Попытки продолжаются сами.",
    save: "Сохранить", large: "Для этой страницы файл слишком велик. Чтобы его получить, читайте канал в своём Holdfast.",
    picture: "Картинка", voice: "Голосовое сообщение",
  },
};
const PART = 2048;
const SMALLEST = 256;
const OVERHEAD = 64;
/** Bytes of a file that a page holds in memory. */
const MOST = 64 * 1024 * 1024;
const AGAIN = 5_000;

/** What a post says of a file; throws if no file can be so. */
export function told(fields) {
  const [kind, name, media, size, chunk, secret, root, , thumb = new Uint8Array()] = fields;
  need(Number.isSafeInteger(size) && size >= 0 && Number.isSafeInteger(chunk) && chunk >= SMALLEST && chunk <= 64_512);
  need([secret, root, thumb].every((one) => one instanceof Uint8Array) && secret.length === 32 && root.length === 32);
  need(typeof name === "string");
  return { kind, name: clean(name), media, size, chunk, secret: secret.slice(), root: root.slice(), thumb: thumb.slice() };
}

/** A name without folders and without what hides or turns around. */
function clean(name) {
  const kept = name.replaceAll("\\", "/").split("/").pop().replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "").slice(0, 100);
  return kept.replace(/^[ .]+|[ .]+$/g, "") || "file";
}

/** What a file is by how it begins, whatever is said of it. */
function type(bytes) {
  const begins = (...values) => values.every((value, i) => bytes[i] === value);
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "image/png";
  if (begins(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (begins(0x47, 0x49, 0x46, 0x38)) return "image/gif";
  if (begins(0x52, 0x49, 0x46, 0x46) && [0x57, 0x45, 0x42, 0x50].every((v, i) => bytes[8 + i] === v)) return "image/webp";
  if (begins(0x4f, 0x67, 0x67, 0x53)) return "audio/ogg";
  if (begins(0x1a, 0x45, 0xdf, 0xa3)) return "audio/webm";
  return "";
}

// Chunks.

const filled = (length, chunk) => Math.min(chunk, Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(Math.max(1, length)))));

/** A file that is being got. */
export class Getting {
  constructor(file, pin) {
    Object.assign(this, { file, pin, chunks: new Map(), since: new Map(), done: 0 });
    this.count = Math.max(1, Math.ceil(file.size / file.chunk));
  }

  async open(index, sealed) {
    const { file, count } = this;
    const length = Math.min(file.chunk, file.size - index * file.chunk);
    need(sealed.length === filled(length, file.chunk) + OVERHEAD);
    this.key ??= await hkdf(file.secret, "file/key/1");
    this.id ??= await hkdf(file.secret, "file/id/1", [], 16);
    const context = [sealed.slice(0, 16), this.id, number(index, 4), number(index === count - 1 ? 1 : 0, 1), number(file.size, 8)];
    const keys = await hkdf(this.key, "chunk/1", context, 64);
    need(same(keys.subarray(32), sealed.subarray(16, 48)));
    return (await unseal(keys.slice(0, 32), new Uint8Array(12), sealed.subarray(48))).slice(0, length);
  }

  /** One record: index ‖ hashes beside the way to the root ‖ sealed chunk. */
  async take(record) {
    need(record && record.length > 4);
    const index = read(record.subarray(0, 4));
    need(index < this.count && !this.chunks.has(index));
    const sides = [];
    for (let [at, leaves] = [index, this.count]; leaves > 1; [at, leaves] = [at >> 1, (leaves + 1) >> 1]) {
      const beside = at ^ 1;
      sides.push(beside >= leaves ? 0 : beside > at ? 1 : -1);
    }
    const start = 4 + 32 * sides.filter(Boolean).length;
    const sealed = record.subarray(start);
    let [hash, from] = [await sha256(concat(new Uint8Array([0]), sealed)), 4];
    for (const side of sides.filter(Boolean)) {
      const other = record.subarray(from, (from += 32));
      hash = await sha256(side > 0 ? concat(new Uint8Array([1]), hash, other) : concat(new Uint8Array([1]), other, hash));
    }
    need(same(hash, this.file.root));
    const plain = await this.open(index, sealed);
    this.chunks.set(index, plain);
    this.done += plain.length;
  }

  /** More of it; whether anything came. */
  async more() {
    let part = 0;
    while ([...Array(Math.min(PART, this.count - part * PART)).keys()].every((i) => this.chunks.has(part * PART + i))) part++;
    const secrets = await hkdf(this.file.secret, "file/log/1", [number(part, 4)], 128);
    const where = await place(this.pin, secrets.slice(0, 32), secrets.slice(64, 96));
    const found = await records(where, this.since.get(part) ?? 0);
    const before = this.chunks.size;
    for (const [seq, record] of found) {
      await this.take(record).catch(() => { /* not of this file */ });
      this.since.set(part, seq);
    }
    // What lacks may have been appended again, or is not there yet.
    if (!found.length) this.since.delete(part);
    return this.chunks.size > before;
  }

  get whole() {
    return this.chunks.size === this.count;
  }

  blob() {
    const parts = Array.from({ length: this.count }, (_, index) => this.chunks.get(index));
    return new Blob(parts, { type: type(parts[0]) || "application/octet-stream" });
  }
}

// What is shown.

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function sized(language) {
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const units = language === "ru" ? ["Б", "КБ", "МБ", "ГБ"] : ["B", "KB", "MB", "GB"];
  return (bytes) => {
    const step = bytes < 1000 ? 0 : bytes < 1e6 ? 1 : bytes < 1e9 ? 2 : 3;
    return `${number.format(bytes / 1000 ** step)} ${units[step]}`;
  };
}

function picture(blob, alt) {
  return element("img", { src: URL.createObjectURL(blob), alt });
}

/** A file as it is shown: a small picture if there is one, and what loads the rest. */
export function card(file, pin, language) {
  const [words, size] = [WORDS[language], sized(language)];
  const box = element("div", { className: "file" });
  const name = element("bdi", { textContent: file.name });
  const small = type(file.thumb).startsWith("image/") ? picture(new Blob([file.thumb], { type: type(file.thumb) }), "") : null;
  const status = element("small", { role: "status" });
  const is = file.kind === "picture" ? "show" : file.kind === "voice" ? "hear" : "get";
  const load = element("button", { type: "button", textContent: words[is](size(file.size)) });
  if (small) box.append(small);
  box.append(element("p", {}, name));
  if (file.size > MOST) {
    box.append(element("small", { textContent: words.large }));
    return box;
  }
  box.append(load, " ", status);
  load.addEventListener("click", async () => {
    load.disabled = true;
    const getting = new Getting(file, pin);
    while (!getting.whole) {
      status.textContent = getting.done ? words.came(size(getting.done), size(file.size)) : words.checking;
      if (await getting.more().catch(() => false)) continue;
      if (getting.whole) break;
      status.textContent = words.again;
      await new Promise((done) => setTimeout(done, AGAIN));
    }
    const blob = getting.blob();
    const hadFocus = document.activeElement === load || document.activeElement === document.body;
    if (blob.type.startsWith("image/") && file.kind === "picture") {
      small?.remove();
      box.prepend(picture(blob, `${words.picture}: ${file.name}`));
    } else if (blob.type.startsWith("audio/")) {
      const audio = element("audio", { controls: true, src: URL.createObjectURL(blob) });
      audio.setAttribute("aria-label", words.voice);
      box.prepend(audio);
    }
    const save = element("a", { className: "button", textContent: words.save, download: file.name,
      href: URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" })) });
    load.replaceWith(save);
    status.textContent = "";
    if (hadFocus) save.focus();
  });
  return box;
}
