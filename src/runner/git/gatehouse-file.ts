import { parseDocument } from 'yaml';
import { z } from 'zod';
import { DomainError } from '../../kernel/errors.js';
import { openFile } from './files.js';
import { checkGlobs } from './globs.js';
import type { Pinned } from './pinned.js';

export const GATEHOUSE_FILE = '.gatehouse.yaml';
const MAX_BYTES = 64 * 1024;

const command = z.array(z.string().min(1).max(4096)).min(1).max(100).default([]);
const SCHEMA = z.strictObject({ copy: z.array(z.string()).default([]), setup: command, teardown: command });

export type GatehouseFile = Readonly<z.infer<typeof SCHEMA>>;

const NOTHING: GatehouseFile = { copy: [], setup: [], teardown: [] };

/**
 * What a trusted repository wants done with its worktrees.
 * @param tree a checkout of it
 * @throws DomainError INVALID_ARGUMENT with what is wrong with the file
 */
export async function readGatehouseFile(tree: Pinned): Promise<GatehouseFile> {
  const file = await openFile(tree, GATEHOUSE_FILE);
  if (file === undefined) return NOTHING;
  try {
    if ((await file.stat()).size > MAX_BYTES) throw wrong(`more than ${String(MAX_BYTES)} bytes`);
    return parseGatehouseFile(await file.readFile('utf8'));
  } finally {
    await file.close();
  }
}

/** @throws DomainError INVALID_ARGUMENT with what is wrong with the text */
export function parseGatehouseFile(text: string): GatehouseFile {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw wrong(error.message.split('\n')[0] ?? 'no YAML');
  const result = SCHEMA.safeParse(plain(() => document.toJS({ maxAliasCount: 0 }) as unknown) ?? {});
  if (!result.success) {
    const [issue] = result.error.issues;
    throw wrong([...(issue?.path ?? []).map(String), issue?.message].join(': '));
  }
  checkGlobs(`${GATEHOUSE_FILE}: copy`, result.data.copy);
  return result.data;
}

function plain(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : 'no YAML');
  }
}

function wrong(problem: string): DomainError {
  return new DomainError('INVALID_ARGUMENT', `${GATEHOUSE_FILE}: ${problem}`);
}
