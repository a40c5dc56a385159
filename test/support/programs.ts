import { type ExecFileException, execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setDefaultCACertificates, getCACertificates } from 'node:tls';

/**
 * Whether a program of the system is there. Where it is not its tests are skipped, and say so; a machine that checks for
 * others (CI) may not skip any.
 */
export function hasProgram(name: string): boolean {
  const there = (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (there) return true;
  if (process.env['CI'] !== undefined) throw new Error(`${name} is not installed, and CI is set`);
  console.warn(`SKIPPED: tests that need ${name} (apt-get install ${name})`);
  return false;
}

/** What a program said, on both its outputs, and its exit status. */
export interface Said {
  readonly status: number;
  readonly text: string;
}

/** Runs a program of the system to its end. @param input what it reads */
export function run(program: string, args: readonly string[], input = ''): Promise<Said> {
  return new Promise((done) => {
    const child = execFile(
      program,
      args,
      { timeout: 20_000, env: { PATH: process.env['PATH'] } },
      (error: ExecFileException | null, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        done({ status, text: stdout + stderr });
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

const trusted: string[] = [];

/** Has the clients of this process trust a certificate, PEM. */
export function trust(certificate: string): void {
  trusted.push(certificate);
  setDefaultCACertificates([...getCACertificates('default'), certificate]);
}

/** The same for those who have to be told: gRPC. */
export const trustedRoots = (): Buffer => Buffer.from(trusted.join('\n'));
