import { request } from 'node:http';
import { pause, type TestGateway } from './gateway.js';

const PAUSE_MS = 20;

/** One answer, or null when the connection was refused or cut off: nobody has to listen on that port. */
function call(
  gateway: TestGateway,
  credential: string,
  body: string,
): Promise<{ status: number; text: string } | null> {
  return new Promise((resolve) => {
    // A connection of its own for each call: on one that is kept, nobody can tell which call its end belongs to.
    const sent = request(
      `${gateway.url}/api/v1/sessions`,
      {
        method: 'POST',
        agent: false,
        headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('error', () => {
          resolve(null);
        });
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text });
        });
      },
    );
    sent.on('error', () => {
      resolve(null);
    });
    sent.end(body);
  });
}

/** Starts session after session on whichever gateway answers, and keeps what was answered. */
export class CallLoop {
  /** Ids of the sessions whose start was confirmed. */
  readonly started: string[] = [];
  /** Codes of refusals, in their order. */
  readonly refusals: string[] = [];
  /** Calls that had no answer. */
  unanswered = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(gateways: readonly TestGateway[], credential: string, command: readonly string[]) {
    this.#done = this.#run(gateways, credential, JSON.stringify({ command }));
  }

  /** Resolves when the last call is answered. */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#done;
  }

  async #run(gateways: readonly TestGateway[], credential: string, body: string): Promise<void> {
    for (let turn = 0; !this.#stopped; turn += 1) {
      const gateway = gateways[turn % gateways.length];
      if (!gateway) throw new Error('no gateway');
      const answer = await call(gateway, credential, body);
      if (answer === null) this.unanswered += 1;
      else if (answer.status === 201) this.started.push((JSON.parse(answer.text) as { id: string }).id);
      else this.refusals.push(/"code":"(\w+)"/.exec(answer.text)?.[1] ?? `${String(answer.status)} ${answer.text}`);
      await pause(PAUSE_MS);
    }
  }
}
