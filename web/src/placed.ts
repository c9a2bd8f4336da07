// Where a message stands in what a page has of a conversation: pure, so that it can be tested.

type Placed = { id: string; order: number; cursor: number };
/** `more`: the node has older ones than the first; `newest`: and none after the last. */
export type Part<M> = { messages: M[]; more: boolean; newest: boolean };

/** The messages with one that came or changed; the same array if it is not of this part. Whoever
    reads late, or has a clock that is behind, may say something that belongs before all others. */
export function placed<M extends Placed>(part: Part<M>, message: M): M[] {
  const { messages, more, newest } = part;
  const at = messages.findIndex((one) => one.id === message.id);
  if (at >= 0) return message.cursor < messages[at]!.cursor ? messages : messages.with(at, message);
  const older = messages.length > 0 && message.order < messages[0]!.order;
  if (!newest || (older && more)) return messages;
  return [...messages, message].sort((a, b) => a.order - b.order);
}
