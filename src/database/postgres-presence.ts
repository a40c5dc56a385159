import { existsSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { Client } from 'pg';

const PROBE_MS = 5000;
const PAUSE_MS = 100;
/** Recovery after a crash replays what was written since the last checkpoint. */
const MAX_RECOVERY_MS = 60_000;
/** SQLSTATE cannot_connect_now: starting, in recovery, or stopping. */
const NOT_YET = '57P03';
/** A number that no system gives to a process. */
const NO_PROCESS = 2 ** 31 - 2;

/**
 * Does a PostgreSQL answer at this address? One that is starting, recovering or stopping is waited for. A pid file
 * proves nothing: its number may belong to another process by now.
 * @throws Error when it is still starting or stopping after a minute
 */
export async function serves(url: string): Promise<boolean> {
  const deadline = performance.now() + MAX_RECOVERY_MS;
  while (performance.now() < deadline) {
    const answer = await probe(url);
    if (answer !== 'not yet') return answer === 'yes';
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  throw new Error('the embedded PostgreSQL is still starting or stopping; its log says why');
}

async function probe(url: string): Promise<'yes' | 'not yet' | 'no'> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: PROBE_MS });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return 'yes';
  } catch (error) {
    const { code, severity } = Object(error) as { code?: unknown; severity?: unknown };
    if (code === NOT_YET) return 'not yet';
    // Only a server sends a severity: it is there, and whatever it objects to is told to whoever uses it.
    return severity === undefined ? 'no' : 'yes';
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * Makes a lock file of a server that was killed harmless when its pid is another process's by now, or a zombie's:
 * PostgreSQL refuses to start beside any process of its own user with that pid. Linux only; elsewhere it decides alone.
 * @param file `postmaster.pid`, or the lock of the socket
 * @param data the cluster's folder, which is a living server's working directory
 */
export function releaseStaleLock(file: string, data: string): void {
  if (process.platform !== 'linux' || !existsSync(file)) return;
  const lock = readFileSync(file, 'utf8');
  const [pid = ''] = lock.split('\n', 1);
  const folder = workingDirectory(pid);
  if (folder === 'unknown' || folder === realpathSync(data)) return;
  // Only the pid: by the other lines PostgreSQL still finds processes that outlived their server.
  writeFileSync(file, lock.replace(pid, String(NO_PROCESS)));
}

/** Null when there is no such process any more, which is what a zombie is too. */
function workingDirectory(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch (error) {
    return (Object(error) as { code?: unknown }).code === 'ENOENT' ? null : 'unknown';
  }
}
