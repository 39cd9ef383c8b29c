/** A verdict as lines for people and as JSON for machines (docs/reference/verdict.md). */
import { printable, textOf } from '../base/bytes.ts';
import type { ImageVerdict, InstanceVerdict } from '../operations/verify.ts';
import { signPredicateType } from '../trust/given-keys.ts';
import type { Terminal } from './terminal.ts';
import type { RequirementVerdict, SignatureVerdict, Verdict } from '../trust/verdict.ts';

/** `verify --json`, one element. */
export function verdictJson(verdict: ImageVerdict): unknown {
  const { error, instances, ...rest } = verdict;
  return {
    ...rest,
    requirements: rest.requirements.map(requirementJson),
    ...(instances !== undefined && {
      instances: instances.map((each) => ({ ...each, requirements: each.requirements.map(requirementJson) })),
    }),
    ...(error !== undefined && {
      error: {
        code: error.code,
        message: error.message,
        ...(error.hint !== undefined && { hint: error.hint }),
      },
    }),
  };
}

/** A statement that was asked for is shown as the JSON that it is. */
export function requirementJson(requirement: RequirementVerdict): object {
  return { ...requirement, signatures: requirement.signatures.map(signatureJson) };
}

/** One signature's verdict. Whether it is a list's, and what is to be noted, is in the message. */
export function signatureJson({
  statement,
  list: _list,
  notes: _notes,
  ...signature
}: SignatureVerdict): object {
  if (statement === undefined) return signature;
  return { ...signature, statement: JSON.parse(textOf(statement) ?? 'null') as unknown };
}

/** First line: `accepted` or `refused`, image, digest. What follows says why. */
export function verdictLines(
  verdict: ImageVerdict,
  explain: boolean,
  paint: Terminal['paint'],
): readonly string[] {
  if (verdict.error !== undefined) return [];
  const word = verdict.accepted ? paint('accepted', 'green') : paint('refused', 'red');
  const head = `${word} ${verdict.image} ${verdict.digest ?? ''}`.trimEnd();
  if (verdict.instances !== undefined) {
    const pin =
      verdict.accepted && verdict.index !== undefined
        ? [`  every instance passed; the list is ${verdict.index}`]
        : [];
    return [head, ...verdict.instances.flatMap((each) => instanceLines(each, explain)), ...pin];
  }
  return [head, ...reasons(verdict, explain)];
}

function instanceLines(instance: InstanceVerdict, explain: boolean): readonly string[] {
  // the list says what it is for, and anybody may have written the list
  const { os = '', architecture = '' } = instance.platform ?? {};
  const platform = instance.platform === undefined ? '' : ` ${printable(`${os}/${architecture}`, 100)}`;
  const word = instance.accepted ? 'accepted' : 'refused';
  return [
    `  ${word}${platform} ${instance.digest}`,
    ...reasons(instance, explain).map((line) => `  ${line}`),
  ];
}

function reasons(
  verdict: Pick<Verdict, 'accepted' | 'scope' | 'requirements'>,
  explain: boolean,
): readonly string[] {
  const scope = explain ? [`  scope: ${scopeText(verdict.scope)}`] : [];
  return [...scope, ...verdict.requirements.flatMap((each) => requirementLines(each, explain))];
}

/** The scope as people name it. */
export function scopeText(scope: Verdict['scope']): string {
  if (scope === null) return 'none (judged by key)';
  if (scope.transport === '') return 'the policy’s default';
  return scope.name === '' ? `${scope.transport}, any` : `${scope.transport} ${scope.name}`;
}

function requirementLines(requirement: RequirementVerdict, explain: boolean): readonly string[] {
  const { type, signatures } = requirement;
  const all = signatures.flatMap((each) => [
    `    ${signatureLine(each)}`,
    ...(explain ? detailLines(each).map((line) => `      ${line}`) : []),
  ]);
  if (!requirement.accepted) {
    // some are good, and too few (n of m)
    if (signatures.some((each) => each.accepted)) {
      return [`  ${type}: ${printable(requirement.message ?? '', 2000)} [${requirement.code ?? ''}]`, ...all];
    }
    const [only, another] = signatures;
    const { code = '', message = '' } = only !== undefined && another === undefined ? only : requirement;
    // what is no signature is found by its place alone
    const where = only?.format === 'unreadable' ? `${printable(only.store, 500)}: ` : '';
    const what =
      another === undefined
        ? `${where}${printable(message, 2000)}`
        : `none of ${signatures.length} signatures is accepted`;
    return [`  ${type}: ${what} [${code}]`, ...(another !== undefined || explain ? all : [])];
  }
  const accepted = signatures.find((each) => each.accepted);
  if (explain && signatures.length > 0) return [`  ${type}: holds`, ...all];
  return [accepted === undefined ? `  ${type}` : `  ${type}: ${signatureLine(accepted)}`];
}

/** One signature's verdict, for people. */
export function signatureLine(signature: SignatureVerdict): string {
  const where = printable(signature.store, 500);
  if (!signature.accepted) return `${where}: ${printable(signature.message, 1000)} [${signature.code}]`;
  // a certificate vouches for a person, whose name stands in place of a key's; what was signed is the reference
  const { key, identity, reference, predicateType, format, signer: whose, list } = signature;
  const isPerson = whose?.startsWith('identity:') === true || format === 'bundle' || format === 'attestation';
  const signer = isPerson ? (identity ?? key) : (key ?? (reference === undefined ? undefined : identity));
  const name = reference ?? (isPerson ? undefined : identity);
  const by = signer === undefined ? '' : `by ${printable(signer)} `;
  const says =
    predicateType === undefined || predicateType === signPredicateType
      ? ''
      : `stating ${printable(predicateType)} `;
  const of = list === undefined ? '' : `with the list ${list} `;
  return `${by}${name === undefined ? '' : `for ${printable(name)} `}${says}${of}(${where})${unchecked(signature)}`;
}

/** What is there and nobody looked at is named, so that it is not taken for proof. */
function unchecked({ notes = [] }: SignatureVerdict): string {
  return notes
    .filter((note) => note.endsWith('not checked'))
    .map((note) => `; ${note}`)
    .join('');
}

/** What else holds of an accepted signature with witnesses or a statement, for --explain. */
function detailLines({ accepted, format, message, times = [] }: SignatureVerdict): readonly string[] {
  if (!accepted || (format !== 'bundle' && format !== 'attestation' && times.length === 0)) return [];
  return [
    printable(message, 1000),
    ...(times.length === 0 ? [] : [`seen by witnesses at ${times.join(', ')}`]),
  ];
}
