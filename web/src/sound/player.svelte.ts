// Voice notes play on whatever is open beside them: one player for the whole page.

import type { Message } from "../api";
import { chosen, through, type Sinking } from "../calls/devices";
import { here } from "../files/words";
import { model } from "../model.svelte";
import { said } from "../text";
import { keep, recall, type Place } from "./places";

const SPEEDS = [1, 1.5, 2];

class Player {
  message = $state<Message | null>(null);
  playing = $state(false);
  /** Milliseconds into the note that plays or was stopped last. */
  at = $state(0);
  speed = $state(SPEEDS.find((one) => String(one) === localStorage.getItem("speed")) ?? 1);
  /** The note that would not play. */
  failed = $state("");
  private sound: HTMLAudioElement | null = null;
  private places: Place[] = $state(recall(localStorage.getItem("heard")));

  is(message: Message): boolean {
    return this.message?.id === message.id;
  }

  /** Where one stopped in a note. */
  place(message: Message): number {
    if (this.is(message)) return this.at;
    return this.places.find(([id]) => id === message.id)?.[1] ?? 0;
  }

  toggle(message: Message): void {
    if (this.is(message) && this.playing) this.pause();
    else void this.play(message);
  }

  pause(): void {
    this.sound?.pause();
  }

  /** Stop, and show no more what was played. */
  close(): void {
    this.pause();
    this.remember();
    this.message = null;
  }

  /** A note that was taken back or has disappeared is not played any longer. */
  follow(): void {
    const now = this.message;
    if (!now) return;
    const known = model.talks[now.contact]?.messages.find((one) => one.id === now.id);
    if (known?.deleted || model.gone === now.id || !model.contact(now.contact)) {
      this.close();
      this.sound?.removeAttribute("src");
    }
  }

  async play(message: Message): Promise<void> {
    if (!here(message)) return;
    this.failed = "";
    const sound = this.audio();
    if (!this.is(message)) {
      this.remember();
      this.at = this.place(message);
      this.message = message;
      sound.src = `/files/${encodeURIComponent(message.id)}`;
      sound.currentTime = this.at / 1000;
    }
    sound.playbackRate = this.speed;
    try {
      if (chosen("speaker")) await through(sound as Sinking);
      await sound.play();
    } catch (error) {
      // Another one was chosen, or this one paused, before it began.
      if (!(error instanceof DOMException && error.name === "AbortError")) this.fail(message);
    }
  }

  seek(message: Message, ms: number): void {
    const at = Math.min(Math.max(0, ms), message.file?.duration ?? 0);
    if (!this.is(message)) {
      this.remember(message.id, at);
      return;
    }
    this.at = at;
    if (this.sound) this.sound.currentTime = at / 1000;
  }

  /** The next faster or slower speed; over the end only where `round`. */
  change(step: number, round = false): void {
    const at = SPEEDS.indexOf(this.speed) + step;
    this.speed = SPEEDS[at] ?? (round ? SPEEDS[0]! : this.speed);
    localStorage.setItem("speed", String(this.speed));
    if (this.sound) this.sound.playbackRate = this.speed;
  }

  private audio(): HTMLAudioElement {
    if (this.sound) return this.sound;
    const sound = new Audio();
    sound.onplay = () => (this.playing = true);
    sound.onpause = () => {
      this.playing = false;
      this.remember();
    };
    sound.ontimeupdate = () => {
      if (!sound.seeking) this.at = sound.currentTime * 1000;
    };
    sound.onended = () => this.ended();
    sound.onerror = () => {
      if (this.message && sound.src) this.fail(this.message);
    };
    addEventListener("pagehide", () => this.remember());
    return (this.sound = sound);
  }

  private fail(message: Message): void {
    if (this.is(message)) this.message = null;
    this.playing = false;
    this.failed = message.id;
  }

  /** After one comes the next, if the same person went on speaking. */
  private ended(): void {
    const over = this.message;
    this.playing = false;
    this.at = 0;
    this.remember();
    this.message = null;
    if (!over) return;
    const next = model.talks[over.contact]?.messages.find(
      (one) => one.order > over.order && said(one) && !one.deleted,
    );
    if (next?.file?.kind === "voice" && next.mine === over.mine && here(next)) {
      this.seek(next, 0);
      void this.play(next);
    }
  }

  private remember(id = this.message?.id, at = this.at): void {
    if (!id) return;
    this.places = keep(this.places, id, at);
    localStorage.setItem("heard", JSON.stringify(this.places));
  }
}

export const player = new Player();
