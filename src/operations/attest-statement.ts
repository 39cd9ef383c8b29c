/** The statement of an attestation: made of a predicate, or taken whole and checked. */
import { textOrThrow } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import { customPredicateType, predicateTypeOf, spdxTextName } from '../formats/predicate-types.ts';
import { encodeStatement, parseStatement } from '../formats/statement.ts';

/** What is to be attested. */
export type Attested =
  /** A predicate's bytes; `type` is a URI or one of cosign's names, which also says how they are read. */
  | { readonly kind: 'predicate'; readonly type: string; readonly predicate: Uint8Array }
  /** A whole in-toto statement (v0.1 or v1), signed as it is. */
  | { readonly kind: 'statement'; readonly statement: Uint8Array };

/** What it is about. */
export type AttestedSubject = {
  readonly name?: string;
  /** By algorithm, lower-case hex. */
  readonly digests: ReadonlyMap<string, string>;
};

export type ReadyStatement = { readonly bytes: Uint8Array; readonly predicateType: string };

/**
 * The statement to sign.
 * @throws BullaError `usage.invalid` (no such type; a predicate or statement that is none; a statement about something else)
 */
export function statementFor(attested: Attested, subject: AttestedSubject, now: Date): ReadyStatement {
  if (attested.kind === 'statement') return checkedStatement(attested.statement, subject);
  const predicateType = predicateTypeOf(attested.type);
  const predicate = predicateOf(attested.type, attested.predicate, now);
  return { predicateType, bytes: encodeStatement({ subjects: [subject], predicateType, predicate }) };
}

function predicateOf(type: string, bytes: Uint8Array, now: Date): JsonValue {
  // cosign wraps what it is given for these, whatever it is
  if (predicateTypeOf(type) === customPredicateType) {
    const time = `${now.toISOString().slice(0, 19)}Z`;
    return objectOf({ Data: textOrThrow(bytes, 'the predicate'), Timestamp: time });
  }
  const text = textOrThrow(bytes, 'the predicate');
  if (type === spdxTextName) return { kind: 'string', offset: 0, value: text };
  const value = orUsage(() => parseJson(text, 'predicate'));
  if (value.kind !== 'object') throw new BullaError('usage.invalid', 'the predicate is no JSON object');
  return value;
}

function objectOf(texts: Readonly<Record<string, string>>): JsonValue {
  const members = Object.entries(texts).map(([key, value]) => ({
    key,
    offset: 0,
    value: { kind: 'string', offset: 0, value } as const,
  }));
  return { kind: 'object', offset: 0, members };
}

/** Signed byte for byte; so it must be about what it is hung on, or it would be found by nobody. */
function checkedStatement(bytes: Uint8Array, subject: AttestedSubject): ReadyStatement {
  const { subjects, predicateType } = orUsage(() => parseStatement(bytes));
  const isAbout = subjects.some(({ digests }) =>
    [...subject.digests].every(([algorithm, digest]) => digests.get(algorithm) === digest),
  );
  if (isAbout) return { bytes, predicateType };
  const wanted = [...subject.digests].map((pair) => pair.join(':')).join(', ');
  throw new BullaError('usage.invalid', `the statement is not about ${wanted}`, {
    hint: 'none of its subjects has this digest; was it made for another image?',
  });
}

function orUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isBullaError(error)) throw new BullaError('usage.invalid', error.message, { cause: error });
    throw error;
  }
}
