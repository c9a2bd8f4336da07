// What is suspected, for an editor whose key this page reads, and the editor's signed words about it.
// The key does not leave the browser. Other pages need no script.
const chosen = document.querySelector("#key");
const list = document.querySelector("#list");
const status = document.querySelector("main .status");
const template = document.querySelector("template");
const words = status.dataset;
const text = new TextEncoder();
const HEAD = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32]);
const KEY = 32;
let key, editor, head, watch;

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const second = () => Math.floor(Date.now() / 1000);

function say(what, bad = false) {
  status.textContent = what;
  status.classList.toggle("k-bad", bad);
}

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const signed = async (bytes) => base64(new Uint8Array(await crypto.subtle.sign("Ed25519", key, bytes)));

// PKCS #8 of an Ed25519 seed (RFC 8410); the public half as JWK (RFC 8037).
async function take(file) {
  const seed = new Uint8Array(await file.arrayBuffer());
  if (seed.length !== KEY) throw new Error(words.wrong);
  try {
    key = await crypto.subtle.importKey("pkcs8", joined(HEAD, seed), "Ed25519", true, ["sign"]);
    const { x } = await crypto.subtle.exportKey("jwk", key);
    editor = `${x.replaceAll("-", "+").replaceAll("_", "/")}=`;
  } catch {
    throw new Error(words.cannot);
  }
}

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, body && { method: "POST", body });
  } catch {
    throw new Error(words.away);
  }
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

async function look() {
  watch = (await ask("/about.json")).watch;
  const at = second();
  const name = new Uint8Array(await crypto.subtle.digest("SHA-256", text.encode(watch)));
  const over = joined(text.encode("holdfast/look/1"), name, text.encode(String(at)));
  const root = document.documentElement.lang === "ru" ? "/ru" : "";
  const found = await ask(`${root}/api/look`, JSON.stringify({ editor, at, signature: await signed(over) }));
  head = found.head;
  list.replaceChildren(...found.events.map((event) => shown(event, root)));
  if (!found.events.length) list.textContent = words.none;
}

function item(what) {
  const made = document.createElement("li");
  made.textContent = what;
  return made;
}

function shown(event, root) {
  const made = template.content.cloneNode(true);
  const part = (name) => made.querySelector(name);
  part("a").textContent = event.title;
  if (event.public) part("a").href = `${root}/event/${event.id}`;
  const facts = [event.public ? words.public : words.suspected, event.ended ? words.over : words.going];
  facts.push(words.sure + words[`sure-${event.confidence}`.replace(/-./g, (pair) => pair[1].toUpperCase())]);
  if (event.verdict) facts.unshift(words[event.verdict]);
  part(".facts").textContent = facts.join(" · ");
  part(".sentence").textContent = event.sentence;
  part(".reasons").replaceChildren(...event.reasons.map(item));
  part(".against").replaceChildren(...(event.against.length ? event.against : [words.nothing]).map(item));
  part(".said").replaceChildren(...event.edits.map((one) => item(`${words[one.what]}: ${one.note} (${one.at})`)));
  part("form").addEventListener("submit", (sent) => {
    sent.preventDefault();
    tried(() => edit(event.id, sent.submitter.value, sent.target.elements.note.value));
  });
  return made;
}

// The same bytes as the observatory makes of it: no spaces, the fields in this order.
async function edit(event, what, note) {
  const before = base64(Uint8Array.from(head.match(/../g), (pair) => Number.parseInt(pair, 16)));
  const one = { event, what, note: note.toWellFormed(), at: second(), editor, before, signature: "" };
  const over = joined(text.encode("holdfast/edit/1"), text.encode(JSON.stringify(one)));
  await ask("/api/edits", JSON.stringify({ ...one, signature: await signed(over) }));
  await look();
  say(words.done);
}

async function tried(act) {
  say("");
  try {
    await act();
  } catch (error) {
    say(error.message, true);
  }
}

chosen.addEventListener("change", () => chosen.files.length && tried(async () => {
  await take(chosen.files[0]);
  await look();
}));

if (crypto.subtle) {
  document.querySelector("#without").remove();
  document.querySelector("#with").hidden = false;
}
