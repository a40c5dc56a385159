import type { TestGateway } from './gateway.js';

/** One server-sent event. */
export interface Sent {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** A client of the live trail. */
export class EventSource {
  readonly received: Sent[] = [];
  comments = 0;
  readonly ended: Promise<void>;

  private constructor(
    private readonly response: Response,
    private readonly controller: AbortController,
  ) {
    this.ended = this.#read().catch(() => undefined);
  }

  /** Opens a stream; once this resolves, what happens is in it. @throws Error when it is refused, with the answer */
  static async open(
    gateway: TestGateway,
    credential: string,
    query: Record<string, string> = {},
  ): Promise<EventSource> {
    const controller = new AbortController();
    const path = `/api/v1/audit/events/stream?${new URLSearchParams(query).toString()}`;
    const headers = { authorization: `Bearer ${credential}` };
    const response = await fetch(gateway.url + path, { headers, signal: controller.signal });
    if (response.status !== 200) throw new Error(`${String(response.status)} ${await response.text()}`);
    return new EventSource(response, controller);
  }

  get contentType(): string | null {
    return this.response.headers.get('content-type');
  }

  /** The audit events so far. */
  get events(): Record<string, unknown>[] {
    return this.received.filter(({ event }) => event === 'audit').map(({ data }) => data);
  }

  /** Why it ended. */
  get end(): unknown {
    return this.received.find(({ event }) => event === 'end')?.data['code'];
  }

  close(): void {
    this.controller.abort();
  }

  async #read(): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of this.response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) this.#take(block);
    }
  }

  #take(block: string): void {
    if (block.startsWith(':')) {
      this.comments += 1;
      return;
    }
    const fields = new Map(
      block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
    );
    this.received.push({
      event: fields.get('event') ?? '',
      data: JSON.parse(fields.get('data') ?? '') as Sent['data'],
    });
  }
}
