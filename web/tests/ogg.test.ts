import { expect, test } from "vitest";
import { checksum, ogg, SKIP, skipOf } from "../src/sound/ogg";

type Page = { flags: number; granule: bigint; serial: number; number: number; packets: Uint8Array[] };

/** Read pages back as RFC 3533 says, with every check that a player makes. */
function read(pages: Uint8Array[]): Page[] {
  return pages.map((bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    expect(new TextDecoder().decode(bytes.subarray(0, 4))).toBe("OggS");
    expect(bytes[4]).toBe(0);
    const blank = bytes.slice();
    blank.fill(0, 22, 26);
    expect(checksum(blank)).toBe(view.getUint32(22, true));
    const count = bytes[26]!;
    const packets: Uint8Array[] = [];
    let at = 27 + count;
    let from = at;
    for (let i = 0; i < count; i++) {
      at += bytes[27 + i]!;
      if (bytes[27 + i]! < 255) {
        packets.push(bytes.slice(from, at));
        from = at;
      }
    }
    expect(from).toBe(bytes.length);
    return {
      flags: bytes[5]!, granule: view.getBigInt64(6, true),
      serial: view.getUint32(14, true), number: view.getUint32(18, true), packets,
    };
  });
}

const packets = (count: number, length: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => new Uint8Array(length(i)).fill(i));

test("the checksum is CRC-32 of polynomial 04c11db7, from 0, not reflected", () => {
  expect(checksum(new TextEncoder().encode("123456789"))).toBe(0x89a1897f);
  expect(checksum(new Uint8Array())).toBe(0);
});

test("packets come back whole, whatever their length", () => {
  const sent = packets(130, (i) => [0, 1, 60, 254, 255, 256, 510, 1275][i % 8]!);
  const pages = read(ogg(sent, 960, 130 * 960, SKIP, 0xfedcba98));
  expect(pages.slice(2).flatMap((page) => page.packets)).toEqual(sent);
  expect(pages.map((page) => page.number)).toEqual(pages.map((_, i) => i));
  expect(new Set(pages.map((page) => page.serial))).toEqual(new Set([0xfedcba98]));
});

test("a file begins with OpusHead and OpusTags, each on a page of its own", () => {
  const [first, second] = read(ogg(packets(3, () => 60), 960, 2880, 400));
  const head = first!.packets[0]!;
  expect(first!.flags).toBe(2);
  expect(first!.packets).toHaveLength(1);
  expect(new TextDecoder().decode(head.subarray(0, 8))).toBe("OpusHead");
  expect([...head.subarray(8)]).toEqual([1, 1, 144, 1, 0x80, 0xbb, 0, 0, 0, 0, 0]);
  expect(second!.packets).toHaveLength(1);
  expect(new TextDecoder().decode(second!.packets[0]!.subarray(0, 8))).toBe("OpusTags");
  expect([first!.granule, second!.granule]).toEqual([0n, 0n]);
});

test("granule positions count the samples and the last one cuts off the filling", () => {
  const pages = read(ogg(packets(120, () => 60), 960, 120 * 960 - 500, SKIP)).slice(2);
  expect(pages.map((page) => page.granule)).toEqual([48_000n, 96_000n, 120n * 960n - 500n + 312n]);
  expect(pages.map((page) => page.flags)).toEqual([0, 0, 4]);
});

test("the end is never behind the last packet", () => {
  expect(read(ogg(packets(2, () => 9), 960, 1920, SKIP)).at(-1)!.granule).toBe(1920n);
});

test("without a packet there is still a file that ends", () => {
  const pages = read(ogg([], 960, 0));
  expect(pages.map((page) => page.flags)).toEqual([2, 4]);
});

test("the samples to skip are those that the encoder names", () => {
  const head = ogg([], 960, 0, 356)[0]!.subarray(28);
  expect(skipOf(head)).toBe(356);
  expect(skipOf(undefined)).toBe(SKIP);
  expect(skipOf(new Uint8Array(5))).toBe(SKIP);
});
