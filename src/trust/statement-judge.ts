/** What an in-toto statement says, compared with the image or file that it should be about. */
import { printable } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { inTotoPayloadType } from '../formats/dsse.ts';
import { parseStatement, type Statement } from '../formats/statement.ts';
import { anyPredicateType } from './bundle-rule.ts';
import { type Fault, fault } from './bundle-witness.ts';

export type StatementRule = {
  readonly predicateType: string;
  readonly subjectName?: string;
};

export type ReadStatement = { readonly ok: true; readonly statement: Statement } | Fault;

/** Reads a statement out of an envelope's payload; nobody has vouched for it yet. */
export function readStatement(payloadType: string, payload: Uint8Array): ReadStatement {
  if (payloadType !== inTotoPayloadType) {
    const message = `the envelope's payload is a ${printable(payloadType, 100)}, no in-toto statement`;
    return fault('signature.wrong-type', message);
  }
  try {
    return { ok: true, statement: parseStatement(payload) };
  } catch (error) {
    if (isBullaError(error)) return fault(error.code, error.message);
    throw error;
  }
}

/** Why the statement says something else than what is asked for: then it is none of those that count. */
export function foreignPredicate(
  { predicateType }: Pick<Statement, 'predicateType'>,
  rule: StatementRule,
): Fault | undefined {
  if (rule.predicateType === anyPredicateType || predicateType === rule.predicateType) return undefined;
  const message = `it states ${printable(predicateType)}, wanted is ${printable(rule.predicateType)}`;
  return fault('signature.wrong-predicate', message);
}

/**
 * Why none of the statement's subjects is the one that is wanted. Only sha256 counts for images.
 * @param digests by algorithm, lower-case hexadecimal; any of them may match
 */
export function wrongSubject(
  { subjects }: Statement,
  digests: ReadonlyMap<string, string>,
  { subjectName }: StatementRule,
): Fault | undefined {
  const matching = subjects.filter((subject) =>
    [...digests].some(([name, value]) => subject.digests.get(name) === value),
  );
  if (matching.length === 0) {
    const [first] = subjects;
    const found = [...(first?.digests ?? [])].map(([name, value]) => `${name}:${value}`).slice(0, 3);
    const wanted = [...digests].map(([name, value]) => `${name}:${value}`).join(' or ');
    const others = subjects.length > 1 ? ` and ${subjects.length - 1} others` : '';
    return fault(
      'signature.wrong-digest',
      `it speaks of ${printable(found.join(', '))}${others}, this is ${wanted}`,
    );
  }
  if (subjectName === undefined || matching.some(({ name }) => name === subjectName)) return undefined;
  const names = matching
    .map(({ name }) => (name === undefined ? 'no name' : `"${printable(name)}"`))
    .slice(0, 3);
  return fault(
    'signature.wrong-identity',
    `its subject has ${names.join(', ')}, wanted is "${printable(subjectName)}"`,
  );
}
