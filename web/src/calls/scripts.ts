// Where the worker and the worklets of this build are; no other script can be loaded by them.

import earFile from "./ear.worklet.ts?worker&url";
import micFile from "./mic.worklet.ts?worker&url";
import workerFile from "./worker.ts?worker&url";

type Policy = { createScriptURL(url: string): string };
type Types = {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): Policy;
};

const ours = new Set([earFile, micFile, workerFile]);
const types = (globalThis as { trustedTypes?: Types }).trustedTypes;
const policy: Policy | undefined = types?.createPolicy("holdfast-sound", {
  createScriptURL: (url) => {
    if (!ours.has(url)) throw new TypeError("not a script of this build");
    return url;
  },
});

function trusted(url: string): string {
  return policy ? policy.createScriptURL(url) : url;
}

export const ear = trusted(earFile);
export const mic = trusted(micFile);
export const worker = trusted(workerFile);
