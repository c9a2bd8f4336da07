// Telling those who look elsewhere that something came: who, and nothing of what it says.

import type { Message } from "./api";
import { model } from "./model.svelte";
import { said } from "./text";

/** What the person chose in this browser: yes, no, or nothing yet. */
const CHOSEN = "notices";

class Notices {
  permission = $state<NotificationPermission>(globalThis.Notification?.permission ?? "denied");
  chosen = $state(localStorage.getItem(CHOSEN) ?? "");
  private newest = 0;
  private open = new Set<Notification>();

  constructor() {
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) for (const one of this.open) one.close();
    });
  }

  get on(): boolean {
    return this.chosen === "yes" && this.permission === "granted";
  }

  /** Whether to offer it: once somebody has written, to who has not decided. */
  get offered(): boolean {
    return !this.chosen && this.permission === "default"
      && model.contacts.some((one) => !one.echo && !one.request && one.last && !one.last.mine && said(one.last));
  }

  /** Only from a press: browsers refuse pages that ask by themselves, and so do people. */
  async choose(on: boolean): Promise<void> {
    if (on) this.permission = await Notification.requestPermission();
    this.chosen = on && this.permission === "granted" ? "yes" : "no";
    localStorage.setItem(CHOSEN, this.chosen);
  }

  came(message: Message): void {
    const id = Number(message.id);
    const fresh = id > this.newest && !message.mine && said(message)
      && Date.now() - message.received < 60_000;
    this.newest = Math.max(this.newest, id);
    const contact = model.contact(message.contact);
    if (!fresh || !contact || contact.request) return;
    const name = contact.name;
    this.show(model.t("noticeMessage", { name }), message.contact, () =>
      model.go({ at: "talk", contact: message.contact }));
  }

  /** If this page is not looked at. Answers what takes it back. */
  show(title: string, tag: string, act: () => void = () => undefined): () => void {
    if (!document.hidden || !this.on) return () => undefined;
    const shown = new Notification(title.replace(/[\u2068\u2069]/g, ""), { tag, icon: "/icon.svg" });
    this.open.add(shown);
    shown.onclose = () => this.open.delete(shown);
    shown.onclick = () => {
      window.focus();
      act();
      shown.close();
    };
    return () => shown.close();
  }
}

export const notices = new Notices();
