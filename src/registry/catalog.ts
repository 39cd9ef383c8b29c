/** The repositories of a registry, by the catalog that distribution has and the specification does not ask for. */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { tryParseReference } from '../base/reference.ts';
import { displayUrl, type HttpResponse } from '../io/http.ts';
import { answerError } from './answer.ts';
import type { Client } from './client.ts';
import { readPages } from './pages.ts';

const pageBytes = 4_194_304;
const mostRepositories = 100_000;
/** What distribution answers with at most where nothing is asked for, and some registries at all. */
const pageLength = 1000;

/**
 * @returns paths, each once, in the registry's order
 * @throws BullaError `registry.no-catalog` where it has none or shows none to these credentials; `registry.failed` for one that
 *   does not end, goes elsewhere, or names what is no repository; and what the session throws
 */
export async function listRepositories(client: Client): Promise<readonly string[]> {
  const found = new Set<string>();
  await readPages(
    `/v2/_catalog?n=${pageLength}`,
    (target) =>
      client.session.send({ method: 'GET', target, scopes: ['registry:catalog:*'], maxBytes: pageBytes }),
    async (response) => {
      if (response.status !== 200) throw await refusal(response);
      const before = found.size;
      const names = await namesOf(response);
      for (const name of names) found.add(name);
      // a page that says nothing new, and that there is more, says so for ever
      if (names.length > 0 && found.size === before) throw malformed(response, 'repeats itself');
      if (found.size > mostRepositories) {
        throw malformed(response, `has more than ${mostRepositories} repositories`);
      }
    },
  );
  return [...found];
}

/** Docker Hub, GHCR and Quay answer by 401, 403 or 404 whoever asks; so does a registry that shows it to administrators only. */
async function refusal(response: HttpResponse): Promise<BullaError> {
  const error = await answerError(response, 'list the repositories');
  if (![401, 403, 404, 405].includes(response.status)) return error;
  return new BullaError(
    'registry.no-catalog',
    `${error.message}: it has no catalog, or not for these credentials`,
    {
      hint: 'name the repositories one by one, or log in as somebody who may list them',
      cause: error,
    },
  );
}

async function namesOf(response: HttpResponse): Promise<readonly string[]> {
  const names = listOf(await response.bytes(), response);
  return names.map((each) => {
    // what is a repository of any host is one of this
    const parsed = typeof each === 'string' ? tryParseReference(`registry.invalid/${each}`) : undefined;
    if (parsed !== undefined && parsed.path === each) return parsed.path;
    throw malformed(response, `holds "${printable(String(each), 80)}", which is no repository`);
  });
}

function listOf(bytes: Uint8Array, response: HttpResponse): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(textOf(bytes) ?? '');
  } catch (error) {
    if (isBullaError(error)) throw error;
    throw malformed(response, 'is not JSON');
  }
  const isObject = typeof value === 'object' && value !== null;
  const names: unknown = isObject ? (value as { readonly repositories?: unknown }).repositories : undefined;
  if (names === null) return [];
  if (Array.isArray(names)) return names;
  throw malformed(response, 'holds no list of repositories');
}

function malformed(response: HttpResponse, why: string): BullaError {
  return new BullaError('registry.failed', `the catalog ${displayUrl(response.url)} ${why}`);
}
