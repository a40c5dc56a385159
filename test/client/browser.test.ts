import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Chromium, hasChromium } from '../support/chromium.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';

const LONG_MS = 120_000;
const LIBRARY = resolve('dist/src/client');

/** A page with a terminal that only counts and hashes, on the built library as it is. */
const page = (url: string, session: string): string => `<!doctype html><title>a terminal</title><script type="module">
  import { AttachmentClient } from './client/index.js';
  const kept = [];
  const seen = { length: 0, attached: 0, losses: 0, snapshots: 0, end: null };
  const client = new AttachmentClient(
    {
      url: ${JSON.stringify(url)},
      session: ${JSON.stringify(session)},
      from: 0,
      size: { cols: 111, rows: 22 },
      credential: async () => (await (await fetch('/ticket')).json()).ticket,
    },
    {
      onOutput: (bytes, done) => {
        kept.push(bytes);
        seen.length += bytes.length;
        requestAnimationFrame(done);
      },
      onSnapshot: () => (seen.snapshots += 1),
      onAttached: () => (seen.attached += 1),
      onDisconnected: () => (seen.losses += 1),
      onEnd: (end) => (seen.end = end),
    },
  );
  window.look = () => ({ ...seen, error: seen.end?.error?.message });
  window.whole = async () => {
    const bytes = new Uint8Array(await new Blob(kept).arrayBuffer());
    let hash = 0;
    for (const byte of bytes) hash = (Math.imul(hash, 31) + byte) | 0;
    return { length: bytes.length, hash };
  };
  window.type = (text) => client.type(new TextEncoder().encode(text));
  client.connect();
</script>`;

const simpleHash = (text: string): number => {
  let hash = 0;
  for (const byte of Buffer.from(text)) hash = (Math.imul(hash, 31) + byte) | 0;
  return hash;
};

(hasChromium() ? describe : describe.skip)('the client library in a browser', () => {
  let gateway: TestGateway;
  let pages: Server;
  let browser: Chromium;
  let proxy: CuttingProxy;
  let tickets = 0;
  let session = '';
  let place = '';
  const alice = token();

  beforeAll(async () => {
    pages = createServer((request, response) => {
      const path = request.url ?? '/';
      if (path === '/ticket') {
        tickets += 1;
        void rest(gateway, alice, 'POST', '/api/v1/auth/ws-ticket').then(({ text }) => response.end(text));
      } else if (/^\/client\/[a-z-]+\.js$/.test(path)) {
        response.setHeader('content-type', 'text/javascript');
        response.end(readFileSync(resolve(LIBRARY, path.slice('/client/'.length))));
      } else {
        response.setHeader('content-type', 'text/html; charset=utf-8');
        response.end(page(proxy.url, session));
      }
    });
    await new Promise<void>((done) => pages.listen(0, '127.0.0.1', done));
    place = `http://127.0.0.1:${String((pages.address() as AddressInfo).port)}`;
    gateway = await TestGateway.start({
      ...{ SESSION_RING_BYTES: String(32 * 1024 * 1024), CORS_ALLOWED_ORIGINS: place },
    });
    proxy = await CuttingProxy.open(gateway.httpPort, (connection) => (connection < 2 ? 400_000 : Infinity));
    browser = await Chromium.open();
  }, 180_000);
  afterAll(async () => {
    await browser.close();
    pages.closeAllConnections();
    await new Promise((done) => pages.close(done));
    await proxy.close();
    await gateway.remove();
  });

  /** What the page has seen so far; nothing while it loads. */
  const look = async (): Promise<Record<string, unknown>> =>
    ((await browser.evaluate('window.look?.()')) ?? {}) as Record<string, unknown>;

  it('is a terminal: a ticket for each connection, each byte once through a flood that is cut, input, the end', async () => {
    const flood = 'i=0; while [ $i -lt 8 ]; do seq 1 30000; i=$((i+1)); done; exit 6';
    const script = `stty -echo; echo ready; read go; stty size; ${flood}`;
    session = await startSession(gateway, alice, { command: ['/bin/sh', '-c', script] });
    await browser.goTo(`${place}/`);
    let seen: Record<string, unknown> = {};
    await until('the program', async () => (await look())['length'] === 'ready\r\n'.length, LONG_MS);
    expect(await browser.evaluate("window.type('go\\n')")).toBe('taken');
    await until(
      'the end',
      async () => typeof (seen = await look())['end'] === 'object' && seen['end'] !== null,
      LONG_MS,
    );
    const numbers = Array.from({ length: 30_000 }, (_, index) => `${String(index + 1)}\r\n`).join('');
    const expected = `ready\r\n22 111\r\n${numbers.repeat(8)}`;
    expect(seen).toMatchObject({ snapshots: 0, end: { kind: 'exited', exitCode: 6 } });
    expect(await browser.evaluate('window.whole()')).toEqual({ length: expected.length, hash: simpleHash(expected) });
    // Twice at least: on a slow machine a connection may be lost to something else as well.
    expect(proxy.cuts).toBe(2);
    expect(seen['losses']).toBeGreaterThanOrEqual(2);
    expect([tickets, seen['attached']]).toEqual([proxy.connections, Number(seen['losses']) + 1]);
  }, 300_000);
});
