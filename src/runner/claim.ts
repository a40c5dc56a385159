import { existsSync, linkSync, renameSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';

/** A runner that has bound its socket but does not listen on it yet does so within this time. */
const SETTLE_MS = 50;

/**
 * Makes way for a new control socket.
 * @returns false when a runner answers on it: there must be no second one
 */
export async function claimSocket(path: string): Promise<boolean> {
  if (await answers(path)) return false;
  // A dead runner leaves its socket. It is moved before it is removed: if another runner has replaced it meanwhile,
  // what was moved answers and is put back.
  const aside = `${path}.${String(process.pid)}`;
  if (
    !existsSync(path) ||
    !tryTo(() => {
      renameSync(path, aside);
    })
  )
    return true;
  await setTimeout(SETTLE_MS);
  const alive = await answers(aside);
  if (alive)
    tryTo(() => {
      linkSync(aside, path);
    });
  rmSync(aside, { force: true });
  return !alive;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => {
      resolve(false);
    });
  });
}

function tryTo(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
