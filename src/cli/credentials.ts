import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { Failure } from './failure.js';

/** A server of this machine; with TLS where the environment that both share says so. */
export const defaultUrl = (): string => `${variable('TLS_ENABLED') === 'true' ? 'https' : 'http'}://127.0.0.1:8080`;

/** Where the server is, and the key or token for it. */
export interface Credentials {
  readonly url: string;
  readonly token: string;
}

/** The file that `gatehouse login` writes. */
export function credentialsFile(): string {
  return join(variable('XDG_CONFIG_HOME') ?? join(homedir(), '.config'), 'gatehouse', 'credentials.json');
}

/**
 * GATEHOUSE_TOKEN (and GATEHOUSE_URL), else what `gatehouse login` stored.
 * @throws Failure when there are none, or when others could read the file
 */
export function loadCredentials(): Credentials {
  const url = variable('GATEHOUSE_URL');
  const token = variable('GATEHOUSE_TOKEN');
  if (token !== undefined) return { url: serverUrl(url ?? defaultUrl()), token: credential(token, 'GATEHOUSE_TOKEN') };
  const stored = readStored();
  if (stored === null) throw new Failure('there is no credential; set GATEHOUSE_TOKEN, or run `gatehouse login`');
  // A stored token belongs to its server: another address does not get it.
  if (url !== undefined && serverUrl(url) !== stored.url) {
    throw new Failure(`the stored credential is for ${stored.url}; set GATEHOUSE_TOKEN for ${serverUrl(url)}`);
  }
  return stored;
}

/** An empty variable counts as not set, as a shell user expects. */
function variable(name: string): string | undefined {
  return process.env[name] === '' ? undefined : process.env[name];
}

/**
 * The text of a key or token, as it can stand in a header.
 * @param from where it came from, for the message, which does not repeat it
 * @throws Failure when it is anything but printable ASCII without spaces
 */
export function credential(text: string, from: string): string {
  if (!/^[!-~]+$/.test(text)) throw new Failure(`${from} is no key or token: spaces or other characters are in it`);
  return text;
}

export function storeCredentials(credentials: Credentials): string {
  const file = credentialsFile();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // Never into a file that is there: it may be open to others, or be a link to somewhere else.
  const made = `${file}.${randomUUID()}`;
  try {
    writeFileSync(made, `${JSON.stringify(credentials)}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(made, file);
  } catch (error) {
    rmSync(made, { force: true });
    throw error;
  }
  return file;
}

export function removeCredentials(): void {
  rmSync(credentialsFile(), { force: true });
}

/** The address without path or slash. @throws Failure when it is none */
export function serverUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Failure('the address of the server is not an http:// or https:// one');
  }
  return url.origin;
}

function readStored(): Credentials | null {
  const file = credentialsFile();
  let text: string;
  try {
    if ((statSync(file).mode & 0o077) !== 0) {
      throw new Failure(`${file} can be read by others; run \`chmod 600 ${file}\``);
    }
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Failure) throw error;
    return null;
  }
  const stored = parse(text);
  if (stored === null) throw new Failure(`${file} is damaged; run \`gatehouse login\` again`);
  return stored;
}

function parse(text: string): Credentials | null {
  try {
    const { url, token } = JSON.parse(text) as Record<string, unknown>;
    return typeof url === 'string' && typeof token === 'string' && /^[!-~]+$/.test(token)
      ? { url: serverUrl(url), token }
      : null;
  } catch {
    return null;
  }
}
