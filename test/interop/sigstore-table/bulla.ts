/** Bulla's side of the table, at its command line. */
import { type Cell, identity, policyFor } from './peers.ts';
import { type Outcome, outcomeOf, type Stage, type Who } from './stage.ts';

/** Signs as the cell wants. */
export async function bullaSigns(stage: Stage, { row, format, target }: Cell): Promise<Outcome> {
  const { urls, trustedRoot, signingConfigs } = stage.stack;
  const who = row.keyless
    ? ['--identity-token', stage.stack.tokenFile()]
    : ['--key', stage.privateKey, '--sign-passphrase-file', stage.passFile];
  // by URLs where there are flags for them, by a configuration else
  const one =
    row.log === 1 ? ['--rekor-url', urls.rekor, ...(row.keyless ? ['--fulcio-url', urls.fulcio] : [])] : [];
  const two = row.timestamp ? signingConfigs.rekor2AndTsa : signingConfigs.rekor2;
  const services = row.log === 2 ? ['--signing-config', two] : one;
  const trust = row.log === undefined ? [] : ['--trusted-root', trustedRoot];
  const how = ['--signature-format', format === '.sig' ? 'cosign' : 'bundle', '--tls-verify=false', '-q'];
  return outcomeOf(
    await stage.bench.bulla(['sign', ...how, ...who, ...services, ...trust, target.tag]),
    stage,
  );
}

/** Verifies by key or identity and, what policy.json can say, by policy. */
export async function bullaVerifies(stage: Stage, cell: Cell, who: Who): Promise<Outcome> {
  const { row, format, target } = cell;
  const { trustedRoot } = stage.stack;
  const log = row.log === undefined ? [] : ['--trusted-root', trustedRoot, '--require-log'];
  const signer = identity(stage, row, who);
  const asked = ['verify', '--tls-verify=false', target.tag];
  const direct = await stage.bench.bulla([...asked, ...signer, ...log]);
  if (format === 'bundle' || row.log === 2) return outcomeOf(direct, stage);
  const policy = await stage.bench.bulla([...asked, '--policy', policyFor(stage, row, who, true)]);
  // both must accept, or both refuse
  const telling = (direct.exitCode === 0) === (who === 'right') ? policy : direct;
  return outcomeOf(telling, stage);
}
