/** A client that hardly reads, a client that comes late, and programs that are gone before anybody looks. */
import { Figures } from './figures.mjs';
import { closeMany } from './many.mjs';
import { memoryBytes } from './processes.mjs';
import { ONCE_BYTES } from './texts.mjs';

const MIB = 1024 * 1024;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** How much the servers grow while a client reads a little of a flood. */
export async function slowReader({ peers, clients: [client], quick }) {
  const figures = new Figures();
  const seconds = quick ? 10 : 60;
  for (const peer of peers) {
    // Once at full speed, so that what a flood needs anyway is there.
    const warm = await peer.open('long');
    await client.call('flood', { target: warm, bytes: 32_000_000, warmup: 0, pids: peer.pids });
    await peer.close(warm);
    await pause(2000);
    const before = memoryBytes(peer.pids);
    const target = await peer.open('long');
    await client.call('hold', { name: 'slow', targets: [target] });
    await client.call('crawl', { name: 'slow' });
    let most = 0;
    for (let second = 0; second < seconds; second += 1) {
      await pause(1000);
      most = Math.max(most, memoryBytes(peer.pids) - before);
    }
    const [read] = await client.call('received', { name: 'slow' });
    await client.call('drop', { name: 'slow' });
    await peer.close(target);
    figures.add(peer.name, 'most growth', most / MIB);
    figures.add(peer.name, 'read meanwhile', read / MIB);
  }
  figures.print(`${seconds} s of flood for a slow reader`, 'MiB');
}

/** Attaching to a session whose ring is full. The others keep no output. */
export async function lateClient({ peers, clients: [client], rounds }) {
  const figures = new Figures();
  const peer = peers.find(({ name }) => name === 'gatehouse');
  const { session } = await peer.open('full');
  let from = 0;
  let to = 0;
  for (const deadline = Date.now() + 30_000; to < ONCE_BYTES && Date.now() < deadline; await pause(50)) {
    [from, to] = await peer.retained(session);
  }
  for (let round = 0; round < rounds * 4; round += 1) {
    const tail = peer.target(session, `&from=${from}&mode=viewer`);
    figures.add(peer.name, 'full tail', await client.call('firstOutput', { target: tail, bytes: to - from }));
    const snapshot = await client.call('snapshot', { target: peer.target(session, '&mode=viewer') });
    if (snapshot !== null) figures.add(peer.name, 'snapshot', snapshot);
  }
  await peer.close({ session });
  figures.print(`Attach to a full ring of ${((to - from) / MIB).toFixed(1)} MiB`, 'ms');
}

/** Programs that print 5 MB and exit at once: how many of them were heard out. */
export async function exits({ peers, clients: [client], quick }) {
  const figures = new Figures();
  const count = quick ? 20 : 100;
  for (const peer of peers) {
    let whole = 0;
    const targets = [];
    for (let program = 0; program < count; program += 1) {
      const target = await peer.open('once');
      targets.push(target);
      if ((await client.call('all', { target })) === ONCE_BYTES) whole += 1;
    }
    await closeMany(peer, targets);
    figures.add(peer.name, 'heard to the end', whole);
  }
  figures.print(`${count} programs that print ${(ONCE_BYTES / 1e6).toFixed(1)} MB and exit at once`);
}
