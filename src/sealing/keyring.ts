import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { lengthPrefixed } from '../kernel/length-prefixed.js';
import { headerOf, KEY_ID_BYTES, NONCE_BYTES, packed, SealBroken, unpacked } from './envelope.js';

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;

/** Where something sealed lies. It opens there and nowhere else. */
export interface Place {
  readonly tenant: string;
  readonly table: string;
  /** What names the row in its table and tenant. */
  readonly row: string;
}

/** Sealed under a master key that is not here. */
export class SealKeyMissing extends Error {
  /** @param keyId of the key that it needs; no secret */
  constructor(readonly keyId: string) {
    super(
      `It is sealed under the master key ${keyId}, which is not here: set that key as ENCRYPTION_MASTER_KEY, or as ` +
        'ENCRYPTION_MASTER_KEY_PREVIOUS.',
    );
    this.name = 'SealKeyMissing';
  }
}

/** A master key, and what it is known by. */
interface MasterKey {
  readonly id: string;
  readonly bytes: Buffer;
}

/**
 * Seals with AES-256-GCM under a key of the tenant, which HKDF-SHA-256 (RFC 5869) derives from the master key. Tenant,
 * table and row are vouched for with the content: moved to another row, it does not open.
 *
 * The nonce is random. For one tenant some four billion envelopes may be made under one master key before two nonces are
 * likelier the same than NIST SP 800-38D allows; then it is time for another master key.
 */
export class Keyring {
  readonly #current: MasterKey;
  readonly #known: ReadonlyMap<string, MasterKey>;

  /**
   * @param current 32 bytes; seals and opens
   * @param previous 32 bytes; opens only
   */
  constructor(current: Buffer, previous: Buffer | null = null) {
    this.#current = masterKey(current);
    const all = previous === null ? [this.#current] : [this.#current, masterKey(previous)];
    this.#known = new Map(all.map((key) => [key.id, key]));
  }

  /** Which master key seals now: 16 hex digits, no secret. */
  get keyId(): string {
    return this.#current.id;
  }

  /** Those that can be opened. */
  get keyIds(): readonly string[] {
    return [...this.#known.keys()];
  }

  /** @returns the envelope, 37 bytes longer than the content */
  seal(place: Place, content: Uint8Array): Buffer {
    const { id: keyId } = this.#current;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, tenantKey(this.#current, place.tenant), nonce);
    cipher.setAAD(vouchedFor(keyId, place));
    const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
    return packed({ keyId, nonce, ciphertext, tag: cipher.getAuthTag() });
  }

  /**
   * The content of an envelope that was sealed for this place.
   * @throws SealKeyMissing naming the master key that is not here; SealBroken for everything else
   */
  open(place: Place, bytes: Uint8Array): Buffer {
    const { keyId, nonce, ciphertext, tag } = unpacked(bytes);
    const key = this.#known.get(keyId);
    if (key === undefined) throw new SealKeyMissing(keyId);
    const decipher = createDecipheriv(ALGORITHM, tenantKey(key, place.tenant), nonce, { authTagLength: tag.length });
    decipher.setAAD(vouchedFor(keyId, place));
    decipher.setAuthTag(tag);
    try {
      return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
    } catch {
      throw new SealBroken();
    }
  }
}

const masterKey = (bytes: Buffer): MasterKey => ({
  id: derived(bytes, 'gatehouse sealing key id', KEY_ID_BYTES).toString('hex'),
  bytes,
});

/** The tenant by its SHA-256: what Node takes here is bounded. */
const tenantKey = ({ bytes }: MasterKey, tenant: string): Buffer =>
  derived(bytes, `gatehouse sealing ${createHash('sha256').update(tenant).digest('hex')}`, KEY_BYTES);

const derived = (master: Buffer, info: string, bytes: number): Buffer =>
  Buffer.from(hkdfSync('sha256', master, '', info, bytes));

const vouchedFor = (keyId: string, { tenant, table, row }: Place): Buffer =>
  Buffer.concat([headerOf(keyId), lengthPrefixed([tenant, table, row])]);
