#!/usr/bin/env node
// The command line. Runs on the Node that npm put beside it when the one that was found is too old.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REQUIRED = [24, 16];
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const main = join(root, 'dist', 'src', 'cli', 'main.js');
const ownNode = join(root, 'node_modules', '.bin', 'node');

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const recent = major > REQUIRED[0] || (major === REQUIRED[0] && minor >= REQUIRED[1]);

if (!existsSync(main)) {
  process.stderr.write('gatehouse: not built yet; run `npm run build` first\n');
  process.exit(1);
} else if (recent) {
  await import(main);
} else if (existsSync(ownNode)) {
  const { status, signal } = spawnSync(ownNode, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  if (signal) process.kill(process.pid, signal);
  process.exit(status ?? 1);
} else {
  process.stderr.write(`gatehouse: needs Node ${REQUIRED.join('.')} or newer, this is ${process.versions.node}\n`);
  process.exit(1);
}
