// Opens a channel by its link, in the browser alone: derives, opens, and shows nothing whose
// signature does not verify. spec/channels.md says what it does.

import { Bad, concat, digest, hex, hkdf, joined, need, place, read, records, same, sha256, text, unpack, unseal, utf8 } from "./bytes.js";
import { card, told } from "./files.js";

const WORDS = {
  en: {
    loading: "Opening the channel…",
    noLink: "Open the whole link again: the part behind # is the key, and this page has forgotten it.",
    damaged: "The link was cut or changed on the way. Ask for it again.",
    newer: "The link needs a newer page. Open it in Holdfast.",
    browser: "This browser cannot check the signatures, so nothing is shown. Chrome 137, Firefox 129, Safari 17 and newer ones can.",
    away: "The relay does not answer. It is tried again by itself.",
    empty: "Nothing is posted here, or the relay does not have the channel.",
    missing: (n) => `Missing here: ${n}. The owner signed that many posts which this relay does not bring.`,
    gap: (n) => `Missing here: ${n}`,
    older: "What was posted earlier is not kept any more.",
    fork: "Do not rely on this channel for now: two different posts carry the same number and its signature. Only what came first is shown.",
    quiet: "Nothing was heard from its owner for days. It is away, or what it says is being withheld.",
    moved: "This channel goes on elsewhere.",
    deleted: "Taken back",
    edited: "changed",
    warning: "Every post here was opened and its signature checked in your browser. But whoever serves this page could change it, and you would not see that. This relay sees that somebody at your address reads.",
    own: "To be safe from that, read the channel in a Holdfast of your own: paste this link there.",
    label: "Link", copy: "Copy", copied: "Copied",
  },
  ru: {
    loading: "Канал открывается…",
    noLink: "Откройте ссылку целиком ещё раз: часть после # — это ключ, страница его уже забыла.",
    damaged: "Ссылку обрезали или изменили по дороге. Попросите её ещё раз.",
    newer: "Для этой ссылки нужна страница новее. Откройте её в Holdfast.",
    browser: "Этот браузер не может проверить подписи, поэтому ничего не показано. Подойдут Chrome 137, Firefox 129, Safari 17 и новее.",
    away: "Реле не отвечает. Попытки продолжаются сами.",
    empty: "Здесь ничего не опубликовано, или у реле нет этого канала.",
    missing: (n) => `Не хватает записей: ${n}. Владелец их подписал, но это реле их не приносит.`,
    gap: (n) => `Не хватает записей: ${n}`,
    older: "Более ранние записи уже не хранятся.",
    fork: "Пока не полагайтесь на этот канал: под одним номером подписаны две разные записи. Показано то, что пришло первым.",
    quiet: "Владелец несколько дней не давал о себе знать. Он не в сети, или записи скрывают.",
    moved: "Канал продолжается в другом месте.",
    deleted: "Отозвано",
    edited: "изменено",
    warning: "Каждая запись открыта и её подпись проверена в вашем браузере. Но тот, кто отдаёт эту страницу, мог бы её изменить, и вы бы этого не заметили. Это реле видит, что кто-то с вашего адреса читает.",
    own: "Чтобы от этого не зависеть, читайте канал в своём Holdfast: вставьте там эту ссылку.",
    label: "Ссылка", copy: "Скопировать", copied: "Скопировано",
  },
};
const language = navigator.languages.find((one) => /^(en|ru)/.test(one))?.slice(0, 2) ?? "en";
const words = WORDS[language];
const at = (id) => document.getElementById(id);
const { subtle } = crypto;

// The link.

const P = 2n ** 255n - 19n;
const LOW = new Set([0n, 1n, P - 1n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  55188659117513257062467267217118295137698188065244968500265048394206261417927n]);

function usable(key) {
  let y = 0n;
  for (const byte of [...key].reverse()) y = (y << 8n) | BigInt(byte);
  y &= (1n << 255n) - 1n;
  return y < P && !LOW.has(y);
}

async function parse(payload) {
  let data;
  try {
    data = Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    throw new Bad("damaged");
  }
  need(data[0] === 0x43);
  need(data[1] <= 1, "newer");
  const body = data.subarray(0, -3);
  const check = await sha256(concat(utf8.encode("holdfast/channel-link/1"), body));
  need(data[1] === 1 && body.length > 50 && same(check.subarray(0, 3), data.subarray(-3)));
  const [secret, key] = [body.slice(2, 18), body.slice(18, 50)];
  need(usable(key));
  const homes = [];
  for (let place = 50; place < body.length;) {
    const length = body[place];
    need(place + length + 51 <= body.length);
    const host = text.decode(body.subarray(place + 1, place + 1 + length));
    const rest = body.subarray(place + 1 + length, (place += length + 51));
    homes.push({ host, port: read(rest.subarray(0, 2)), pin: rest.slice(18) });
  }
  need(homes.length && homes.length <= 3);
  const id = await digest("channel/1", key, await hkdf(secret, "channel/id/1"));
  const verifier = await subtle.importKey("raw", key, "Ed25519", false, ["verify"]).catch(() => {
    throw new Bad("browser");
  });
  return { secret, id, homes, verifier, content: await hkdf(secret, "channel/content/1") };
}

/** Of the link's relays the one that serves this page. */
function here(link) {
  const bare = location.hostname.replace(/[[\]]/g, "");
  const port = Number(location.port || 443);
  return (link.homes.find((one) => one.host === bare && one.port === port) ?? link.homes[0]).pin;
}

/** What the channel's log is read with. */
async function posted(link) {
  const locator = await hkdf(link.secret, "channel/log/1", [utf8.encode("l")]);
  const reads = await hkdf(link.secret, "channel/log/1", [utf8.encode("r")]);
  return place(here(link), locator, reads);
}

// Posts.

const SIZES = new Set([512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]);

/** One record, opened and verified; throws for all that is not this channel's. */
async function open(link, record) {
  need(record && SIZES.has(record.length) && record[0] === 1);
  const key = await hkdf(link.content, "channel/post/1", [record.slice(1, 17)]);
  const padded = await unseal(key, new Uint8Array(12), record.subarray(17), record.subarray(0, 17));
  const length = read(padded.subarray(0, 4));
  need(length + 4 <= padded.length && padded.subarray(4 + length).every((byte) => byte === 0));
  const [statement, signature, data] = unpack(padded.subarray(4, 4 + length));
  const signed = joined(utf8.encode("holdfast/channel-post/1"), concat(link.id, statement));
  need(await subtle.verify("Ed25519", link.verifier, signature, signed));
  const [count, prev, when, kind, said] = unpack(statement);
  need(prev.length === 32 && said.length === 32);
  need(data === null || same(await digest("channel-said/1", data), said));
  const hash = kind === "head" ? prev : await digest("channel-post-hash/1", link.id, statement);
  return { number: count, prev: hex(prev), when, kind, data, hash: hex(hash) };
}

/** Posts by number, and what does not fit together. */
const chain = { held: new Map(), named: new Map(), head: 0, heard: 0, forked: false };

function take(post) {
  chain.heard = Math.max(chain.heard, post.when);
  if (post.number === 0) return;
  chain.head = Math.max(chain.head, post.number);
  const held = chain.held.get(post.number);
  if (held) {
    if (held.hash !== post.hash) chain.forked = true;
    return;
  }
  const [before, after] = [chain.held.get(post.number - 1), chain.held.get(post.number + 1)];
  const named = chain.named.get(post.number) ?? post.hash;
  const first = post.number === 1 && post.kind !== "head" && !/^0+$/.test(post.prev);
  if ((after && after.prev !== post.hash) || named !== post.hash || first) chain.forked = true;
  else if (post.kind === "head") chain.named = new Map([[post.number, post.hash]]);
  else if (before && before.hash !== post.prev) chain.forked = true;
  else chain.held.set(post.number, post);
}

// What is shown.

function item(className, ...children) {
  const li = document.createElement("li");
  li.className = className;
  li.append(...children);
  return li;
}

function paragraph(said) {
  const p = document.createElement("p");
  p.dir = "auto";
  p.textContent = said;
  return p;
}

/** The files that posts carry, by post: what was loaded of one stays. */
const cards = new Map();

function show(pin) {
  const posts = new Map();
  let [title, about, moved, expected] = ["", "", "", 0];
  let missing = 0;
  for (const count of [...chain.held.keys()].sort((a, b) => a - b)) {
    const { kind, data, when } = chain.held.get(count);
    if (expected && count > expected) {
      missing += count - expected;
      posts.set(`gap ${count}`, { note: words.gap(count - expected) });
    } else if (!expected && count > 1) posts.set("older", { note: words.older });
    expected = count + 1;
    try {
      if (data === null) posts.set(`bare ${count}`, { deleted: true, when });
      else if (kind === "about") [title, about] = unpack(data);
      else if (kind === "moved") moved = words.moved;
      else if (kind === "said") {
        const [what, mid, written, said, ...more] = unpack(data);
        const known = posts.get(hex(mid));
        if (what === "text" && !known) posts.set(hex(mid), { said: String(said), when: written });
        else if (what === "file" && !known) posts.set(hex(mid), { file: told([said, ...more]), when: written, mid: hex(mid) });
        else if (what === "edit" && known && !known.deleted && !known.file) Object.assign(known, { said: String(said), edited: true });
        else if (what === "delete" && known) Object.assign(known, { said: "", deleted: true });
      }
    } catch { /* a post that says nothing that is known here */ }
  }
  if (expected && chain.head >= expected) missing += chain.head - expected + 1;
  const clock = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  at("title").textContent = document.title = title || "Holdfast";
  at("about").textContent = about;
  at("about").hidden = !about;
  at("posts").replaceChildren(...[...posts.values()].reverse().map((post) => {
    if (post.note) return item("note", post.note);
    const time = document.createElement("time");
    time.dateTime = new Date(post.when).toISOString();
    time.textContent = clock.format(post.when) + (post.edited && !post.deleted ? `, ${words.edited}` : "");
    const said = document.createElement(post.deleted ? "small" : "span");
    if (post.file && !post.deleted) {
      if (!cards.has(post.mid)) cards.set(post.mid, card(post.file, pin, language));
      said.append(cards.get(post.mid));
    } else said.append(post.deleted ? words.deleted : paragraph(post.said));
    return item("", said, " ", time);
  }));
  const wrong = chain.forked ? words.fork : missing ? words.missing(missing)
    : chain.heard && Date.now() - chain.heard > 3 * 86_400_000 ? words.quiet : moved;
  state(wrong || (chain.held.size ? "" : words.empty), !!wrong);
}

function state(said, warn = false) {
  at("state").textContent = said;
  at("state").className = warn ? "warn" : "";
}

async function follow(link) {
  const [where, pin] = [await posted(link), here(link)];
  let since = 0;
  for (;;) {
    let came = 0;
    try {
      for (const [seq, record] of await records(where, since)) {
        [since, came] = [seq, came + 1];
        await open(link, record).then(take, () => { /* not this channel's */ });
      }
      if (came || !chain.held.size) show(pin);
    } catch {
      state(words.away, true);
    }
    if (!came) await new Promise((done) => setTimeout(done, 15_000));
  }
}

async function begin() {
  document.documentElement.lang = language;
  at("warning").textContent = words.warning;
  at("own").textContent = words.own;
  const payload = location.hash.slice(1);
  // The key is left neither in the bar nor in what the browser remembers.
  history.replaceState(null, "", location.pathname);
  if (!payload) {
    state(words.noLink, true);
    return;
  }
  at("label").textContent = words.label;
  at("copy").textContent = words.copy;
  at("link").value = `holdfast:${payload}`;
  at("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(at("link").value);
    at("copy").textContent = words.copied;
  });
  at("place").hidden = false;
  state(words.loading);
  try {
    await follow(await parse(payload));
  } catch (error) {
    state(words[error instanceof Bad ? error.message : "browser"] ?? words.damaged, true);
  }
}

addEventListener("hashchange", () => location.reload());
void begin();
