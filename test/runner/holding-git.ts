/** A git that waits where a test wants it to. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { write } from './git-runner.js';
import { until } from './until.js';

/** Stands before git in the PATH: calls of one command wait until they are let go. */
export class Holding {
  readonly #hold: string;
  readonly #held: string;

  constructor(private readonly folder: string) {
    this.#hold = join(folder, 'hold');
    this.#held = join(folder, 'held');
    const real = execFileSync('bash', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
    const waits = `touch '${this.#held}'; while [ -e '${this.#hold}' ]; do sleep 0.02; done`;
    const script = `if [ -e '${this.#hold}' ] && [ "$1" = "$(cat '${this.#hold}')" ]; then ${waits}; fi`;
    write(join(folder, 'bin'), { git: `#!/bin/bash\n${script}\nexec ${real} "$@"\n` });
    chmodSync(join(folder, 'bin', 'git'), 0o755);
  }

  /** Of a runner that is to run it. */
  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${join(this.folder, 'bin')}:${process.env['PATH'] ?? ''}` };
  }

  /** @param command such as `commit-tree` */
  hold(command: string): void {
    rmSync(this.#held, { force: true });
    writeFileSync(this.#hold, command);
  }

  async held(): Promise<void> {
    await until(() => existsSync(this.#held), 'git is held');
  }

  letGo(): void {
    rmSync(this.#hold);
  }
}
