/** `bundle show`: what is in a transfer bundle, checked to be whole, and judged by nobody. */
import { textOf } from '../../base/bytes.ts';
import type { Digest } from '../../base/digest.ts';
import { isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { parseTrustedRoots } from '../../keys/trusted-root/parse.ts';
import { parsePolicy, type Policy } from '../../trust/policy.ts';
import { parseTrustYaml } from '../../trust/trust-yaml.ts';
import { checkTransfer, type TransferProgress } from './check.ts';
import { referenceText, transferFolders, type TransferImage, transferPolicies } from './format.ts';
import { type PackedKey, readPackedKeys } from './keys.ts';
import { openTransfer, type Transfer } from './open.ts';
import type { World } from '../world.ts';

export type ShownImage = {
  readonly reference: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly platforms?: readonly string[];
  /** GPG signatures and the like, of stores of their own. */
  readonly signatures: number;
  /** Manifests that hang on it: `.sig`, `.att` and `.sbom` tags, referrers. */
  readonly attachments: number;
};

/** The policy in the bundle. It counts for nothing on this side. */
export type ShownPolicy = {
  readonly file: string;
  /** Types of the requirements by scope, `""` for the default: `docker registry.example.com` → `signedBy`. */
  readonly scopes: readonly { readonly scope: string; readonly requirements: readonly string[] }[];
  readonly problem?: string;
};

export type ShownRootFile = { readonly file: string; readonly services: number; readonly problem?: string };

export type TransferShown = {
  readonly file: string;
  readonly images: readonly ShownImage[];
  readonly keys: readonly PackedKey[];
  readonly policy?: ShownPolicy;
  readonly roots: readonly ShownRootFile[];
  readonly registriesD: readonly string[];
};

export type ShowTransferRequest = {
  readonly file: string;
  readonly onProgress?: (progress: TransferProgress) => void;
};

/**
 * @throws BullaError `transfer.*`, `image.*`, `manifest.*`, `io.*`
 */
export async function showTransfer(
  { file, onProgress }: ShowTransferRequest,
  world: World,
): Promise<TransferShown> {
  await using transfer = await openTransfer(file);
  await checkTransfer(transfer, world, onProgress);
  return await describeTransfer(transfer);
}

/** The same of a bundle that was checked. */
export async function describeTransfer(transfer: Transfer): Promise<TransferShown> {
  const { members, images } = transfer.index;
  const policy = members.find(({ name }) => transferPolicies.some((each) => each === name));
  return {
    file: transfer.path,
    images: images.map(shownImage),
    keys: await readPackedKeys(transfer),
    ...(policy !== undefined && {
      policy: await shownPolicy(policy.name, await transfer.read(policy, limits.configFileBytes)),
    }),
    roots: await shownRoots(transfer),
    registriesD: members
      .filter(({ name }) => name.startsWith(transferFolders.registriesD))
      .map(({ name }) => name.slice(transferFolders.registriesD.length)),
  };
}

function shownImage({
  reference,
  digest,
  mediaType,
  platforms,
  signatures,
  attachments,
}: TransferImage): ShownImage {
  return {
    reference: referenceText(reference),
    digest,
    mediaType,
    ...(platforms !== undefined && { platforms }),
    signatures: signatures.length,
    attachments: attachments.length,
  };
}

async function shownPolicy(file: string, bytes: Uint8Array): Promise<ShownPolicy> {
  try {
    const text = textOf(bytes) ?? '';
    const policy = file.endsWith('.json')
      ? parsePolicy(text, file)
      : await parseTrustYaml(text, file, (path) => path);
    return { file, scopes: scopesOf(policy) };
  } catch (error) {
    if (isBullaError(error)) return { file, scopes: [], problem: error.message };
    throw error;
  }
}

function scopesOf(policy: Policy): ShownPolicy['scopes'] {
  const scoped = [...policy.transports].flatMap(([transport, scopes]) =>
    [...scopes].map(([scope, { requirements }]) => ({
      scope: `${transport} ${scope}`.trimEnd(),
      requirements: requirements.map(({ type }) => type),
    })),
  );
  return [{ scope: '', requirements: policy.default.map(({ type }) => type) }, ...scoped];
}

/** One after the other: together they may be as large as the file. */
async function shownRoots(transfer: Transfer): Promise<readonly ShownRootFile[]> {
  const shown: ShownRootFile[] = [];
  for (const each of transfer.index.members.filter(({ name }) => name.startsWith(transferFolders.roots)))
    shown.push(shownRoot(each.name, await transfer.read(each, limits.trustedRootBytes)));
  return shown;
}

function shownRoot(file: string, bytes: Uint8Array): ShownRootFile {
  try {
    const services = parseTrustedRoots(bytes, file).reduce(
      (sum, root) =>
        sum +
        root.certificateAuthorities.length +
        root.certificateLogs.length +
        root.transparencyLogs.length +
        root.timestampAuthorities.length,
      0,
    );
    return { file, services };
  } catch (error) {
    if (isBullaError(error)) return { file, services: 0, problem: error.message };
    throw error;
  }
}
