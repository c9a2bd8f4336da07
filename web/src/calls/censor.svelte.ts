// The pretended censor of `make run`: its switches, and a call through which they are thrown one by one.

import type { Call, Switch } from "../api";
import { model } from "../model.svelte";
import { desk } from "./desk.svelte";
import { at, type Act } from "./acts";
import { live } from "./words";

const LOOK = 250;

class Censor {
  switches = $state<Switch[]>([]);
  /** What is done to the call now, while it is shown by itself. */
  act = $state.raw<Act | null>(null);
  /** Echo is being called, to show it. */
  waits = $state(false);

  private timer: ReturnType<typeof setInterval> | undefined;
  /** The id of the call in which to show it, once somebody talks. */
  private due = "";
  private turning: Promise<void> = Promise.resolve();

  async load(): Promise<void> {
    this.switches = (await model.call("simulator"))?.switches ?? this.switches;
  }

  /** By hand; what is shown by itself is over then. */
  turn(name: string, on: boolean): Promise<void> {
    this.end();
    return this.next(() => this.set(name, on));
  }

  /** All off, and nothing more is shown. */
  stop(): Promise<void> {
    this.end();
    return this.only([]);
  }

  /** These on, all others off; on first, so that nothing is open in between. */
  private only(names: readonly string[]): Promise<void> {
    return this.next(async () => {
      await this.load();
      for (const name of names) await this.set(name, true);
      for (const one of this.switches) if (one.on && !names.includes(one.name)) await this.set(one.name, false);
    });
  }

  /** After what was begun before: what was turned off last stays off. */
  private next(work: () => Promise<void>): Promise<void> {
    return (this.turning = this.turning.then(work));
  }

  private async set(name: string, on: boolean): Promise<void> {
    this.switches = (await model.call("simulate", { switch: name, on }))?.switches ?? this.switches;
  }

  /** Call Echo, and show it as soon as somebody talks. */
  async call(): Promise<void> {
    if (this.waits) return;
    this.waits = true;
    const echo = model.contacts.find((one) => one.echo) ?? (await model.call("add_echo"));
    if (echo) {
      await this.stop();
      await desk.start(echo.id);
    }
    const call = model.ongoing;
    this.waits = live(call) && call.contact === echo?.id;
    this.due = this.waits && call ? call.id : "";
    this.follow(call);
  }

  /** Called with every change of the call. */
  follow(call: Call | null): void {
    if (live(call)) {
      if (call.state === "talking" && call.id === this.due) this.show();
      return;
    }
    if (this.due) this.waits = false;
    this.due = "";
    if (this.act) void this.stop();
  }

  /** Throw the switches in this call, one after the other. */
  show(): void {
    this.waits = false;
    this.due = "";
    const began = Date.now();
    const look = (): void => {
      const now = at(Date.now() - began);
      if (now === this.act) return;
      if (!now) return this.end();
      this.act = now;
      void this.only(now.on);
    };
    this.end();
    this.timer = setInterval(look, LOOK);
    look();
  }

  private end(): void {
    clearInterval(this.timer);
    this.act = null;
  }
}

export const censor = new Censor();
