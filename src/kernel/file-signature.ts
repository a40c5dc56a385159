import { statSync } from 'node:fs';

/** What tells one state of a file from another without reading it; never throws. */
export function fileSignature(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: 0, size: -1, ino: 0 };
    return `${mtimeMs} ${size} ${ino}`;
  } catch (error) {
    return String((Object(error) as { code?: unknown }).code);
  }
}
