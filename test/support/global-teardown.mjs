import { rmSync } from 'node:fs';
import { dirname } from 'node:path';

export default async function globalTeardown() {
  const { postgres, dataDir } = globalThis.testPostgres;
  await postgres.stop();
  // As root the cluster is not in the data folder.
  if (!postgres.directory.startsWith(dataDir)) {
    rmSync(dirname(postgres.directory), { recursive: true, force: true });
    rmSync(`${dirname(postgres.directory)}.password`, { force: true });
  }
  rmSync(dataDir, { recursive: true, force: true });
}
