import { constants, lstatSync, openSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { errnoOf } from './errno.js';

const RETRY_MS = 20;
/** Binding takes milliseconds; a claim so old was left by a process whose pid is another's by now. */
const STALE_MS = 10_000;

/**
 * Binds the control socket of a directory, of which there must be one runner only. Those who try at the same time do
 * so one after the other: each looks whether somebody answers by now, and removes a socket only when nobody does.
 * @param path of the control socket
 * @param bind makes this process answer there
 * @returns false when another runner answers
 */
export async function claimSocket(path: string, bind: () => Promise<void>): Promise<boolean> {
  const claim = `${path}.claim`;
  while (!tryClaim(claim)) {
    if (isStale(claim)) rmSync(claim, { force: true });
    else await setTimeout(RETRY_MS);
  }
  try {
    if (await answers(path)) return false;
    rmSync(path, { force: true });
    await bind();
    return true;
  } finally {
    rmSync(claim, { force: true });
  }
}

/** In a claimed folder; whoever claimed it answers there. */
const FOLDER_SOCKET = '.claim';
/** A runner that is going away may answer for a moment longer. */
const FOLDER_WAIT_MS = 5000;
const FOLDER_RETRY_MS = 100;

/**
 * Claims a folder for this process, for as long as it lives.
 * @returns false when another process has it
 */
export async function claimFolder(folder: string): Promise<boolean> {
  // The path of a socket may have a hundred bytes only. The descriptor stays open with the claim.
  const handle = `/proc/self/fd/${String(openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY))}`;
  const socket = `${handle}/${FOLDER_SOCKET}`;
  const began = performance.now();
  while (!(await claimSocket(socket, () => answerAt(socket)))) {
    if (performance.now() - began > FOLDER_WAIT_MS) return false;
    await setTimeout(FOLDER_RETRY_MS);
  }
  return true;
}

function answerAt(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy()).unref();
    server.once('error', reject).listen(path, resolve);
  });
}

/** A symbolic link is made at once or not at all, and says whose it is. */
function tryClaim(claim: string): boolean {
  try {
    symlinkSync(String(process.pid), claim);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Did its owner die before it could take the claim back? */
function isStale(claim: string): boolean {
  try {
    if (Date.now() - lstatSync(claim).mtimeMs > STALE_MS) return true;
    process.kill(Number(readlinkSync(claim)), 0);
    return false;
  } catch (error) {
    // ENOENT: it was taken back just now.
    return errnoOf(error) === 'ESRCH';
  }
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
