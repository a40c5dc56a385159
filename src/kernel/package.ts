import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of this package, found upward from here: built and source trees lie at different depths. */
function packageFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'proto', 'gatehouse'))) return folder;
    if (folder === dirname(folder)) throw new Error('The proto folder of this package is missing');
  }
}

/** Where this package is. */
export const PACKAGE = packageFolder();

const { version, engines } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as {
  version: string;
  engines: { node: string };
};

/** The version of this package, told to clients and in the log. */
export const VERSION = version;

/** The oldest Node.js that it runs on: `24.16`. */
export const NODE_REQUIRED = engines.node.replace(/^>=/, '');

/** How every proto file is loaded, on both sides of every connection: names as written, absent fields absent. */
export const PROTO_OPTIONS = { keepCase: true, longs: Number, enums: String, includeDirs: [join(PACKAGE, 'proto')] };
