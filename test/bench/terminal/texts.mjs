/** What is printed in the measures. */
import { Buffer } from 'node:buffer';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FLOOD_BYTES = 64_000_000;
/** What a program prints before it exits, line feeds still alone. */
const ONCE_LINES = 50_000;
const ONCE_COLUMNS = 99;
/** As it reaches the client: the terminal makes two bytes of each line feed. */
export const ONCE_BYTES = ONCE_LINES * (ONCE_COLUMNS + 2);

const COLUMNS = 100;
const WORDS = ['größer', 'naïve', 'déjà', 'Ελλάδα', 'Привет', '日本語', '端末', '한국어', '🚀', 'plain', 'text', '→'];

const repeat = (line, bytes) => line.repeat(Math.ceil(bytes / line.length));

/** Writes the texts and the programs into `folder`. @returns the path of the script */
export function prepare(folder) {
  const letters = Array.from({ length: COLUMNS }, (_, column) => String.fromCharCode(33 + ((column * 7) % 90))).join(
    '',
  );
  writeFileSync(join(folder, 'long.txt'), repeat(`${letters}\n`, FLOOD_BYTES));
  const lines = Array.from({ length: 40 }, (_, line) =>
    Array.from({ length: 12 }, (_, word) => WORDS[(line * 5 + word * 7) % WORDS.length]).join(' '),
  );
  const text = `${lines.join('\n')}\n`;
  writeFileSync(join(folder, 'utf8.txt'), text.repeat(Math.ceil(FLOOD_BYTES / Buffer.byteLength(text))));
  writeFileSync(join(folder, 'once.txt'), `${'y'.repeat(ONCE_COLUMNS)}\n`.repeat(ONCE_LINES));
  const script = join(folder, 'programs.sh');
  copyFileSync(fileURLToPath(new URL('programs.sh', import.meta.url)), script);
  return script;
}
