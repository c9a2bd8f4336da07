// JSON-RPC 2.0 over one WebSocket to the node that serves this page.

import type { Calls, Event } from "./api";

export class ApiError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

type Waiting = { resolve: (value: never) => void; reject: (error: Error) => void };

/** The part of WebSocket that is used, so that tests can bring their own. */
export interface Wire {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
}

export class Rpc {
  private next = 1;
  private waiting = new Map<number, Waiting>();
  private wire: Wire | null = null;

  constructor(
    private readonly open: () => Wire,
    private readonly heard: (event: Event) => void,
    private readonly changed: (connected: boolean) => void,
  ) {}

  get connected(): boolean {
    return this.wire !== null;
  }

  /** Connect once; `changed` tells how it went, now and later. */
  connect(): void {
    const wire = this.open();
    wire.onopen = () => {
      this.wire = wire;
      this.changed(true);
    };
    wire.onmessage = ({ data }) => this.receive(String(data));
    wire.onclose = () => {
      this.wire = null;
      for (const { reject } of this.waiting.values()) reject(new ApiError("gone", ""));
      this.waiting.clear();
      this.changed(false);
    };
  }

  call<M extends keyof Calls>(
    method: M,
    params: Calls[M]["params"] = {} as Calls[M]["params"],
  ): Promise<Calls[M]["result"]> {
    return new Promise((resolve, reject) => {
      if (!this.wire) {
        reject(new ApiError("gone", ""));
        return;
      }
      const id = this.next++;
      this.waiting.set(id, { resolve, reject });
      this.wire.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  private receive(text: string): void {
    const message = JSON.parse(text);
    if (message.method === "event") {
      this.heard(message.params as Event);
      return;
    }
    const waiting = this.waiting.get(message.id);
    if (!waiting) return;
    this.waiting.delete(message.id);
    if (message.error) {
      waiting.reject(new ApiError(message.error.data?.code ?? "internal", message.error.message));
    } else {
      waiting.resolve(message.result as never);
    }
  }
}

/** Exchange the launch token in the address for a session, and clear it there at once. */
export async function startSession(): Promise<boolean> {
  const token = location.hash.slice(1);
  if (!token) return true;
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("/session", {
    method: "POST",
    body: JSON.stringify({ token }),
    headers: { "content-type": "application/json" },
  });
  return answer.ok;
}

export function socket(): Wire {
  return new WebSocket(`ws://${location.host}/api`) as unknown as Wire;
}
