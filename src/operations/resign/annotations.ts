/** What an old signature says besides (cosign's `-a`), so that the new one says it too: `cosign verify -a` asks for it. */
import type { Digest } from '../../base/digest.ts';
import { hexOf } from '../../base/digest.ts';
import { textOf } from '../../base/bytes.ts';
import { type JsonValue, parseJson } from '../../base/json.ts';
import { parseBundle } from '../../formats/bundle-parse.ts';
import { parseStatement } from '../../formats/statement.ts';
import type { StoredLike } from '../../trust/verdict.ts';

export type Annotations = Readonly<Record<string, string>>;

/**
 * The texts among a sigstore signature's own annotations, by name. Only of a signature that was verified; GPG ones have none.
 * @throws BullaError what parsing throws, which a verified signature does not
 */
export function annotationsOf({ signature }: Pick<StoredLike, 'signature'>, digest: Digest): Annotations {
  switch (signature.format) {
    case 'cosign': {
      const payload = parseJson(textOf(signature.payload) ?? '', 'payload');
      const { creator: _creator, timestamp: _timestamp, ...more } = textsOf(memberOf(payload, 'optional'));
      return more;
    }
    case 'bundle': {
      const { content } = parseBundle(signature.json);
      if (content.kind !== 'dsse') return {};
      const { subjects } = parseStatement(content.payload);
      const subject = subjects.find(({ digests }) => digests.get('sha256') === hexOf(digest));
      return texts([...(subject?.annotations ?? [])]);
    }
    case 'simple':
    case 'attestation':
    case 'notary':
    case 'unreadable':
      return {};
  }
}

function memberOf(value: JsonValue, name: string): JsonValue | undefined {
  return value.kind === 'object' ? value.members.find(({ key }) => key === name)?.value : undefined;
}

function textsOf(value: JsonValue | undefined): Annotations {
  return value?.kind === 'object'
    ? texts(value.members.map(({ key, value: each }) => [key, each] as const))
    : {};
}

/** In the order of their names, so that the same ones look the same. */
function texts(members: readonly (readonly [string, JsonValue])[]): Annotations {
  const found = members.flatMap(([name, value]) =>
    value.kind === 'string' ? [[name, value.value] as const] : [],
  );
  return Object.fromEntries(found.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export function sameAnnotations(one: Annotations, other: Annotations): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
