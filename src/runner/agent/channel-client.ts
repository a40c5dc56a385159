import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { type FromAgent, type ToAgent, toAgent } from './channel-messages.js';

/** The runner, from the point of view of the client of an ACP agent. Without a runner it says nothing to nobody. */
export class ChannelClient {
  readonly #socket: Socket | undefined;

  /** @param told called with what the runner asks for */
  constructor(path: string | undefined, token: string | undefined, told: (message: ToAgent) => void) {
    if (path === undefined) return;
    this.#socket = connect(path);
    this.#socket.on('error', () => undefined);
    this.#write({ token });
    createInterface({ input: this.#socket, terminal: false }).on('line', (line) => {
      const message = toAgent.safeParse(parse(line));
      if (message.success) told(message.data);
    });
  }

  tell(message: FromAgent): void {
    this.#write(message);
  }

  #write(message: unknown): void {
    if (this.#socket?.destroyed === false) this.#socket.write(`${JSON.stringify(message)}\n`);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
