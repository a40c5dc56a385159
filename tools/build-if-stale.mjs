// Builds when a source is newer than the last build: `npm start` after a `git pull` runs what was pulled.
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const BUILT = 'dist/src/main.js';
const SOURCES = [
  'src',
  'migrations',
  'proto',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'tsconfig.client.json',
  'nest-cli.json',
];

const modified = (path) => {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return 0;
  }
};

const newest = (path) =>
  statSync(path).isDirectory()
    ? Math.max(
        0,
        ...readdirSync(path)
          .filter((name) => name !== 'generated')
          .map((name) => newest(join(path, name))),
      )
    : modified(path);

const built = modified(BUILT);
if (built === 0 || SOURCES.some((source) => newest(source) > built)) {
  // On Windows npm is a script that needs a shell; Gatehouse runs on Linux and macOS.
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
}
