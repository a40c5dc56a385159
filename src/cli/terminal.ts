import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { type AttachError, AttachmentClient, type End } from '../client/index.js';
import { refusal } from './api.js';
import type { Credentials } from './credentials.js';
import { Failure, plain } from './failure.js';
import { socketsWith } from './node-socket.js';
import { type Keys, PipedInput, TypedKeys } from './session-input.js';
import { Screen } from './screen.js';
import { terminalSize } from './terminal-size.js';

export interface TerminalOptions {
  readonly session: string;
  /** What the person calls the session. */
  readonly label: string;
  readonly viewer: boolean;
  /** Take control from whoever has it. */
  readonly take: boolean;
  /** Offset of the first output wanted; null for the screen as it is. */
  readonly from: number | null;
  /** The byte that detaches; null for none. */
  readonly detachKey: number | null;
}

/**
 * Connects this terminal to a session until the program ends or the person detaches.
 * @returns the exit status for this process: the program's, 128 + n for a signal, 0 when detached
 * @throws Failure when the session cannot be attached to any more
 */
export async function attachTerminal(credentials: Credentials, options: TerminalOptions): Promise<number> {
  const restore = rawMode();
  const screen = new Screen();
  let keys: Keys | undefined;
  try {
    const end = await new Promise<End>((resolve) => {
      const client = clientOf(credentials, options, screen, resolve, () => keys?.onRoom());
      keys = process.stdin.isTTY ? new TypedKeys(client, options.detachKey) : new PipedInput(client);
      client.connect();
    });
    screen.leave();
    return statusOf(end, credentials, options);
  } finally {
    keys?.stop();
    restore();
  }
}

function clientOf(
  credentials: Credentials,
  options: TerminalOptions,
  screen: Screen,
  onEnd: (end: End) => void,
  onRoom: () => void,
): AttachmentClient {
  const { session, viewer, take, from } = options;
  let away = false;
  return new AttachmentClient(
    {
      ...{ url: credentials.url, session, take, size: terminalSize(), openSocket: socketsWith(credentials.token) },
      ...(from === null ? {} : { from }),
      ...(viewer ? { mode: 'viewer' } : {}),
    },
    {
      onOutput: screen.show,
      onSnapshot: screen.replace,
      onAttached: ({ mode, again }) => {
        away = false;
        greet(options, mode, again);
      },
      onDisconnected: () => {
        if (!away) notice('connection lost; coming back');
        away = true;
      },
      onModeChanged: (mode) => {
        notice(mode === 'controller' ? 'you are in control' : 'somebody else took control; you are viewing');
      },
      onInputLost: () => {
        notice('what was typed last may not have been taken');
      },
      onRefused: ({ message }) => {
        notice(message);
      },
      onRoom,
      onEnd,
    },
  );
}

/** A line for the person, not output. */
function notice(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\n[gatehouse: ${plain(text)}]\r\n`);
}

function greet({ label, detachKey, viewer }: TerminalOptions, mode: string, again: boolean): void {
  if (!process.stderr.isTTY) return;
  const key = detachKey === null ? '' : `; detach with ${keyName(detachKey)}`;
  const hint = mode === 'viewer' && !viewer ? ' (somebody else is in control; attach with --take to take over)' : '';
  process.stderr.write(`${again ? 'attached again' : 'attached'} to ${plain(label)} as ${mode}${hint}${key}\r\n`);
}

function statusOf(end: End, credentials: Credentials, { session }: TerminalOptions): number {
  if (end.kind === 'failed') throw failureOf(end.error, credentials);
  if (end.kind === 'exited') {
    const number = end.signal === null ? undefined : (constants.signals as Record<string, number>)[end.signal];
    return number === undefined ? (end.exitCode ?? 1) : 128 + number;
  }
  if (process.stderr.isTTY) process.stderr.write(`\r\ndetached; reattach with: npx gatehouse attach ${session}\r\n`);
  return 0;
}

function failureOf({ reason, message, code, status, answer }: AttachError, { url }: Credentials): Failure {
  if (reason === 'unreachable') return new Failure(`${url} cannot be reached`);
  if (status !== undefined) return refusal(status, answer);
  return new Failure(plain(code === undefined || message.endsWith(code) ? message : `${message} (${code})`));
}

/**
 * Raw mode, undone on every way out of the process. Node's leaves the terminal to turn each line feed into a new line,
 * which moves the cursor of a program that means a line feed; `stty` turns that off too, and Node's own undo restores it.
 */
function rawMode(): () => void {
  if (!process.stdin.isTTY) return () => undefined;
  process.stdin.setRawMode(true);
  if (process.stdout.isTTY) {
    const env = { PATH: process.env['PATH'] };
    spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'], env });
  }
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
