/** What a promotion did, or would do, as lines for people and as JSON for machines. */
import { printable } from '../base/bytes.ts';
import type { LineageSigner } from '../operations/promote/lineage.ts';
import type { Foreseen, Promoted } from '../operations/promote.ts';
import type { WaitingSignature } from '../operations/promote/stores.ts';
import type { MadeSignature } from '../operations/sign.ts';
import type { Terminal } from './terminal.ts';
import { verdictJson, verdictLines } from './verdict.ts';

/** The lineage record, and what was done for it. */
export function promotedJson({ lineage, ...done }: Promoted): object {
  return { ...lineage, ...done };
}

export function foreseenJson({ verdict, ...told }: Foreseen): object {
  return { ...told, verdict: verdict === undefined ? null : verdictJson(verdict) };
}

export function promotedLines(promoted: Promoted, policyFile: string | undefined): readonly string[] {
  const { lineage, changed, signatures, carried, attestation, carryPolicy } = promoted;
  const { source, destination } = lineage;
  const { previous, waiting = [] } = destination;
  const isNamed = previous === undefined ? [] : [previousLine(previous, 'meant')];
  return [
    `${changed ? 'promoted' : 'promoted before, nothing to do:'} ${destination.reference} ${destination.digest}`,
    `  from ${source.reference}`,
    ...signersLines('signed there', source.signers),
    ...(lineage.digestChanged === undefined
      ? []
      : [`  changed from ${lineage.digestChanged.from}: ${lineage.digestChanged.why}`]),
    ...(changed ? carriedLine(carried, 'carried along') : []),
    ...signatures.flatMap((each) => madeLines(each, { digest: destination.digest, verb: 'signed' })),
    ...signersLines('accepted at the destination', destination.signers),
    ...isNamed,
    ...waitingLines(waiting),
    attestation.note === undefined
      ? `  lineage ${attestation.added ? 'attested' : 'attested before'}: ${attestation.location}`
      : `  lineage: ${printable(attestation.note, 1000)}`,
    ...policyLines(carryPolicy, policyFile),
  ];
}

export function foreseenLines(foreseen: Foreseen, paint: Terminal['paint']): readonly string[] {
  const { source, destination, carried, signatures, verdict, previous, note, carryPolicy } = foreseen;
  return [
    `would promote ${destination.reference} ${destination.digest}`,
    `  from ${source.reference}`,
    ...signersLines('signed there', source.signers),
    ...carriedLine(carried, 'would carry along'),
    ...signatures.flatMap((each) => madeLines(each, { digest: destination.digest, verb: 'would sign' })),
    ...(previous === undefined ? [] : [previousLine(previous, 'means')]),
    `  lineage: ${note === undefined ? 'would be attested' : printable(note, 1000)}`,
    ...(verdict === undefined
      ? [
          '  the destination’s verdict cannot be told: a log, a timestamp authority or Fulcio would have to be asked',
        ]
      : ['  the destination’s policy:', ...verdictLines(verdict, false, paint).map((line) => `    ${line}`)]),
    ...policyLines(carryPolicy, undefined),
  ];
}

function signersLines(what: string, signers: readonly LineageSigner[]): readonly string[] {
  return signers.length === 0 ? [] : [`  ${what}`, ...signers.map((each) => `    ${signerLine(each)}`)];
}

/** By the stores between which they have to be published. */
function waitingLines(waiting: readonly WaitingSignature[]): readonly string[] {
  const ways = Map.groupBy(waiting, ({ publish }) => `${publish.from} to ${publish.to}`);
  return [...ways].flatMap(([way, files]) => [
    `  waits to be published, from ${printable(way, 1000)}`,
    ...files.map(({ location }) => `    ${printable(location, 500)}`),
  ]);
}

/** As `signatureLine` of a verdict says it. */
export function signerLine({ key, identity, reference, format, store }: LineageSigner): string {
  const isPerson = key === undefined || reference !== undefined;
  const who = isPerson ? (identity ?? key ?? '') : key;
  const name = reference ?? (isPerson ? undefined : identity);
  const what = name === undefined ? (format === 'bundle' ? ', as a bundle' : '') : ` for ${printable(name)}`;
  return `by ${printable(who)}${what} (${printable(store, 500)})`;
}

function carriedLine({ signatures, attachments }: Promoted['carried'], what: string): readonly string[] {
  return signatures + attachments === 0
    ? []
    : [`  ${what}: ${signatures} signatures, ${attachments} attachments`];
}

function madeLines(
  made: MadeSignature,
  { digest, verb }: { readonly digest: string; readonly verb: string },
): readonly string[] {
  const of = made.digest === digest ? '' : ` of ${made.digest}`;
  const what = made.format === 'bundle' ? ', as a bundle' : ` for ${made.identity}`;
  const word = made.there === true ? 'signed before' : verb;
  return [`  ${word}${of}${what}`, `    by ${made.keyId}, ${printable(made.location, 500)}`];
}

function previousLine(
  { digest, tag }: { readonly digest: string; readonly tag?: string },
  verb: string,
): string {
  return tag === undefined
    ? `  ${verb} ${digest} before`
    : `  ${verb} ${digest} before, which stays as ${tag}`;
}

function policyLines(policy: string | undefined, file: string | undefined): readonly string[] {
  if (policy === undefined) return [];
  if (file !== undefined) return [`  the policy.json that accepts it there: ${file}`];
  return ['  the policy.json that accepts it there:', ...policy.trimEnd().split('\n')];
}
