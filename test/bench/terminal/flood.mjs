/** How fast output gets to a client, what that costs, and how long a key waits meanwhile. */
import { Figures, geometricMean, percentile } from './figures.mjs';

const KINDS = ['long', 'seq', 'utf8'];
const WARMUP = 4_000_000;

/** Throughput and CPU per GB of three kinds of text. */
export async function flood({ peers, clients: [client], rounds, quick }) {
  const figures = { rate: new Figures(), cost: new Figures() };
  const bytes = quick ? 16_000_000 : 64_000_000;
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of rotated(peers, round)) {
      const results = [];
      for (const kind of KINDS) {
        const target = await peer.open(kind);
        const read = await client.call('flood', { target, bytes, warmup: WARMUP, pids: peer.pids });
        await peer.close(target);
        const rate = read.bytes / read.seconds / 1e6;
        const cost = (read.cpu / read.bytes) * 1e9;
        results.push({ rate, cost });
        figures.rate.add(peer.name, kind, rate);
        figures.cost.add(peer.name, kind, cost);
      }
      for (const name of ['rate', 'cost']) {
        figures[name].add(peer.name, 'geometric mean', geometricMean(results.map((each) => each[name])));
      }
    }
  }
  figures.rate.print('Flood to a WebSocket client', 'MB/s');
  figures.cost.print('CPU of the server under flood', 'seconds per GB');
}

/** A key's way to a program and back, with nothing else going on. */
export async function echo({ peers, clients, rounds, quick }) {
  const figures = new Figures();
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of rotated(peers, round)) await echoOnce(figures, peer, clients[0], quick);
  }
  figures.print('Keystroke echo, idle', 'ms');
}

/** The same, while another session of the same server floods another client. */
export async function echoBesideFlood({ peers, clients: [client, other], rounds, quick }) {
  const figures = new Figures();
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of rotated(peers, round)) {
      const flooding = await peer.open('long');
      await other.call('hold', { name: 'flood', targets: [flooding] });
      await echoOnce(figures, peer, client, quick);
      await other.call('drop', { name: 'flood' });
      await peer.close(flooding);
    }
  }
  figures.print('Keystroke echo beside a flood', 'ms');
}

async function echoOnce(figures, peer, client, quick) {
  const target = await peer.open('echo');
  const times = await client.call('echo', { target, keys: quick ? 100 : 500 });
  await peer.close(target);
  figures.add(peer.name, 'p50', percentile(times, 0.5));
  figures.add(peer.name, 'p99', percentile(times, 0.99));
}

/** Each round begins with another peer: what the machine does meanwhile hits all alike. */
export const rotated = (peers, round) => peers.map((_, index) => peers[(index + round) % peers.length]);
