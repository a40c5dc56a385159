import { AttachmentClient, type AttachOptions, type End } from '../../src/client/index.js';
import { until } from './gateway.js';

const LONG_MS = 60_000;

/** A program of a terminal page, without the page. */
export class Page {
  readonly output: Buffer[] = [];
  received = 0;
  losses = 0;
  attached = 0;
  snapshots = 0;
  mode = '';
  end: End | null = null;
  readonly client: AttachmentClient;
  onRoom: () => void = () => undefined;

  constructor(options: AttachOptions) {
    this.client = new AttachmentClient(options, {
      onOutput: (bytes, done) => {
        this.output.push(Buffer.from(bytes));
        this.received += bytes.length;
        // A page renders a little later.
        setImmediate(done);
      },
      onSnapshot: (_snapshot, done) => {
        this.snapshots += 1;
        done();
      },
      onAttached: ({ mode }) => {
        this.attached += 1;
        this.mode = mode;
      },
      onModeChanged: (mode) => (this.mode = mode),
      onDisconnected: () => (this.losses += 1),
      onRoom: () => {
        this.onRoom();
      },
      onEnd: (end) => (this.end = end),
    });
    this.client.connect();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.output);
  }

  async sees(text: string): Promise<void> {
    await until(`output ${text}`, () => this.bytes.includes(text), LONG_MS);
  }

  async ended(): Promise<End> {
    await until('the end', () => this.end !== null, LONG_MS);
    if (this.end === null) throw new Error('impossible');
    return this.end;
  }
}
