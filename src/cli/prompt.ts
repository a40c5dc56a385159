import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { Failure } from './failure.js';

/** Asks for a line. What is typed is not shown when `hidden`. */
export async function ask(question: string, hidden = false): Promise<string> {
  const silent = new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  const lines = createInterface({
    input: process.stdin,
    output: hidden ? silent : process.stderr,
    terminal: process.stdin.isTTY,
  });
  try {
    const answer = lines.question('');
    // The terminal has stopped showing what is typed by now: who answers at once must not see it either.
    process.stderr.write(question);
    return (await answer).trim();
  } finally {
    lines.close();
    if (hidden && process.stdin.isTTY) process.stderr.write('\n');
  }
}

/** Longest credential that is read, bytes; a token has 8 KiB at most. */
const MAX_CREDENTIAL = 65_536;

/**
 * A credential from standard input: typed without being shown in a terminal, else all that is piped.
 * @throws Failure when it is empty or too long
 */
export async function readCredential(question: string): Promise<string> {
  const text = process.stdin.isTTY ? await ask(question, true) : await piped();
  if (text === '') throw new Failure('nothing was given on standard input');
  return text;
}

async function piped(): Promise<string> {
  return (await allOf('that is too long for a credential')).toString('utf8').trim();
}

/**
 * A text to keep from standard input: a line typed without being shown in a terminal, else all that is piped, as it is but
 * for one line break at its end.
 * @throws Failure when it is empty, too long, or no UTF-8
 */
export async function readHidden(question: string): Promise<string> {
  const text = process.stdin.isTTY ? await ask(question, true) : utf8(await allOf('that is too long'));
  const value = text.replace(/\r?\n$/, '');
  if (value === '') throw new Failure('nothing was given on standard input');
  return value;
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Failure('what was given on standard input is not text in UTF-8');
  }
}

/** @throws Failure with that sentence when it is longer than {@link MAX_CREDENTIAL} */
async function allOf(tooLong: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_CREDENTIAL) throw new Failure(tooLong);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
