/** Which proxy a URL goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY read as Go's httpproxy reads them. */
import { BullaError } from '../base/errors.ts';

/**
 * The proxy's URL, or undefined for a direct connection: none is set, NO_PROXY names the host, or
 * the host is this machine (localhost, loopback addresses), which Go never sends to a proxy.
 * @throws BullaError `usage.unsupported` for a proxy that is not http or https
 */
export function proxyFor(url: URL, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = env[name] ?? env[name.toLowerCase()] ?? '';
  if (value === '') return undefined;
  const host = hostOf(url);
  if (isLoopback(host) || isExcluded(host, portOf(url), env['NO_PROXY'] ?? env['no_proxy'] ?? '')) {
    return undefined;
  }
  const proxy = URL.parse(/^[a-z0-9+.-]+:\/\//i.test(value) ? value : `http://${value}`);
  if (proxy === null || (proxy.protocol !== 'http:' && proxy.protocol !== 'https:')) {
    // its value is not repeated: it may hold a password
    throw new BullaError('usage.unsupported', `${name} names a proxy that is not http or https`);
  }
  return proxy.href;
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
}

function portOf(url: URL): string {
  if (url.port !== '') return url.port;
  return url.protocol === 'https:' ? '443' : '80';
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function isExcluded(host: string, port: string, list: string): boolean {
  return list.split(',').some((entry) => {
    const text = entry.trim().toLowerCase();
    return text === '*' || (text !== '' && matches(text, host, port));
  });
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry.includes('/')) return isInRange(host, entry);
  const split = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(entry);
  const name = (split?.[1] ?? entry).replace(/^\[|\]$/g, '').replace(/^\*\./, '.');
  if (split?.[2] !== undefined && split[2] !== port) return false;
  // ".example.com" means what is below it, "example.com" the host itself too
  if (name.startsWith('.')) return host.endsWith(name);
  return host === name || (!isAddress(host) && host.endsWith(`.${name}`));
}

function isAddress(host: string): boolean {
  return process.getBuiltinModule('node:net').isIP(host) !== 0;
}

function isInRange(host: string, range: string): boolean {
  const net = process.getBuiltinModule('node:net');
  const [base = '', bits = ''] = range.split('/');
  const family = net.isIPv6(base) ? 'ipv6' : 'ipv4';
  if (net.isIP(host) !== (family === 'ipv6' ? 6 : 4) || net.isIP(base) === 0) return false;
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > (family === 'ipv6' ? 128 : 32)) return false;
  const list = new net.BlockList();
  list.addSubnet(base, Number(bits), family);
  return list.check(host, family);
}
