/** `bulla inspect IMAGE`: every signature found, who made it, for what, and how it fares. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { errorCodes } from '../../base/errors.ts';
import { parseImageName } from '../../base/image-name.ts';
import {
  type InspectedManifest,
  type Inspection,
  inspect,
  type SeenSignature,
} from '../../operations/inspect.ts';
import type { ForTool } from '../../operations/verify-for.ts';
import type { CommandContext } from '../command.ts';
import {
  collect,
  flagOption,
  type Parsed,
  policyOption,
  withPolicyFileOptions,
  withRegistriesDOption,
  withRegistryOptions,
} from '../options.ts';
import { worstOutcome } from '../outcome.ts';
import { requirementJson, signatureJson } from '../verdict.ts';
import { openCommandWorld } from '../world.ts';
import { withSignerOptions } from '../judge-options.ts';
import { judgedBy } from './verify.ts';

export function command(context: CommandContext): Command {
  const inspect = new Command('inspect')
    .description(
      'List the signatures of an image, from every store. With --policy, --key or --certificate-identity each is judged; without, nothing shown was checked.',
    )
    .argument('<image>', 'an image; a name without transport means docker://')
    .option(
      '--key <key>',
      'judge by this public key: OpenPGP keyring, PEM (sigstore), or a key’s URI; repeatable',
      collect,
    )
    .option('--json', 'print it as JSON');
  inspect.option(
    '--type <type>',
    'with a key or certificate: the statement that is wanted (default: cosign’s signature)',
  );
  withPolicyFileOptions(withRegistriesDOption(withRegistryOptions(withSignerOptions(inspect))));
  return inspect
    .addHelpText('after', '\nExample:\n  $ bulla inspect docker://registry.example.com/ns/app:1.0')
    .action((image: string, parsed: Parsed) => run(image, parsed, context));
}

async function run(image: string, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const name = parseImageName(image);
  await using world = await openCommandWorld(parsed, terminal, [name]);
  const by = namesJudge(parsed) ? judgedBy(parsed, context) : undefined;
  const found = await inspect({ image: name, ...(by !== undefined && { by }) }, world);
  if (flagOption(parsed, 'json')) terminal.printJson(inspectionJson(found));
  else {
    terminal.print(found.image);
    for (const manifest of found.manifests) printManifest(manifest, context);
  }
  const problems = found.manifests.flatMap((each) => each.problems ?? []);
  if (problems.length > 0) context.finish(worstOutcome(problems.map(({ code }) => errorCodes[code])));
}

/** As `verify --json` writes verdicts. */
function inspectionJson(found: Inspection): object {
  const manifests = found.manifests.map(({ signatures, verdict, ...manifest }) => ({
    ...manifest,
    signatures: signatures.map((each) =>
      each.verdict === undefined ? each : { ...each, verdict: signatureJson(each.verdict) },
    ),
    ...(verdict !== undefined && {
      verdict: { ...verdict, requirements: verdict.requirements.map(requirementJson) },
    }),
  }));
  return { ...found, manifests };
}

/** Flags that say who judges, or how: one of the latter alone is for `judgedBy` to refuse. */
const judgeFlags =
  /^(?:key|type|policy|insecurePolicy|certificate.*|trustedRoot|rekorKey|requireLog|insecureIgnore.*|privateInfrastructure)$/;

function namesJudge(parsed: Parsed): boolean {
  return (
    policyOption(parsed) !== undefined ||
    Object.entries(parsed).some(
      ([name, value]) =>
        judgeFlags.test(name) &&
        value !== undefined &&
        value !== false &&
        !(Array.isArray(value) && value.length === 0),
    )
  );
}

function printManifest(manifest: InspectedManifest, { terminal }: CommandContext): void {
  const { platform, attestationOf, sbom } = manifest;
  const what = attestationOf === undefined ? (platform ?? '') : `attestations of ${attestationOf}`;
  terminal.print(`${manifest.digest} ${printable(what, 200)}`.trimEnd());
  const { signatures, problems = [] } = manifest;
  if (signatures.length === 0 && problems.length === 0) terminal.print('  no signatures');
  for (const signature of signatures)
    for (const line of signatureLines(signature)) terminal.print(`  ${line}`);
  if (sbom !== undefined) terminal.print(`  an SBOM, which is no signature: ${printable(sbom, 500)}`);
  for (const { code, message } of problems)
    terminal.print(`  the list ends here: ${printable(message, 2000)} [${code}]`);
}

/** What a signature says of itself is marked so until a judge accepted it. */
function signatureLines(signature: SeenSignature): readonly string[] {
  const { format, store, problem, verdict } = signature;
  const state =
    verdict === undefined
      ? 'not judged'
      : verdict.accepted
        ? `accepted, by ${printable(verdict.key ?? verdict.identity ?? '', 500)}`
        : `refused: ${printable(verdict.message, 500)} [${verdict.code}]`;
  const bad =
    problem === undefined || problem.code === verdict?.code
      ? []
      : [`malformed: ${printable(problem.message)} [${problem.code}]`];
  const lines = [...wordsOf(signature), ...bad, ...readerLines(signature), state];
  return [`${format} ${printable(store, 500)}`, ...lines.map((line) => `  ${line}`)];
}

const toolNames: Readonly<Record<ForTool, string>> = {
  podman: 'podman',
  cosign2: 'cosign 2',
  cosign3: 'cosign 3',
};

/** Which tools look at it; of the others those are told why not that look at this kind of signature at all. */
function readerLines({ readBy, notReadBy = [], turnedOff }: SeenSignature): readonly string[] {
  if (readBy === undefined) return [];
  const by = readBy.length === 0 ? 'no tool' : readBy.map((tool) => toolNames[tool]).join(', ');
  const told = notReadBy.filter(
    ({ tool, code }) => code !== 'trust.not-read' || (tool === 'podman' && turnedOff === true),
  );
  const refusals = [...new Set(told.map(({ message }) => message))].map((reason) => {
    const tools = told.filter(({ message }) => message === reason);
    const names = tools.map(({ tool }) => toolNames[tool]).join(', ');
    return `not read by ${names}: ${printable(reason, 500)} [${tools[0]?.code ?? ''}]`;
  });
  return [`read by ${by}`, ...refusals];
}

function wordsOf({ untrusted, verdict }: SeenSignature): readonly string[] {
  const says = verdict?.accepted === true ? '' : 'says ';
  const { certificate, mediaType, creator, created, identity, keyIds } = untrusted;
  return [
    mediaType === undefined ? [] : [`no signature of the image: ${printable(mediaType)}`],
    identity === undefined ? [] : [`${says}for ${printable(identity)}`],
    keyIds.length === 0 ? [] : [`${says}by ${keyIds.join(', ')}`],
    certificate === undefined ? [] : [`with a certificate${certificateText(certificate)}`],
    created === undefined ? [] : [`${says}at ${created}`],
    creator === undefined ? [] : [`${says}with ${printable(creator)}`],
    untrusted.keyHint === undefined ? [] : [`${says}by the key ${printable(untrusted.keyHint)}`],
    untrusted.predicateType === undefined ? [] : [`${says}${printable(untrusted.predicateType)}`],
    untrusted.logEntry === undefined ? [] : [`with a log entry${at(untrusted.loggedAt)}`],
    untrusted.timestampedAt === undefined ? [] : [`with a timestamp${at(untrusted.timestampedAt)}`],
  ].flat();
}

function at(time: string | undefined): string {
  return time === undefined ? '' : ` that says ${time}`;
}

function certificateText({
  subjects,
  issuer,
}: NonNullable<SeenSignature['untrusted']['certificate']>): string {
  const names = subjects.length === 0 ? '' : ` that says ${printable(subjects.join(', '))}`;
  return issuer === undefined ? names : `${names} (${printable(issuer)})`;
}
