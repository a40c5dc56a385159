/** The client's process: what the measures ask of it, it does away from the one that measures. */
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import { percentile } from './figures.mjs';
import { cpuSeconds } from './processes.mjs';
import { Wire } from './wire.mjs';

const WAIT_MS = 60_000;
const READY = 'ready';
const WARM_KEYS = 1000;

/** Connections that outlive one call, by name. */
const held = new Map();

/** Resolves when `done` is called by what `begin` sets up; rejects when nothing happened for long. */
function within(what, begin, ms = WAIT_MS) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
    begin((value) => {
      clearTimeout(timer);
      resolve(value);
    }, reject);
  });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Opens a connection and waits until so many bytes have come. */
async function openUntil(target, bytes) {
  const wire = new Wire(target);
  await within(`output of ${target.path}`, (done, fail) => {
    wire.onOutput = () => {
      if (wire.bytes >= bytes) done();
    };
    wire.onClose = () => fail(new Error(`${target.path} was closed`));
  });
  wire.onOutput = null;
  return wire;
}

/** One key, and how long until it came back. */
function keystroke(wire, ms) {
  return within(
    'echo',
    (done) => {
      const began = performance.now();
      wire.onOutput = () => {
        wire.onOutput = null;
        done(performance.now() - began);
      };
      wire.type('x');
    },
    ms,
  );
}

const calls = {
  /** Reads `bytes` of a flood after a warm-up. @returns seconds it took, and the servers' CPU seconds meanwhile */
  async flood({ target, bytes, warmup, pids }) {
    const wire = await openUntil(target, warmup);
    const from = wire.bytes;
    const cpu = cpuSeconds(pids);
    const began = performance.now();
    await within('flood', (done) => {
      wire.onOutput = () => {
        if (wire.bytes - from >= bytes) done();
      };
    });
    const seconds = (performance.now() - began) / 1000;
    const used = cpuSeconds(pids) - cpu;
    const read = wire.bytes - from;
    wire.destroy();
    return { seconds, cpu: used, bytes: read };
  },

  /** Opens connections and keeps them; resolves when each has had its first output. */
  async hold({ name, targets, reading = true }) {
    const began = performance.now();
    const opened = await Promise.allSettled(targets.map((target) => openUntil(target, 1)));
    const wires = opened.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
    if (!reading) for (const wire of wires) wire.socket.pause();
    held.set(name, [...(held.get(name) ?? []), ...wires]);
    const refused = opened.find(({ status }) => status === 'rejected')?.reason.message;
    return { served: wires.length, seconds: (performance.now() - began) / 1000, refused };
  },

  async drop({ name }) {
    for (const wire of held.get(name) ?? []) wire.destroy();
    held.delete(name);
    await pause(10);
  },

  /** Bytes of output that the connections of this name have had. */
  async received({ name }) {
    return (held.get(name) ?? []).map(({ bytes }) => bytes);
  },

  /** Reads one piece every tenth of a second, until told otherwise by `drop`. */
  async crawl({ name }) {
    for (const wire of held.get(name)) {
      const next = () => {
        if (wire.closed) return;
        wire.onOutput = () => wire.socket.pause();
        wire.socket.resume();
        setTimeout(next, 100);
      };
      next();
    }
  },

  /** Types keys into an echoing terminal, one after the other. @returns milliseconds until each came back */
  async echo({ target, keys }) {
    const wire = await openUntil(target, READY.length);
    const times = [];
    // A server that has been in use for a while: what it runs most was compiled.
    for (let key = 0; key < WARM_KEYS; key += 1) await keystroke(wire, WAIT_MS);
    for (let key = 0; key < keys; key += 1) {
      await pause(2 + Math.random() * 6);
      times.push(await keystroke(wire, WAIT_MS));
    }
    wire.destroy();
    return times;
  },

  /** Types into all connections of this name, spread evenly over `seconds`, `keys` into each. */
  async echoAll({ name, keys, seconds }) {
    const wires = held.get(name);
    const times = [];
    let lost = 0;
    const one = async (wire, index) => {
      await pause((index / wires.length) * 1000);
      for (let key = 0; key < keys; key += 1) {
        const began = performance.now();
        await keystroke(wire, 20_000).then(
          (took) => times.push(took),
          () => (lost += 1),
        );
        await pause(Math.max(0, (seconds / keys) * 1000 - (performance.now() - began)));
      }
    };
    await Promise.all(wires.map(one));
    return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), lost };
  },

  /** From the upgrade until so much output is there. */
  async firstOutput({ target, bytes = 1 }) {
    const began = performance.now();
    const wire = await openUntil(target, bytes);
    const took = performance.now() - began;
    wire.destroy();
    return took;
  },

  /** From the upgrade until the whole snapshot is there; null when the server sends none. */
  async snapshot({ target }) {
    const began = performance.now();
    const wire = new Wire(target);
    const took = await within('snapshot', (done) => {
      wire.onControl = (message) => {
        if (message.type === 'attached' && message.snapshot !== true) done(null);
      };
      wire.onSnapshot = (_length, prefix) => {
        if ((prefix[1] & 1) === 1) done(performance.now() - began);
      };
    });
    wire.destroy();
    return took;
  },

  /** Reads until the server closes. @returns how much output came */
  async all({ target }) {
    const wire = new Wire(target);
    await within('end', (done) => (wire.onClose = done));
    return wire.bytes;
  },
};

process.on('message', ({ id, name, args }) => {
  // Not in the turn of the message: the reading of sockets goes first.
  setImmediate(async () => {
    try {
      process.send({ id, value: await calls[name](args) });
    } catch (error) {
      process.send({ id, error: error.message });
    }
  });
});
process.on('disconnect', () => process.exit());
