/** One image, one policy, two judges: Bulla in this process, and skopeo. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { Platform } from '../../src/base/descriptor.ts';
import { BullaError, type ErrorCode, type ExitCode } from '../../src/base/errors.ts';
import { parseImageName } from '../../src/base/image-name.ts';
import { type ImageVerdict, verify } from '../../src/operations/verify.ts';
import { openWorld } from '../../src/operations/world.ts';
import { systemEnvironment } from '../../src/registry/environment.ts';
import type { Bench } from './peers.ts';

/** What both judges are asked. */
export type Question = {
  /** With its transport. */
  readonly image: string;
  /** policy.json */
  readonly policy: string;
  /** The one registries.d folder; default: the bench's own. */
  readonly registriesD?: string;
  readonly requireSigned?: boolean;
  /** registries.conf; default: the bench's own. */
  readonly registriesConf?: string;
  /** Default: true, plain HTTP. */
  readonly insecure?: boolean;
  readonly certDir?: string;
  readonly creds?: string;
};

/** Everything tests judge is for this platform, whatever the machine. */
const platform: Platform = { os: 'linux', architecture: 'amd64' };

export type OurAnswer = {
  readonly accepted: boolean;
  readonly exitCode: 0 | ExitCode;
  /** `accepted`, the error's code, else the refusing requirement's. */
  readonly code: ErrorCode | 'accepted';
  /** Of every signature that the last requirement judged. */
  readonly signatures: readonly (ErrorCode | 'accepted')[];
  /** Who signed, where a signature was accepted. */
  readonly key: string | undefined;
  readonly message: string;
};

/** Asks Bulla, in this process, in the bench's surroundings. */
export async function askBulla(bench: Bench, question: Question): Promise<OurAnswer> {
  const env = {
    ...bench.env,
    ...(question.registriesConf !== undefined && { CONTAINERS_REGISTRIES_CONF: question.registriesConf }),
  };
  const [username = '', password = ''] = question.creds?.split(':') ?? [];
  await using world = openWorld({
    environment: { ...systemEnvironment(), env, home: bench.path('home'), etc: bench.path('etc') },
    registriesDFolder: question.registriesD ?? join(bench.config, 'registries.d'),
    retryTimes: 0,
    ...(question.insecure !== false && { tlsVerify: false }),
    ...(question.certDir !== undefined && { certDir: question.certDir }),
    ...(question.creds !== undefined && { credentials: { kind: 'password', username, password } }),
  });
  try {
    const request = {
      images: [parseImageName(question.image)],
      by: { kind: 'policy', file: question.policy },
      platform,
      requireSigned: question.requireSigned === true,
    } as const;
    const [verdict] = await verify(request, world);
    if (verdict === undefined) throw new Error('no verdict');
    return answerOf(verdict);
  } catch (error) {
    if (error instanceof BullaError) return failure(error);
    throw error;
  }
}

function failure({ code, exitCode, message }: BullaError): OurAnswer {
  return { accepted: false, exitCode, code, signatures: [], key: undefined, message };
}

function answerOf(verdict: ImageVerdict): OurAnswer {
  if (verdict.error !== undefined) return failure(verdict.error);
  const last = verdict.requirements.at(-1);
  return {
    accepted: verdict.accepted,
    exitCode: verdict.accepted ? 0 : 1,
    code: verdict.accepted ? 'accepted' : (last?.code ?? 'internal.bug'),
    signatures: last?.signatures.map(({ code }) => code) ?? [],
    key: last?.signatures.find(({ accepted }) => accepted)?.key,
    message: last?.message ?? '',
  };
}

export type PeerAnswer = { readonly accepted: boolean; readonly message: string };

let copies = 0;

/** Asks skopeo: is the image copied, under that policy? */
export async function askSkopeo(bench: Bench, question: Question): Promise<PeerAnswer> {
  const destination = bench.path('copies', String((copies += 1)));
  mkdirSync(dirname(destination), { recursive: true });
  const result = await bench.run('skopeo', [
    ...['--policy', question.policy],
    ...['--registries.d', question.registriesD ?? join(bench.config, 'registries.d')],
    ...['--override-os', platform.os, '--override-arch', platform.architecture],
    // it does not read CONTAINERS_REGISTRIES_CONF
    ...(question.registriesConf === undefined ? [] : ['--registries-conf', question.registriesConf]),
    ...(question.requireSigned === true ? ['--require-signed'] : []),
    ...['copy', '--quiet'],
    ...(question.insecure === false ? [] : ['--src-tls-verify=false']),
    ...(question.certDir === undefined ? [] : ['--src-cert-dir', question.certDir]),
    ...(question.creds === undefined ? [] : ['--src-creds', question.creds]),
    ...[question.image, `dir:${destination}`],
  ]);
  return { accepted: result.exitCode === 0, message: lastLine(result.stderr) };
}

function lastLine(text: string): string {
  const line = text.trim().split('\n').at(-1) ?? '';
  return /msg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]?.replaceAll('\\"', '"') ?? line;
}

/** Writes a policy of one requirement list for everything, or a whole policy; gives its path. */
export function writePolicy(
  bench: Bench,
  name: string,
  policy: readonly object[] | { readonly default: unknown },
): string {
  const path = bench.path(`${name}.policy.json`);
  writeFileSync(path, JSON.stringify('default' in policy ? policy : { default: policy }, undefined, 1));
  return path;
}

/** A requirement: signed by a key of that file. */
export function signedBy(keyPath: string, signedIdentity?: object): object {
  return {
    type: 'signedBy',
    keyType: 'GPGKeys',
    keyPath,
    ...(signedIdentity !== undefined && { signedIdentity }),
  };
}
