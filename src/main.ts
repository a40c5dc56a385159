import 'reflect-metadata';
import { ConfigurationError } from './config/load.js';
import { type Gatehouse, startGatehouse } from './gatehouse.js';

/** sysexits.h EX_CONFIG: the configuration is wrong. */
const EXIT_CONFIG = 78;

/** Says what is wrong in plain words, without a stack: the reader is an operator. */
function fail(error: unknown): never {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`gatehouse: ${message}\n`);
  process.exit(error instanceof ConfigurationError ? EXIT_CONFIG : 1);
}

let stopping = false;

function stopOn(signal: NodeJS.Signals, running: Gatehouse): void {
  process.on(signal, () => {
    // A terminal sends Ctrl-C to npm too, which passes it on: one stop is enough.
    if (stopping) return;
    stopping = true;
    running.stop().then(() => process.exit(0), fail);
  });
}

/** How long a start that was interrupted may go on before it is cut off. */
const INTERRUPTED_START_MS = 10_000;

// A signal during the start waits until there is something to stop, for a bounded time.
const early: NodeJS.Signals[] = [];
const remember = (signal: NodeJS.Signals): void => {
  early.push(signal);
  setTimeout(() => {
    fail(new Error('The start was interrupted.'));
  }, INTERRUPTED_START_MS).unref();
};
process.on('SIGINT', remember).on('SIGTERM', remember);

try {
  const running = await startGatehouse();
  process.off('SIGINT', remember).off('SIGTERM', remember);
  stopOn('SIGINT', running);
  stopOn('SIGTERM', running);
  const [interrupted] = early;
  if (interrupted !== undefined) process.kill(process.pid, interrupted);
} catch (error) {
  fail(error);
}
