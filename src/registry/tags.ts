/** The tags of a repository. */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { displayUrl, type HttpResponse } from '../io/http.ts';
import { answerError } from './answer.ts';
import { readPages } from './pages.ts';
import { type Client, pullScope } from './client.ts';

const pageBytes = 4_194_304;
const mostTags = 1_000_000;

export async function listTags(client: Client, path: string): Promise<readonly string[]> {
  const tags: string[] = [];
  await readPages(
    `/v2/${path}/tags/list`,
    (target) =>
      client.session.send({ method: 'GET', target, scopes: [pullScope(path)], maxBytes: pageBytes }),
    async (response) => {
      if (response.status !== 200) throw await answerError(response, `list the tags of ${path}`);
      tags.push(...(await tagsOf(response)));
      if (tags.length > mostTags) throw malformed(response, `has more than ${mostTags} tags`);
    },
  );
  return tags;
}

async function tagsOf(response: HttpResponse): Promise<readonly string[]> {
  let value: unknown;
  try {
    value = JSON.parse(textOf(await response.bytes()) ?? '');
  } catch (error) {
    if (error instanceof BullaError) throw error;
    throw malformed(response, 'is not JSON');
  }
  const tags: unknown =
    typeof value === 'object' && value !== null ? (value as { readonly tags?: unknown }).tags : undefined;
  // a repository without tags has null there
  if (tags === null) return [];
  if (!Array.isArray(tags)) throw malformed(response, 'holds no list of tags');
  return tags.map((each: unknown) => {
    if (typeof each === 'string' && /^\w[\w.-]{0,127}$/.test(each)) return each;
    throw malformed(response, `holds "${printable(String(each), 40)}", which is no tag`);
  });
}

function malformed(response: HttpResponse, why: string): BullaError {
  return new BullaError('registry.failed', `the tag list ${displayUrl(response.url)} ${why}`);
}
