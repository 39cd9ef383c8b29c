/** The flags of `bulla promote`. */
import { type Command, Option } from 'commander';

import { BullaError } from '../base/errors.ts';
import type { ManifestFormat } from '../operations/copy/change.ts';
import type { PromoteRequest, PromotionMode } from '../operations/promote.ts';
import { flagOption, type Parsed, policyOption, textOption } from './options.ts';
import { namesKey } from './signers.ts';

/** How an image is promoted, and by which policies. */
export function withPromoteOptions(command: Command): Command {
  return command
    .option(
      '--policy <file>',
      'policy.json or trust.yaml for both sides (default: as containers/image searches)',
    )
    .addOption(new Option('--signature-policy <file>', 'alias of --policy').hideHelp())
    .option('--src-policy <file>', 'policy for the source, in place of --policy')
    .option('--dest-policy <file>', 'policy for the destination, in place of --policy')
    .addOption(
      new Option('--mode <mode>', 're-sign: with new keys, for the new name; carry: as it is signed').default(
        undefined,
        're-sign',
      ),
    )
    .option(
      '--carry-policy <file>',
      'with --mode carry: write the policy.json that accepts the old signatures',
    )
    .option('--dry-run', 'tell everything, write nothing; no log and no Fulcio is asked')
    .option('--keep-previous', 'what the destination means now gets the tag TAG-previous-DIGEST')
    .option('--remove-signatures', 'leave the source’s signatures behind')
    .option('--no-attachments', 'leave behind what else hangs on the image')
    .option(
      '-f, --format <format>',
      'the manifests’ format: oci or v2s2 (default: as it is, and no digest changes)',
    )
    .option('--lineage <file>', 'write the lineage record to this file')
    .option('--json', 'print the lineage record, or the verdict that refused, as JSON');
}

/** @throws BullaError `usage.invalid` */
export function modeOption(parsed: Parsed): PromotionMode {
  const mode = textOption(parsed, 'mode') ?? 're-sign';
  const isCarry = mode === 'carry';
  if (!isCarry && mode !== 're-sign')
    throw new BullaError('usage.invalid', `--mode takes re-sign or carry, not "${mode}"`);
  if (!isCarry && textOption(parsed, 'carryPolicy') !== undefined)
    throw new BullaError('usage.invalid', '--carry-policy goes with --mode carry');
  // before anybody is asked for its passphrase
  if (isCarry && namesKey(parsed)) {
    throw new BullaError('usage.invalid', 'with --mode carry no key signs', {
      hint: 'leave out the key, or give --mode re-sign',
    });
  }
  return isCarry ? 'carry' : 're-sign';
}

/** @throws BullaError `usage.invalid` */
export function formatOption(parsed: Parsed): ManifestFormat | undefined {
  const format = textOption(parsed, 'format');
  if (format === undefined || format === 'oci' || format === 'v2s2') return format;
  throw new BullaError('usage.invalid', `--format takes oci or v2s2, not "${format}"`);
}

type Policies = Pick<PromoteRequest, 'sourceBy' | 'destinationBy'>;

/** The policies of both sides; for what is carried, --policy is the source's alone. */
export function policiesOption(parsed: Parsed): Policies {
  const both = policyOption(parsed);
  const source = byFile(textOption(parsed, 'srcPolicy') ?? both);
  const own = textOption(parsed, 'destPolicy');
  if (own === undefined && modeOption(parsed) === 'carry') return { sourceBy: source };
  return { sourceBy: source, destinationBy: byFile(own ?? both) };
}

function byFile(file: string | undefined): NonNullable<Policies['sourceBy']> {
  return { kind: 'policy', ...(file !== undefined && { file }) };
}

/** Under --offline a trust.yaml's public root is not fetched. */
export function offlinePolicies({ sourceBy, destinationBy }: Policies, parsed: Parsed): Policies {
  const offline = flagOption(parsed, 'offline');
  return {
    ...(sourceBy !== undefined && { sourceBy: { ...sourceBy, offline } }),
    ...(destinationBy !== undefined && { destinationBy: { ...destinationBy, offline } }),
  };
}
