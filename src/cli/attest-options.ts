/** What `attest` and `attest-blob` attest. */
import type { Command } from 'commander';

import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';
import type { Attested } from '../operations/attest-statement.ts';
import { type Parsed, textOption } from './options.ts';

export function withAttestedOptions(command: Command): Command {
  return command
    .option('--predicate <file>', 'what is said, as its type has it')
    .option(
      '--type <type>',
      'slsaprovenance (v0.2), slsaprovenance1, spdx, spdxjson, cyclonedx, vuln, openvex, link, custom, or a URI (default: custom)',
    )
    .option('--statement <file>', 'a whole in-toto statement, signed as it is');
}

/** @throws BullaError `usage.invalid`, `io.*` */
export async function attestedOption(parsed: Parsed): Promise<Attested> {
  const predicate = textOption(parsed, 'predicate');
  const statement = textOption(parsed, 'statement');
  const type = textOption(parsed, 'type');
  if ((predicate === undefined) === (statement === undefined)) {
    throw new BullaError('usage.invalid', 'one of --predicate and --statement says what is attested');
  }
  if (statement !== undefined) {
    if (type !== undefined) throw new BullaError('usage.invalid', 'a whole --statement says its type itself');
    return { kind: 'statement', statement: await readBoundedFile(statement, limits.bundleBytes) };
  }
  const bytes = await readBoundedFile(predicate ?? '', limits.bundleBytes);
  return { kind: 'predicate', type: type ?? 'custom', predicate: bytes };
}
