/** Flags that several commands share, by the names that podman, skopeo and cosign gave them. */
import { Option, type Command } from 'commander';

import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { textOf } from '../base/bytes.ts';
import { readBoundedFile } from '../io/files.ts';
import type { Terminal } from './terminal.ts';

/** What commander parsed; each value is read by one of the functions below, which check it. */
export type Parsed = Readonly<Record<string, unknown>>;

/** Collects a repeatable flag. */
export function collect(value: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), value];
}

export function textOption(parsed: Parsed, name: string): string | undefined {
  const value = parsed[name];
  return typeof value === 'string' ? value : undefined;
}

export function listOption(parsed: Parsed, name: string): readonly string[] {
  const value = parsed[name];
  return Array.isArray(value) ? value.map(String) : [];
}

export function flagOption(parsed: Parsed, name: string): boolean {
  return parsed[name] === true;
}

/** `--tls-verify=false` and the like; undefined where the flag was not given. */
export function booleanOption(parsed: Parsed, name: string, flag: string): boolean | undefined {
  const value = textOption(parsed, name);
  if (value === undefined) return undefined;
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new BullaError('usage.invalid', `${flag} takes true or false, not "${value}"`);
}

/** A whole number of at least `least`; undefined where the flag was not given. */
export function countOption(parsed: Parsed, name: string, flag: string, least = 0): number | undefined {
  const value = textOption(parsed, name);
  if (value === undefined) return undefined;
  const count = /^[0-9]{1,9}$/.test(value) ? Number(value) : -1;
  if (count < least)
    throw new BullaError('usage.invalid', `${flag} takes a whole number from ${least}, not "${value}"`);
  return count;
}

/** Durations as Go writes them: `30s`, `2m30s`, `1h`; in milliseconds. */
export function durationOption(parsed: Parsed, name: string, flag: string): number | undefined {
  const value = textOption(parsed, name);
  if (value === undefined) return undefined;
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  const parts = [...value.matchAll(/([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)/g)];
  const total = parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? Number.NaN),
    0,
  );
  if (parts.map(([whole]) => whole).join('') !== value || !(total > 0)) {
    throw new BullaError('usage.invalid', `${flag} takes a duration like 30s or 2m, not "${value}"`);
  }
  return total;
}

/** Flags that decide how registries are reached. */
export function withRegistryOptions(command: Command): Command {
  return command
    .option('--authfile <file>', 'credentials file (default: as podman searches it)')
    .option('--creds <user[:pass]>', 'credentials for the registry; without :PASS it is asked for')
    .option('--registry-token <token>', 'a bearer token for the registry')
    .option('--no-creds', 'use no credentials')
    .option('--cert-dir <dir>', 'folder with *.crt, *.cert and *.key for the registry')
    .addOption(
      new Option('--tls-verify <bool>', 'require TLS with a valid certificate').default(undefined, 'true'),
    )
    .option('--registries-conf <file>', 'registries.conf to use')
    .option('--retry-times <n>', 'how often a failed request is tried again')
    .option('--retry-delay <duration>', 'fixed wait between tries (default: growing)')
    .option('--command-timeout <duration>', 'give up after this time')
    .option('--offline', 'open no socket but to the registry, store or file named');
}

/** Flags that choose one instance of a multi-platform image. */
export function withPlatformOptions(command: Command): Command {
  return command
    .option('--override-arch <arch>', 'choose this architecture instead of the host’s')
    .option('--override-os <os>', 'choose this operating system instead of the host’s')
    .option('--override-variant <variant>', 'choose this architecture variant');
}

/** podman's names for what skopeo calls otherwise. */
export function withPodmanOptions(command: Command): Command {
  return command
    .addOption(new Option('--retry <n>', 'alias of --retry-times').hideHelp())
    .addOption(new Option('--disable-content-trust', 'does nothing, as for podman').hideHelp());
}

/** podman pull's flags for one instance of a multi-platform image. */
export function withPodmanPlatformOptions(command: Command): Command {
  return command
    .option('--platform <os/arch>', 'choose this platform: linux/arm64, linux/arm/v7')
    .option('--arch <arch>', 'alias of --override-arch')
    .option('--os <os>', 'alias of --override-os')
    .option('--variant <variant>', 'alias of --override-variant');
}

/** Flags that name the policy, and what it is asked. */
export function withPolicyOptions(command: Command): Command {
  return withPolicyFileOptions(command).option(
    '--require-signed',
    'refuse images that the policy accepts without a signature',
  );
}

/** Flags that name the policy. */
export function withPolicyFileOptions(command: Command): Command {
  return command
    .option(
      '--policy <file>',
      'policy.json or trust.yaml to judge by (default: as containers/image searches policy.json)',
    )
    .addOption(new Option('--signature-policy <file>', 'alias of --policy').hideHelp())
    .option('--insecure-policy', 'accept anything, whatever the policy says');
}

/** The folder with the lookaside configuration. */
export function withRegistriesDOption(command: Command): Command {
  return command.option(
    '--registries.d <dir>',
    'folder with registries.d files (default: as containers/image)',
  );
}

/** Flags that sign, wherever something is signed. */
export function withSigningOptions(command: Command): Command {
  return withCosignOptions(command)
    .option('--sign-by <id>', 'GPG key: fingerprint, key ID, mail or user ID; repeatable', collect)
    .option(
      '--sign-by-sigstore-private-key <file>',
      'encrypted sigstore private key, as skopeo and cosign make it; repeatable',
      collect,
    )
    .option(
      '--sign-by-sigstore <params.yaml>',
      'podman’s and skopeo’s parameter file, naming a private key or Fulcio; repeatable',
      collect,
    )
    .option(
      '--sign-passphrase-file <file>',
      'file whose first line is the passphrase; one for all GPG keys, or one for each key, GPG keys first and --key last',
      collect,
    )
    .option('--sign-identity <ref>', 'sign for this reference instead of the image’s; repeatable', collect);
}

/** cosign's flags: keys by URI, who signs without a key, who sees what is signed; and the formats. */
export function withCosignOptions(command: Command): Command {
  return command
    .option(
      '--key <uri>',
      'sigstore key as cosign names it: a file, env://, pkcs11:, hashivault:// and others; repeatable',
      collect,
    )
    .option('--keyless', 'sign with a certificate from Fulcio for the identity that an OpenID token proves')
    .option('--identity-token <file>', 'file with the identity token; - is standard input')
    .option(
      '--oidc-provider <name>',
      'where the token comes from: envvar, filesystem, github-actions, buildkite-agent',
    )
    .option('--oidc-disable-ambient-providers', 'look for no token in variables, files and CI services')
    .option('--oidc-issuer <url>', 'OpenID issuer to log in at')
    .option('--oidc-client-id <id>', 'this program’s name at the issuer (default: sigstore)')
    .option('--oidc-client-secret-file <file>', 'file with the secret that the issuer gave this program')
    .option('--fulcio-url <url>', 'Fulcio that gives the certificate')
    .option('--fulcio-auth-flow <flow>', 'how to get the token: token, normal (a browser) or device')
    .option('--insecure-skip-verify', 'take a certificate that is in no certificate log')
    .option('--signing-config <file>', 'the services to sign with (--keyless without: the public instance)')
    .option(
      '--rekor-url <url>',
      'transparency log (Rekor v1) that is to see the signature; repeatable',
      collect,
    )
    .option('--timestamp-server-url <url>', 'RFC 3161 timestamp authority; repeatable', collect)
    .option('--trusted-root <file>', 'what the services’ answers are checked against before they are used')
    .addOption(
      new Option('--signature-format <format>', 'simple, cosign (.sig) or bundle; repeatable')
        .argParser(collect)
        .default(undefined, 'by the key'),
    );
}

/** The policy file named by --policy or its alias; both, and different: refused. */
export function policyOption(parsed: Parsed): string | undefined {
  const policy = textOption(parsed, 'policy');
  const alias = textOption(parsed, 'signaturePolicy');
  if (policy !== undefined && alias !== undefined && policy !== alias) {
    throw new BullaError('usage.invalid', '--policy and --signature-policy name different files');
  }
  return policy ?? alias;
}

/**
 * A passphrase out of a file: its first line, as skopeo reads it.
 * @throws BullaError `key.passphrase-missing` where the file cannot be read
 */
export async function readPassphraseFile(path: string, terminal: Terminal): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readBoundedFile(path, limits.configFileBytes);
  } catch (cause) {
    const why = cause instanceof BullaError ? cause.message : `cannot read ${path}`;
    throw new BullaError('key.passphrase-missing', `no passphrase: ${why}`, { cause });
  }
  const text = textOf(bytes);
  if (text === undefined) throw new BullaError('key.passphrase-missing', `${path} is not UTF-8 text`);
  const passphrase = text.split(/\r?\n/, 1)[0] ?? '';
  if (passphrase === '') terminal.warn(`${path} is empty: the passphrase is the empty one`);
  return passphrase;
}
