/** URLs as people may see them: queries and user names carry secrets, so they are left out. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';

/** A URL without user name, password, query and fragment, cut where it is long. */
export function displayUrl(url: URL): string {
  return printable(`${url.protocol}//${url.host}${url.pathname}`);
}

/**
 * Parses an http or https URL; `what` names where it comes from.
 * @throws BullaError `http.url-refused`
 */
export function parseHttpUrl(text: string, what: string, base?: URL): URL {
  const url = text.length > longestUrl ? null : URL.parse(text, base);
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  throw new BullaError('http.url-refused', `${what} is not an http or https URL`);
}

const longestUrl = 16_384;
