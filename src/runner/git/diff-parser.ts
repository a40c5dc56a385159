/** Reads what `git diff` writes. */
import { splitRecords } from './status-parser.js';

export interface DiffFile {
  readonly path: Buffer;
  readonly oldPath: Buffer | undefined;
  /** One letter, as in `git diff --raw`. */
  readonly status: string;
  readonly additions: number;
  readonly deletions: number;
  readonly binary: boolean;
}

export interface Hunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  readonly section: string;
  readonly lines: string[];
}

/** Reads `--raw --numstat -z`: all files of the first, then the counts of the second. */
export function parseDiffFiles(output: Buffer): DiffFile[] {
  const records = splitRecords(output);
  const files = new Map<string, DiffFile>();
  let at = 0;
  const next = (): Buffer => records[at++] ?? Buffer.alloc(0);
  while (at < records.length && records[at]?.[0] === 0x3a) {
    const status = next().toString('latin1').split(' ')[4]?.[0] ?? 'M';
    const first = next();
    const moved = status === 'R' || status === 'C';
    const path = moved ? next() : first;
    const none = { additions: 0, deletions: 0, binary: false };
    // A file in conflict is listed twice; that it is in conflict is what counts.
    if (files.get(keyOf(path))?.status !== 'U') {
      files.set(keyOf(path), { path, oldPath: moved ? first : undefined, status, ...none });
    }
  }
  while (at < records.length) {
    const [additions = '', deletions = '', ...rest] = next().toString('latin1').split('\t');
    let path = rest.join('\t');
    if (path === '') {
      next(); // where it was
      path = keyOf(next());
    }
    const file = files.get(path);
    const binary = additions === '-';
    if (file)
      files.set(path, {
        ...file,
        binary,
        additions: binary ? 0 : Number(additions),
        deletions: binary ? 0 : Number(deletions),
      });
  }
  return [...files.values()];
}

const keyOf = (path: Buffer): string => path.toString('latin1');

/** Reads the hunks of one file's patch. */
export function parseHunks(patch: string): Hunk[] {
  const hunks: Hunk[] = [];
  // What follows the last line break is no line.
  for (const line of patch.split('\n').slice(0, -1)) {
    const header = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/s.exec(line);
    if (header) hunks.push(hunkOf(header));
    else if (/^[ +\\-]/.test(line)) hunks.at(-1)?.lines.push(line);
    else if (line.startsWith('diff --git ') && hunks.length > 0) break; // a change of type is told as two files
  }
  return hunks;
}

function hunkOf([, oldStart, oldLines = '1', newStart, newLines = '1', section = '']: RegExpExecArray): Hunk {
  const numbers = { oldStart: Number(oldStart), oldLines: Number(oldLines) };
  return { ...numbers, newStart: Number(newStart), newLines: Number(newLines), section, lines: [] };
}
