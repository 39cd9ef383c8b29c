/** The embedded registry's answers: the distribution specification's error bodies and pages of lists. */

/** OCI distribution specification 1.1, "Error Codes". */
export type FaultCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNSUPPORTED';

/** An error as the specification words it. */
export function fault(status: number, code: FaultCode, message: string): Response {
  return Response.json({ errors: [{ code, message, detail: null }] }, { status });
}

/** An answer without a body; HEAD answers carry the headers of the GET. */
export function bare(status: number, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(null, { status, headers });
}

export type Page<Item> = { readonly items: readonly Item[]; readonly next: string | undefined };

/**
 * One page of a list that is sorted by its names: those after `last`, at most `n` of them.
 * Undefined where `n` is no number; `next` is the query of the following page.
 */
export function pageOf<Item>(
  items: readonly Item[],
  nameOf: (item: Item) => string,
  query: URLSearchParams,
  most: number,
): Page<Item> | undefined {
  const asked = query.get('n');
  if (asked !== null && !/^\d{1,9}$/.test(asked)) return undefined;
  const count = Math.min(asked === null ? most : Number(asked), most);
  const last = query.get('last');
  const rest = last === null ? items : items.filter((item) => nameOf(item) > last);
  const page = rest.slice(0, count);
  const end = page.at(-1);
  if (end === undefined || rest.length <= count) return { items: page, next: undefined };
  const next = new URLSearchParams(query);
  next.set('n', String(count));
  next.set('last', nameOf(end));
  return { items: page, next: next.toString() };
}

/** The Link header of a page (RFC 8288), if another page follows. */
export function linkTo(path: string, next: string | undefined): Record<string, string> {
  return next === undefined ? {} : { link: `<${path}?${next}>; rel="next"` };
}
