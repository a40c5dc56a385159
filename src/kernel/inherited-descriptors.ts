import { closeSync, existsSync, readdirSync, readFileSync } from 'node:fs';

const CLOSE_ON_EXEC = 0o2000000;
/** Where Linux lists a process's own. */
const OWN = '/proc/self/fd';

/**
 * Closes what a careless parent left open for us: a descriptor that our own children would inherit and that is none of
 * ours. To be called before anything else is opened.
 */
export function closeInherited(): void {
  if (!existsSync(OWN)) return;
  for (const name of readdirSync(OWN)) {
    if (Number(name) > 2 && isInheritable(name)) closeSync(Number(name));
  }
}

function isInheritable(name: string): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'utf8'))?.[1] ?? '0';
    return (parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false; // the one that listed them
    throw error;
  }
}
