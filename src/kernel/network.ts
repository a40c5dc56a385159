import { isIPv6 } from 'node:net';
import { unmapped } from './cidr.js';

const GROUPS = 8;
/** Groups of an address of IPv6 that name its network, a /64: the rest its user may choose as they like. */
const OF_NETWORK = 4;

/**
 * Whom an address stands for, when calls are counted: itself, or of IPv6 its /64. IPv4 that is mapped into IPv6 is IPv4.
 * @param address as text; what is no address stands for itself
 */
export function networkOf(address: string): string {
  const plain = unmapped(address);
  if (!plain.includes(':')) return plain;
  const [bare = ''] = plain.split('%');
  if (!isIPv6(bare)) return plain;
  const [head = '', tail] = bare.split('::');
  const front = groupsOf(head);
  const back = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array<number>(Math.max(0, GROUPS - front.length - back.length)).fill(0);
  const groups = [...front, ...zeros, ...back];
  // The same address, written in hexadecimal.
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) return dotted(groups);
  return `${groups
    .slice(0, OF_NETWORK)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** The 16-bit groups of a part of an address; its end may be written as IPv4. */
function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

const dotted = (groups: readonly number[]): string =>
  groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join('.');
