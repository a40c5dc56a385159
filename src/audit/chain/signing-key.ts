import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, ConfigurationError } from '../../config/load.js';

/** A text and who vouches for it. */
export interface Signed {
  readonly document: string;
  readonly key_id: string;
  /** Ed25519 over the document's UTF-8, base64. */
  readonly signature: string;
}

/** Where in DATA_DIR a key is made when none is given. */
export const MADE_HERE = 'audit-signing-key.pem';

/** Ed25519 keys of the audit trail: one that signs, and those whose signatures count. */
export class SigningKey {
  readonly #trusted = new Map<string, KeyObject>();
  readonly id: string;

  private constructor(
    private readonly key: KeyObject,
    others: readonly KeyObject[],
  ) {
    const own = createPublicKey(key);
    this.id = idOf(own);
    for (const each of [own, ...others]) this.#trusted.set(idOf(each), each);
  }

  /**
   * Reads AUDIT_SIGNING_KEY, or makes a key in DATA_DIR; and AUDIT_VERIFY_KEYS, public keys that signed before.
   * @throws ConfigurationError when a file cannot be read, has other keys in it, or others can read the private one
   */
  static load({ AUDIT_SIGNING_KEY: given, AUDIT_VERIFY_KEYS: others, dataDir }: Config): SigningKey {
    const path = given ?? join(dataDir, MADE_HERE);
    if (given === undefined && !existsSync(path)) makeKey(path);
    return new SigningKey(privateKey(path), others === undefined ? [] : publicKeys(others));
  }

  /** Only for what has no gateway around it. @param key Ed25519 */
  static of(key: KeyObject): SigningKey {
    return new SigningKey(key, []);
  }

  sign(document: string): Signed {
    const signature = sign(null, Buffer.from(document), this.key).toString('base64');
    return { document, key_id: this.id, signature };
  }

  /** Whether one of the keys that count signed this. */
  verifies({ document, key_id, signature }: Signed): boolean {
    const key = this.#trusted.get(key_id);
    return key !== undefined && verify(null, Buffer.from(document), key, Buffer.from(signature, 'base64'));
  }
}

/** What a key is known by: the first 64 bits of the SHA-256 of its public part. */
const idOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);

function makeKey(path: string): void {
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    // Another gateway on this folder was first: its key is as good.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function privateKey(path: string): KeyObject {
  if (readableByOthers(path)) throw wrong('AUDIT_SIGNING_KEY', path, 'a file that only its owner can read (mode 0600)');
  const key = parsed('AUDIT_SIGNING_KEY', path, (pem) => createPrivateKey(pem));
  if (key.asymmetricKeyType !== 'ed25519') throw wrong('AUDIT_SIGNING_KEY', path, 'an Ed25519 private key in PEM');
  return key;
}

function publicKeys(path: string): KeyObject[] {
  const blocks = parsed('AUDIT_VERIFY_KEYS', path, (pem) => pem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g));
  const keys = (blocks ?? []).map((pem) => parsed('AUDIT_VERIFY_KEYS', path, () => createPublicKey(pem)));
  if (keys.length === 0 || keys.some(({ asymmetricKeyType }) => asymmetricKeyType !== 'ed25519'))
    throw wrong('AUDIT_VERIFY_KEYS', path, 'Ed25519 public keys in PEM, one after the other');
  return keys;
}

function readableByOthers(path: string): boolean {
  try {
    return (statSync(path).mode & 0o077) !== 0;
  } catch {
    return false;
  }
}

function parsed<T>(variable: string, path: string, parse: (pem: string) => T): T {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const { code = 'not a key' } = error as NodeJS.ErrnoException;
    throw wrong(variable, path, `a readable key in PEM (${code})`);
  }
}

const wrong = (variable: string, path: string, expected: string): ConfigurationError =>
  new ConfigurationError([`${variable}: found ${JSON.stringify(path)}, expected ${expected}`]);
