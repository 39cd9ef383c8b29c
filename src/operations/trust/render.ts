/** `trust render`: a policy.json, and the registries.d file that it needs, for programs that read no trust.yaml. */
import { join } from 'node:path';

import { utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { makeFolder, readBoundedFile, replaceFile } from '../../io/files.ts';
import { parseKeyring } from '../../keys/openpgp/keyring.ts';
import { parseSigstorePublicKey } from '../../keys/sigstore/public-key.ts';
import type { SystemEnvironment } from '../../registry/environment.ts';
import { readMaterial } from '../../trust/material.ts';
import { parsePolicy } from '../../trust/policy.ts';
import { type RenderedPolicy, type RenderNote, renderPolicy } from '../../trust/render.ts';
import type { NamedSigner } from '../../trust/requirement.ts';
import { loadPolicy } from '../judge/policy-file.ts';

/** `crio` reads the same files, and for the pods of one namespace `policies/NAMESPACE.json` instead. */
export const renderTargets = ['podman', 'crio'] as const;
export type RenderTarget = (typeof renderTargets)[number];

export type RenderTrustRequest = {
  readonly file?: string;
  readonly target: RenderTarget;
  /** crio: the namespace whose pods the policy is for. Default: all. */
  readonly namespace?: string;
  /** Folder to write into. Default: nothing is written. */
  readonly output?: string;
  readonly environment: SystemEnvironment;
};

export type RenderedTrust = {
  readonly file: string;
  /** policy.json. */
  readonly policy: string;
  /** A file for registries.d; undefined where none is needed. */
  readonly registriesD: string | undefined;
  readonly rejected: readonly RenderNote[];
  /** Files written. */
  readonly written: readonly string[];
};

/**
 * Renders a trust.yaml; files in `output` are replaced.
 * @throws BullaError `policy.malformed`, `policy.not-found`, `usage.invalid`, `trust.key-unavailable`, `io.*`
 */
export async function renderTrust(request: RenderTrustRequest): Promise<RenderedTrust> {
  const { output, namespace, target, environment } = request;
  checkNamespace(target, namespace);
  const source = await loadPolicy(request.file, environment);
  const rendered = await renderPolicy(source, keyNames);
  const policy = `${JSON.stringify(rendered.policy, null, 4)}\n`;
  // what we wrote ourselves: if it cannot be read, nothing may be written
  parsePolicy(policy, 'the rendered policy');
  const registriesD = registriesDFor(rendered);
  const files = [
    { name: namespace === undefined ? 'policy.json' : join('policies', `${namespace}.json`), text: policy },
    ...(registriesD === undefined
      ? []
      : [{ name: join('registries.d', 'bulla-trust.yaml'), text: registriesD }]),
  ];
  const written = output === undefined ? [] : await writeFiles(output, files);
  return { file: source.file, policy, registriesD, rejected: rendered.rejected, written };
}

function checkNamespace(target: RenderTarget, namespace: string | undefined): void {
  if (namespace === undefined) return;
  if (target !== 'crio') throw new BullaError('usage.invalid', '--namespace goes with --for crio');
  // RFC 1123 label, as Kubernetes has it; it becomes a file's name
  if (/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace)) return;
  throw new BullaError('usage.invalid', `"${namespace}" is no name of a namespace`);
}

async function writeFiles(
  folder: string,
  files: readonly { readonly name: string; readonly text: string }[],
): Promise<readonly string[]> {
  const written: string[] = [];
  for (const { name, text } of files) {
    const path = join(folder, name);
    await makeFolder(join(path, '..'));
    await replaceFile(path, utf8(text));
    written.push(path);
  }
  return written;
}

function registriesDFor({ attachments }: RenderedPolicy): string | undefined {
  if (attachments.length === 0) return undefined;
  const on = 'use-sigstore-attachments: true';
  const scopes = attachments.filter((scope) => scope !== '');
  return [
    '# sigstore signatures are looked for where this says so',
    ...(scopes.length < attachments.length ? ['default-docker:', `  ${on}`] : []),
    ...(scopes.length === 0 ? [] : ['docker:']),
    ...scopes.flatMap((scope) => [`  ${JSON.stringify(scope)}:`, `    ${on}`]),
    '',
  ].join('\n');
}

/** Every key of a signer, subkeys of OpenPGP too. @throws BullaError `trust.key-unavailable` */
export async function keyNames({ name, by }: NamedSigner): Promise<readonly string[]> {
  if (by.kind === 'certificate') return [];
  try {
    const files = await readMaterial(by.keys, (path) => readBoundedFile(path, limits.keyringBytes));
    if (by.kind === 'sigstoreKey')
      return [...new Set(files.map((bytes) => parseSigstorePublicKey(bytes).keyId))];
    const { certificates } = parseKeyring(...files);
    return [
      ...new Set(
        certificates.flatMap(({ fingerprint, subkeys }) => [
          fingerprint,
          ...subkeys.map((subkey) => subkey.fingerprint),
        ]),
      ),
    ];
  } catch (cause) {
    if (!(cause instanceof BullaError)) throw cause;
    throw new BullaError('trust.key-unavailable', `signer ${name}: ${cause.message}`, { cause });
  }
}
