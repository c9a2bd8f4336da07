// What the page knows of its node: kept current by events, read by every screen.

import type {
  Call, Calls, Contact, Device, Event, Invitation, Linking, Message, Settings, Status, Verification,
} from "./api";
import { sendBackup } from "./files/upload";
import { fill, languages, pick, plural, type Filling } from "./lang";
import type { Plural, Words } from "./lang/en";
import { VERDICTS } from "./network";
import { placed, type Part } from "./placed";
import { ApiError, Rpc, socket, startSession } from "./rpc";
import { said, Times } from "./text";

export type Screen =
  | { at: "list" }
  | { at: "talk"; contact: string; message?: string }
  | { at: "about"; contact: string }
  | { at: "new-group" }
  | { at: "new-channel" }
  | { at: "verify"; contact: string }
  | { at: "call"; contact: string }
  | { at: "invite" }
  | { at: "settings" }
  | { at: "simulator" }
  | { at: "report" }
  | { at: "status" };

/** Messages without a hole; `newest`: they reach to the end, so that news can be added. */
type Talk = Part<Message>;
type Sentence = { [K in keyof Words]: Words[K] extends string ? K : never }[keyof Words];
type Counted = { [K in keyof Words]: Words[K] extends Plural ? K : never }[keyof Words];

const PAGE = 60;

class Model {
  stage = $state<"connecting" | "no-session" | "away" | "open">("connecting");
  status = $state<Status | null>(null);
  settings = $state<Settings | null>(null);
  contacts = $state<Contact[]>([]);
  invitations = $state<Invitation[]>([]);
  talks = $state<Record<string, Talk>>({});
  writing = $state<Record<string, boolean>>({});
  verifications = $state<Record<string, Verification>>({});
  /** The call that is going on, or the last one until its end was seen. */
  ongoing = $state<Call | null>(null);
  /** The message that was removed or disappeared last. */
  gone = $state("");
  drafts = $state<Record<string, string>>({});
  screen = $state<Screen>({ at: "list" });
  palette = $state(false);
  keys = $state(false);
  /** A short word at the foot, with what takes it back. */
  word = $state<{ text: string; undo?: () => void } | null>(null);
  now = $state(Date.now());
  private early = $state(localStorage.getItem("language") ?? "auto");
  /** Told of every message that is new or changed. */
  heard: (message: Message) => void = () => undefined;
  private cursor: number | null = null;
  private wordTimer: ReturnType<typeof setTimeout> | undefined;
  private everOpen = false;
  private refused = 0;

  language = $derived(pick(this.settings?.language ?? this.early, navigator.languages));
  words = $derived<Words>(languages[this.language]!);
  times = $derived(new Times(this.language));

  /** Bytes of a backup that is being made. */
  saving: { done: number; total: number } | null = $state(null);

  /** A device that is being linked, or was last; and all that there are. */
  linking: Linking | null = $state(null);
  devices: Device[] = $state([]);
  /** Messages of the past that went to a new device, or came to this one. */
  past: { done: number; total: number } | null = $state(null);

  private rpc = new Rpc(socket, (event) => this.hear(event), (up) => this.connection(up));

  constructor() {
    setInterval(() => (this.now = Date.now()), 30_000);
  }

  // Words.

  t(key: Sentence, values?: Filling): string {
    return fill(this.words[key] as string, values);
  }

  n(key: Counted, count: number, values?: Filling): string {
    return plural(this.language, this.words[key] as Plural, count, values);
  }

  number(n: number): string {
    return new Intl.NumberFormat(this.language).format(n);
  }

  span(seconds: number): string {
    if (seconds % 604_800 === 0) return this.n("weeks", seconds / 604_800);
    if (seconds % 86_400 === 0) return this.n("days", seconds / 86_400);
    if (seconds % 3600 === 0) return this.n("hours", seconds / 3600);
    return this.n("minutes", Math.max(1, Math.round(seconds / 60)));
  }

  /** What a note of the node says. */
  note(message: Message): string {
    switch (message.note) {
      case "added": return this.t("noteAdded");
      case "verified": return this.t("noteVerified");
      case "unverified": return this.t("noteUnverified");
      case "renamed": return this.t("noteRenamed", { name: message.text });
      case "timer":
        return message.count
          ? this.t("noteTimer", { time: this.span(message.count) })
          : this.t("noteTimerOff");
      case "gap":
        return this.n("noteGap", message.count, {
          from: this.times.time(message.at),
          to: this.times.time(message.until),
        });
      case "lost": return this.t("noteLost");
      case "key-changed": return this.t("noteKeyChanged");
      case "group-made": return this.t("noteGroupMade");
      case "group-joined": return this.t("noteGroupJoined", { name: message.author?.name ?? "?" });
      case "group-added": {
        const names = { who: this.author(message), name: message.text };
        return message.count
          ? this.n("noteGroupAddedMore", message.count, names)
          : this.t("noteGroupAdded", names);
      }
      case "group-removed": return this.done("noteGroupRemoved", message);
      case "group-banned": return this.done("noteGroupBanned", message);
      case "group-unbanned": return this.done("noteGroupUnbanned", message);
      case "group-left": return this.done("noteGroupLeft", message);
      case "group-member": return this.done("noteGroupMember", message);
      case "group-admin": return this.done("noteGroupAdmin", message);
      case "group-link": return this.t("noteGroupLink", { name: message.text });
      case "group-report":
        return this.t("noteGroupReport", { author: this.author(message), name: message.text });
      case "group-owner": return this.done("noteGroupOwner", message);
      case "channel-made": return this.t(this.contact(message.contact)?.open ? "noteOpenMade" : "noteChannelMade");
      case "channel-followed": return this.t(this.contact(message.contact)?.open ? "noteOpenFollowed" : "noteChannelFollowed");
      case "channel-from": return this.t("noteChannelFrom", { name: message.text });
      case "channel-gap": return this.n("noteChannelGap", message.count);
      case "channel-older": return this.t("channelOlder");
      case "channel-withheld": return this.t("noteChannelWithheld");
      case "channel-fork": return this.t("channelForked");
      case "channel-moved": return this.t("channelEnded");
      case "restored": return this.t("noteRestored");
      case "device-added": return this.n("noteDeviceAdded", message.count);
      case "device-removed": return this.n("noteDeviceRemoved", message.count);
      default: return "";
    }
  }

  /** Who did what a note tells of, in a group. */
  private author(message: Message): string {
    return message.author?.name || this.status?.name || this.t("you");
  }

  private done(key: Sentence, message: Message): string {
    return this.t(key, { who: this.author(message), name: message.text });
  }

  /** What works now, in one sentence; `clear` is the one for when everything does. */
  works(clear: "lineClear" | "statusClear"): string {
    if (this.stage === "away") return this.t("away");
    const near = this.status?.near.length ?? 0;
    if (near && this.status?.verdict !== "clear") return this.n("statusNear", near);
    switch (this.status?.verdict) {
      case "clear": return this.network(this.status.network) || this.t(clear);
      case "connecting": return this.t("statusConnecting");
      case "relay-away": return this.t("statusRelayAway");
      case "no-relay": return this.t("statusNoRelay");
      default: return this.network(this.status?.network ?? "unknown") || this.t("statusOffline");
    }
  }

  /** What is done to connections, in one sentence; empty if nothing is, or nobody knows. */
  network(what: Status["network"]): string {
    const key = VERDICTS[what];
    return key && this.t(key);
  }

  speak(language: string): void {
    this.early = language;
    localStorage.setItem("language", language);
    if (this.settings) void this.change({ language: language as Settings["language"] });
  }

  say(text: string, undo?: () => void): void {
    clearTimeout(this.wordTimer);
    this.word = undo ? { text, undo } : { text };
    this.wordTimer = setTimeout(() => (this.word = null), undo ? 6000 : 3000);
  }

  /** Do something that cannot be undone, unless it is taken back within five seconds. */
  later(text: string, act: () => void): void {
    const done = () => {
      removeEventListener("pagehide", done);
      clearTimeout(timer);
      act();
    };
    const timer = setTimeout(done, 5000);
    addEventListener("pagehide", done);
    this.say(text, () => {
      removeEventListener("pagehide", done);
      clearTimeout(timer);
    });
  }

  // The connection.

  async begin(): Promise<void> {
    try {
      if (!(await startSession())) {
        this.stage = "no-session";
        return;
      }
    } catch {
      this.stage = "away";
    }
    this.rpc.connect();
  }

  private connection(up: boolean): void {
    if (up) {
      this.everOpen = true;
      void this.load();
      return;
    }
    // A page that never got through has no session; one that had it waits for its node,
    // and shows meanwhile what it knows.
    if (!this.everOpen) this.stage = "no-session";
    else {
      if (this.stage === "away") void this.lookForNode();
      this.stage = "away";
      setTimeout(() => this.rpc.connect(), 1000);
    }
  }

  /** A node that serves this page and refuses the session was started anew. */
  private async lookForNode(): Promise<void> {
    try {
      const answer = await fetch("/", { cache: "no-store" });
      if (!answer.ok || this.rpc.connected) return;
      this.refused += 1;
      if (this.refused > 2) this.stage = "no-session";
    } catch {
      this.refused = 0;
    }
  }

  private async load(): Promise<void> {
    this.refused = 0;
    const status = await this.call("status");
    if (!status) return;
    this.status = status;
    if (status.phase === "ready" || status.phase === "linking") await this.enter();
    this.stage = "open";
  }

  private async enter(): Promise<void> {
    const since = this.cursor;
    this.cursor = (await this.call("listen", { since })) ?? since;
    const settings = await this.call("settings");
    if (settings) {
      this.settings = settings;
      if (settings.language === "auto" && this.early !== "auto") {
        await this.change({ language: this.early as Settings["language"] });
      }
    }
    // Asked again: it may have changed before anybody listened.
    this.status = (await this.call("status")) ?? this.status;
    this.contacts = (await this.call("contacts")) ?? this.contacts;
    this.invitations = (await this.call("invitations")) ?? this.invitations;
    this.linking = await this.call("linking");
    this.devices = (await this.call("devices")) ?? this.devices;
    const calls = await this.call("calls");
    if (calls) this.ongoing = calls[0] ?? this.ended();
  }

  /** A call that went on when the node was last heard of, and of which it knows no more. */
  private ended(): Call | null {
    const call = this.ongoing;
    return call && { ...call, state: "ended", reason: call.reason || "failed" };
  }

  /** Call the node; null if it could not, and then a sentence says why. */
  async call<M extends keyof Calls>(
    method: M, params?: Calls[M]["params"],
  ): Promise<Calls[M]["result"] | null> {
    try {
      return await this.rpc.call(method, params);
    } catch (error) {
      if (error instanceof ApiError && error.code !== "gone") this.say(error.message);
      else if (this.stage === "away") this.say(this.t("away"));
      return null;
    }
  }

  /** As `call`, for a place that shows trouble itself. */
  ask<M extends keyof Calls>(
    method: M, params?: Calls[M]["params"],
  ): Promise<Calls[M]["result"]> {
    return this.rpc.call(method, params);
  }

  // News.

  private hear(event: Event): void {
    switch (event.type) {
      case "status": this.status = event.status; break;
      case "settings": this.settings = event.settings; break;
      case "contact": this.place(event.contact); break;
      case "contact-removed":
        this.contacts = this.contacts.filter((c) => c.id !== event.id);
        delete this.talks[event.id];
        if ("contact" in this.screen && this.screen.contact === event.id) this.go({ at: "list" });
        break;
      case "message":
        this.put(event.message);
        this.heard(event.message);
        break;
      case "message-gone": {
        this.gone = event.id;
        const talk = this.talks[event.contact];
        if (talk) talk.messages = talk.messages.filter((m) => m.id !== event.id);
        break;
      }
      case "typing": this.writing[event.contact] = event.typing; break;
      case "invitation": this.invited(event.invitation); break;
      case "verification":
        this.verifications[event.verification.contact] = event.verification;
        break;
      case "file": {
        const file = this.talks[event.contact]?.messages.find((m) => m.id === event.message)?.file;
        if (file) Object.assign(file, { done: event.done, rate: event.rate });
        break;
      }
      case "call": this.called(event.call); break;
      case "linking": void this.linked(event.linking); break;
      case "devices": void this.deviced(); break;
      case "past": this.past = { done: event.done, total: event.total }; break;
      case "backup": this.saving = { done: event.done, total: event.total }; break;
    }
  }

  private async linked(now: Linking | null): Promise<void> {
    const welcome = this.linking?.here === "new" && this.linking.state !== "done" && now?.state === "done";
    this.linking = now;
    if (welcome) await this.enter();
  }

  /** Every device says so when there is one more. */
  private async deviced(): Promise<void> {
    const before = new Set(this.devices.map((one) => one.id));
    this.devices = (await this.call("devices")) ?? this.devices;
    const more = this.devices.find((one) => !one.here && !before.has(one.id));
    if (before.size && more) this.say(this.t("deviceNews", { name: more.name || this.t("deviceNameless") }));
  }

  /** News of a call; of one that is over only if it is the one that is shown. */
  called(call: Call): void {
    if (call.state !== "ended" || this.ongoing?.id === call.id) this.ongoing = call;
  }

  private place(contact: Contact): void {
    const others = this.contacts.filter((c) => c.id !== contact.id);
    this.contacts = [...others, contact].sort(
      (a, b) => (b.last?.received ?? b.added) - (a.last?.received ?? a.added),
    );
  }

  private invited(invitation: Invitation): void {
    const at = this.invitations.findIndex((i) => i.id === invitation.id);
    if (at < 0) this.invitations = [invitation, ...this.invitations];
    else this.invitations[at] = invitation;
  }

  /** Events may overtake the answer with a conversation's page: by contact, what came since. */
  private came = new Map<string, Message[]>();

  private put(message: Message): void {
    this.cursor = Math.max(this.cursor ?? 0, message.cursor);
    if (!message.mine && said(message)) this.writing[message.contact] = false;
    this.came.get(message.contact)?.push(message);
    const talk = this.talks[message.contact];
    if (!talk) return;
    const messages = placed(talk, message);
    if (messages !== talk.messages) talk.messages = messages;
  }

  // What a person does.

  go(screen: Screen): void {
    this.screen = screen;
    this.palette = this.keys = false;
  }

  contact(id: string): Contact | undefined {
    return this.contacts.find((c) => c.id === id);
  }

  async setUp(name: string, passphrase: string | null): Promise<void> {
    this.status = await this.ask("set_up", { name, passphrase });
    await this.enter();
  }

  async restore(file: Blob, passphrase: string, moved: (done: number) => void): Promise<void> {
    await sendBackup(file, moved);
    this.status = await this.ask("restore", { passphrase });
    await this.enter();
  }

  async join(code: string, name: string, passphrase: string | null): Promise<void> {
    this.linking = await this.ask("join_device", { code, name, passphrase });
    await this.enter();
  }

  async unlock(passphrase: string): Promise<void> {
    this.status = await this.ask("unlock", { passphrase });
    await this.enter();
  }

  async change(params: Calls["update_settings"]["params"]): Promise<void> {
    const settings = await this.call("update_settings", params);
    if (settings) this.settings = settings;
  }

  /** Have a conversation at hand: its end, or the neighbourhood of one message. */
  async openTalk(id: string, around?: string): Promise<void> {
    const talk = this.talks[id];
    if (around ? talk?.messages.some((m) => m.id === around) : talk?.newest) return;
    const came: Message[] = [];
    this.came.set(id, came);
    const page = around
      ? await this.call("messages_around", { contact: id, id: around, limit: PAGE })
      : await this.call("messages", { contact: id, limit: PAGE });
    this.came.delete(id);
    if (!page) return;
    const last = this.contact(id)?.last;
    const newest = !around || !last || page.messages.some((m) => m.order >= last.order);
    this.talks[id] = { messages: page.messages, more: page.more, newest };
    for (const message of came) this.put(message);
  }

  async earlier(id: string): Promise<void> {
    const talk = this.talks[id];
    if (!talk?.more || !talk.messages.length) return;
    const before = talk.messages[0]!.order;
    const page = await this.call("messages", { contact: id, before, limit: PAGE });
    if (page) {
      talk.messages = [...page.messages, ...talk.messages];
      talk.more = page.more;
    }
  }

  async seen(id: string): Promise<void> {
    const contact = this.contact(id);
    const last = this.talks[id]?.messages.findLast((m) => !m.mine && said(m));
    if (contact?.unread && last) {
      const read = await this.call("mark_read", { contact: id, upto: last.id });
      if (read) this.place(read);
    }
  }
}

export const model = new Model();
