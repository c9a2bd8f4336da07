// Bytes on their way to the node, see spec/node-api.md, "Files".

import { ApiError } from "../rpc";

/** This computer would not give the file's bytes, or it is a folder. */
export class Unreadable extends Error {}

/**
 * Stream `data` to the node; answers the upload's id. `moved` is told how many bytes went.
 * Throws Unreadable, ApiError with the node's sentence, or an AbortError.
 */
export async function upload(
  data: Blob, moved: (done: number) => void, signal: AbortSignal,
): Promise<string> {
  const said = await put("/files", data, moved, signal);
  return (JSON.parse(said) as { upload: string }).upload;
}

/** Stream a backup to a node that is to begin with it. Throws as `upload` does. */
export async function sendBackup(data: Blob, moved: (done: number) => void): Promise<void> {
  await put("/backup", data, moved, new AbortController().signal);
}

async function put(
  path: string, data: Blob, moved: (done: number) => void, signal: AbortSignal,
): Promise<string> {
  try {
    await data.slice(0, 1).arrayBuffer();
  } catch {
    throw new Unreadable();
  }
  // fetch() does not tell how far it is.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.upload.onprogress = ({ loaded }) => moved(loaded);
    request.onload = () => {
      if (request.status < 300) resolve(request.responseText);
      else reject(new ApiError("upload", request.responseText));
    };
    request.onerror = () => reject(new ApiError("gone", ""));
    request.onabort = () => reject(new DOMException("", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) reject(new DOMException("", "AbortError"));
    else request.send(data);
  });
}
