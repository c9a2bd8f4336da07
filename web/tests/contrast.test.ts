// Every pair of colours that text or a sign is shown in, computed from the token file.
import { expect, test } from "vitest";
import css from "../src/tokens.css?raw";

function tokens(block: string): Record<string, string> {
  const body = css.split(block)[1]!.split("}")[0]!;
  return Object.fromEntries(
    [...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map((m) => [m[1]!, m[2]!]),
  );
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(hex.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p) as [number, number];
  return (x + 0.05) / (y + 0.05);
}

const light = tokens(":root {");
const dark = { ...light, ...tokens('[data-theme="dark"] {') };
const TEXT = [
  ["ink", "ground"], ["ink", "surface"], ["ink", "sunken"], ["ink", "tint"],
  ["ink-2", "ground"], ["ink-2", "surface"], ["ink-2", "sunken"], ["ink-2", "tint"],
  ["on-action", "action"], ["on-mine", "mine"], ["on-mine-2", "mine"], ["on-clay", "clay"],
  ["link", "ground"], ["link", "surface"], ["link", "sunken"],
  ["link", "tint"], ["on-mine", "mine"],
  ["lamp-ink", "lamp-soft"], ["lamp-ink", "ground"], ["lamp-ink", "surface"],
  ["moss-ink", "moss-soft"], ["moss-ink", "surface"], ["clay-ink", "surface"],
  ["clay-ink", "ground"], ["clay-ink", "clay-soft"], ["ground", "ink"],
  ["ink", "who-1"], ["ink", "who-2"], ["ink", "who-3"], ["ink", "who-4"],
] as const;
const SIGNS = [["edge", "ground"], ["edge", "surface"], ["link", "tint"], ["moss", "surface"]] as const;

for (const [name, set] of [["light", light], ["dark", dark]] as const) {
  test.each(TEXT)(`${name}: %s on %s can be read`, (front, back) => {
    expect(contrast(set[front]!, set[back]!)).toBeGreaterThanOrEqual(4.5);
  });
  test.each(SIGNS)(`${name}: %s on %s can be seen`, (front, back) => {
    expect(contrast(set[front]!, set[back]!)).toBeGreaterThanOrEqual(3);
  });
}

test("the dark tokens are the same whether chosen or the system's", () => {
  const chosen = tokens('[data-theme="dark"] {');
  expect(tokens(':root:not([data-theme="light"]) {')).toEqual(chosen);
});
