import { statSync } from 'node:fs';
import { enableCompileCache, setSourceMapsSupport } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareDataDirectory } from './config/data-directory.js';
import { ConfigurationError, loadConfig } from './config/load.js';
import { mask } from './kernel/mask.js';
import { closeInherited } from './kernel/inherited-descriptors.js';

/** sysexits.h EX_CONFIG: the configuration is wrong. */
const EXIT_CONFIG = 78;

/** Says what is wrong in plain words, without a stack: the reader is an operator. */
function fail(error: unknown): never {
  const message = error instanceof Error ? error.message : String(error);
  // What is wrong in the configuration names its variables, which the mask would take for secrets; it has no values of such.
  process.stderr.write(`gatehouse: ${error instanceof ConfigurationError ? message : mask(message)}\n`);
  process.exit(error instanceof ConfigurationError ? EXIT_CONFIG : 1);
}

/** How long a start that was interrupted may go on before it is cut off. */
const INTERRUPTED_START_MS = 30_000;

/**
 * Resolves at the first Ctrl-C or SIGTERM. One listener from first to last: a signal that arrives while one listener is
 * replaced by another is lost. Later ones change nothing: a terminal sends Ctrl-C to npm too, which passes it on.
 */
const interrupted = new Promise<void>((resolve) => {
  process.on('SIGINT', () => {
    resolve();
  });
  process.on('SIGTERM', () => {
    resolve();
  });
});

/** A start that was interrupted goes on until there is something to stop, for a bounded time. */
let started = false;
void interrupted.then(() => {
  setTimeout(() => {
    if (!started) fail(new Error('The start was interrupted.'));
  }, INTERRUPTED_START_MS).unref();
});

/**
 * A third of a start is compiling our dependencies. The cache lies with the build, since who may write it runs our code;
 * where the build is another user's, a cache of ours would be in the way of the next build.
 */
function cacheCompiledCode(): void {
  const build = fileURLToPath(new URL('..', import.meta.url));
  if (statSync(build).uid === process.getuid?.()) enableCompileCache(join(build, 'compile-cache'));
}
// What is open to us by mistake is not passed on to PostgreSQL.
closeInherited();
cacheCompiledCode();
// Stacks of our own code name its sources. Reading everybody else's maps as well would take a tenth of a start.
setSourceMapsSupport(true, { nodeModules: false });

try {
  // A mistake in the variables is told before everything else is loaded, which takes most of a start.
  const config = loadConfig();
  prepareDataDirectory(config.dataDir);
  const { startGatehouse } = await import('./gatehouse.js');
  const gatehouse = await startGatehouse(config);
  started = true;
  await interrupted;
  await gatehouse.stop();
  process.exit(0);
} catch (error) {
  fail(error);
}
