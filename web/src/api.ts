// Generated from src/holdfast/node/schema by `make generate`; do not edit.

export interface Relay {
  id: string;
  label: string;
  /** idle: kept in reserve, or turned off. */
  state: "connecting" | "connected" | "waiting" | "idle";
  /** The last failure in plain words, empty while connected. */
  why: string;
  /** How far it came, as in `Fact`. */
  failure: "" | "proxy" | "dns" | "connect" | "refused" | "mute" | "tls" | "pin" | "upgrade" | "closed" | "timeout";
  since: number;
  /** One of this node's own homes, rather than only a contact's. */
  mine: boolean;
  /** Names of contacts who use it, or told of it. */
  contacts: string[];
  /** Turned off: nothing of this node's is made there; only what a contact reads there is written there. */
  off: boolean;
  /** How it falls behind other relays: takes what others have taken long before, brings late or not at all what others bring, is full, brings what nobody wrote. It is waited for no longer, and the last choice for what is new, until it has kept up for ten minutes. */
  trouble: "" | "slow" | "behind" | "refuses" | "strange";
}

export interface Status {
  version: string;
  phase: "new" | "locked" | "linking" | "ready";
  name: string;
  line: "whole" | "thin" | "dotted" | "pieces" | "double" | "broken";
  /** offline: no relay can be reached at all. relay-away: the machine of one answers, but not as the relay, so it is not the internet that is missing. */
  verdict: "clear" | "connecting" | "offline" | "relay-away" | "no-relay";
  network: "clear" | "freeze" | "fingerprint" | "name-block" | "dns-block" | "address-block" | "allowlist" | "throttled" | "udp-block" | "away" | "impostor" | "portal" | "learned" | "offline" | "unknown";
  relays: Relay[];
  /** Messages of mine that no relay has yet. */
  waiting: number;
  /** Whether `add_echo` can add the contact that answers, for trying things out. */
  echo: boolean;
  /** This device was removed by another one of its person's: it can be read and no longer used. */
  unlinked: boolean;
  simulator: boolean;
  /** Contacts that are on the same local network, by id. */
  near: string[];
  /** Whether this node can look for them at all. */
  finds: boolean;
}

export interface Fact {
  /** A relay's host and port; domestic or foreign for places that nobody blocks. */
  place: string;
  /** By which path, if by one. */
  path: string;
  /** works. crawls: at `kbits`. unreached: another relay does not reach it either. over: not reached any more. answers, silent: of places that nobody blocks. Else how it failed. */
  what: "works" | "crawls" | "unreached" | "over" | "answers" | "silent" | "proxy" | "dns" | "connect" | "refused" | "mute" | "tls" | "pin" | "upgrade" | "closed" | "timeout" | "frozen" | "slow" | "lost";
  kbits: number;
}

export interface Diagnosis {
  network: "clear" | "freeze" | "fingerprint" | "name-block" | "dns-block" | "address-block" | "allowlist" | "throttled" | "udp-block" | "away" | "impostor" | "portal" | "learned" | "offline" | "unknown";
  /** The facts as sentences. */
  evidence: string[];
  facts: Fact[];
}

export interface KnownPath {
  relay: string;
  /** What worked last, "" if nothing did. */
  path: string;
  /** Paths that did not work, and how. */
  trouble: string[];
}

export interface KnownNetwork {
  id: string;
  current: boolean;
  seen: number;
  relays: KnownPath[];
}

export interface Switch {
  name: string;
  on: boolean;
}

export interface Simulator {
  switches: Switch[];
}

export interface Settings {
  language: "auto" | "en" | "ru";
  theme: "auto" | "light" | "dark";
  read_receipts: boolean;
  delivery_receipts: boolean;
  typing: boolean;
  single_keys: boolean;
  /** Whether contacts are looked for on the local network, and told there that one is here. */
  near: boolean;
  /** Lifetime of messages in new conversations, 0 for ever. */
  timer: number;
  /** Whether who comes unasked is accepted at once: for programs that answer everybody. */
  admit: boolean;
  /** Whether a passphrase locks this machine's copy (changed by `set_passphrase`). */
  passphrase: boolean;
}

export interface ReportPlace {
  code: string;
  en: string;
  ru: string;
}

export interface ServicePage {
  name: string;
  url: string;
}

export interface Reporting {
  url: string;
  region: string;
  operator: string;
  /** Whether what the network does to this node is told once an hour, without being asked. */
  automatic: boolean;
  /** Services that are measured then, too, each by a look at its page. */
  measured: string[];
  /** That are here, got ahead. */
  tokens: number;
  /** Fingerprint of the keys for tokens that serve today: everybody who reports there sees the same, or it tells people apart. */
  keys: string;
  /** Reports that could not be sent yet. */
  waiting: number;
  /** Why the last attempt failed. */
  trouble: string;
  regions: ReportPlace[];
  operators: ReportPlace[];
  services: string[];
  /** Of the services that can be measured. */
  looks: ServicePage[];
  /** Reports that were counted by this call of `complain` or `measure_now`. */
  counted: number;
}

export interface Backup {
  /** Where it is, if a path was given. */
  path: string;
  size: number;
  contacts: number;
  messages: number;
}

export interface Contact {
  id: string;
  kind: "person" | "group" | "channel";
  /** What they call themselves, or what you call them. */
  name: string;
  /** What they call themselves. */
  own_name: string;
  /** restored: known from a backup, or from another device of mine; their device has not heard of this one yet. unlinked: this device was removed by another one of mine. joining: the invitation was accepted, their first answer is awaited. frozen: their identity changed in a way that must be looked at; nothing is sent. used: somebody else had accepted the invitation before; ask for a new one. left, removed: I am not in this group any more. */
  state: "joining" | "active" | "frozen" | "used" | "blocked" | "restored" | "left" | "removed" | "unlinked";
  /** How many are in the group. */
  members: number;
  /** Whether I may do what admins do; true with a person. Whether a channel is mine. */
  leads: boolean;
  /** Of a channel in which everybody writes, an open group: whether I have a name in it, and so can write. */
  open: "" | "reads" | "writes";
  /** The group through which they became a contact, by a link or from within. */
  via: string;
  /** Came unasked and was not accepted yet: nothing rings or notifies, and nothing tells them that anybody is there. */
  request: boolean;
  verified: boolean;
  /** Whether calls may go straight between the two computers, if they allow it as well. Only while verified: each then learns the other's address. */
  direct: boolean;
  echo: boolean;
  /** Another contact's name that this one could be mistaken for. */
  looks_like: string;
  added: number;
  unread: number;
  timer: number;
  typing: boolean;
  last: Message | null;
  waiting: number;
}

export interface Invitation {
  id: string;
  link: string;
  /** SVG of the link as a QR code, dark on white; uses the `holdfast:` form. */
  qr: string;
  many: boolean;
  label: string;
  created: number;
  expires: number;
  /** preparing: no relay has it yet, the link does not work before one has. */
  state: "preparing" | "open" | "used" | "expired" | "revoked";
  used_by: string;
  /** The group that it leads into. */
  group: string;
  /** Whether an admin admits everybody by hand. */
  approve: boolean;
}

export interface Verification {
  contact: string;
  /** asked: they want to compare, `start_verification` joins. waiting: for their node. compare: show emoji. confirmed: you said they match, they have not yet. */
  state: "asked" | "waiting" | "compare" | "confirmed" | "done" | "mismatch" | "cancelled";
  /** Seven pairs of symbol and English name. */
  emoji: [string, string][];
}

export interface Author {
  id: string;
  name: string;
  /** If they are a contact of mine. */
  contact: string;
}

export interface GroupMember {
  id: string;
  name: string;
  role: "member" | "admin" | "owner";
  me: boolean;
  /** If they are a contact of mine. */
  contact: string;
  /** What they say in groups is not taken here. */
  blocked: boolean;
  /** Whether emoji were compared with them, as a contact. */
  verified: boolean;
  /** Name of who added them. */
  added_by: string;
  since: number;
}

export interface GroupVoid {
  who: string;
  by: string;
  /** add, remove, role, set, … with a name. */
  what: string[];
  at: number;
}

export interface GroupReport {
  id: string;
  by: Author;
  author: Author;
  /** What was written; where it was changed, both, with an arrow between them. */
  text: string;
  /** Of who reported it. */
  words: string;
  at: number;
  /** The message, if it is here. */
  message: string;
  /** It was written to who reports it, from within the group, before they accepted its author. */
  private: boolean;
}

export interface Group {
  id: string;
  title: string;
  /** Mine, empty if I am not in it any more. */
  role: "member" | "admin" | "owner" | "";
  members: GroupMember[];
  banned: Author[];
  timer: number;
  /** Between two messages of a member. */
  slow: number;
  /** Messages that a newcomer is given. */
  history: number;
  adding: "admins" | "members";
  /** renew: somebody left or two admins acted at once, the key is not new yet. missing: it is awaited, what is written meanwhile waits. */
  keys: "fresh" | "renew" | "missing";
  /** Names of members who wrote lately without knowing who had been removed. */
  behind: string[];
  voided: GroupVoid[];
  /** Contacts who came by a link and wait to be admitted. */
  requests: Author[];
  /** That nobody on this node has answered yet. */
  reports: GroupReport[];
}

export interface Reaction {
  emoji: string;
  mine: boolean;
  at: number;
  /** Whose it is, in a group. */
  name: string;
}

export interface Quote {
  id: string;
  mine: boolean;
  /** Of a file its name, of a voice note nothing. */
  text: string;
  file: "file" | "picture" | "voice" | null;
  /** Who wrote it, in a group. */
  author: Author | null;
}

export interface Attachment {
  kind: "file" | "picture" | "voice";
  /** Made harmless: no path, nothing invisible, nothing that reorders. */
  name: string;
  /** A media type that the interface can show or play, else application/octet-stream. */
  type: string;
  /** Bytes. */
  size: number;
  /** Mine: sending, sent (a relay has all of it), whole (they have it). Theirs: offered (waits to be asked for), fetching, whole, gone (no relay has it any more). */
  state: "sending" | "sent" | "offered" | "fetching" | "whole" | "gone";
  /** Bytes that a relay has (mine) or that are here (theirs). */
  done: number;
  /** Bytes a second lately, 0 while nothing moves. */
  rate: number;
  /** A small picture made by the sender, as a data: URL. */
  thumb: string;
  width: number;
  height: number;
  duration: number;
  /** Loudness along a voice note, 0 to 31, at most 64 values. */
  wave: number[];
}

export interface PollOption {
  text: string;
  votes: number;
  mine: boolean;
  /** Who chose it, in a group; not me. */
  names: string[];
}

export interface Poll {
  options: PollOption[];
  many: boolean;
  voters: number;
}

export interface Message {
  id: string;
  contact: string;
  /** Position in the conversation: ascending, never changes; in a group the same for all. */
  order: number;
  /** Rises with every change of any message; `listen` goes on from it. */
  cursor: number;
  mine: boolean;
  /** Who wrote it, in a group; null if it was me. */
  author: Author | null;
  /** A note is what the node has to say: see `note`. */
  kind: "text" | "file" | "call" | "note";
  /** gap: the internet was off from `at` to `until`, `count` messages came after it. lost: `count` messages could not be recovered. timer: `count` seconds. renamed: `text` is the new name. from-call: a voice note of what came too late for a call. group-…: `author` did it, to whom `text` names, and `count` more. group-joined: I was added. group-member, -admin, -owner: that is their role now. group-link: the invitation leads into the group `text`. group-report: `author` reported something of `text` to those who lead. device-added, device-removed: of their devices, `count`. told: a text from before I came, as whoever added me told it. channel-from: `text` is the channel that pointed to this one. channel-gap: `count` posts are missing here; channel-older: before what is here. channel-withheld: what a post said was taken back. channel-fork: its key signed two different posts `count`. */
  note: "" | "added" | "verified" | "unverified" | "renamed" | "timer" | "gap" | "lost" | "key-changed" | "restored" | "device-added" | "device-removed" | "from-call" | "group-made" | "group-joined" | "group-added" | "group-removed" | "group-banned" | "group-unbanned" | "group-left" | "group-member" | "group-admin" | "group-owner" | "group-link" | "group-report" | "told" | "channel-made" | "channel-followed" | "channel-from" | "channel-gap" | "channel-older" | "channel-withheld" | "channel-fork" | "channel-moved";
  text: string;
  /** When it was written, by its author's clock, never later than when it came. */
  at: number;
  received: number;
  until: number;
  count: number;
  edited: number;
  deleted: boolean;
  /** Who of those who lead the group removed it for all. */
  removed_by: Author | null;
  reply_to: Quote | null;
  file: Attachment | null;
  call: CallEntry | null;
  reactions: Reaction[];
  /** waiting: no relay has it. sent: a relay keeps it. unsent: it never arrived and is not sent again by itself, since the contact's key is another. The rest is what they said. */
  state: "waiting" | "sent" | "delivered" | "read" | "received" | "unsent";
  read_at: number;
  /** When it disappears here, 0 for never. */
  expires: number;
  /** Written by somebody who did not know yet that a member of the group had been removed. */
  stale: boolean;
  poll: Poll | null;
  pinned: boolean;
  /** It names me. */
  mention: boolean;
}

export interface Hit {
  message: Message;
  before: string;
  match: string;
  after: string;
}

export interface Page {
  /** Ascending by `order`. */
  messages: Message[];
  /** Whether there are earlier ones. */
  more: boolean;
}

export interface CallEntry {
  outcome: "talked" | "missed" | "unanswered" | "declined" | "busy" | "lost" | "failed";
  duration: number;
}

export interface Call {
  id: string;
  contact: string;
  outgoing: boolean;
  /** calling: their node has not answered. ringing: it rings there, or (not outgoing) here. connecting: accepted, nothing was heard yet. */
  state: "calling" | "ringing" | "connecting" | "talking" | "ended";
  /** Why it ended. */
  reason: "" | "hung-up" | "declined" | "busy" | "missed" | "unanswered" | "lost" | "failed";
  /** When talking began. */
  since: number;
  muted: boolean;
  their_muted: boolean;
  line: "whole" | "thin" | "dotted" | "pieces" | "double" | "broken";
  /** From mouth to ear, estimated, without the devices. */
  delay: number;
  /** Of a hundred frames, how many did not come in time lately. */
  lost: number;
  /** Since when nothing comes from them, 0 while it does. */
  away: number;
  /** It is this side that has no network. */
  offline: boolean;
}

export interface CallSample {
  /** Of the call. */
  at: number;
  /** How what they said was coded; "bursts" where it came in bursts. */
  rung: string;
  /** How what was said here left. */
  way: "live" | "bursts" | "none";
  delay: number;
  lost: number;
}

export interface CallMoment {
  at: number;
  /** way: by another way. no-way: there is no live one. two-ways: by two at once. goes-on: a silent one answers. coding: in another coding. bursts: in bursts. live: live again. */
  what: "way" | "no-way" | "two-ways" | "goes-on" | "coding" | "bursts" | "live";
  why: "start" | "came" | "gone" | "answers" | "silent" | "all-silent" | "none" | "proved" | "well" | "queue" | "calm" | "lost" | "lost-no-more" | "behind" | "too-much" | "bursting";
  /** The number of the way (of each relay of the call datagrams, and behind them the stream; 6 is straight to the other side), or the coding's name. */
  of: string;
  /** Of the reason: silent, all-silent, none, calm, behind: ms. well: s. queue: ms that it is long, kbit/s that get through. lost: of a hundred. */
  figures: number[];
  /** Frames that are sent again. */
  again: number;
}

export interface CallStory {
  /** About one a second; of long calls, fewer. */
  samples: CallSample[];
  moments: CallMoment[];
}

export interface ChannelGap {
  first: number;
  last: number;
}

export interface Channel {
  id: string;
  title: string;
  about: string;
  /** Whether I write in it, here; of an open group, whether I remove what others write. */
  mine: boolean;
  /** An open group: whoever has its link reads and writes. */
  open: boolean;
  /** What I am called in an open group; until I choose a name I only read. */
  name: string;
  /** Of my own that another device of mine writes in: which one, see `devices`. */
  device: string;
  /** Whoever has it reads everything, and writes only in an open group. */
  link: string;
  /** The same for a browser: a page of its first relay. Empty for an open group. */
  web: string;
  qr: string;
  /** The last number that its owner has signed. */
  posts: number;
  /** The first that is here; what came before is kept by no relay any more, or withheld. */
  first: number;
  missing: ChannelGap[];
  /** When its owner's node last gave a sign of life, 0 for never. */
  heard: number;
  /** That is over three days ago: it is away, or its relays withhold what it says. */
  quiet: boolean;
  /** A number for which its key has signed two different posts, 0 for none. */
  forked: number;
  /** About how many nodes read it, of my own channel; nobody knows which. */
  readers: number;
  /** An invitation into the group that talks about it. */
  comments: string;
  /** The link of the channel that goes on in its place, if everybody may know it. */
  moved: string;
  /** It goes on elsewhere. */
  ended: boolean;
  relays: string[];
}

export interface Device {
  id: string;
  /** Empty if it was never given one. */
  name: string;
  /** When it was linked, 0 for the first one of old. */
  since: number;
  /** It is this one. */
  here: boolean;
  /** It holds the key that signs: it alone links and removes devices and makes backups. */
  first: boolean;
}

export interface Linking {
  /** What this node is in it: the first device, or the new one. */
  here: "old" | "new";
  /** preparing: no relay has the code yet. waiting: for the other side. connecting: it came, and the keys are being exchanged. compare: the emoji are here; say whether the other shows the same. confirmed: the other side has not said so yet. mismatch: somebody said that they differ. */
  state: "preparing" | "waiting" | "expired" | "connecting" | "compare" | "confirmed" | "done" | "cancelled" | "mismatch";
  /** Of the new device. */
  name: string;
  code: string;
  /** The code as QR, SVG. */
  qr: string;
  expires: number;
  emoji: [string, string][];
  /** Whether it is given what was said before. */
  past: boolean;
}

export interface StatusChanged {
  type: "status";
  status: Status;
}

export interface SettingsChanged {
  type: "settings";
  settings: Settings;
}

export interface ContactChanged {
  type: "contact";
  contact: Contact;
}

export interface ContactRemoved {
  type: "contact-removed";
  id: string;
}

export interface MessageChanged {
  type: "message";
  message: Message;
}

export interface MessageGone {
  type: "message-gone";
  contact: string;
  id: string;
  cursor: number;
}

export interface TypingChanged {
  type: "typing";
  contact: string;
  typing: boolean;
}

export interface BackupProgress {
  type: "backup";
  done: number;
  total: number;
}

export interface InvitationChanged {
  type: "invitation";
  invitation: Invitation;
}

export interface VerificationChanged {
  type: "verification";
  verification: Verification;
}

export interface FileMoved {
  type: "file";
  contact: string;
  message: string;
  done: number;
  rate: number;
}

export interface DevicesChanged {
  type: "devices";
}

export interface LinkingChanged {
  type: "linking";
  linking: Linking | null;
}

export interface PastProgress {
  type: "past";
  done: number;
  total: number;
}

export interface CallChanged {
  type: "call";
  call: Call;
}

export type Event = StatusChanged | SettingsChanged | ContactChanged | ContactRemoved | MessageChanged | MessageGone | TypingChanged | InvitationChanged | VerificationChanged | FileMoved | CallChanged | BackupProgress | DevicesChanged | LinkingChanged | PastProgress;

/** Parameters and result of every call. */
export interface Calls {
  /** What works now; answered in every phase. */
  status: { params: Record<string, never>; result: Status };
  /** What the network does to this node's connections, from what they met; nothing is sent for it. */
  diagnose: { params: Record<string, never>; result: Diagnosis };
  /** Networks of which this node remembers how relays were reached there, the last one first. */
  known_networks: { params: Record<string, never>; result: KnownNetwork[] };
  /** Forget all of it, of the present network too. */
  forget_networks: { params: Record<string, never>; result: null };
  /** The pretended censor. not-found: this node has none. */
  simulator: { params: Record<string, never>; result: Simulator };
  /** Let the pretended censor do something, or stop it. not-found. */
  simulate: { params: { switch: string; on: boolean }; result: Simulator };
  /** Make the identity. Phase new. */
  set_up: { params: { name: string; passphrase?: string | null }; result: Status };
  /** Everything that a new machine needs, in one file that only the passphrase opens: who you are, contacts, conversations, settings and, with `files`, what they carry; no session. `path` is a new file on the node's machine; without one the file is at GET /backup until the next one or the next start. Progress comes as events. bad-params, storage. */
  back_up: { params: { passphrase: string; path?: string; files?: boolean }; result: Backup };
  /** Begin with a backup, from a file of the node's machine or what was put to POST /backup. This is a new device then, and the only one: each contact is told and goes on with it once its node has heard. Phase new. wrong-passphrase, bad-params (not a backup, or damaged), storage. */
  restore: { params: { passphrase: string; path?: string }; result: Status };
  /** Open the database. Phase locked. */
  unlock: { params: { passphrase: string }; result: Status };
  /** A new link that opens the web interface in one browser, once. */
  launch_link: { params: Record<string, never>; result: string };
  /** What was chosen. */
  settings: { params: Record<string, never>; result: Settings };
  /** Change what is given, leave the rest. */
  update_settings: { params: { language?: "auto" | "en" | "ru" | null; theme?: "auto" | "light" | "dark" | null; read_receipts?: boolean | null; delivery_receipts?: boolean | null; typing?: boolean | null; single_keys?: boolean | null; near?: boolean | null; timer?: number | null; admit?: boolean | null }; result: Settings };
  /** Set, change or (with null) remove the passphrase. */
  set_passphrase: { params: { new: string | null; current?: string | null }; result: Settings };
  /** Change one's own name; contacts are told. */
  rename_me: { params: { name: string }; result: Status };
  /** Make a relay one of this node's homes; conversations that there are use it too. */
  add_relay: { params: { address: string }; result: Status };
  /** Make no more logs there; what is read there moves to other relays, if there are any. A relay that only a contact told of is forgotten. */
  remove_relay: { params: { id: string }; result: Status };
  /** Make a contact's relay one of one's own, or no longer; turn it off or on again. */
  set_relay: { params: { id: string; mine?: boolean | null; off?: boolean | null }; result: Status };
  /** This person's devices, the first one first. */
  devices: { params: Record<string, never>; result: Device[] };
  /** Show a code for one new device, good for a quarter of an hour; `past`: it is given what was said before. On the first device only. A code that was shown before ends. */
  link_device: { params: { past?: boolean }; result: Linking };
  /** Make this node, on which there is nobody yet, a device of the person whose code this is. Phase new. */
  join_device: { params: { code: string; name: string; passphrase?: string | null }; result: Linking };
  /** A linking that goes on, or the last one. */
  linking: { params: Record<string, never>; result: Linking | null };
  /** Say whether the other device shows the same seven emoji. Only after both have said so is anything given. */
  confirm_link: { params: { match: boolean }; result: Linking };
  /** Stop linking. A new device is as if nothing had been. */
  cancel_link: { params: Record<string, never>; result: null };
  /** Call a device something, on all of them. */
  rename_device: { params: { id: string; name: string }; result: Device[] };
  /** A device of this person's is one no longer: all other devices and all contacts are told, and send it nothing from then on. On the first device only. */
  remove_device: { params: { id: string }; result: Device[] };
  /** A new link. Answers at once; `state` says whether a relay has it yet. */
  create_invitation: { params: { many?: boolean; hours?: number; label?: string }; result: Invitation };
  /** All that are open, and those that ended in the last days. */
  invitations: { params: Record<string, never>; result: Invitation[] };
  /** End it; the link opens nothing from then on. */
  revoke_invitation: { params: { id: string }; result: Invitation };
  /** Fetch what the link points to and become contacts. Needs the network once. */
  accept_invitation: { params: { link: string }; result: Contact };
  /** Add Echo, if this node was given its link. */
  add_echo: { params: Record<string, never>; result: Contact };
  /** Newest conversation first. */
  contacts: { params: Record<string, never>; result: Contact[] };
  /** One, by id or by exact name. */
  contact: { params: { contact: string }; result: Contact };
  /** Your own name for them; empty goes back to theirs. */
  rename_contact: { params: { contact: string; name: string }; result: Contact };
  /** Lifetime of messages from now on, both ways. */
  set_timer: { params: { contact: string; seconds: number }; result: Contact };
  /** Stop reading what they send; undone with false. */
  block_contact: { params: { contact: string; blocked?: boolean }; result: Contact };
  /** Accept somebody who came unasked, or a group into which one was added so. Writing to them or calling them does the same; `block_contact`, `delete_contact` and `leave_group` say no. */
  accept_contact: { params: { contact: string }; result: Contact };
  /** Let calls with a verified contact go straight, or by relays alone. */
  allow_direct: { params: { contact: string; allowed: boolean }; result: Contact };
  /** Delete the conversation, its keys and its logs. */
  delete_contact: { params: { contact: string }; result: null };
  /** A group with these contacts, by id or by exact name. They are in it at once. */
  create_group: { params: { title: string; members: string[] }; result: Contact };
  /** Who is in it, and what holds. */
  group: { params: { contact: string }; result: Group };
  /** Add contacts. They read what is written from now on. */
  add_members: { params: { contact: string; members: string[] }; result: Group };
  /** Remove one, by id or name; they read nothing that is written from now on. `ban`: nobody adds them again, until `unban_member`. */
  remove_member: { params: { contact: string; member: string; ban?: boolean }; result: Group };
  /** Let them be added again. */
  unban_member: { params: { contact: string; member: string }; result: Group };
  /** Make somebody a member, an admin, or the owner, which I am no longer then. */
  set_role: { params: { contact: string; member: string; role: "member" | "admin" | "owner" }; result: Group };
  /** Change what is given, for everybody. Admins may. */
  set_group: { params: { contact: string; title?: string | null; timer?: number | null; slow?: number | null; history?: number | null; adding?: "admins" | "members" | null }; result: Group };
  /** A link for many into a group that I lead. With `approve` I admit each by hand, without it whoever has the link is in it at once. */
  create_group_link: { params: { contact: string; approve?: boolean; hours?: number }; result: Invitation };
  /** Admit somebody who came by such a link, or do not. */
  answer_request: { params: { contact: string; person: string; admit: boolean }; result: Group };
  /** Invite a member who is no contact of mine, through the group. Once their node has answered, they are a contact. */
  write_to_member: { params: { contact: string; member: string }; result: null };
  /** Take nothing any more of what somebody says, in groups or to me; undone with false. Nobody learns of it. What they say meanwhile stays away. */
  block_member: { params: { contact: string; member: string; blocked?: boolean }; result: Group };
  /** Begin with a fresh key, which only those have who are in the group now. */
  renew_group: { params: { contact: string }; result: Group };
  /** Leave; what was written stays here. An owner appoints another one first. */
  leave_group: { params: { contact: string }; result: Contact };
  /** A channel of mine, at my relays. Whoever has its link reads it. With the `name` that I write under, an open group: whoever has its link writes in it too, text only, each with a key made for it alone; I remove what others wrote by `delete`. */
  create_channel: { params: { title: string; about?: string; name?: string | null }; result: Contact };
  /** What it is, its link, and what is missing. */
  channel: { params: { contact: string }; result: Channel };
  /** Change what is given, for everybody. `comments`: a group of mine, by id or exact name, into which every reader is then invited; empty for none. */
  set_channel: { params: { contact: string; title?: string | null; about?: string | null; comments?: string | null }; result: Channel };
  /** Read a channel from now on; its owner does not learn who. `accept_invitation` takes such links too. With a `name`, write in an open group under it; again to change it. bad-link. */
  follow_channel: { params: { link: string; name?: string | null }; result: Contact };
  /** Nothing that the `author` with this id wrote or will write is shown in an open group of mine, for everybody. It cannot be undone, and they can come back with another key. */
  silence_writer: { params: { contact: string; writer: string }; result: null };
  /** Begin a new channel in the place of one of mine, which ends by pointing to it. `public`: with the new link, for everybody who has the old one; without, readers know the new one when they are given its link. */
  move_channel: { params: { contact: string; public?: boolean }; result: Contact };
  /** A conversation backwards from its end, or from an `order`. Limit to 200. */
  messages: { params: { contact: string; before?: number | null; limit?: number }; result: Page };
  /** The neighbourhood of one message, to jump to it. */
  messages_around: { params: { contact: string; id: string; limit?: number }; result: Page };
  /** Write. Durable when answered. The same `key` twice is the same message. */
  send: { params: { contact: string; text: string; reply_to?: string | null; key?: string | null }; result: Message };
  /** Change a message of mine. */
  edit: { params: { id: string; text: string }; result: Message };
  /** Take back a message of mine, or remove any one here only. In a group that I lead, others' messages too: removed for all, but for the owner's. */
  delete: { params: { id: string; for_both?: boolean }; result: Message | null };
  /** Tell those who lead a group what somebody wrote in it, or from within it to somebody who had not accepted them, with proof. not-found: nobody else leads it, or nothing proves it. */
  report_message: { params: { id: string; words?: string | null }; result: null };
  /** Answer a report: `remove` the message for all, `expel` its author from the group, both, or neither, which dismisses it. */
  answer_report: { params: { contact: string; id: string; remove?: boolean; expel?: boolean; ban?: boolean }; result: Group };
  /** Set or (null) remove my reaction. */
  react: { params: { id: string; emoji: string | null }; result: Message };
  /** Ask something with 2 to 12 answers to choose from. */
  create_poll: { params: { contact: string; question: string; options: string[]; many?: boolean; key?: string | null }; result: Message };
  /** Choose answers of a poll by number, in the place of those before. */
  vote: { params: { id: string; choices: number[] }; result: Message };
  /** Keep a message in sight for everybody, or no longer. In a group, admins may. */
  pin: { params: { id: string; on?: boolean }; result: Message };
  /** What is pinned, the last first. */
  pinned: { params: { contact: string }; result: Message[] };
  /** Everything up to this message has been seen. */
  mark_read: { params: { contact: string; upto: string }; result: Contact };
  /** Tell them, if the setting allows. */
  set_typing: { params: { contact: string; typing: boolean }; result: null };
  /** Newest first; every word must occur, the last may be a beginning. */
  search: { params: { words: string; contact?: string | null; limit?: number }; result: Hit[] };
  /** Send events from now on; first every message changed after `since`. Answers the cursor reached. */
  listen: { params: { since?: number | null }; result: number };
  /** A whole conversation. */
  export: { params: { contact: string }; result: Message[] };
  /** A whole conversation as a web page to keep: text alone, without script. */
  export_page: { params: { contact: string; language?: "en" | "ru" }; result: string };
  /** Send what was uploaded. `thumb` is a JPEG, PNG or WebP in base64. */
  send_file: { params: { contact: string; upload: string; name: string; kind?: "file" | "picture" | "voice"; type?: string; thumb?: string; width?: number; height?: number; duration?: number; wave?: number[] | null; reply_to?: string | null; key?: string | null }; result: Message };
  /** Delete an upload that is not to be sent after all. */
  discard_upload: { params: { upload: string }; result: null };
  /** Get a file that was offered; goes on by itself from where it was. */
  fetch_file: { params: { id: string }; result: Message };
  /** Take mine back, for both; or stop getting theirs, which can be asked for again. */
  cancel_file: { params: { id: string }; result: Message };
  /** The call that is going on, if any. */
  calls: { params: Record<string, never>; result: Call[] };
  /** Ring them. */
  start_call: { params: { contact: string }; result: Call };
  /** Answer; from now on, and no earlier, sound leaves. */
  accept_call: { params: { id: string }; result: Call };
  /** Do not answer; they learn it. */
  decline_call: { params: { id: string }; result: Call };
  /** End it, or stop ringing them. */
  hang_up: { params: { id: string }; result: Call };
  /** Send silence, or sound again. */
  mute_call: { params: { id: string; muted: boolean }; result: Call };
  /** How the call went of which this is the entry. Nothing is known of some: they were not talked in, or lie a week back. */
  call_story: { params: { message: string }; result: CallStory };
  /** What was chosen, and what waits. */
  reporting: { params: Record<string, never>; result: Reporting };
  /** What the observatory at this address knows, without choosing it. not-allowed. */
  observatory: { params: { url: string }; result: Reporting };
  /** Choose an observatory, and which services to measure for it; with an empty address, none. not-allowed. */
  set_reporting: { params: { url: string; region?: string; operator?: string; automatic?: boolean; services?: string[] | null }; result: Reporting };
  /** Tell that these do not work: text, voice, calls, video, media, internet, or service:NAME. What cannot be sent now is sent later the same day. not-allowed. */
  complain: { params: { functions: string[] }; result: Reporting };
  /** Measure what was chosen, and tell it, once an hour at most. not-allowed. */
  measure_now: { params: Record<string, never>; result: Reporting };
  /** Ask to compare emoji, or join the other's asking. */
  start_verification: { params: { contact: string }; result: Verification };
  /** The comparison in progress. */
  verification: { params: { contact: string }; result: Verification | null };
  /** Say whether the seven emoji were the same. */
  confirm_verification: { params: { contact: string; match: boolean }; result: Verification };
}
