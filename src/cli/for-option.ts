/** `--for TOOL`: the verdict that another tool would come to. */
import { type Command, Option } from 'commander';

import { BullaError } from '../base/errors.ts';
import type { JudgedBy } from '../operations/judge.ts';
import type { VerifyRequest } from '../operations/verify.ts';
import type { ForTool } from '../operations/verify-for.ts';
import { flagOption, type Parsed, textOption } from './options.ts';

/** cosign without a number is the one of today; skopeo is podman without containers. */
const tools: ReadonlyMap<string, ForTool> = new Map([
  ['podman', 'podman'],
  ['skopeo', 'podman'],
  ['cosign', 'cosign3'],
  ['cosign3', 'cosign3'],
  ['cosign2', 'cosign2'],
]);

/** Adds it. */
export function withForOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--for <tool>',
      'judge by the signatures alone that this tool looks at: podman, cosign or cosign2',
    ),
  );
}

/**
 * @param by who judges; cosign knows no policy.json, podman no certificate identity beside one
 * @throws BullaError `usage.invalid`
 */
export function forOption(
  parsed: Parsed,
  by: JudgedBy,
): { readonly by: JudgedBy; readonly for?: NonNullable<VerifyRequest['for']> } {
  const name = textOption(parsed, 'for');
  if (name === undefined) return { by };
  const tool = tools.get(name);
  if (tool === undefined)
    throw new BullaError('usage.invalid', '--for takes podman, skopeo, cosign, cosign2 or cosign3');
  if (tool === 'podman') {
    if (by.kind !== 'identity') return { by, for: { tool, comparesName: by.kind === 'keys' } };
    throw new BullaError(
      'usage.invalid',
      'podman judges by a policy: --for podman goes with --policy or --key',
    );
  }
  if (by.kind !== 'keys' && by.kind !== 'identity') {
    throw new BullaError('usage.invalid', `--for ${name} goes with --key or --certificate-identity`, {
      hint: 'cosign reads no policy.json',
    });
  }
  const ignoreLog = flagOption(parsed, 'insecureIgnoreTlog') || flagOption(parsed, 'privateInfrastructure');
  // cosign wants a log entry for a key too
  return { by: ignoreLog ? by : { ...by, requireLog: true }, for: { tool, ignoreLog, comparesName: false } };
}
