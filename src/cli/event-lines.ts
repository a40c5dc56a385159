/**
 * The lines of a text that comes in pieces.
 * @param pieces bytes of UTF-8
 * @param max characters of the longest line
 * @throws Error when a line is longer
 */
export async function* linesOf(pieces: AsyncIterable<Uint8Array>, max: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > max) throw new Error('a line of the answer is too long');
    yield* lines;
  }
}

/** One server-sent event: its kind, and what it says. */
export interface SentEvent {
  readonly kind: string;
  readonly data: unknown;
}

/** Server-sent events with JSON in them, as Gatehouse sends them: one line of data each. @throws SyntaxError for others */
export async function* sentEvents(lines: AsyncIterable<string>): AsyncGenerator<SentEvent> {
  let kind = '';
  for await (const line of lines) {
    if (line.startsWith('event: ')) kind = line.slice('event: '.length);
    else if (line.startsWith('data: ')) yield { kind, data: JSON.parse(line.slice('data: '.length)) as unknown };
  }
}
