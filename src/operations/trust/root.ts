/** `trust root`: whom a trusted root believes: logs, authorities, and from when to when. */
import { hexOfBytes } from '../../base/bytes.ts';
import { limits } from '../../base/limits.ts';
import { crypto } from '../../base/node.ts';
import { readBoundedFile } from '../../io/files.ts';
import { parseTrustedRoots } from '../../keys/trusted-root/parse.ts';
import type { Authority, TransparencyLog, ValidFor } from '../../keys/trusted-root/trusted-root.ts';
import { publicTarget, trustedRootTarget } from '../judge/public-root.ts';
import type { World } from '../world.ts';

export type ShowRootRequest = {
  /** Default: sigstore's public instance. */
  readonly file?: string;
  readonly offline?: boolean;
};

/** One service. Times are RFC 3339; no `until`: to this day. */
export type ShownService = {
  readonly kind: 'log' | 'certificate-log' | 'certificate-authority' | 'timestamp-authority';
  readonly url: string;
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex: the log's, or that of the first certificate. */
  readonly key: string;
  readonly from: string;
  readonly until?: string;
  /** False: it is believed at other times only. */
  readonly isCurrent: boolean;
};

export type ShownRoot = {
  readonly from: 'file' | 'cache' | 'network' | 'embedded';
  readonly file?: string;
  /** RFC 3339; the public instance's metadata are refreshed then. */
  readonly freshUntil?: string;
  readonly roots: readonly { readonly services: readonly ShownService[] }[];
};

/** @throws BullaError `trusted-root.*`, `tuf.*`, `io.*` */
export async function showRoot(
  { file, offline = false }: ShowRootRequest,
  world: Pick<World, 'environment' | 'now' | 'warn'>,
): Promise<ShownRoot> {
  const target =
    file === undefined
      ? await publicTarget(world, trustedRootTarget, { offline })
      : { bytes: await readBoundedFile(file, limits.trustedRootBytes), from: 'file' as const };
  const now = world.now().getTime();
  const roots = parseTrustedRoots(target.bytes, file ?? "sigstore's public root").map((root) => ({
    services: [
      ...root.certificateAuthorities.map((each) => ofAuthority('certificate-authority', each, now)),
      ...root.certificateLogs.map((each) => ofLog('certificate-log', each, now)),
      ...root.transparencyLogs.map((each) => ofLog('log', each, now)),
      ...root.timestampAuthorities.map((each) => ofAuthority('timestamp-authority', each, now)),
    ],
  }));
  return {
    from: target.from,
    ...(file !== undefined && { file }),
    ...('freshUntil' in target && { freshUntil: textOf(target.freshUntil) }),
    roots,
  };
}

function ofLog(
  kind: ShownService['kind'],
  { baseUrl, key, validFor }: TransparencyLog,
  now: number,
): ShownService {
  return { kind, url: baseUrl, key: key.keyId, ...spanOf(validFor, now) };
}

function ofAuthority(
  kind: ShownService['kind'],
  { uri, chain, validFor }: Authority,
  now: number,
): ShownService {
  return { kind, url: uri, key: keyIdOf(chain[0].spki), ...spanOf(validFor, now) };
}

function keyIdOf(spki: Uint8Array): string {
  return hexOfBytes(crypto.createHash('sha256').update(spki).digest());
}

function spanOf({ start, end }: ValidFor, now: number): Pick<ShownService, 'from' | 'until' | 'isCurrent'> {
  const isCurrent = now >= start && (end === undefined || now <= end);
  return { from: textOf(start), ...(end !== undefined && { until: textOf(end) }), isCurrent };
}

function textOf(time: number): string {
  return new Date(time).toISOString();
}
