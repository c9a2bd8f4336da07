// Pictures made smaller in the page. A canvas keeps the pixels and nothing of what a camera
// writes beside them: no place, no time, no name of a device.

/** Types of which browsers show nothing but the picture; never SVG, which can hold more. */
const TYPES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);
/** Bytes of the small picture that goes with the message, as the node takes them. */
const THUMB = 12_000;
const SMALLER = 1600;
/** Above this a smaller one is offered. */
const LARGE = 1_000_000;

export type Picture = {
  width: number;
  height: number;
  /** Base64, without the head of a data: URL. */
  thumb: string;
  /** A smaller one to send instead, where that is worth a question. */
  smaller: File | null;
};

/** What there is to say of a picture; null if this is none that can be shown. */
export async function look(file: File): Promise<Picture | null> {
  if (!TYPES.has(file.type)) return null;
  let image: ImageBitmap;
  try {
    image = await createImageBitmap(file);
  } catch {
    return null;
  }
  try {
    return {
      width: image.width, height: image.height,
      thumb: await thumb(image), smaller: await smaller(file, image),
    };
  } finally {
    image.close();
  }
}

async function thumb(image: ImageBitmap): Promise<string> {
  for (const edge of [320, 240, 160, 96, 48]) {
    for (const quality of [0.75, 0.5, 0.3]) {
      const blob = await draw(image, edge, "image/jpeg", quality);
      if (blob.size <= THUMB) return base64(new Uint8Array(await blob.arrayBuffer()));
    }
  }
  return "";
}

async function smaller(file: File, image: ImageBitmap): Promise<File | null> {
  // A moving picture would stand still.
  if (file.size <= LARGE || file.type === "image/gif") return null;
  const blob = await draw(image, SMALLER, "image/jpeg", 0.82);
  if (blob.size > file.size * 0.8) return null;
  return new File([blob], `${file.name.replace(/\.[^.]*$/, "")}.jpg`, { type: blob.type });
}

/** The picture with no edge longer than `edge`; what shines through becomes white. */
async function draw(
  image: ImageBitmap, edge: number, type: string, quality: number,
): Promise<Blob> {
  const scale = Math.min(1, edge / Math.max(image.width, image.height));
  const canvas = new OffscreenCanvas(
    Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)),
  );
  const pen = canvas.getContext("2d")!;
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type, quality });
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
