/** Answers in pages (RFC 8288 Link headers), bounded and followed at the same registry only. */
import { BullaError } from '../base/errors.ts';
import { displayUrl, type HttpResponse, parseHttpUrl } from '../io/http.ts';

/** More pages than any list needs; a registry that names more is going in circles. */
const mostPages = 1_000;

/** Reads pages until there is no next one. `read` gets a page's answer once its status was accepted. */
export async function readPages(
  first: string,
  get: (target: string | URL) => Promise<HttpResponse>,
  read: (response: HttpResponse) => Promise<void>,
): Promise<void> {
  const seen = new Set<string>();
  let target: string | URL | undefined = first;
  while (target !== undefined) {
    const response: HttpResponse = await get(target);
    await read(response);
    const next = nextPage(response);
    if (next !== undefined && (seen.has(next.href) || seen.size >= mostPages)) {
      throw new BullaError('registry.failed', `the pages of ${displayUrl(response.url)} do not end`);
    }
    if (next !== undefined) seen.add(next.href);
    target = next;
  }
}

function nextPage(response: HttpResponse): URL | undefined {
  const link = response.headers['link'];
  if (link === undefined) return undefined;
  for (const match of link.matchAll(/<([^>]*)>((?:\s*;[^,<]*)?)/g)) {
    if (!/;\s*rel\s*=\s*"?next"?\s*(?:;|$)/i.test(match[2] ?? '')) continue;
    const url = parseHttpUrl(match[1] ?? '', 'the link to the next page', response.url);
    if (url.origin === response.url.origin) return url;
    throw new BullaError(
      'registry.failed',
      `the next page of ${displayUrl(response.url)} is at another server`,
    );
  }
  return undefined;
}
