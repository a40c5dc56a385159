/**
 * The terminal's figures, side by side with peers on the same machine: every measure in rounds, the peers in turn, the
 * medians printed with Gatehouse's ratio to each peer.
 *
 *   node test/bench/terminal.mjs [--only flood,echo] [--rounds 5] [--quick] [--peers gatehouse,ttyd]
 *
 * It runs what `npm run build` made, with a gateway of its own in a temporary folder. `plain` (terminal/plain.mjs) is
 * always a peer, ttyd where it is found in `$TTYD` or on the PATH. `--peers gatehouse,plain,split --only echo` shows what
 * two processes cost at least. Linux only: it reads /proc.
 */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ClientProcess } from './terminal/clients.mjs';
import { echo, echoBesideFlood, flood } from './terminal/flood.mjs';
import { firstOutput, many } from './terminal/many.mjs';
import { startGatehouse, startPlain, startSplit, startTtyd } from './terminal/peers.mjs';
import { exits, lateClient, slowReader } from './terminal/slow.mjs';
import { prepare } from './terminal/texts.mjs';

const MEASURES = {
  flood,
  echo,
  beside: echoBesideFlood,
  first: firstOutput,
  late: lateClient,
  exits,
  slow: slowReader,
  many,
};

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(MEASURES).join(',') },
    peers: { type: 'string', default: 'gatehouse,ttyd,plain' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const wanted = options.only.split(',');
const unknown = wanted.find((name) => !(name in MEASURES));
if (unknown !== undefined) {
  console.error(`There is no measure ${unknown}: ${Object.keys(MEASURES).join(', ')}`);
  process.exit(2);
}

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-bench-')));
const script = prepare(folder);
const STARTS = {
  gatehouse: () => startGatehouse(script, folder),
  ttyd: () => startTtyd(script),
  plain: () => startPlain(script),
  split: () => startSplit(script, folder),
};
const peers = [];
const clients = [new ClientProcess(), new ClientProcess()];
try {
  for (const name of options.peers.split(',')) {
    const peer = await STARTS[name]();
    if (peer === null) console.log(`${name} is not here: measured without it`);
    else peers.push(peer);
  }
  const rounds = Number(options.rounds ?? (options.quick ? 3 : 5));
  for (const name of wanted) await MEASURES[name]({ peers, clients, rounds, quick: options.quick });
} finally {
  for (const client of clients) client.stop();
  for (const peer of peers) await peer.stop();
  rmSync(folder, { recursive: true, force: true });
}
