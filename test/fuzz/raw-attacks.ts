import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import type { TestGateway } from '../support/gateway.js';

/** What one attacker writes, piece by piece, on a connection of its own. */
export interface RawAttack {
  readonly name: string;
  readonly port: 'http' | 'grpc';
  readonly pieces: readonly (string | Buffer)[];
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** An HTTP/2 frame. */
function frame(type: number, flags: number, stream: number, payload: Buffer, length = payload.length): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, payload]);
}

const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));
/** Frames that a client without credentials may send: of unknown types, against the order, too many, of wrong lengths. */
const h2 = (name: string, ...frames: Buffer[]): RawAttack => ({
  name,
  port: 'grpc',
  pieces: [PREFACE, SETTINGS, ...frames],
});

const upgrade = (token: string): string =>
  `GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';

const post = (token: string, head: string): string =>
  `POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n${head}\r\n\r\n`;

const masked = (opcode: number, payload: Buffer, length = payload.length): Buffer => {
  const head = Buffer.from([opcode, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
};

/** Attacks on the protocols below the messages, each of which has been somebody's outage. */
export function rawAttacks(token: string): RawAttack[] {
  const none = Buffer.alloc(0);
  const ws = (name: string, ...frames: Buffer[]): RawAttack => ({
    name,
    port: 'http',
    pieces: [upgrade(token), ...frames],
  });
  const http = (name: string, ...pieces: (string | Buffer)[]): RawAttack => ({ name, port: 'http', pieces });
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  return [
    http('no HTTP', Buffer.alloc(5000, 0xff)),
    http('a TLS hello on a plain port', Buffer.from('16030100c8010000c40303', 'hex')),
    http('HTTP/2 on the HTTP/1.1 port', PREFACE, SETTINGS),
    http('a line without end', 'GET /'.padEnd(200_000, 'a')),
    http(
      'headers without end',
      'GET /health HTTP/1.1\r\n',
      ...Array.from({ length: 400 }, (_, n) => `X-${String(n)}: ${'a'.repeat(100)}\r\n`),
    ),
    http('two lengths', post(token, 'Content-Length: 2\r\nContent-Length: 3'), '{}x'),
    http('a length and chunks', post(token, 'Content-Length: 2\r\nTransfer-Encoding: chunked'), '0\r\n\r\n'),
    http('a chunk of a negative length', post(token, 'Transfer-Encoding: chunked'), '-5\r\n{}\r\n'),
    http('a chunk of a giant length', post(token, 'Transfer-Encoding: chunked'), 'ffffffffffffffff\r\n{}'),
    http(
      'a body over a mebibyte in chunks',
      post(token, 'Transfer-Encoding: chunked'),
      ...Array.from({ length: 40 }, () => `8000\r\n${' '.repeat(32_768)}\r\n`),
    ),
    http('a compressed bomb', post(token, `Content-Encoding: gzip\r\nContent-Length: ${String(bomb.length)}`), bomb),
    http('a header folded over lines', 'GET /health HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n'),
    http('a body that never comes', post(token, 'Content-Length: 100'), '{'),
    http('an upgrade to another protocol', upgrade(token).replaceAll('websocket', 'h2c')),
    http('an upgrade of another version', upgrade(token).replace('Version: 13', 'Version: 99')),
    http('an upgrade with a body', upgrade(token).replace('Upgrade: w', 'Content-Length: 5\r\nUpgrade: w'), 'hello'),
    ws('reserved bits', masked(0xf1, none)),
    ws('an unknown opcode', masked(0x8b, none)),
    ws('a frame without a mask', Buffer.from([0x81, 0x02, 0x7b, 0x7d])),
    ws('a control frame in pieces', masked(0x09, none)),
    ws('a ping of 70,000 bytes', masked(0x89, Buffer.alloc(70_000))),
    ws('a frame of a giant length', masked(0x82, none, 2 ** 52)),
    ws('a continuation of nothing', masked(0x80, Buffer.from('x'))),
    ws('a compressed message that was not agreed on', masked(0xc1, bomb.subarray(0, 1000))),
    ws('text that is no UTF-8', masked(0x81, Buffer.from([0xff, 0xfe]))),
    ws('a message in 20,000 pieces', masked(0x01, none), ...Array.from({ length: 20_000 }, () => masked(0x00, none))),
    ws('a close without a code that exists', masked(0x88, Buffer.from([0, 1]))),
    h2('a ping flood', ...Array.from({ length: 5000 }, () => frame(6, 0, 0, Buffer.alloc(8)))),
    h2('a settings flood', ...Array.from({ length: 5000 }, () => SETTINGS)),
    h2(
      'streams opened and reset',
      ...Array.from({ length: 2000 }, (_, n) => [
        frame(1, 5, 2 * n + 1, Buffer.from([0x82, 0x86, 0x84])),
        frame(3, 0, 2 * n + 1, Buffer.alloc(4)),
      ]).flat(),
    ),
    h2(
      'continuations without end',
      frame(1, 0, 1, Buffer.from([0x82])),
      ...Array.from({ length: 500 }, () => frame(9, 0, 1, Buffer.alloc(1000, 0x82))),
    ),
    h2(
      'headers that unpack to much',
      frame(
        1,
        4,
        1,
        Buffer.concat([Buffer.from('4001787f80820f', 'hex'), Buffer.alloc(2000, 0x61), Buffer.alloc(14_000, 0xbe)]),
      ),
    ),
    h2('a frame of a giant length', frame(0, 0, 1, none, 0xffffff)),
    h2('data on a stream that does not exist', frame(0, 1, 77, Buffer.alloc(100))),
    h2('a window of nothing', frame(8, 0, 0, Buffer.alloc(4))),
    h2(
      'a window past its end',
      ...Array.from({ length: 3 }, () => frame(8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))),
    ),
    h2('an even stream', frame(1, 5, 2, Buffer.from([0x82]))),
    h2('a priority of itself', frame(2, 0, 1, Buffer.from([0, 0, 0, 1, 5]))),
    { name: 'HTTP/1.1 on the gRPC port', port: 'grpc', pieces: ['GET / HTTP/1.1\r\nHost: x\r\n\r\n'] },
    { name: 'no HTTP/2', port: 'grpc', pieces: [Buffer.alloc(5000, 0x41)] },
    { name: 'half a preface', port: 'grpc', pieces: [PREFACE.slice(0, 10)] },
  ];
}

const HELD_MS = 400;

/** Writes the pieces and holds the connection for a while; what was answered, as text. */
export function sendRaw(gateway: TestGateway, { port, pieces }: RawAttack): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port === 'http' ? gateway.httpPort : gateway.grpcPort, '127.0.0.1');
    let heard = '';
    socket.on('data', (chunk: Buffer) => {
      if (heard.length < 65_536) heard += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(heard);
    });
    for (const piece of pieces) socket.write(piece);
    setTimeout(() => {
      socket.destroy();
    }, HELD_MS);
  });
}
