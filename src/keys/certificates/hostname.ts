/** Whether a certificate is for a host: Go's rules (x509.Certificate.VerifyHostname), as containers/image has them. */
import { bytesEqual } from '../../base/bytes.ts';
import type { SubjectNames } from './extensions.ts';

/**
 * Compares a configured host name or IP address with the DNS names and addresses of a certificate. `*`
 * stands for one whole first label; capitals do not count; a name that is no host name matches only itself.
 */
export function isForHost({ dnsNames, addresses }: SubjectNames, host: string): boolean {
  const bare = /^\[(.+)\]$/s.exec(host)?.[1] ?? host;
  const address = addressOf(bare);
  if (address !== undefined) return addresses.some((each) => bytesEqual(mapped(each), address));
  const wanted = lowerAscii(host);
  const isName = isHostName(wanted.replace(/\.$/, ''), false);
  return dnsNames.some((pattern) => {
    const name = lowerAscii(pattern);
    return isName && isHostName(pattern, true)
      ? matches(name, wanted.replace(/\.$/, ''))
      : isSame(name, wanted);
  });
}

function isSame(name: string, wanted: string): boolean {
  return name === wanted && name !== '' && name !== '.';
}

function matches(pattern: string, host: string): boolean {
  const [first, ...rest] = pattern.split('.');
  const [label, ...others] = host.split('.');
  return (
    (first === '*' || first === label) && rest.length === others.length && rest.join('.') === others.join('.')
  );
}

function isHostName(text: string, isPattern: boolean): boolean {
  if (text === '' || text === '*') return false;
  return text
    .split('.')
    .every(
      (label, index) => /^[a-z0-9_][a-z0-9_-]*$/i.test(label) || (isPattern && index === 0 && label === '*'),
    );
}

/** Only ASCII letters: no other letter folds into a host name's. */
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Four bytes as the sixteen of an IPv4 address in IPv6. */
function mapped(address: Uint8Array): Uint8Array {
  return address.length === 4 ? Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address) : address;
}

/** Sixteen bytes of an IP address, or undefined where the text is none. */
function addressOf(text: string): Uint8Array | undefined {
  const four = fourOf(text);
  if (four !== undefined) return mapped(Uint8Array.from(four));
  if (!/^[0-9a-f:.]{2,45}$/i.test(text) || !text.includes(':')) return undefined;
  const [before = '', after, ...more] = text.split('::');
  const [head, tail] = [groupsOf(before), groupsOf(after ?? '')];
  if (more.length > 0 || head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (after === undefined ? missing !== 0 : missing < 2) return undefined;
  return Uint8Array.from([...head, ...Array.from({ length: missing }, () => 0), ...tail]);
}

/** The bytes of `a:b:c` or `a:b:1.2.3.4`. */
function groupsOf(text: string): readonly number[] | undefined {
  if (text === '') return [];
  const groups = text.split(':');
  const bytes = groups.map((group, index) => {
    if (index === groups.length - 1 && group.includes('.')) return fourOf(group);
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
    const number = Number.parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
  return bytes.includes(undefined) ? undefined : bytes.flatMap((each) => each ?? []);
}

function fourOf(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  const isAddress =
    parts.length === 4 && parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256);
  return isAddress ? parts.map(Number) : undefined;
}
