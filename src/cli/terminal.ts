import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { AttachmentClient, type AttachOptions, type End } from './attachment-client.js';
import type { Credentials } from './credentials.js';
import { Failure, plain } from './failure.js';
import { type Keys, PipedInput, TypedKeys } from './session-input.js';
import { ScreenModes } from './screen-modes.js';

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
  const modes = new ScreenModes();
  let keys: Keys | undefined;
  try {
    const end = await new Promise<End>((resolve) => {
      const client = new AttachmentClient(
        credentials,
        { ...options, size: terminalSize },
        {
          onOutput: (bytes, done) => {
            if (process.stdout.isTTY) modes.see(bytes);
            process.stdout.write(bytes, done);
          },
          onAttached: (mode, again) => {
            greet(options, mode, again);
          },
          onRoom: () => keys?.onRoom(),
          onNotice: notice,
          onEnd: resolve,
        },
      );
      keys = process.stdin.isTTY ? new TypedKeys(client, options.detachKey) : new PipedInput(client);
      client.connect();
    });
    // The program was left, or ended, in the middle of what it did to the screen.
    process.stdout.write(modes.reset());
    return statusOf(end, options);
  } finally {
    keys?.stop();
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
  if (process.stderr.isTTY) process.stderr.write(`\r\ndetached; reattach with: npx gatehouse attach ${session}\r\n`);
  return 0;
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
