// The call of this page: what the person does with it, and the sound while this page carries it.

import type { Call } from "../api";
import { model } from "../model.svelte";
import { notices } from "../notices.svelte";
import { trouble, type Kind, type Trouble } from "./devices";
import { Engine } from "./engine";
import { over, ring } from "./tone";
import { live, Over, ringsHere, situation, Steady, Turn, type Sentence } from "./words";

/** Under this name a page remembers, over a reload, that it carries the sound. */
const HELD = "call";
/** How long the end of a call stays above a conversation, in ms. */
const LINGERS = 8000;

class Desk {
  mine = $state(0);
  theirs = $state(0);
  turn = $state<Turn["who"]>("");
  /** Their turn has just ended, where they are heard seconds late. */
  yours = $state(false);
  line = $state<Call["line"]>("whole");
  /** Seconds, in steps. */
  delay = $state(0);
  /** They hear silence, and why. */
  without = $state<Trouble | null>(null);
  /** The microphone was refused, so that no call came about. */
  refused = $state(false);
  /** The sound is in another page or program. */
  elsewhere = $state(false);
  /** The browser waits for a press before it lets the page sound. */
  silent = $state(false);
  underruns = $state(0);
  /** An incoming call was put aside: it rings on, above the conversation. */
  folded = $state(false);
  /** When it was over, for the clock. */
  over = $state(0);

  private engine: Engine | null = null;
  private opened = "";
  private steady = new Steady();
  private readonly turns = new Turn();
  private overs = new Over();
  private recheck: ReturnType<typeof setTimeout> | undefined;
  private linger: ReturnType<typeof setTimeout> | undefined;
  private quiet: (() => void) | null = null;
  private rung = "";
  private seen = "";
  private rejoined = "";

  // What a person does.

  /** Ask for the microphone, then ring them. */
  async start(contact: string): Promise<void> {
    if (this.engine || live(model.ongoing) || !(await this.microphone())) return;
    const call = await model.call("start_call", { contact });
    if (!call) {
      this.stop();
      return;
    }
    model.called(call);
    this.hold(call.id);
    model.go({ at: "call", contact });
  }

  async answer(call: Call): Promise<void> {
    if (this.engine || !(await this.microphone())) return;
    const now = await model.call("accept_call", { id: call.id });
    if (!now) {
      this.stop();
      return;
    }
    model.called(now);
    this.hold(now.id);
    model.go({ at: "call", contact: call.contact });
  }

  async decline(call: Call): Promise<void> {
    const now = await model.call("decline_call", { id: call.id });
    if (now) model.called(now);
  }

  async hangUp(call: Call): Promise<void> {
    const now = await model.call("hang_up", { id: call.id });
    if (now) model.called(now);
    this.leave();
  }

  async mute(call: Call): Promise<void> {
    // At once, whatever the node is doing: who turns a microphone off must not be heard.
    this.engine?.mute(!call.muted);
    const now = await model.call("mute_call", { id: call.id, muted: !call.muted });
    if (now) model.called(now);
    else this.engine?.mute(call.muted);
  }

  /** Carry the sound in this page. */
  async take(call: Call): Promise<void> {
    if (!this.engine && !(await this.microphone())) return;
    this.hold(call.id);
  }

  async change(kind: Kind): Promise<void> {
    await this.engine?.change(kind);
  }

  async wake(): Promise<void> {
    await this.engine?.wake();
    this.silent = this.engine?.silent ?? false;
  }

  /** Away from a call that is over, to its conversation. */
  leave(): void {
    if (live(model.ongoing)) return;
    model.ongoing = null;
    if (model.screen.at === "call") model.go({ at: "talk", contact: model.screen.contact });
  }

  // In words.

  /** What is happening, with the delay where people notice it. */
  sentence(call: Call, name: string): string {
    const { key, grave } = situation(call, this.line);
    const said = model.t(key, { name });
    const nothing = call.away || call.offline || this.line === "broken";
    const late = call.state === "talking" && this.delay > 0 && (!grave || !nothing);
    return late ? `${said}${grave ? "" : "."} ${model.t("callDelay", { n: model.number(this.delay) })}` : said;
  }

  troubled(why: Trouble): Sentence {
    return ({ denied: "micDenied", missing: "micMissing", busy: "micBusy" } as const)[why];
  }

  // What the node says.

  /** Called with every change of the call. */
  follow(call: Call | null): void {
    if (call?.id !== this.seen) {
      this.seen = call?.id ?? "";
      this.steady = new Steady();
      this.folded = this.refused = false;
      this.over = this.underruns = 0;
      clearTimeout(this.linger);
    }
    this.sign(call);
    if (!live(call)) {
      if (this.opened) this.stop();
      if (call) this.ended(call);
      return;
    }
    this.steadily();
    if (call.state !== "connecting" && call.state !== "talking") return;
    const here = sessionStorage.getItem(HELD) === call.id;
    this.elsewhere = !here && !this.engine;
    if (!here) return;
    if (this.engine?.ready) this.open(call);
    // A page that was loaded anew goes on where the last one was.
    else if (!this.engine && this.rejoined !== call.id) {
      this.rejoined = call.id;
      void this.take(call);
    }
  }

  private open(call: Call): void {
    if (!this.engine) return;
    this.engine.mute(call.muted);
    if (this.opened === call.id) return;
    this.opened = call.id;
    this.engine.open(call.id);
  }

  private hold(id: string): void {
    sessionStorage.setItem(HELD, id);
    this.elsewhere = false;
    this.opened = "";
    this.follow(model.ongoing);
  }

  private ended(call: Call): void {
    if (this.over) return;
    this.over = Date.now();
    this.stop();
    sessionStorage.removeItem(HELD);
    // A call that nobody took here is kept by its conversation; nothing is left to show.
    const stays = call.outgoing || call.since > 0;
    this.linger = setTimeout(() => {
      if (model.screen.at !== "call" && model.ongoing?.id === call.id) model.ongoing = null;
    }, stays ? LINGERS : 0);
  }

  private async microphone(): Promise<boolean> {
    this.refused = false;
    const engine = new Engine({
      loud: (mine, theirs) => this.loud(mine, theirs),
      taken: () => {
        sessionStorage.removeItem(HELD);
        this.elsewhere = true;
        this.stop();
      },
      unplugged: (kind) =>
        model.say(model.t(kind === "microphone" ? "micUnplugged" : "speakerUnplugged")),
      without: (why) => (this.without = why),
      underruns: (count) => (this.underruns = count),
    });
    this.engine = engine;
    try {
      await engine.prepare();
    } catch (error) {
      this.refused = trouble(error) === "denied";
      this.stop();
      if (!this.refused) model.say(model.t("failed"));
      return false;
    }
    if (this.engine !== engine) return false;
    this.silent = engine.silent;
    if (this.silent) void this.wake();
    return true;
  }

  private stop(): void {
    void this.engine?.close();
    this.engine = null;
    this.opened = "";
    this.without = null;
    this.silent = false;
    this.mine = this.theirs = 0;
    this.turn = "";
    this.yours = false;
  }

  private loud(mine: number, theirs: number): void {
    const call = model.ongoing;
    this.mine = call?.muted ? 0 : mine;
    this.theirs = theirs;
    this.turns.hear(this.mine, theirs, Date.now());
    this.turn = this.turns.who;
    if (this.line !== "pieces" || call?.state !== "talking") {
      this.overs = new Over();
      this.yours = false;
      return;
    }
    if (this.overs.hear(this.mine, theirs, Date.now()) && !call.muted) over();
    this.yours = this.overs.until > 0;
  }

  private steadily(): void {
    clearTimeout(this.recheck);
    if (!live(model.ongoing)) return;
    const again = this.steady.see(model.ongoing, Date.now());
    this.line = this.steady.line;
    this.delay = this.steady.delay;
    if (again) this.recheck = setTimeout(() => this.steadily(), again);
  }

  /** Ring, and tell those who look elsewhere, if they allowed that before. */
  private sign(call: Call | null): void {
    const here = ringsHere(call);
    const there = live(call) && call.outgoing && call.state === "ringing";
    const kind = here ? "here" : there ? "there" : "";
    if (kind !== this.rung) {
      this.quiet?.();
      this.quiet = kind ? ring(kind) : null;
      this.rung = kind;
      const name = call && model.contact(call.contact)?.name;
      if (here && name) {
        this.quiet = both(this.quiet, notices.show(model.t("isCalling", { name }), call.id));
      }
    }
  }
}

function both(first: (() => void) | null, second: () => void): () => void {
  return () => {
    first?.();
    second();
  };
}

export const desk = new Desk();
