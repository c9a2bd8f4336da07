// Files on their way into a conversation: read, perhaps made smaller, uploaded, sent. They go on
// while another conversation is open.

import type { Message } from "../api";
import { model } from "../model.svelte";
import { ApiError } from "../rpc";
import { look, type Picture } from "./picture";
import { Unreadable, upload } from "./upload";

export class Parcel {
  /** choosing: the person decides between the picture and a smaller one. */
  state = $state<"reading" | "choosing" | "sending" | "stuck">("reading");
  done = $state(0);
  trouble = $state("");
  picture: Picture | null = null;
  readonly id = crypto.randomUUID();
  private stop = new AbortController();
  private upload = "";
  file: File = $state.raw(new File([], ""));

  constructor(readonly contact: string, file: File, private readonly reply: string | null) {
    this.file = file;
  }

  async begin(): Promise<void> {
    this.picture = await look(this.file).catch(() => null);
    if (this.picture?.smaller) this.state = "choosing";
    else await this.send();
  }

  async choose(smaller: boolean): Promise<void> {
    const less = this.picture?.smaller;
    if (smaller && less && this.picture) {
      const size = await createImageBitmap(less);
      this.picture = { ...this.picture, width: size.width, height: size.height };
      size.close();
      this.file = less;
    }
    await this.send();
  }

  /** Upload what is not uploaded yet and make a message of it; also after trouble. */
  async send(): Promise<void> {
    const { file, picture } = this;
    this.state = "sending";
    this.trouble = "";
    try {
      this.upload ||= await upload(file, (done) => (this.done = done), this.stop.signal);
      await model.ask("send_file", {
        contact: this.contact, upload: this.upload, name: file.name || "file",
        kind: picture ? "picture" : "file", type: file.type, thumb: picture?.thumb ?? "",
        width: picture?.width ?? 0, height: picture?.height ?? 0,
        reply_to: this.reply, key: this.id,
      });
      outbox.parcels = outbox.parcels.filter((one) => one !== this);
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.state = "stuck";
      this.trouble = troubleOf(error);
    }
  }

  drop(): void {
    this.stop.abort();
    outbox.parcels = outbox.parcels.filter((one) => one !== this);
    if (this.upload) void model.call("discard_upload", { upload: this.upload });
  }
}

/** Why an upload did not become a message, in a sentence. */
export function troubleOf(error: unknown): string {
  if (error instanceof Unreadable) return model.t("sendUnreadable");
  if (error instanceof ApiError && error.message) return error.message;
  return model.t(error instanceof ApiError ? "away" : "failed");
}

class Outbox {
  parcels = $state<Parcel[]>([]);
  private queue = Promise.resolve();

  /** Send files in their order, one upload at a time; the first answers `reply`. */
  add(contact: string, files: Iterable<File>, reply: Message | null): void {
    let answers = reply?.id ?? null;
    for (const file of files) {
      const parcel = new Parcel(contact, file, answers);
      answers = null;
      this.parcels.push(parcel);
      this.queue = this.queue.then(() => this.parcels.includes(parcel) ? parcel.begin() : undefined);
    }
  }
}

export const outbox = new Outbox();
