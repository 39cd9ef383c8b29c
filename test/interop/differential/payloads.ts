/** What a signed payload may say: the right document, and every oddity that a reader has to decide on. */

/** Texts put into the document, raw JSON each; `rest` follows the document. */
type Parts = {
  readonly reference: string;
  readonly digest: string;
  readonly type: string;
  readonly optional: string;
  readonly inCritical: string;
  readonly atTop: string;
  readonly inImage: string;
  readonly inIdentity: string;
  readonly before: string;
  readonly rest: string;
};

const type = '"atomic container signature"';

function documentOf(digest: string, reference: string, change: Partial<Parts>): string {
  const parts: Parts = {
    ...{ reference: JSON.stringify(reference), digest: JSON.stringify(digest), type, optional: '{}' },
    ...{ inCritical: '', atTop: '', inImage: '', inIdentity: '', before: '', rest: '' },
    ...change,
  };
  const identity = `{"docker-reference":${parts.reference}${parts.inIdentity}}`;
  const image = `{"docker-manifest-digest":${parts.digest}${parts.inImage}}`;
  const critical = `{"identity":${identity},"image":${image},"type":${parts.type}${parts.inCritical}}`;
  const optional = parts.optional === '' ? '' : `,"optional":${parts.optional}`;
  return `${parts.before}{"critical":${critical}${optional}${parts.atTop}}${parts.rest}`;
}

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** By name: what is odd about a payload. */
const oddities = {
  plain: {},
  'creator and timestamp': { optional: '{"creator":"test 1","timestamp":1700000000}' },
  'creator null': { optional: '{"creator":null}' },
  'creator a number': { optional: '{"creator":1}' },
  'creator an object': { optional: '{"creator":{}}' },
  'creator in upper case': { optional: '{"Creator":1}' },
  'timestamp null': { optional: '{"timestamp":null}' },
  'timestamp a text': { optional: '{"timestamp":"1"}' },
  'timestamp 1e3': { optional: '{"timestamp":1e3}' },
  'timestamp 1.0': { optional: '{"timestamp":1.0}' },
  'timestamp 1.5': { optional: '{"timestamp":1.5}' },
  'timestamp negative': { optional: '{"timestamp":-1}' },
  'timestamp -0': { optional: '{"timestamp":-0}' },
  'timestamp 2^63-1': { optional: '{"timestamp":9223372036854775807}' },
  'timestamp 2^63': { optional: '{"timestamp":9223372036854775808}' },
  'timestamp -2^63': { optional: '{"timestamp":-9223372036854775808}' },
  'timestamp -2^63-2048': { optional: '{"timestamp":-9223372036854777856}' },
  'timestamp 2^53+1': { optional: '{"timestamp":9007199254740993}' },
  'timestamp 1e400': { optional: '{"timestamp":1e400}' },
  'timestamp 1e-400': { optional: '{"timestamp":1e-400}' },
  'timestamp true': { optional: '{"timestamp":true}' },
  'timestamp +1': { optional: '{"timestamp":+1}' },
  'timestamp 01': { optional: '{"timestamp":01}' },
  'optional members': { optional: '{"a":[1,{"b":null}],"c":{"d":1,"d":2},"creator":"x"}' },
  'optional member twice': { optional: '{"a":1,"a":1}' },
  'optional creator twice': { optional: '{"creator":"x","creator":"x"}' },
  'optional missing': { optional: '' },
  'optional null': { optional: 'null' },
  'optional a list': { optional: '[]' },
  'optional a text': { optional: '"x"' },
  'optional twice': { atTop: ',"optional":{}' },
  'optional with lone surrogate': { optional: String.raw`{"a":"\ud800"}` },
  'optional with escaped NUL': { optional: String.raw`{"a":"\u0000"}` },
  'optional with raw control character': { optional: '{"a":"\u0001"}' },
  'optional with DEL': { optional: '{"a":"\u007f"}' },
  'optional with a bad escape': { optional: String.raw`{"a":"\x41"}` },
  'optional with U+2028': { optional: '{"a":"\u2028"}' },
  'optional nested 50 deep': { optional: `{"a":${nested(50)}}` },
  'optional nested 100 deep': { optional: `{"a":${nested(100)}}` },
  'optional nested 20000 deep': { optional: `{"a":${nested(20_000)}}` },
  'optional with an unpaired bracket': { optional: '{"a":[}' },
  'optional with a comma too many': { optional: '{"a":1,}' },
  'optional with a comment': { optional: '{/* x */}' },
  'optional with NaN': { optional: '{"a":NaN}' },
  'unknown member': { atTop: ',"extra":1' },
  'unknown member null': { atTop: ',"extra":null' },
  'critical in upper case too': { atTop: ',"Critical":{}' },
  'critical twice': { atTop: ',"critical":{}' },
  'unknown critical member': { inCritical: ',"extra":1' },
  'type twice': { inCritical: `,"type":${type}` },
  'type twice, once escaped': { inCritical: String.raw`,"\u0074ype":` + type },
  'type null': { type: 'null' },
  'type wrong': { type: '"cosign container image signature"' },
  'type with other case': { type: '"Atomic container signature"' },
  'type escaped': { type: String.raw`"\u0061tomic container signature"` },
  'type with a space more': { type: '"atomic container signature "' },
  'type a number': { type: '1' },
  'unknown image member': { inImage: ',"extra":1' },
  'digest twice': { inImage: `,"docker-manifest-digest":"sha256:${'0'.repeat(64)}"` },
  'digest null': { digest: 'null' },
  'digest a number': { digest: '1' },
  'digest empty': { digest: '""' },
  'digest too short': { digest: `"sha256:${'0'.repeat(63)}"` },
  'digest of zeros': { digest: `"sha256:${'0'.repeat(64)}"` },
  'digest in sha512': { digest: `"sha512:${'0'.repeat(128)}"` },
  'digest in md5': { digest: `"md5:${'0'.repeat(32)}"` },
  'unknown identity member': { inIdentity: ',"extra":1' },
  'reference twice': { inIdentity: ',"docker-reference":"docker.io/library/busybox:latest"' },
  'reference null': { reference: 'null' },
  'reference a number': { reference: '1' },
  'reference empty': { reference: '""' },
  'reference a list': { reference: '[]' },
  'reference without "docker-": none': { reference: '""', inIdentity: ',"reference":"x"' },
  'white space after': { rest: ' \n\t\r' },
  'white space before': { before: ' \n' },
  'text after': { rest: 'x' },
  'another document after': { rest: '{}' },
  'NUL after': { rest: '\u0000' },
  'no-break space after': { rest: '\u00a0' },
  'byte order mark before': { before: '\ufeff' },
} as const satisfies Readonly<Record<string, Partial<Parts>>>;

export type PayloadKind =
  | keyof typeof oddities
  | 'empty'
  | 'no JSON'
  | 'a list'
  | 'null'
  | 'not UTF-8 in optional'
  | 'not UTF-8 in the reference'
  | 'upper-case digest'
  | 'sha256 in upper case'
  | 'keys in another order'
  | 'pretty';

export const payloadKinds: readonly PayloadKind[] = [
  ...(Object.keys(oddities) as (keyof typeof oddities)[]),
  ...(['empty', 'no JSON', 'a list', 'null', 'not UTF-8 in optional', 'not UTF-8 in the reference'] as const),
  ...(['upper-case digest', 'sha256 in upper case', 'keys in another order', 'pretty'] as const),
];

/** The bytes to sign. */
export function payloadOf(kind: PayloadKind, digest: string, reference: string): Uint8Array {
  if (isOddity(kind)) return Buffer.from(documentOf(digest, reference, oddities[kind]));
  return otherPayload(kind, digest, reference);
}

function isOddity(kind: PayloadKind): kind is keyof typeof oddities {
  return Object.hasOwn(oddities, kind);
}

function otherPayload(
  kind: Exclude<PayloadKind, keyof typeof oddities>,
  digest: string,
  reference: string,
): Uint8Array {
  const [algorithm = '', hex = ''] = digest.split(':');
  switch (kind) {
    case 'empty':
      return new Uint8Array();
    case 'no JSON':
      return Buffer.from('hello');
    case 'a list':
      return Buffer.from(`[${documentOf(digest, reference, {})}]`);
    case 'null':
      return Buffer.from('null');
    case 'not UTF-8 in optional':
      return Buffer.from(documentOf(digest, reference, { optional: '{"a":"\u00ff"}' }), 'latin1');
    case 'not UTF-8 in the reference':
      return Buffer.from(documentOf(digest, `${reference}\u00ff`, {}), 'latin1');
    case 'upper-case digest':
      return Buffer.from(documentOf(`${algorithm}:${hex.toUpperCase()}`, reference, {}));
    case 'sha256 in upper case':
      return Buffer.from(documentOf(`${algorithm.toUpperCase()}:${hex}`, reference, {}));
    case 'keys in another order':
      return Buffer.from(
        `{"optional":{},"critical":{"type":${type},"image":{"docker-manifest-digest":"${digest}"},"identity":{"docker-reference":"${reference}"}}}`,
      );
    case 'pretty':
      return Buffer.from(JSON.stringify(JSON.parse(documentOf(digest, reference, {})), undefined, 2));
  }
}
