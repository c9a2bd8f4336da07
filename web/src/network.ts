// What the network does, and what says so, in words: pure, so that every verdict can be tested.

import type { Fact, Relay, Status } from "./api";
import type { Sentence } from "./calls/words";

/** The sentence about what is done to connections; none if nothing is, or nobody knows. */
export const VERDICTS: Record<Status["network"], Sentence | ""> = {
  clear: "", unknown: "",
  freeze: "netFreeze", throttled: "netThrottled", fingerprint: "netFingerprint",
  "udp-block": "netUdp", "name-block": "netName", "dns-block": "netDns",
  "address-block": "netAddress", allowlist: "netListed", impostor: "netImpostor",
  portal: "netPortal", learned: "netLearned", offline: "statusOffline", away: "statusRelayAway",
};

export const FACTS: Record<Fact["what"], Sentence> = {
  works: "factWorks", crawls: "factCrawls", unreached: "factUnreached", over: "factOver",
  answers: "factAnswers", silent: "factSilent", proxy: "factProxy", dns: "factDns",
  connect: "factConnect", refused: "factRefused", mute: "factMute", tls: "factTls",
  pin: "factPin", upgrade: "factUpgrade", closed: "factClosed", timeout: "factTimeout",
  frozen: "factFrozen", slow: "factSlow", lost: "factLost",
};

const PATHS: Record<string, Sentence> = {
  quic: "pathQuic", websocket: "pathWebsocket", classic: "pathClassic", browser: "pathBrowser",
  micro: "pathMicro", hop: "pathHop",
};

const KINDS: Record<string, Sentence> = { domestic: "placeDomestic", foreign: "placeForeign" };

type Say = (key: Sentence, filling?: Record<string, string | number>) => string;

/** One fact as a sentence, in three parts that are told apart: where, by which path, what. */
export function fact(one: Fact, t: Say): string {
  const place = KINDS[one.place] ? t(KINDS[one.place]!) : one.place;
  const path = PATHS[one.path] ? t(PATHS[one.path]!) : one.path;
  const what = t(FACTS[one.what], { n: one.kbits });
  return t(path ? "factBy" : "factOf", { place, path, what });
}

export const TROUBLES: Record<Exclude<Relay["trouble"], "">, Sentence> = {
  slow: "relaySlow", behind: "relayBehind", refuses: "relayFull", strange: "relayStrange",
};

/** How a relay is, beyond where it is. */
export function relayState(one: Relay): Sentence {
  if (one.state === "idle") return one.off ? "relayOff" : "relayIdle";
  if (one.state === "connected") return "relayConnected";
  return one.state === "waiting" ? "relayWaiting" : "relayConnecting";
}
