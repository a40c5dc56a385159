import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { ChainedLog, monthAt, newKey, timeIn } from './chained-log.js';

const DAY_MS = 86_400_000;

/** Node a: months −4 (1–15, 17), −3 (16, 18–25) and this one (26–40), signed at 10, 20 and 30. */
const TIMES_OF_A = [
  ...Array.from({ length: 15 }, (_, index) => timeIn(-4, index)),
  timeIn(-3, 0),
  timeIn(-4, 20),
  ...Array.from({ length: 8 }, (_, index) => timeIn(-3, index + 1)),
  ...Array.from({ length: 15 }, (_, index) => timeIn(0, index)),
];
/** Node b: 1–12, all in this month, signed at 6. */
const TIMES_OF_B = Array.from({ length: 12 }, (_, index) => timeIn(0, index));
/** So that the first of its months is past it, and no other. */
export const RETENTION_DAYS = Math.floor((Date.now() - monthAt(-3).getTime()) / DAY_MS);

/** The log that each test of a file gets anew. */
export interface Sample {
  log: ChainedLog;
  /** All checkpoints, kept elsewhere. */
  file: string;
  /** What is in that file. */
  lines: string;
}

/** A log of two gateways, whole, for each test of this file. */
export function sampleLog(): Sample {
  const key = newKey();
  const sample = { lines: '' } as Sample;
  let template: string;
  beforeAll(async () => {
    const made = await ChainedLog.create(key);
    const kept = join(made.folder, 'checkpoints');
    await made.write('a', TIMES_OF_A, [10, 20, 30], kept);
    await made.write('b', TIMES_OF_B, [6], kept);
    sample.lines = readFileSync(kept, 'utf8');
    template = made.url;
    await made.disconnect();
  });
  beforeEach(async () => {
    sample.log = await ChainedLog.create(key, template);
    sample.file = join(sample.log.folder, 'checkpoints');
    writeFileSync(sample.file, sample.lines);
  });
  afterEach(() => sample.log.close());
  return sample;
}

/** The first wrong thing. @param elsewhere by the checkpoints of the file as well */
export async function problemIn({ log, file }: Sample, elsewhere = false): Promise<unknown> {
  const { ok, problem: found } = await log.verify(null, null, elsewhere ? file : null);
  expect(ok).toBe(found === null);
  return found;
}

/** Drops the first month, in order. */
export async function prune({ log }: Sample): Promise<void> {
  await log.months(RETENTION_DAYS).look();
  expect(log.told).toEqual([]);
  expect(await log.sql('SELECT 1 FROM audit_tombstones')).toHaveLength(1);
}

/** Puts in a row like event 5 of a, with these columns. */
export async function insertLike({ log }: Sample, columns: Readonly<Record<string, unknown>>): Promise<void> {
  const [like] = await log.sql(`SELECT * FROM audit_events WHERE node = 'a' AND seq = 5`);
  const row: Record<string, unknown> = { ...like, ...columns };
  const places = Object.keys(row).map((_, index) => `$${String(index + 1)}`);
  await log.sql(
    `INSERT INTO audit_events (${Object.keys(row).join(', ')}) VALUES (${places.join(', ')})`,
    Object.entries(row).map(([name, value]) => (name === 'metadata' ? JSON.stringify(value) : value)),
  );
}
