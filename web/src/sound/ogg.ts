// Opus packets as an Ogg file that every player opens: RFC 3533 (pages), RFC 7845 (Opus in them).

/** Samples a second that granule positions count, whatever the microphone's rate (RFC 7845, 4). */
const RATE = 48_000;
/** What an encoder needs to settle at 48 kHz where it does not say: 6.5 ms. */
export const SKIP = 312;
/** Packets of one page: a second, so that seeking is quick and pages stay small. */
const TOGETHER = 50;

const FIRST = 2;
const LAST = 4;
/** A granule position on which no packet ends. */
const NONE = -1n;

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte << 24;
  for (let bit = 0; bit < 8; bit++) rest = (rest << 1) ^ (rest < 0 ? 0x04c11db7 : 0);
  return rest >>> 0;
});

/** The checksum of a page whose own four bytes for it are zero (RFC 3533, 6). */
export function checksum(page: Uint8Array): number {
  let sum = 0;
  for (const byte of page) sum = (sum << 8) ^ CRC[(sum >>> 24) ^ byte]!;
  return sum >>> 0;
}

function page(
  packets: readonly Uint8Array[], flags: number, granule: bigint, serial: number, number: number,
): Uint8Array {
  const lacing: number[] = [];
  for (const { length } of packets) {
    for (let rest = length; rest >= 0; rest -= 255) lacing.push(Math.min(rest, 255));
  }
  if (lacing.length > 255) throw new RangeError("too much for one page");
  const body = packets.reduce((sum, packet) => sum + packet.length, 0);
  const out = new Uint8Array(27 + lacing.length + body);
  const view = new DataView(out.buffer);
  out.set([0x4f, 0x67, 0x67, 0x53, 0, flags]);
  view.setBigInt64(6, granule, true);
  view.setUint32(14, serial, true);
  view.setUint32(18, number, true);
  out[26] = lacing.length;
  out.set(lacing, 27);
  let at = 27 + lacing.length;
  for (const packet of packets) {
    out.set(packet, at);
    at += packet.length;
  }
  view.setUint32(22, checksum(out), true);
  return out;
}

/** OpusHead (RFC 7845, 5.1): version 1, one channel, no gain, mapping family 0. */
function head(skip: number): Uint8Array {
  const out = new Uint8Array(19);
  const view = new DataView(out.buffer);
  out.set(new TextEncoder().encode("OpusHead"));
  out[8] = 1;
  out[9] = 1;
  view.setUint16(10, skip, true);
  view.setUint32(12, RATE, true);
  return out;
}

/** OpusTags (RFC 7845, 5.2): the one name that must be there, and no comment. */
function tags(): Uint8Array {
  const vendor = new TextEncoder().encode("Holdfast");
  const out = new Uint8Array(16 + vendor.length);
  out.set(new TextEncoder().encode("OpusTags"));
  new DataView(out.buffer).setUint32(8, vendor.length, true);
  out.set(vendor, 12);
  return out;
}

/** How many samples the encoder says to skip at the start, from the OpusHead it described. */
export function skipOf(description: Uint8Array | undefined): number {
  if (!description || description.length < 12) return SKIP;
  return description[10]! | (description[11]! << 8);
}

/**
 * The pages of a file of mono `packets`, each of `frame` samples at 48 kHz.
 *
 * `samples` of sound were recorded: the last granule position cuts off what the encoder filled
 * up with. `skip` goes away at the start. `serial` is any number of 32 bits.
 */
export function ogg(
  packets: readonly Uint8Array[], frame: number, samples: number, skip = SKIP, serial = 1,
): Uint8Array[] {
  const pages = [
    page([head(skip)], FIRST, 0n, serial, 0),
    page([tags()], packets.length ? 0 : LAST, 0n, serial, 1),
  ];
  const end = Math.min(packets.length * frame, samples + skip);
  let from = 0;
  while (from < packets.length) {
    let to = from;
    let lacing = 0;
    // A packet that no page holds whole does not occur: Opus packets have at most 1275 bytes.
    while (to < packets.length && to - from < TOGETHER) {
      lacing += Math.floor(packets[to]!.length / 255) + 1;
      if (lacing > 255) break;
      to += 1;
    }
    const last = to === packets.length;
    const granule = to > from ? BigInt(last ? end : to * frame) : NONE;
    pages.push(page(packets.slice(from, to), last ? LAST : 0, granule, serial, pages.length));
    from = to;
  }
  return pages;
}
