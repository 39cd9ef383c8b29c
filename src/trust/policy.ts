/**
 * policy.json (containers-policy.json.5), parsed as strictly as containers/image does: the same
 * file serves podman, CRI-O and Bulla, and a file that one of them refuses is refused by all.
 */
import { BullaError, isBullaError } from '../base/errors.ts';
import { parseJson } from '../base/json.ts';
import { malformed, type Node, placeOf, type PolicyText, readFields, readObject } from './fields.ts';
import { type ParseRequirement, parseRequirements } from './parse-requirement.ts';
import type { NamedRoot, NamedSigner, Requirement, Source } from './requirement.ts';
import { scopeFault } from './scope-syntax.ts';

/** The requirements of one scope; `source` is where its key stands. */
export type Scope = { readonly source: Source; readonly requirements: readonly Requirement[] };

/** A parsed policy. Scopes keep the file's order; the scope "" is a transport's own default. */
export type Policy = PolicyText & {
  readonly default: readonly Requirement[];
  readonly transports: ReadonlyMap<string, ReadonlyMap<string, Scope>>;
  /** trust.yaml: which stores are looked at. `configured`, as for a policy.json: what registries.d turns on. */
  readonly stores?: 'everywhere' | 'configured';
  /** trust.yaml: everybody and every root that is named, used or not. */
  readonly signers?: readonly NamedSigner[];
  readonly roots?: readonly NamedRoot[];
};

/**
 * Parses the text of a policy.json.
 * @param file names the text in errors
 * @throws BullaError `policy.malformed`, its message with `file:line:column` and the JSON path
 */
export function parsePolicy(text: string, file: string): Policy {
  const root: Node = { policy: { text, file }, path: '$', value: parseText(text, file) };
  const { members } = readFields(root, ['default', 'transports']);
  const fallback = members.get('default');
  if (fallback === undefined) {
    throw malformed(root, 'the key "default" is missing', 'a policy must say what holds where no scope does');
  }
  const transports = members.get('transports');
  return {
    text,
    file,
    default: parseRequirements(fallback),
    transports: transports === undefined ? new Map() : parseTransports(transports),
  };
}

function parseText(text: string, file: string): Node['value'] {
  try {
    return parseJson(text, file);
  } catch (error) {
    if (!isBullaError(error, 'json.malformed')) throw error;
    const comment = /^[^"]*(?:\/\/|\/\*|#)/m.test(text);
    throw new BullaError(
      'policy.malformed',
      error.message,
      comment ? { hint: 'JSON knows no comments' } : {},
    );
  }
}

/**
 * Parses the scopes of every transport.
 * @param parse reads one requirement
 * @throws BullaError `policy.malformed`
 */
export function parseTransports(node: Node, parse?: ParseRequirement): Policy['transports'] {
  // any name is allowed: a policy may speak of transports that this program does not know
  const { members } = readObject(node, () => undefined);
  return new Map(
    [...members].map(([transport, scopes]) => [transport, parseScopes(scopes, transport, parse)]),
  );
}

function parseScopes(
  node: Node,
  transport: string,
  parse: ParseRequirement | undefined,
): ReadonlyMap<string, Scope> {
  const { members } = readObject(node, (scope) => {
    const hint = scopeFault(transport, scope);
    return hint === undefined ? undefined : { why: `no scope of transport ${transport}`, hint };
  });
  return new Map(
    [...members].map(([scope, member]) => [
      scope,
      {
        source: { offset: member.keyOffset, path: member.path },
        requirements: parseRequirements(member, parse),
      },
    ]),
  );
}

/** `file:line:column: JSON path` of what was parsed from a policy. */
export function whereIs(policy: PolicyText, source: Source): string {
  return `${placeOf(policy, source.offset)}: ${source.path}`;
}
