import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ConfigurationError } from '../../src/config/load.js';
import { parseMasterKey } from '../../src/config/master-key.js';
import { TenantScope } from '../../src/database/tenant-scope.js';
import { systemClock } from '../../src/kernel/clock.js';
import { lengthPrefixed } from '../../src/kernel/length-prefixed.js';
import { SealBroken, unpacked } from '../../src/sealing/envelope.js';
import { Keyring, type Place, SealKeyMissing } from '../../src/sealing/keyring.js';
import { findKeyring, openKeyring } from '../../src/sealing/master-keys.js';
import { SealedSecrets } from '../../src/sealing/sealed-secrets.js';
import { principal } from '../support/policy.js';

const [OLD, NEW] = [randomBytes(32), randomBytes(32)];
const place: Place = { tenant: 'acme', table: 'sealed_secrets', row: 'slack' };
const text = Buffer.from('xoxb-a-secret');

describe('what is sealed', () => {
  const keyring = new Keyring(OLD);

  it('opens in its place, whatever it is, and looks different each time', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.string(), fc.string(), (content, tenant, row) => {
        const there = { tenant, table: 'recordings', row };
        const sealed = keyring.seal(there, content);
        expect(sealed).toHaveLength(content.length + 37);
        expect(keyring.open(there, sealed)).toEqual(Buffer.from(content));
      }),
    );
    expect(keyring.seal(place, text)).not.toEqual(keyring.seal(place, text));
    expect(keyring.seal(place, text).includes(text)).toBe(false);
  });

  it.each([
    ['another tenant', { tenant: 'umbrella' }],
    ['another table', { table: 'recordings' }],
    ['another row', { row: 'teams' }],
    ['a place that reads the same when put together', { table: 'sealed_secretss', row: 'lack' }],
  ])('does not open in %s', (_what, other) => {
    expect(() => keyring.open({ ...place, ...other }, keyring.seal(place, text))).toThrow(SealBroken);
  });

  it('does not open with any bit of it changed, or any part of it cut off', () => {
    const sealed = keyring.seal(place, text);
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => keyring.open(place, changed)).toThrow(/cannot be opened|is not here/);
    }
    for (let length = 0; length < sealed.length; length += 1) {
      expect(() => keyring.open(place, sealed.subarray(0, length))).toThrow(SealBroken);
    }
    expect(() => keyring.open(place, Buffer.concat([sealed, Buffer.of(0)]))).toThrow(SealBroken);
  });

  it('is refused in one sentence that says nothing of it', () => {
    const broken = (bytes: Buffer): string => {
      try {
        keyring.open(place, bytes);
        return 'opened';
      } catch (error) {
        return String(error);
      }
    };
    const sealed = keyring.seal(place, text);
    const said = [broken(Buffer.of()), broken(Buffer.alloc(100)), broken(sealed.subarray(1)), broken(randomBytes(60))];
    expect(new Set(said.filter((each) => !each.includes('is not here'))).size).toBe(1);
  });

  it('opens under the previous key too, and names the key that is missing', () => {
    const sealed = keyring.seal(place, text);
    const rotated = new Keyring(NEW, OLD);
    expect(rotated.open(place, sealed)).toEqual(text);
    expect(unpacked(rotated.seal(place, text)).keyId).toBe(rotated.keyId);
    expect(() => new Keyring(NEW).open(place, sealed)).toThrow(SealKeyMissing);
    expect(() => new Keyring(NEW).open(place, sealed)).toThrow(`the master key ${keyring.keyId}, which is not here`);
  });

  it('is known by a key id that is not a part of the key', () => {
    expect(keyring.keyId).toMatch(/^[0-9a-f]{16}$/);
    expect(OLD.toString('hex')).not.toContain(keyring.keyId);
    expect(keyring.keyId).toBe(new Keyring(OLD).keyId);
  });

  it('names its place so that no two places are alike', () => {
    const texts = fc.array(fc.string(), { maxLength: 4 });
    fc.assert(
      fc.property(texts, texts, (one, other) => {
        expect(lengthPrefixed(one).equals(lengthPrefixed(other))).toBe(JSON.stringify(one) === JSON.stringify(other));
      }),
    );
    expect(lengthPrefixed(['ab', 'c']).equals(lengthPrefixed(['a', 'bc']))).toBe(false);
  });
});

describe('a master key', () => {
  it('is 32 bytes in base64 or hex', () => {
    for (const written of [OLD.toString('base64'), OLD.toString('base64').replace('=', ''), OLD.toString('hex')]) {
      expect(parseMasterKey(written)).toEqual(OLD);
    }
  });

  it.each([
    ['one byte short', OLD.subarray(1).toString('base64')],
    ['one byte long', Buffer.concat([OLD, Buffer.of(1)]).toString('base64')],
    ['a passphrase', 'correct horse battery staple correct horse'],
    ['zeros', Buffer.alloc(32).toString('hex')],
    ['the same few characters', 'abcdefghabcdefghabcdefghabcdefghabcdefghabc'],
    ['with a line break', `${OLD.toString('base64')}\n`],
    ['nothing', ''],
  ])('is not %s', (_what, written) => {
    expect(parseMasterKey(written)).toBeNull();
  });
});

describe('the master key of a gateway', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-sealing-'));
  const file = join(dataDir, 'encryption-master-key');
  const config = {
    ENCRYPTION_MASTER_KEY: undefined,
    ENCRYPTION_MASTER_KEY_PREVIOUS: undefined,
    production: false,
    dataDir,
  };
  const told: string[] = [];
  const open = (more: object = {}): Keyring | null => openKeyring({ ...config, ...more }, (line) => told.push(line));
  afterAll(() => {
    rmSync(dataDir, { recursive: true });
  });

  it('is not made where it is only looked for, nor in production', () => {
    expect([findKeyring(config), open({ production: true }), readdirSync(dataDir)]).toEqual([null, null, []]);
  });

  it('is made once outside production, closed to others, and is the same at the next start', () => {
    const made = open();
    expect([statSync(file).mode & 0o777, open()?.keyId, findKeyring(config)?.keyId]).toEqual([
      ...[0o600, made?.keyId, made?.keyId],
    ]);
    expect(told).toEqual([expect.stringContaining('ENCRYPTION_MASTER_KEY is not set')]);
    expect(told.join()).not.toContain(readFileSync(file, 'utf8'));
  });

  it('is that of the environment where it is set', () => {
    const set = { ENCRYPTION_MASTER_KEY: NEW.toString('hex'), ENCRYPTION_MASTER_KEY_PREVIOUS: OLD.toString('base64') };
    expect(open(set)?.keyIds).toEqual([new Keyring(NEW).keyId, new Keyring(OLD).keyId]);
  });

  it('is refused when others can read its file, or it was cut off', () => {
    const kept = readFileSync(file, 'utf8');
    chmodSync(file, 0o640);
    expect(() => open()).toThrow(/others may read the secret/);
    chmodSync(file, 0o600);
    writeFileSync(file, kept.slice(0, 40));
    expect(() => open()).toThrow(ConfigurationError);
    expect(() => findKeyring(config)).toThrow(/expected 32 random bytes/);
    writeFileSync(file, kept);
  });

  it('that there is not keeps secrets from being stored, in a sentence for who wants to', async () => {
    const none = new SealedSecrets(new TenantScope({} as never), null, systemClock);
    await expect(none.put(principal({}), 'slack', 'value')).rejects.toMatchObject({ code: 'SEALING_UNAVAILABLE' });
  });
});
