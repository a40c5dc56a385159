import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** Asks for a line. What is typed is not shown when `hidden`. */
export async function ask(question: string, hidden = false): Promise<string> {
  process.stderr.write(question);
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
    return (await lines.question('')).trim();
  } finally {
    lines.close();
    if (hidden && process.stdin.isTTY) process.stderr.write('\n');
  }
}
