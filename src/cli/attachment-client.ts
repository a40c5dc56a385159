import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { DATA_HEADER_BYTES, FrameType, readDataHeader, writeDataHeader } from '../kernel/frame.js';
import { refusal } from './api.js';
import type { Credentials } from './credentials.js';
import { Failure, plain } from './failure.js';
import { InputBuffer } from './input-buffer.js';

const SUBPROTOCOL = 'gatehouse.v1';
const MAX_FRAME = 65_536;
const ACK_EVERY = 128 * 1024;
/** The server pings every 5 s. */
const SILENCE_MS = 20_000;
const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 5000;
const GIVE_UP_MS = 10 * 60_000;
/** A program that does not read its input gets it again so often. */
const RESEND_MS = 100;
/** Close codes after which the session is worth coming back to. */
const COME_BACK = new Set([1001, 1005, 1006, 1011, 1012, 1013, 4005]);

/** What became of typed bytes: `full` ones may be tried again after `onRoom`, `refused` ones not. */
export type Typed = 'taken' | 'full' | 'refused';

/** How an attachment ended. */
export type End =
  | { readonly kind: 'exited'; readonly exitCode: number | null; readonly signal: string | null }
  | { readonly kind: 'detached' }
  | { readonly kind: 'failed'; readonly error: Failure };

export interface AttachOptions {
  readonly session: string;
  readonly viewer: boolean;
  /** Take control from whoever has it. */
  readonly take: boolean;
  readonly size: () => { readonly cols: number; readonly rows: number };
}

export interface AttachListener {
  /** Output, in order, each byte once; `done` when it is on the screen. */
  onOutput(bytes: Buffer, done: () => void): void;
  onAttached(mode: string, again: boolean): void;
  /** There is room again for input that was `full`. */
  onRoom(): void;
  /** A line for the person, not output. */
  onNotice(text: string): void;
  onEnd(end: End): void;
}

interface Attached {
  readonly from: number;
  readonly input_next: number;
  readonly mode: string;
}

/** An attachment that survives its connections: resumes output by offset, and input by position. */
export class AttachmentClient {
  readonly #writer = randomUUID();
  readonly #input = new InputBuffer();
  #socket: WebSocket | null = null;
  #live = false;
  #ended = false;
  /** Offset of the next output byte wanted; null before the first. */
  #wanted: number | null = null;
  #rendered = 0;
  #acked = 0;
  #controller = false;
  /** Control was asked for; the answer is on its way. */
  #taking = false;
  #resend: NodeJS.Timeout | undefined;
  #brokenSince: number | null = null;
  #retryMs = FIRST_RETRY_MS;
  #silence: NodeJS.Timeout | undefined;

  constructor(
    private readonly credentials: Credentials,
    private readonly options: AttachOptions,
    private readonly listener: AttachListener,
  ) {}

  connect(): void {
    const socket = new WebSocket(this.#address(), [SUBPROTOCOL], {
      headers: { authorization: `Bearer ${this.credentials.token}` },
      perMessageDeflate: false,
      followRedirects: false,
    });
    this.#socket = socket;
    const alive = (): void => {
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => {
        socket.terminate();
      }, SILENCE_MS);
    };
    alive();
    socket.on('ping', alive);
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      alive();
      if (isBinary) this.#onOutput(data);
      else this.#onControl(parse(data.toString('utf8')));
    });
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
      response.on('end', () => {
        this.#onRefused(response.statusCode ?? 0, body);
      });
    });
    socket.on('error', () => undefined);
    socket.on('close', (code, reason) => {
      this.#onClose(code, reason.toString('utf8'));
    });
  }

  /** Types. What is typed while nothing is connected is sent when it is again. */
  type(bytes: Buffer): Typed {
    if (this.#live && !this.#controller && !this.#taking) return 'refused';
    if (!this.#input.add(bytes)) return 'full';
    this.#flush();
    return 'taken';
  }

  resize(): void {
    if (this.#controller) this.#send({ type: 'resize', channel: 0, ...this.options.size() });
  }

  detach(): void {
    this.#end({ kind: 'detached' });
  }

  #address(): string {
    const query = new URLSearchParams({ id: this.options.session, writer_id: this.#writer });
    if (this.#wanted !== null) query.set('from', String(this.#wanted));
    if (this.options.viewer) query.set('mode', 'viewer');
    const { cols, rows } = this.options.size();
    query.set('cols', String(cols));
    query.set('rows', String(rows));
    return `${this.credentials.url.replace(/^http/, 'ws')}/ws/pty?${query.toString()}`;
  }

  #onControl(message: Record<string, unknown> | null): void {
    switch (message?.['type']) {
      case 'attached':
        this.#onAttached(message as unknown as Attached);
        break;
      case 'mode_changed':
        this.#onMode(message['mode'] === 'controller');
        break;
      case 'input_ack':
        this.#input.applied(Number(message['input_next']));
        this.listener.onRoom();
        break;
      case 'process_exited':
        this.#end({
          kind: 'exited',
          exitCode: message['exit_code'] as number | null,
          signal: message['signal'] as string | null,
        });
        break;
      case 'error':
        this.#onError(message);
        break;
    }
  }

  #onMode(controller: boolean): void {
    this.#controller = controller;
    this.#taking = false;
    this.listener.onNotice(controller ? 'you are in control' : 'somebody else took control; you are viewing');
    if (!controller) return;
    this.resize();
    this.#flush();
    this.listener.onRoom();
  }

  /** Input that was refused is sent again from where the server wants it, or forgotten when it is not ours to type. */
  #onError({ code, message, input_next: next }: Record<string, unknown>): void {
    if (code === 'INPUT_FULL' || code === 'INPUT_GAP') {
      this.#resend ??= setTimeout(() => {
        this.#resend = undefined;
        this.#flush();
      }, RESEND_MS);
      if (typeof next === 'number') this.#input.resume(next);
      return;
    }
    if (code === 'NOT_CONTROLLER' && typeof next === 'number') this.#input.restart(next);
    this.listener.onNotice(String(message));
  }

  #onAttached({ from, input_next, mode }: Attached): void {
    if (this.#wanted !== null && from > this.#wanted) {
      this.listener.onNotice(`${from - this.#wanted} bytes were no longer retained`);
    }
    const again = this.#wanted !== null;
    const controlled = this.#controller || this.options.take;
    this.#wanted = from;
    this.#controller = mode === 'controller';
    this.#live = true;
    this.#brokenSince = null;
    this.#retryMs = FIRST_RETRY_MS;
    this.#input.resume(input_next);
    this.#taking = !this.#controller && controlled && !this.options.viewer;
    if (this.#taking) this.#send({ type: 'take_control', channel: 0 });
    this.#flush();
    this.listener.onAttached(mode, again);
    this.listener.onRoom();
  }

  #onOutput(data: Buffer): void {
    const { type, offset } = readDataHeader(data);
    if (type !== FrameType.output || this.#wanted === null) return;
    // What was seen before is not shown twice.
    const bytes = data.subarray(DATA_HEADER_BYTES + Math.max(0, this.#wanted - offset));
    if (bytes.length === 0) return;
    const next = Math.max(this.#wanted, offset) + bytes.length;
    this.#wanted = next;
    this.listener.onOutput(bytes, () => {
      this.#rendered = next;
      if (this.#rendered - this.#acked < ACK_EVERY) return;
      this.#acked = this.#rendered;
      this.#send({ type: 'ack', channel: 0, offset: this.#rendered });
    });
  }

  #onRefused(status: number, body: string): void {
    if (status >= 400 && status < 500) this.#end({ kind: 'failed', error: refusal(status, parse(body)) });
    else this.#socket?.terminate();
  }

  #onClose(code: number, reason: string): void {
    clearTimeout(this.#silence);
    this.#live = false;
    if (this.#ended) return;
    if (!COME_BACK.has(code)) {
      this.#end({
        kind: 'failed',
        error: new Failure(`the server closed the connection: ${plain(reason) || String(code)}`),
      });
      return;
    }
    if (this.#wanted === null && code === 1006) {
      this.#end({ kind: 'failed', error: new Failure(`${this.credentials.url} cannot be reached`) });
      return;
    }
    this.#retry();
  }

  #retry(): void {
    const now = Date.now();
    if (this.#brokenSince === null) {
      this.#brokenSince = now;
      this.listener.onNotice('connection lost; coming back');
    }
    if (now - this.#brokenSince > GIVE_UP_MS) {
      this.#end({ kind: 'failed', error: new Failure('the server did not come back; the session may still run') });
      return;
    }
    setTimeout(
      () => {
        if (!this.#ended) this.connect();
      },
      this.#retryMs * (0.5 + Math.random()),
    );
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  #flush(): void {
    if (!this.#live || !this.#controller || this.#resend !== undefined) return;
    const { bytes, position } = this.#input.unsent();
    for (let at = 0; at < bytes.length; at += MAX_FRAME) {
      const part = bytes.subarray(at, at + MAX_FRAME);
      const frame = Buffer.alloc(DATA_HEADER_BYTES + part.length);
      writeDataHeader(frame, 0, { type: FrameType.input, flags: 0, channel: 0, offset: position + at });
      part.copy(frame, DATA_HEADER_BYTES);
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
    }
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #end(end: End): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#silence);
    clearTimeout(this.#resend);
    this.#socket?.close(1000);
    this.listener.onEnd(end);
  }
}

/** A JSON object; null for anything else, which no Gatehouse sends. */
function parse(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
