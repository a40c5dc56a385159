import { type Stats, statSync } from 'node:fs';
import { type Finding, ok, problem, skipped, warning } from '../finding.js';

/** A file, and what it is for people: a variable, or its name in DATA_DIR. */
export interface SecretFile {
  readonly name: string;
  readonly path: string;
}

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

const octal = ({ mode }: Stats): string => (mode & 0o777).toString(8);
/** What a file is; null when it is not there, or not for this user to see. */
export const statOf = (path: string): Stats | null => {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null;
  } catch {
    return null;
  }
};
const isForeign = ({ uid }: Stats): boolean => uid !== process.getuid?.();

export function dataDirectory(path: string): Finding {
  const id = 'files.data_dir';
  const name = JSON.stringify(path);
  const found = statOf(path);
  if (found === null)
    return skipped(id, `${name} is not there yet, or not for this user to see; the first start makes it`);
  if (!found.isDirectory()) return problem(id, `${name} is no folder`, 'Let DATA_DIR name a folder.');
  if (isForeign(found)) {
    return problem(
      id,
      `${name} belongs to the user with the number ${found.uid}`,
      'Run this as the user of the gateway.',
    );
  }
  if ((found.mode & OTHERS_WRITE) !== 0) {
    const mend = `Run \`chmod 700\` on it, and look whether anything in it is not the gateway's.`;
    return problem(id, `other users may write ${name} (mode ${octal(found)})`, mend);
  }
  if ((found.mode & OTHERS) !== 0) {
    return warning(id, `other users may look into ${name} (mode ${octal(found)})`, 'Run `chmod 700` on it.');
  }
  return ok(id, `${name} is closed to others`);
}

/** Those that are there. */
export function secretFiles(files: readonly SecretFile[]): Finding {
  const id = 'files.secrets';
  const there = files.flatMap((file) => {
    const found = statOf(file.path);
    return found === null ? [] : [{ ...file, found }];
  });
  const open = there.filter(({ found }) => (found.mode & OTHERS) !== 0);
  if (open.length > 0) {
    const named = open.map(({ name, path, found }) => `${name}: ${JSON.stringify(path)} (mode ${octal(found)})`);
    const mend = 'Run `chmod 600` on each; if somebody may have read one, replace it (docs/rotating-secrets.md).';
    return problem(id, `other users may read\n${named.join('\n')}`, mend);
  }
  if (there.length === 0) return skipped(id, 'no files with secrets are there');
  return ok(id, `${there.length} files with secrets are closed to others`);
}

/** @param path of `.env`, which is read outside production only */
export function envFile(path: string, production: boolean): Finding {
  const id = 'files.env';
  const found = production ? null : statOf(path);
  if (found === null) return skipped(id, production ? 'not read in production' : 'there is none');
  if ((found.mode & OTHERS) === 0) return ok(id, 'closed to others');
  return warning(id, `other users may read ${JSON.stringify(path)} (mode ${octal(found)})`, 'Run `chmod 600` on it.');
}
