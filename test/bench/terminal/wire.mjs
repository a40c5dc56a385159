/**
 * A WebSocket client that does as little as a client can: it finds the frames' ends and counts what is in them, so that
 * the measure is the server's. The same code for every peer; what differs is the first bytes of a message (`dialect`).
 */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';

/** All connections read into this: a read and its callback happen in one turn. */
const slab = Buffer.allocUnsafeSlow(256 * 1024);

const OPCODES = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
const OUTPUT = 1;
const SNAPSHOT = 3;

/** How each peer's messages look: bytes before the output in a binary message, and how input and the start are said. */
const DIALECTS = {
  gatehouse: {
    protocol: 'gatehouse.v1',
    prefix: 16,
    isOutput: (prefix) => prefix[0] === OUTPUT,
    input: (text) => Buffer.concat([Buffer.from([2]), Buffer.alloc(15), Buffer.from(text)]),
  },
  plain: { protocol: undefined, prefix: 0, isOutput: () => true, input: (text) => Buffer.from(text) },
  ttyd: {
    protocol: 'tty',
    prefix: 1,
    isOutput: (prefix) => prefix[0] === 0x30,
    input: (text) => Buffer.from(`0${text}`),
    hello: JSON.stringify({ AuthToken: '', columns: 100, rows: 30 }),
  },
};

/** A masked frame; the mask is zero. */
function frame(opcode, payload) {
  const length = payload.length;
  const header = length < 126 ? [0x80 | length] : [0xfe, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...header, 0, 0, 0, 0]), payload]);
}

export class Wire {
  /** Bytes of output so far. */
  bytes = 0;
  closed = false;
  /** Called with every piece of output; the buffer is valid only during the call. */
  onOutput = null;
  /** Called with every control message, parsed. */
  onControl = null;
  /** Called with the length and the header of every complete frame of a snapshot. */
  onSnapshot = null;
  onClose = null;
  #head = Buffer.alloc(0);
  #upgraded = false;
  #opcode = 0;
  /** Bytes of the current frame's payload still to come. */
  #left = 0;
  #prefix = Buffer.alloc(16);
  #prefixHeld = 0;
  #text = [];
  #size = 0;

  /** @param target `{port, path, dialect, token?}` */
  constructor(target) {
    this.dialect = DIALECTS[target.dialect];
    this.opened = new Promise((resolve, reject) => {
      this.resolveOpened = resolve;
      this.rejectOpened = reject;
    });
    this.socket = createConnection({
      host: '127.0.0.1',
      port: target.port,
      noDelay: true,
      onread: {
        buffer: slab,
        callback: (length) => {
          this.#read(slab.subarray(0, length));
          return true;
        },
      },
    });
    this.socket.write(request(target, this.dialect));
    this.socket.on('error', (error) => this.rejectOpened(error));
    this.socket.on('close', () => {
      this.closed = true;
      this.rejectOpened(new Error('closed before it was open'));
      this.onClose?.();
    });
    this.opened.catch(() => undefined);
  }

  type(text) {
    this.socket.write(frame(OPCODES.binary, this.dialect.input(text)));
  }

  destroy() {
    this.socket.destroy();
  }

  #read(chunk) {
    if (this.#upgraded) {
      this.#frames(chunk);
      return;
    }
    this.#head = Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const status = this.#head.subarray(0, 12).toString();
    if (status !== 'HTTP/1.1 101') {
      this.rejectOpened(new Error(this.#head.toString()));
      return;
    }
    this.#upgraded = true;
    const rest = Buffer.from(this.#head.subarray(end + 4));
    this.#head = Buffer.alloc(0);
    if (this.dialect.hello) this.socket.write(frame(OPCODES.binary, Buffer.from(this.dialect.hello)));
    this.resolveOpened();
    this.#frames(rest);
  }

  #frames(chunk) {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left === 0) {
        rest = this.#begin(rest);
        if (rest === null) return;
        if (this.#left === 0) this.#end();
        continue;
      }
      const piece = rest.subarray(0, this.#left);
      this.#left -= piece.length;
      rest = rest.subarray(piece.length);
      this.#payload(piece);
      if (this.#left === 0) this.#end();
    }
  }

  /** Reads a frame's header; returns what follows it, null while it is not all here. */
  #begin(chunk) {
    const bytes = this.#head.length > 0 ? Buffer.concat([this.#head, chunk]) : chunk;
    const length7 = bytes[1] & 0x7f;
    const headerBytes = length7 === 126 ? 4 : length7 === 127 ? 10 : 2;
    if (bytes.length < headerBytes) {
      this.#head = Buffer.from(bytes);
      return null;
    }
    this.#head = Buffer.alloc(0);
    this.#opcode = bytes[0] & 0x0f;
    this.#left = length7 < 126 ? length7 : length7 === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    this.#size = this.#left;
    this.#prefixHeld = 0;
    return bytes.subarray(headerBytes);
  }

  #payload(piece) {
    if (this.#opcode !== OPCODES.binary) {
      this.#text.push(Buffer.from(piece));
      return;
    }
    const wanted = this.dialect.prefix - this.#prefixHeld;
    const taken = Math.min(wanted, piece.length);
    if (taken > 0) this.#prefixHeld += piece.copy(this.#prefix, this.#prefixHeld, 0, taken);
    if (taken === piece.length || !this.dialect.isOutput(this.#prefix)) return;
    this.bytes += piece.length - taken;
    this.onOutput?.(taken === 0 ? piece : piece.subarray(taken));
  }

  #end() {
    if (this.#opcode === OPCODES.binary) {
      if (this.dialect === DIALECTS.gatehouse && this.#prefix[0] === SNAPSHOT) {
        this.onSnapshot?.(this.#size - this.dialect.prefix, this.#prefix);
      }
      return;
    }
    const payload = Buffer.concat(this.#text);
    this.#text = [];
    if (this.#opcode === OPCODES.ping) this.socket.write(frame(OPCODES.pong, payload));
    else if (this.#opcode === OPCODES.text && this.dialect === DIALECTS.gatehouse) {
      this.onControl?.(JSON.parse(payload.toString()));
    } else if (this.#opcode === OPCODES.close) this.socket.end(frame(OPCODES.close, payload));
  }
}

function request({ path, token, port }, { protocol }) {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
