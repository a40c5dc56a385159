/** Many sessions at once: what they cost while idle, and how they are served. */
import { Figures, percentile } from './figures.mjs';
import { memoryBytes } from './processes.mjs';

const FEW = 100;
const PARALLEL_STARTS = 8;
/** Until what a burst left behind has been collected. */
const SETTLE_MS = 15_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Opens `count` sessions of a peer, a few at a time. */
async function openMany(peer, count) {
  const targets = [];
  let left = count;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      targets.push(await peer.open('echo'));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_STARTS }, worker));
  return targets;
}

/** Closes sessions, a few at a time. */
export async function closeMany(peer, targets) {
  const left = [...targets];
  const worker = async () => {
    for (let next = left.pop(); next; next = left.pop()) await peer.close(next);
  };
  await Promise.all(Array.from({ length: PARALLEL_STARTS }, worker));
}

/** One after the other for every peer: memory with 0, 100 and all sessions, attach rate, echo in all of them. */
export async function many({ peers, clients, quick }) {
  const all = quick ? 300 : 1000;
  const figures = new Figures();
  for (const peer of peers) await manyOf(figures, peer, clients[0], all, quick ? 3000 : SETTLE_MS);
  figures.print(`${all} sessions attached at once (ms, sessions per second, KiB per idle attached session)`);
}

async function manyOf(figures, peer, client, all, settleMs) {
  const memory = async () => {
    await pause(settleMs);
    return memoryBytes(peer.pids) / 1024;
  };
  const add = (name, value) => figures.add(peer.name, name, value);
  const burst = async (name, count) => {
    const began = performance.now();
    const targets = await openMany(peer, count);
    const seconds = (performance.now() - began) / 1000;
    return { targets, seconds, ...(await holdAll(client, name, targets)) };
  };
  // Warm: everything was compiled, and pools have the size they have in use.
  const warm = await burst('warm', FEW);
  await client.call('echoAll', { name: 'warm', keys: 2, seconds: 2 });
  await client.call('drop', { name: 'warm' });
  await closeMany(peer, warm.targets);
  const before = await memory();
  const few = await burst('all', FEW);
  const withFew = await memory();
  const rest = await burst('all', all - FEW);
  const withAll = await memory();
  const echoes = await client.call('echoAll', { name: 'all', keys: 5, seconds: 5 });
  await client.call('drop', { name: 'all' });
  await closeMany(peer, [...few.targets, ...rest.targets]);
  if (rest.refused !== undefined) console.log(`  ${peer.name}: ${rest.refused}`);
  add('served', few.served + rest.served);
  // The others start their program when somebody attaches.
  if (peer.name === 'gatehouse') {
    add('starts per second', rest.targets.length / rest.seconds);
    add('attaches per second', rest.served / rest.attached);
  }
  add('both per second', rest.served / (rest.seconds + rest.attached));
  add('echo p50', echoes.p50);
  add('echo p99', echoes.p99);
  add('keys that did not come back', echoes.lost);
  add(`memory with ${FEW}`, (withFew - before) / FEW);
  add(`memory with ${all}`, (withAll - before) / all);
}

async function holdAll(client, name, targets) {
  const { served, seconds, refused } = await client.call('hold', { name, targets });
  return { served, attached: seconds, refused };
}

/** From the wish for a terminal to its first output. */
export async function firstOutput({ peers, clients: [client], rounds, quick }) {
  const figures = new Figures();
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of peers) {
      const times = [];
      for (let session = 0; session < (quick ? 20 : 100); session += 1) {
        const began = performance.now();
        const target = await peer.open('hello');
        const opened = performance.now() - began;
        times.push(opened + (await client.call('firstOutput', { target })));
        await peer.close(target);
      }
      figures.add(peer.name, 'p50', percentile(times, 0.5));
      figures.add(peer.name, 'p99', percentile(times, 0.99));
    }
  }
  figures.print('Session to first output', 'ms');
}
