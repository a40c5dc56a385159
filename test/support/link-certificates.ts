import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** A certificate and its key, PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

type Use = 'serverAuth' | 'clientAuth';

/** What is unusual about a certificate. */
interface Unusual {
  readonly from?: Date;
  readonly to?: Date;
  /** Who it is for, instead of `gatehouse`. */
  readonly name?: string;
}

const EC = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;

/** An authority of its own, which signs the certificates of runners and gateways. */
export class Authority {
  private constructor(
    readonly cert: string,
    private readonly key: string,
  ) {}

  static async make(): Promise<Authority> {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'an authority' }], {
      ...EC,
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, critical: true },
      ],
    });
    return new Authority(cert, key);
  }

  /** @param use what for; without one the certificate does not say */
  async issue(
    names: readonly string[],
    use?: Use,
    addresses: readonly string[] = [],
    { from, to, name = 'gatehouse' }: Unusual = {},
  ): Promise<Issued> {
    const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
      ...EC,
      ...{ ...(from ? { notBeforeDate: from } : {}), ...(to ? { notAfterDate: to } : {}) },
      ca: { cert: this.cert, key: this.key },
      extensions: [
        { name: 'basicConstraints', cA: false, critical: true },
        ...(use === undefined ? [] : [{ name: 'extKeyUsage', [use]: true } as const]),
        {
          name: 'subjectAltName',
          altNames: [
            ...names.map((value) => ({ type: 2, value }) as const),
            ...addresses.map((ip) => ({ type: 7, ip }) as const),
          ],
        },
      ],
    });
    return { cert, key };
  }

  runner(): Promise<Issued> {
    return this.issue(['localhost'], 'serverAuth', ['127.0.0.1']);
  }

  gateway(name = 'gateway-1.test'): Promise<Issued> {
    return this.issue([name], 'clientAuth');
  }
}

/** A folder with certificates and keys. */
export class CertificateFolder {
  readonly #folder = mkdtempSync(join(tmpdir(), 'gatehouse-link-'));

  path(name: string): string {
    return join(this.#folder, name);
  }

  /** Writes a file; its path. */
  put(name: string, text: string, mode = 0o600): string {
    writeFileSync(this.path(name), text, { mode });
    return this.path(name);
  }

  /** Writes the three files of one side. */
  side(name: string, { cert, key }: Issued, authority: Authority): { cert: string; key: string; ca: string } {
    return {
      cert: this.put(`${name}.crt`, cert),
      key: this.put(`${name}.key`, key),
      ca: this.put(`${name}-ca.crt`, authority.cert),
    };
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The flags of a runner that lets gateways of other machines in. */
export function runnerFlags(
  files: { readonly cert: string; readonly key: string; readonly ca: string },
  ports: { readonly control: number; readonly bytes: number },
): string[] {
  return [
    ...['--listen', '127.0.0.1', '--control-port', String(ports.control), '--bytes-port', String(ports.bytes)],
    ...['--tls-cert', files.cert, '--tls-key', files.key, '--tls-ca', files.ca],
  ];
}
