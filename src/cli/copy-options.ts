/** skopeo copy's flags: twins of the registry flags for source and destination, and what is done on the way. */
import { type Command, Option } from 'commander';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { ImageName } from '../base/image-name.ts';
import { formatReference, parseReference, type Reference } from '../base/reference.ts';
import type { CopiedItem } from '../operations/copy/blobs.ts';
import type { Changes } from '../operations/copy/change.ts';
import type { CopiedInstances } from '../operations/copy/selection.ts';
import type { JudgedBy } from '../operations/judge.ts';
import type { World } from '../operations/world.ts';
import { collect, flagOption, type Parsed, policyOption, textOption } from './options.ts';
import type { Terminal } from './terminal.ts';
import { openCommandWorld, tryParsePlatform } from './world.ts';

const sides = [
  ['src', 'source'],
  ['dest', 'destination'],
] as const;
type Side = (typeof sides)[number][0];

/** `--src-creds`, `--dest-tls-verify` and their kin: what one side has in place of the flag for both. */
export function withTwinOptions(command: Command): Command {
  for (const [side, what] of sides) {
    command
      .option(`--${side}-authfile <file>`, `credentials file for the ${what}`)
      .option(`--${side}-creds <user[:pass]>`, `credentials for the ${what}`)
      .option(`--${side}-username <user>`, `user name for the ${what}`)
      .option(`--${side}-password <pass>`, `password for the ${what}`)
      .option(`--${side}-registry-token <token>`, `a bearer token for the ${what}`)
      .option(`--${side}-no-creds`, `use no credentials for the ${what}`)
      .option(`--${side}-cert-dir <dir>`, `folder with certificates for the ${what}`)
      .addOption(
        new Option(
          `--${side}-tls-verify <bool>`,
          `require TLS with a valid certificate of the ${what}`,
        ).default(undefined, 'true'),
      );
  }
  return command;
}

/** Those of layouts and of Docker, where one side may be such. */
export function withLocalTwinOptions(command: Command): Command {
  for (const [side, what] of sides) {
    command
      .option(`--${side}-shared-blob-dir <dir>`, `folder of blobs that layouts share, for an oci: ${what}`)
      .option(`--${side}-daemon-host <host>`, `Docker’s address for a docker-daemon: ${what}`);
  }
  return command;
}

/** What is known of skopeo and not done here: refused by name, never ignored. */
const unsupported: readonly (readonly [flags: string, option: string, why: string])[] = [
  ['--encryption-key <key>', 'encryptionKey', 'images are not encrypted'],
  ['--encrypt-layer <n>', 'encryptLayer', 'images are not encrypted'],
  ['--decryption-key <key>', 'decryptionKey', 'images are not decrypted'],
  ['--sign-by-sq-fingerprint <fpr>', 'signBySqFingerprint', 'name the key by --sign-by'],
];

/** The peers' flags that `refuseUnsupported` refuses. */
export function withUnsupported(command: Command): Command {
  for (const [flags] of unsupported) command.addOption(new Option(flags, 'not supported').hideHelp());
  return command;
}

/** Flags that have nothing to change here, as what they ask for is always so. */
const alwaysSo: readonly string[] = ['--dest-precompute-digests'];

/** What is copied, and how. */
export function withCopyOptions(command: Command): Command {
  command
    .option('-a, --all', 'of a list copy every instance and the list')
    .option(
      '--multi-arch <which>',
      'for a list: system, all, index-only, or platforms like linux/amd64,linux/arm64',
    )
    .option('--strip-removed-platforms', 'with platforms: take the others out of the list')
    .option('--remove-signatures', 'leave signatures behind')
    .option(
      '--remove-list-signatures',
      'with --strip-removed-platforms: leave the list’s own signatures behind',
    )
    .option('--no-attachments', 'carry only what skopeo does: not what else hangs on the image')
    .option('--preserve-digests', 'fail where a digest would change')
    .option('-f, --format <format>', 'the manifests’ format: oci or v2s2 (default: as it is)')
    .option('--additional-tag <tag>', 'one more tag for the destination; repeatable', collect)
    .option('--digestfile <file>', 'write the digest of the copy’s manifest to this file')
    .option('--image-parallel-copies <n>', 'blobs under way at the same time, at most 20 (default: 6)')
    .option('--json', 'print the receipt, or the verdict that refused, as JSON');
  withUnsupported(command);
  for (const flag of alwaysSo) command.addOption(new Option(flag, 'always so').hideHelp());
  return command;
}

/**
 * What judges the source: the policy, or with --insecure-policy nobody.
 * @throws BullaError `usage.invalid`
 */
export function judgedByPolicy(parsed: Parsed, terminal: Terminal): JudgedBy {
  const file = policyOption(parsed);
  const insecure = flagOption(parsed, 'insecurePolicy');
  if (insecure && file !== undefined)
    throw new BullaError('usage.invalid', '--policy and --insecure-policy exclude each other');
  if (insecure) terminal.warn('--insecure-policy accepts anything');
  return insecure
    ? { kind: 'insecure-accept-anything' }
    : { kind: 'policy', ...(file !== undefined && { file }) };
}

/** @throws BullaError `usage.unsupported` */
export function refuseUnsupported(parsed: Parsed): void {
  for (const [flags, option, why] of unsupported) {
    if (parsed[option] === undefined) continue;
    throw new BullaError('usage.unsupported', `${flags.split(' ', 1)[0] ?? ''} is not supported: ${why}`);
  }
}

/** A layout whose blobs lie elsewhere; for all other names the flag says nothing, as for skopeo. */
export function sharingBlobs(name: ImageName, parsed: Parsed, side: Side): ImageName {
  const blobs = textOption(parsed, `${side}SharedBlobDir`);
  return blobs === undefined || name.transport !== 'oci' ? name : { ...name, blobs };
}

export type CopyWorlds = AsyncDisposable & { readonly from: World; readonly to: World };

/**
 * Opens one world for both sides, or two where a twin tells them apart.
 * @param images those that the command line names
 * @throws BullaError `usage.invalid`, `key.passphrase-missing`
 */
export async function openCopyWorlds(
  parsed: Parsed,
  terminal: Terminal,
  images: readonly ImageName[],
): Promise<CopyWorlds> {
  if (!sides.some(([side]) => isTwinned(parsed, side))) {
    const world = await openCommandWorld(parsed, terminal, images);
    return { from: world, to: world, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
  }
  await using opened = new AsyncDisposableStack();
  const from = opened.use(await openCommandWorld(parsedFor(parsed, 'src'), terminal, images));
  const to = opened.use(await openCommandWorld(parsedFor(parsed, 'dest'), terminal, images));
  const kept = opened.move();
  return { from, to, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const twins = [
  'Authfile',
  'Creds',
  'Username',
  'Password',
  'RegistryToken',
  'CertDir',
  'TlsVerify',
  'DaemonHost',
] as const;

function isTwinned(parsed: Parsed, side: Side): boolean {
  if (parsed[`${side}NoCreds`] === true) return true;
  return twins.some((name) => parsed[`${side}${name}`] !== undefined && parsed[`${side}${name}`] !== true);
}

/** The flags as they are for one side. */
export function parsedFor(parsed: Parsed, side: Side): Parsed {
  const own = (name: string): unknown => parsed[`${side}${name}`];
  const creds = credsOf(parsed, side);
  // what one side says of credentials replaces all that both say
  const isKnown = creds !== undefined || own('RegistryToken') !== undefined;
  const { creds: bothCreds, registryToken: bothToken, ...rest } = parsed;
  return {
    ...rest,
    ...(!isKnown && bothCreds !== undefined && { creds: bothCreds }),
    ...(!isKnown && bothToken !== undefined && { registryToken: bothToken }),
    ...(creds !== undefined && { creds }),
    ...(own('RegistryToken') !== undefined && { registryToken: own('RegistryToken') }),
    ...(own('Authfile') !== undefined && { authfile: own('Authfile') }),
    ...(own('CertDir') !== undefined && { certDir: own('CertDir') }),
    ...(own('DaemonHost') !== undefined && { daemonHost: own('DaemonHost') }),
    ...(own('TlsVerify') !== undefined && { tlsVerify: own('TlsVerify') }),
  };
}

/** One of creds, username with password, and no-creds, which is false as with --no-creds. */
function credsOf(parsed: Parsed, side: Side): unknown {
  const user = textOption(parsed, `${side}Username`);
  const password = textOption(parsed, `${side}Password`);
  const creds = parsed[`${side}Creds`];
  if (parsed[`${side}NoCreds`] === true) {
    const others = [user, password, creds, parsed[`${side}RegistryToken`]];
    if (others.every((each) => each === undefined)) return false;
    throw new BullaError('usage.invalid', `--${side}-no-creds goes with no credentials`);
  }
  if ((user === undefined) !== (password === undefined)) {
    throw new BullaError('usage.invalid', `--${side}-username and --${side}-password go together`);
  }
  if (user !== undefined && creds !== undefined && creds !== true) {
    throw new BullaError('usage.invalid', `--${side}-username and --${side}-creds exclude each other`);
  }
  return user === undefined ? (creds === true ? undefined : creds) : `${user}:${password ?? ''}`;
}

/**
 * Which manifests of a list are copied, and what changes.
 * @throws BullaError `usage.invalid`
 */
export function copiedOption(parsed: Parsed): {
  readonly instances: CopiedInstances;
  readonly changes: Changes;
} {
  const which = textOption(parsed, 'multiArch');
  const all = flagOption(parsed, 'all');
  if (all && which !== undefined)
    throw new BullaError('usage.invalid', '--all and --multi-arch exclude each other');
  const instances = parseInstances(all ? 'all' : (which ?? 'system'));
  const strip = flagOption(parsed, 'stripRemovedPlatforms');
  const removed = flagOption(parsed, 'removeSignatures') || flagOption(parsed, 'removeListSignatures');
  if (strip && instances.kind !== 'platforms')
    throw new BullaError('usage.invalid', '--strip-removed-platforms goes with platforms in --multi-arch');
  if (strip && !removed) {
    throw new BullaError('usage.invalid', 'a list that loses platforms loses its signatures', {
      hint: 'say so: --remove-list-signatures, or --remove-signatures',
    });
  }
  const format = textOption(parsed, 'format');
  if (format === 'v2s1')
    throw new BullaError('usage.unsupported', '--format v2s1 is not supported: its manifests are deprecated');
  if (format !== undefined && format !== 'oci' && format !== 'v2s2')
    throw new BullaError('usage.invalid', `--format takes oci or v2s2, not "${format}"`);
  return {
    instances,
    changes: { ...(format !== undefined && { format }), ...(strip && { stripRemovedPlatforms: true }) },
  };
}

/** `system`, `all`, `index-only` or platforms, as --multi-arch has them. @throws BullaError `usage.invalid` */
export function parseInstances(text: string): CopiedInstances {
  if (text === 'system' || text === 'all' || text === 'index-only') return { kind: text };
  const platforms = text.split(',').map((each) => {
    const platform = tryParsePlatform(each);
    if (platform !== undefined) return platform;
    throw new BullaError(
      'usage.invalid',
      `--multi-arch takes system, all, index-only or platforms like linux/arm64, not "${printable(each, 80)}"`,
    );
  });
  return { kind: 'platforms', platforms };
}

/** @throws BullaError `usage.invalid` for one that is not written in full, as skopeo: nobody signs for another name than they read */
export function identityOption(text: string): Reference {
  const reference = parseReference(text);
  if (formatReference(reference) === text) return reference;
  throw new BullaError(
    'usage.invalid',
    `--sign-identity ${text} is short for ${formatReference(reference)}`,
    {
      hint: 'write the reference in full',
    },
  );
}

/** @throws BullaError `usage.invalid`: tags of the destination's repository, which is in a registry */
export function additionalTags(tags: readonly string[], destination: ImageName): readonly string[] {
  if (tags.length > 0 && destination.transport !== 'docker')
    throw new BullaError('usage.invalid', '--additional-tag goes with a docker:// destination');
  return tags.map((each) => {
    // skopeo takes whole references too
    const tag = each.includes('/') || each.includes(':') ? parseReference(each).tag : each;
    if (tag !== undefined && /^\w[\w.-]{0,127}$/.test(tag)) return tag;
    throw new BullaError('usage.invalid', `--additional-tag takes a tag, not "${each}"`);
  });
}

/** One line for a blob or manifest that has arrived. */
export function itemLine({ kind, digest, size, sent, mounted, from }: CopiedItem): string {
  if (from !== undefined) return `${kind} ${digest} ${size} bytes, was ${from}`;
  const how = mounted === true ? ', mounted' : sent ? '' : ', there already';
  return `${kind} ${digest} ${size} bytes${how}`;
}
