import {
  type Attached,
  AttachmentClient,
  type AttachOptions,
  type End,
  type Participant,
  type Refusal,
} from '../../src/client/index.js';
import { until } from './gateway.js';
import { ManualTiming } from './manual-timing.js';
import type { ScriptedClient, ScriptedSocketServer } from './scripted-socket.js';

/** An application that keeps what it is told. */
export class Application {
  screen = '';
  readonly resets: string[] = [];
  readonly attached: Attached[] = [];
  readonly modes: string[] = [];
  readonly lost: number[] = [];
  readonly retries: number[] = [];
  readonly refusals: Refusal[] = [];
  readonly flow: string[] = [];
  participants: readonly Participant[] = [];
  rooms = 0;
  end: End | null = null;
  readonly timing = new ManualTiming();
  readonly client: AttachmentClient;

  constructor(server: ScriptedSocketServer, options: Partial<AttachOptions> = {}) {
    this.client = new AttachmentClient(
      { url: server.url, session: 's', credential: 'secret', timing: this.timing, ...options },
      {
        onOutput: (bytes, done) => {
          this.screen += Buffer.from(bytes).toString();
          done();
        },
        onSnapshot: ({ offset, cols, rows, bytes }, done) => {
          this.resets.push(`${String(offset)}:${String(cols)}x${String(rows)}`);
          this.screen = Buffer.from(bytes).toString();
          done();
        },
        onAttached: (attached) => this.attached.push(attached),
        onDisconnected: (retryInMs) => this.retries.push(retryInMs),
        onModeChanged: (mode, reason) => this.modes.push(`${mode} ${reason}`),
        onParticipants: (participants) => (this.participants = participants),
        onFlowControl: (action, reason) => this.flow.push(`${action} ${reason}`),
        onRoom: () => (this.rooms += 1),
        onInputLost: (bytes) => this.lost.push(bytes),
        onRefused: (refusal) => this.refusals.push(refusal),
        onEnd: (end) => (this.end = end),
      },
    );
    this.client.connect();
  }

  type(text: string): string {
    return this.client.type(Buffer.from(text));
  }

  async shows(text: string): Promise<void> {
    await until(`${JSON.stringify(text)} on the screen: ${JSON.stringify(this.screen)}`, () => this.screen === text);
  }

  /** Waits until the connection is lost for the nth time, then lets the time until the next attempt pass. */
  async comesBack(times: number): Promise<void> {
    await until('the loss', () => this.retries.length >= times);
    this.timing.advance(this.retries[times - 1] ?? 0);
  }

  async failed(): Promise<Extract<End, { kind: 'failed' }>['error']> {
    await until('the end', () => this.end !== null);
    if (this.end?.kind !== 'failed') throw new Error(`ended as ${String(this.end?.kind)}`);
    return this.end.error;
  }
}

/** An application that is attached to a scripted server, and the server's side of its connection. */
export async function attachedTo(
  server: ScriptedSocketServer,
  options: Partial<AttachOptions> = {},
  fields: Record<string, unknown> = {},
): Promise<[Application, ScriptedClient]> {
  const application = new Application(server, options);
  const connection = await server.next();
  connection.attach(fields);
  await until('attached', () => application.attached.length > 0);
  return [application, connection];
}
