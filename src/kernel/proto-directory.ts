import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The `proto/` folder of this package, found upward from here: built and source trees lie at different depths. */
export function protoDirectory(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'proto');
    if (existsSync(join(candidate, 'gatehouse'))) return candidate;
    if (folder === dirname(folder)) throw new Error('The proto folder of this package is missing');
  }
}

/** How every proto file is loaded, on both sides of every connection: names as written, absent fields absent. */
export const PROTO_OPTIONS = { keepCase: true, longs: Number, enums: String, includeDirs: [protoDirectory()] };
