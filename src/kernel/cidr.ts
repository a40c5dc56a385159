import { BlockList, isIP } from 'node:net';

/** Is this an address or a network, IPv4 or IPv6: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`? */
export function isCidr(text: string): boolean {
  const { address, prefix, family } = split(text);
  if (family === 0 || address.includes('%')) return false;
  if (prefix === null) return true;
  return /^\d{1,3}$/.test(prefix) && String(Number(prefix)) === prefix && Number(prefix) <= bits(family);
}

/**
 * A test whether an address is in one of these networks. IPv4 that is mapped into IPv6 is IPv4.
 * @param cidrs each a valid {@link isCidr}
 */
export function cidrMatcher(cidrs: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const { address, prefix, family } = split(cidr);
    list.addSubnet(address, prefix === null ? bits(family) : Number(prefix), family === 4 ? 'ipv4' : 'ipv6');
  }
  return (address) => {
    const plain = unmapped(address);
    const family = isIP(plain);
    return family !== 0 && list.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/** Is every address of `inner` in one of the `outer` networks? */
export function isWithin(inner: string, outer: readonly string[]): boolean {
  const { address, prefix, family } = split(inner);
  const length = prefix === null ? bits(family) : Number(prefix);
  // A network lies in another when its first address does and it is no wider.
  return outer.some((each) => {
    const wide = split(each);
    const wideLength = wide.prefix === null ? bits(wide.family) : Number(wide.prefix);
    return wide.family === family && wideLength <= length && cidrMatcher([each])(address);
  });
}

/** IPv4 addresses mapped into IPv6 are written as IPv4. */
export const unmapped = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '');

const bits = (family: number): number => (family === 4 ? 32 : 128);

function split(text: string): { address: string; prefix: string | null; family: number } {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  return { address, prefix: slash < 0 ? null : text.slice(slash + 1), family: isIP(address) };
}
