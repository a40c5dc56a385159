import type { Config } from '../../config/load.js';
import { NODE_REQUIRED } from '../../kernel/package.js';
import { type Finding, ok, problem, skipped, warning } from '../finding.js';
import type { MachineFacts } from './machine-facts.js';

const GIT_REQUIRED = '2.38';
const MIN_OPEN_FILES = 4096;
const MIN_FREE_BYTES = 100 * 1024 * 1024;
const SOON_FULL_BYTES = 1024 * 1024 * 1024;

export function machine(config: Config, facts: MachineFacts): Finding[] {
  return [
    node(facts),
    git(config, facts),
    sandbox(config, facts),
    root(config, facts),
    openFiles(facts),
    disk(config, facts),
  ];
}

const node = ({ node: found }: MachineFacts): Finding =>
  isAtLeast(found, NODE_REQUIRED)
    ? ok('machine.node', `Node.js ${found}`)
    : problem(
        'machine.node',
        `Node.js ${found}`,
        `Start it with Node.js ${NODE_REQUIRED} or newer, as \`npm start\` does.`,
      );

function git({ PROJECT_ROOTS: roots, remoteRunner }: Config, { git: found }: MachineFacts): Finding {
  const id = 'machine.git';
  if (roots.length === 0) return skipped(id, 'no worktrees: PROJECT_ROOTS is empty');
  if (remoteRunner !== null) return skipped(id, 'the runner, and its git, are on another machine');
  const mend = `Install git ${GIT_REQUIRED} or newer on the runner's machine.`;
  if (found === null) return problem(id, 'no git was found', mend);
  return isAtLeast(found, GIT_REQUIRED) ? ok(id, `git ${found}`) : problem(id, `git ${found}`, mend);
}

function sandbox(config: Config, { bubblewrap }: MachineFacts): Finding {
  const id = 'machine.sandbox';
  if (config.SANDBOX !== 'bwrap') return skipped(id, 'no sandbox is asked for');
  if (config.remoteRunner !== null) return skipped(id, 'the runner, and its sandbox, are on another machine');
  if (bubblewrap) return ok(id, 'bubblewrap is there, and was not tried: a start does');
  return problem(id, '/usr/bin/bwrap is not there', 'Install bubblewrap, or set SANDBOX=none.');
}

function root({ production }: Config, { root: isRoot }: MachineFacts): Finding {
  if (!isRoot) return ok('machine.root', 'not root');
  const mend = 'Run it as a user whose shell you would give to everybody who may start sessions.';
  return (production ? problem : warning)('machine.root', 'this is root', mend);
}

function openFiles({ openFiles: limit }: MachineFacts): Finding {
  const id = 'machine.open_files';
  if (limit === null) return skipped(id, 'the limit cannot be known here');
  if (limit >= MIN_OPEN_FILES) return ok(id, `${limit} files may be open`);
  const mend = `Raise it to ${MIN_OPEN_FILES} or more: LimitNOFILE= in a unit of systemd, \`ulimit -n\` in a shell.`;
  return warning(id, `${limit} files may be open`, mend);
}

function disk({ AUDIT_SPOOL_MAX_BYTES: spool }: Config, { freeBytes: free }: MachineFacts): Finding {
  const id = 'machine.disk';
  if (free === null) return skipped(id, 'it cannot be known here');
  const what = `${Math.floor(free / 1024 / 1024)} MiB are free where DATA_DIR is`;
  const mend = 'Make room, or let DATA_DIR name a folder on another disk.';
  if (free < MIN_FREE_BYTES) return problem(id, what, mend);
  if (free < SOON_FULL_BYTES) return warning(id, what, mend);
  if (free >= spool) return ok(id, what);
  return warning(id, `${what}, less than AUDIT_SPOOL_MAX_BYTES`, `${mend} Or lower AUDIT_SPOOL_MAX_BYTES.`);
}

/** Numbers with dots in between, compared part by part. */
function isAtLeast(found: string, required: string): boolean {
  const [have, need] = [found, required].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (const [index, part] of need.entries()) {
    const difference = (have[index] ?? 0) - part;
    if (difference !== 0) return difference > 0;
  }
  return true;
}
