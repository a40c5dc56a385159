import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { parsedDocument } from '../chain/document.js';
import type { FoundCheckpoint } from './checkpoint-check.js';

/** A line of ours has some 500 characters. */
const MAX_LINE = 8192;

const lineSchema = z.strictObject({ document: z.string(), key_id: z.string(), signature: z.string() });

/** How much of the file there is now, in bytes; a file that is not there yet has none. @throws the system's error */
export async function fileSize(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

/**
 * The checkpoints of a file, some at a time. A line that is none is left out: it is the half of one, from a machine that
 * lost its power, and whoever could put it there could take lines away as well.
 * @param size how much of it is read, bytes
 */
export async function* checkpointsOfFile(
  path: string,
  size: number,
  count: number,
): AsyncGenerator<FoundCheckpoint[], void> {
  let [page, number]: [FoundCheckpoint[], number] = [[], 0];
  for await (const line of linesOf(path, size)) {
    number += 1;
    const signed = parsedDocument(lineSchema, line);
    if (signed !== null) page.push({ signed, place: `in line ${number} of AUDIT_CHECKPOINT_FILE` });
    if (page.length < count) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

/** Lines without their ends; of one that is too long nothing is kept but that it was there. */
async function* linesOf(path: string, size: number): AsyncGenerator<string, void> {
  if (size === 0) return;
  let rest = '';
  const chunks = createReadStream(path, { end: size - 1, encoding: 'utf8' }) as AsyncIterable<string>;
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield line.length > MAX_LINE ? '' : line;
    // Past the bound its beginning is as good as all of it: it is no checkpoint.
    rest = rest.slice(0, MAX_LINE + 1);
  }
  if (rest !== '') yield rest.length > MAX_LINE ? '' : rest;
}
