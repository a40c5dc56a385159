import type { Config } from '../../config/load.js';
import { type Finding, ok, problem, warning } from '../finding.js';
import { isLoopback } from './loopback.js';

/** A network with a shorter prefix is no list of proxies: 10.0.0.0/8 and fd00::/8 are the widest private ones. */
const WIDEST = { 4: 8, 6: 8 } as const;

/** Whether callers come by TLS. */
export function bind(config: Config): Finding {
  const id = 'network.bind';
  const { HOST: host } = config;
  if (config.TLS_ENABLED) return ok(id, `TLS on ${host}`);
  if (isLoopback(host)) return ok(id, `only this machine reaches ${host}`);
  if (config.TLS_TERMINATED_BY_PROXY) {
    return ok(id, `a proxy is said to speak TLS in front of ${host}; let nobody else reach the ports`);
  }
  const mend = 'Set TLS_ENABLED with a certificate, or HOST=127.0.0.1 with a proxy in front that speaks TLS.';
  return problem(id, `no TLS on ${host}, which other machines may reach`, mend);
}

export function proxies(config: Config): Finding {
  const id = 'network.proxies';
  const { TRUSTED_PROXIES: trusted } = config;
  const wide = trusted.filter(isWide);
  if (wide.length > 0) {
    const mend = 'Name the addresses of your proxies only.';
    return problem(id, `TRUSTED_PROXIES has ${wide.join(', ')}: anybody may say what their address is`, mend);
  }
  if (trusted.length === 0 && config.TLS_TERMINATED_BY_PROXY) {
    const mend = 'Set TRUSTED_PROXIES to the address of the proxy.';
    return warning(id, 'all callers have the address of the proxy, and share its limits', mend);
  }
  return ok(id, trusted.length === 0 ? 'nobody is believed about addresses' : `${trusted.length} are trusted`);
}

function isWide(network: string): boolean {
  const [address = '', prefix] = network.split('/');
  return prefix !== undefined && Number(prefix) < WIDEST[address.includes(':') ? 6 : 4];
}
