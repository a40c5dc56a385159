import {
  constants,
  createHmac,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign as signBytes,
} from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A key of an identity provider. */
export interface ProviderKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** As it is published. */
  readonly jwk: JsonWebKey;
}

export function rsaKey(kid: string, modulusLength = 2048): ProviderKey {
  return published(kid, generateKeyPairSync('rsa', { modulusLength }));
}

export function ecKey(kid: string, namedCurve = 'P-256'): ProviderKey {
  return published(kid, generateKeyPairSync('ec', { namedCurve }));
}

function published(kid: string, pair: { publicKey: KeyObject; privateKey: KeyObject }): ProviderKey {
  return { kid, ...pair, jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, use: 'sig' } };
}

/** JSON as it is, or an object to be written as JSON, in a part of a token. */
export const part = (value: object | string | Buffer): string =>
  (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))).toString(
    'base64url',
  );

/** A token of any header and payload, signed for real with the algorithm and key given, whatever the header says. */
export function craft(
  header: object | string | Buffer,
  payload: object | string | Buffer,
  algorithm: string,
  key: KeyObject | string,
): string {
  const signed = `${part(header)}.${part(payload)}`;
  return `${signed}.${signature(algorithm, key, signed).toString('base64url')}`;
}

function signature(algorithm: string, key: KeyObject | string, signed: string): Buffer {
  const hash = `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith('HS')) return createHmac(hash, key).update(signed).digest();
  if (typeof key === 'string') throw new Error('not a private key');
  const input = Buffer.from(signed);
  if (algorithm.startsWith('ES')) return signBytes(hash, input, { key, dsaEncoding: 'ieee-p1363' });
  if (algorithm.startsWith('RS')) return signBytes(hash, input, key);
  const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  return signBytes(hash, input, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

/** A token as a provider issues it. */
export function issue(algorithm: string, key: ProviderKey, claims: object, header: object = {}): string {
  return craft({ alg: algorithm, typ: 'JWT', kid: key.kid, ...header }, claims, algorithm, key.privateKey);
}

/** An HTTPS server on loopback that publishes keys, with a certificate of its own. */
export class KeyServer {
  readonly #handlers = new Map<string, Handler>();
  readonly #requests = new Map<string, number>();

  private constructor(
    private readonly server: Server,
    /** Its files: the certificate, and configurations that a test writes. */
    readonly folder: string,
  ) {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const path = request.url ?? '';
      this.#requests.set(path, this.requests(path) + 1);
      const handler = this.#handlers.get(path);
      if (handler) handler(request, response);
      else response.writeHead(404).end();
    });
  }

  static async start(): Promise<KeyServer> {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
      keySize: 2048,
      algorithm: 'sha256',
      extensions: [
        { name: 'basicConstraints', cA: true },
        { name: 'keyUsage', digitalSignature: true, keyCertSign: true },
        {
          name: 'subjectAltName',
          altNames: [
            { type: 2, value: 'localhost' },
            { type: 7, ip: '127.0.0.1' },
          ],
        },
      ],
    });
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-idp-'));
    writeFileSync(join(folder, 'ca.pem'), cert);
    const server = createServer({ key, cert });
    await new Promise<void>((done) => {
      server.listen(0, '127.0.0.1', done);
    });
    return new KeyServer(server, folder);
  }

  get url(): string {
    return `https://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** What makes a gateway trust this server and read `auth.yaml` of its folder. */
  get environment(): Record<string, string> {
    return { NODE_EXTRA_CA_CERTS: join(this.folder, 'ca.pem'), AUTH_CONFIG: this.configFile };
  }

  get configFile(): string {
    return join(this.folder, 'auth.yaml');
  }

  /** Replaces auth.yaml in one step, as editors do. JSON is YAML. */
  configure(authentication: object | string): void {
    const text = typeof authentication === 'string' ? authentication : JSON.stringify({ authentication });
    writeFileSync(`${this.configFile}.new`, text);
    renameSync(`${this.configFile}.new`, this.configFile);
  }

  /** Publishes keys at a path from now on. */
  publish(path: string, ...keys: readonly object[]): void {
    this.answer(path, (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
    });
  }

  answer(path: string, handler: Handler): void {
    this.#handlers.set(path, handler);
  }

  /** How often a path was asked for. */
  requests(path: string): number {
    return this.#requests.get(path) ?? 0;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
