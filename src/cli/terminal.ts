import { constants } from 'node:os';
import { AttachmentClient, type AttachOptions, type End } from './attachment-client.js';
import type { Credentials } from './credentials.js';
import { Failure, plain } from './failure.js';

/** Modes that a program may have set and did not reset because we left it: alternate screen, mouse, paste, cursor. */
const RESET = '\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[0m';
const BELL = '\x07';
/** Ctrl-D: what a terminal sends when its input ends. */
const END_OF_INPUT = Buffer.from([0x04]);

export interface TerminalOptions extends Omit<AttachOptions, 'size'> {
  /** What the person calls the session. */
  readonly label: string;
  /** The byte that detaches; null for none. */
  readonly detachKey: number | null;
}

/** The size of this terminal, 80 by 24 when there is none. */
export function terminalSize(): { cols: number; rows: number } {
  const { columns, rows } = process.stdout as { columns?: number; rows?: number };
  return { cols: Math.min(columns ?? 80, 1000) || 80, rows: Math.min(rows ?? 24, 500) || 24 };
}

/**
 * Connects this terminal to a session until the program ends or the person detaches.
 * @returns the exit status for this process: the program's, 128 + n for a signal, 0 when detached
 * @throws Failure when the session cannot be attached to any more
 */
export async function attachTerminal(credentials: Credentials, options: TerminalOptions): Promise<number> {
  const restore = rawMode();
  const notice = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\n[gatehouse: ${plain(text)}]\r\n`);
  };
  let stop = (): void => undefined;
  try {
    const end = await new Promise<End>((resolve) => {
      const client = new AttachmentClient(
        credentials,
        { ...options, size: terminalSize },
        {
          onOutput: (bytes, done) => {
            process.stdout.write(bytes, done);
          },
          onAttached: (mode, again) => {
            greet(options, mode, again);
          },
          onNotice: notice,
          onEnd: resolve,
        },
      );
      stop = readKeys(client, options.detachKey);
      client.connect();
    });
    return statusOf(end, options);
  } finally {
    stop();
    restore();
  }
}

function greet({ label, detachKey, viewer }: TerminalOptions, mode: string, again: boolean): void {
  if (!process.stderr.isTTY) return;
  const key = detachKey === null ? '' : `; detach with ${keyName(detachKey)}`;
  const hint = mode === 'viewer' && !viewer ? ' (somebody else is in control; attach with --take to take over)' : '';
  process.stderr.write(`${again ? 'attached again' : 'attached'} to ${plain(label)} as ${mode}${hint}${key}\r\n`);
}

function statusOf(end: End, { session }: TerminalOptions): number {
  if (end.kind === 'failed') throw end.error;
  if (end.kind === 'exited') {
    const number = end.signal === null ? undefined : (constants.signals as Record<string, number>)[end.signal];
    return number === undefined ? (end.exitCode ?? 1) : 128 + number;
  }
  if (process.stdout.isTTY) process.stdout.write(RESET);
  if (process.stderr.isTTY) process.stderr.write(`\r\ndetached; reattach with: npx gatehouse attach ${session}\r\n`);
  return 0;
}

/** Sends what is typed; returns what undoes it. */
function readKeys(client: AttachmentClient, detachKey: number | null): () => void {
  const { stdin, stdout } = process;
  const interactive = stdin.isTTY;
  const onData = (bytes: Buffer): void => {
    const at = interactive && detachKey !== null ? bytes.indexOf(detachKey) : -1;
    const typed = at < 0 ? bytes : bytes.subarray(0, at);
    if (typed.length > 0 && !client.type(typed)) process.stderr.write(BELL);
    if (at >= 0) client.detach();
  };
  const onEnd = (): void => {
    client.type(END_OF_INPUT);
  };
  const onResize = (): void => {
    client.resize();
  };
  stdin.on('data', onData).on('end', onEnd);
  stdout.on('resize', onResize);
  return () => {
    stdin.off('data', onData).off('end', onEnd).pause();
    stdout.off('resize', onResize);
  };
}

/** Raw mode, undone on every way out of the process. */
function rawMode(): () => void {
  if (!process.stdin.isTTY) return () => undefined;
  process.stdin.setRawMode(true);
  const restore = (): void => {
    process.stdin.setRawMode(false);
  };
  const leave = (signal: NodeJS.Signals): void => {
    restore();
    process.exit(128 + constants.signals[signal]);
  };
  process.on('exit', restore).on('SIGTERM', leave).on('SIGHUP', leave);
  return () => {
    process.off('exit', restore).off('SIGTERM', leave).off('SIGHUP', leave);
    restore();
  };
}

/** `^]`, `Ctrl-]` or `none`. @throws Failure for anything else */
export function parseDetachKey(text: string): number | null {
  if (text === 'none') return null;
  const [, letter] = /^(?:\^|[Cc]trl-)([@-_a-z])$/.exec(text) ?? [];
  if (letter === undefined) throw new Failure(`not a key: ${text}; write it like ^] or none`, 2);
  return letter.toUpperCase().charCodeAt(0) & 0x1f;
}

const keyName = (key: number): string => `Ctrl-${String.fromCharCode(key | 0x40)}`;
