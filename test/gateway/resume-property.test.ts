/** Whatever happens to clients and gateway: each byte once, or a screen at a stated offset and each byte after it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';
import { look, shown } from '../support/screens.js';
import { untilSessionQuiet } from '../support/terminal-settings.js';
import { WsClient } from '../support/ws-client.js';

const SEED = Number(process.env['PROPERTY_SEED'] ?? 1);
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 6);
const SIZE = { cols: 80, rows: 24 };
/** Small, so that output falls out of it. */
const RING_BYTES = 256 * 1024;
const CLIENTS = 3;

/** Numbered lines in colours, with wide characters: a lost, doubled or displaced piece shows. */
function outputOf(bytes: number): Buffer {
  const lines: string[] = [];
  for (let line = 0, length = 0; length < bytes; line += 1) {
    lines.push(`\x1b[${31 + (line % 7)}mline ${line} of 漢字\x1b[m ${'.'.repeat(line % 90)}\r\n`);
    length += 30 + (line % 90);
  }
  return Buffer.from(lines.join(''));
}

/** A client that checks what it is given against what the program wrote. */
class Observer {
  /** Offset of the next byte wanted. */
  next: number | undefined;
  #ws: WsClient | undefined;
  #from = 0;
  #snapshot = false;

  constructor(
    private readonly gateway: TestGateway,
    private readonly credential: string,
    private readonly session: string,
    private readonly output: Buffer,
  ) {}

  /** Comes back for the byte it wants, or as somebody new. */
  async attach(anew: boolean): Promise<void> {
    this.cut();
    const from = anew || this.next === undefined ? '' : `&from=${String(this.next)}`;
    const ws = await WsClient.open(this.gateway, `/ws/pty?id=${this.session}&mode=viewer${from}`, {
      ...{ credential: this.credential, binary: true },
    });
    const attached = await ws.next('attached');
    this.#ws = ws;
    this.#from = Number(attached['from']);
    this.#snapshot = attached['snapshot'] === true;
    const retained = from !== '' && (this.next ?? 0) >= Number(attached['dropped_before']);
    if (retained) expect(attached).toMatchObject({ from: this.next, snapshot: false });
    this.next = this.#from;
  }

  stall(stalled: boolean): void {
    if (stalled) this.#ws?.socket.pause();
    else this.#ws?.socket.resume();
  }

  /** Ends the connection, wherever it is, and checks what it brought. */
  cut(): void {
    const ws = this.#ws;
    if (ws === undefined) return;
    ws.close();
    this.#ws = undefined;
    const bytes = ws.bytes();
    if (bytes.length > 0) expect(ws.firstOffset.get(0)).toBe(this.#from);
    expect(this.output.subarray(this.#from, this.#from + bytes.length).equals(bytes)).toBe(true);
    this.next = this.#from + bytes.length;
  }

  /** Reads to the end, coming back as often as it takes. */
  async finish(): Promise<void> {
    await until(
      'all output',
      async () => {
        if (this.#ws === undefined || this.#ws.closed !== null) await this.attach(false);
        // A screen may be of the very end, with no byte behind it.
        if (this.#snapshot && this.#ws?.screenIsWhole !== true) return false;
        return this.#from + (this.#ws?.bytes().length ?? 0) >= this.output.length;
      },
      40_000,
    );
    if (this.#snapshot) await this.#expectSameScreen();
    this.cut();
    expect(this.next).toBe(this.output.length);
  }

  /** What a person sees; lines that scrolled away in a flood need not be known. */
  async #expectSameScreen(): Promise<void> {
    const ws = this.#ws;
    const resumed = await shown(SIZE, ...(ws?.screens ?? []), ws?.bytes() ?? Buffer.alloc(0));
    const whole = await shown(
      SIZE,
      this.output.subarray(-64 * 1024).subarray(this.output.subarray(-64 * 1024).indexOf('\n') + 1),
    );
    const screen = (terminal: typeof whole): string[] => {
      const { baseY } = terminal.buffer.active;
      return look(terminal).slice(baseY, baseY + SIZE.rows);
    };
    expect(screen(resumed)).toEqual(screen(whole));
  }
}

const action = fc.oneof(
  { weight: 4, arbitrary: fc.constant('return' as const) },
  { weight: 3, arbitrary: fc.constant('anew' as const) },
  { weight: 3, arbitrary: fc.constant('cut' as const) },
  { weight: 2, arbitrary: fc.constant('stall' as const) },
  { weight: 2, arbitrary: fc.constant('read' as const) },
  { weight: 1, arbitrary: fc.constant('kill the gateway' as const) },
);
const step = fc.record({
  client: fc.nat({ max: CLIENTS - 1 }),
  action,
  wait: fc.integer({ min: 0, max: 120 }),
});
const story = fc.record({
  kib: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 100, max: 3000 })),
  before: fc.nat({ max: 3 }),
  steps: fc.array(step, { minLength: 4, maxLength: 14 }),
});

describe('resuming', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSION_RING_BYTES: String(RING_BYTES), SESSIONS_PER_USER: '1000' });
  });
  afterAll(() => gateway.remove());

  async function play({ kib, before, steps }: typeof story extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
    const output = outputOf(kib * 1024);
    const file = join(dirname(gateway.dataDir), `output-${String(kib)}`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, output);
    const command = ['/bin/sh', '-c', `stty raw -echo; read go; cat ${file}; read end`];
    const id = await startSession(gateway, alice, { command, ...SIZE });
    const clients = Array.from({ length: CLIENTS }, () => new Observer(gateway, alice, id, output));
    for (const client of clients.slice(0, before)) await client.attach(true);
    await untilSessionQuiet(gateway, alice, id);
    await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/input`, { data: '\n' });
    let kills = 0;
    for (const { client: index, action: what, wait } of steps) {
      const client = clients[index];
      if (what === 'return' || what === 'anew') await client?.attach(what === 'anew');
      else if (what === 'cut') client?.cut();
      else if (what === 'stall' || what === 'read') client?.stall(what === 'stall');
      else if (kills++ === 0) {
        await gateway.end('SIGKILL');
        await gateway.launch();
      }
      await pause(wait);
    }
    for (const client of clients) client.stall(false);
    for (const client of clients) await client.finish();
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`);
  }

  it('gives each client each byte exactly once, or a screen and each byte after it', async () => {
    await fc.assert(fc.asyncProperty(story, play), { seed: SEED, numRuns: RUNS, endOnFailure: RUNS < 10 });
  }, 1_200_000);
});
