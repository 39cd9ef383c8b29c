/**
 * Copies, measured beside skopeo, crane and oras: 200 MB from registry to registry, and the same with all of it there already. Beside them what the same machine hashes and moves over loopback, which no copy that checks what it carries can beat.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';

import { startRegistry } from '../../test/support/docker-registry.ts';
import { type Bench, findPeer, openBench } from '../../test/support/peers.ts';
import type { Row } from './contenders.ts';
import { launcher, pushLayers } from './copy-image.ts';
import { measureAlternately } from './measure.ts';
import { type Check, type Line, linesOf, printCarried } from './report.ts';
import { askedBy } from './requests.ts';
import { node, requestLog } from './stage.ts';

export type CopyFigures = {
  readonly lines: readonly Line[];
  readonly checks: readonly Check[];
  /** What 200 MB cost this machine at least, in milliseconds. */
  readonly limits: { readonly sha256: number; readonly loopback: number };
};

/** Empty where docker-registry or skopeo is missing: there is nothing to copy between, or to fill it with. */
export async function measureCopies(
  rounds: number,
  progress: (done: number, of: number) => void,
): Promise<CopyFigures | undefined> {
  if (findPeer('docker-registry') === undefined || findPeer('skopeo') === undefined) return undefined;
  await using stage = await openCopyStage();
  const limits = await measureLimits();
  await stage.push('image', 50_000_000);
  const rows = [...copyRows(stage), ...thereRows(stage)];
  const measured = await measureAlternately(rows, { warmUps: 1, rounds, peakRuns: 2 }, progress);
  const counted = new Map<string, string>();
  for (const row of rows) counted.set(row.name, await stage.requests(row));
  const lines = linesOf(rows, measured, counted);
  return { lines, limits, checks: checksOfCopies(lines, limits) };
}

export function printCopies({ lines, limits }: CopyFigures): void {
  printCarried(lines);
  console.log(
    `The limits of this machine in this run: SHA-256 of 200 MB ${limits.sha256.toFixed(0)} ms, 200 MB once over loopback ${limits.loopback.toFixed(0)} ms.\n`,
  );
}

type CopyStage = AsyncDisposable & {
  readonly bench: Bench;
  readonly from: string;
  readonly to: string;
  /** Empties the registry that is copied to. */
  readonly wipe: () => void;
  /** Puts an image of four layers into the registry that is copied from. */
  push(name: string, bytes: number): Promise<void>;
  /** What one run asks both registries. */
  requests(row: Row): Promise<string>;
};

async function openCopyStage(): Promise<CopyStage> {
  const bench = await openBench();
  const [from, to] = [await startRegistry(bench), await startRegistry(bench)];
  const logs = [from, to].map(requestLog);
  return {
    bench,
    from: from.host,
    to: to.host,
    wipe: () => {
      rmSync(join(to.folder, 'docker'), { recursive: true, force: true });
    },
    push: (name, bytes) => pushLayers(bench, from.host, name, bytes),
    requests: (row) => askedBy(row, logs),
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
const peers = ['skopeo', 'crane', 'oras'] as const;

/** One image by each program that is here. */
function contenders(stage: CopyStage, what: string, before: (() => void) | undefined): readonly Row[] {
  const [from, to] = [`${stage.from}/image:1`, `${stage.to}/image:1`];
  const args: Readonly<Record<(typeof peers)[number], readonly string[]>> = {
    skopeo: ['copy', '--quiet', '--insecure-policy', ...plain, `docker://${from}`, `docker://${to}`],
    crane: ['copy', '--insecure', from, to],
    oras: ['cp', '--from-plain-http', '--to-plain-http', from, to],
  };
  const shared = {
    env: { ...stage.bench.env, BULLA_DIST: '1' },
    cwd: stage.bench.path('.'),
    ...(before !== undefined && { before }),
  };
  return [
    bullaRow(stage, `${what}: bulla`, `docker://${from}`, `docker://${to}`, before),
    ...peers.flatMap((name) => {
      const command = findPeer(name);
      return command === undefined
        ? []
        : [{ ...shared, name: `${what}: ${name}`, command, args: args[name] }];
    }),
  ];
}

function bullaRow(
  { bench }: CopyStage,
  name: string,
  from: string,
  to: string,
  before: (() => void) | undefined,
): Row {
  return {
    name,
    command: node,
    args: [launcher, 'copy', '--quiet', '--insecure-policy', ...plain, from, to],
    env: { ...bench.env, BULLA_DIST: '1' },
    cwd: bench.path('.'),
    ...(before !== undefined && { before }),
  };
}

function copyRows(stage: CopyStage): readonly Row[] {
  const what = 'copy 200 MB';
  const [own, ...others] = contenders(stage, what, stage.wipe);
  const against = others.map(({ name }) => name);
  return own === undefined ? [] : [{ ...own, against, budget: { most: 1.1, goal: 0.9 } }, ...others];
}

/** A round's wipes leave nothing there, so each run fills the registry before. */
function thereRows(stage: CopyStage): readonly Row[] {
  const what = 'all of it there';
  const fill = bullaRow(
    stage,
    '',
    `docker://${stage.from}/image:1`,
    `docker://${stage.to}/image:1`,
    undefined,
  );
  const [own, ...others] = contenders(stage, what, () => fillOnce(fill));
  const row = { against: [`${what}: skopeo`], budget: { most: 1.5, goal: 1 }, mostRequests: 11 };
  return own === undefined ? [] : [{ ...own, ...row }, ...others];
}

function fillOnce({ command, args, env, cwd }: Row): void {
  const { status } = spawnSync(command, args, { env, cwd, stdio: 'ignore' });
  if (status !== 0) throw new Error('the registry could not be filled');
}

const mostMiB = 120;

function checksOfCopies(lines: readonly Line[], limits: CopyFigures['limits']): readonly Check[] {
  const own = lines.filter(({ name }) => name.includes(': bulla'));
  const peak = Math.max(...own.map(({ peakMiB }) => peakMiB));
  const least = limits.sha256 + limits.loopback;
  return [
    ...own.flatMap(({ name, ratio, against, row }) => {
      if (ratio === undefined || row.budget === undefined) return [];
      const { most, goal } = row.budget;
      const measured = `${ratio.toFixed(2)} × ${against?.split(': ')[1] ?? ''}`;
      return [{ what: name, measured, budget: `≤ ${most} ×, goal ${goal} ×`, holds: ratio <= most }];
    }),
    ...own.flatMap(({ name, requests = '', row }) => {
      const { mostRequests } = row;
      if (mostRequests === undefined) return [];
      const asked = Number(/\((\d+)\)/.exec(requests)?.[1] ?? Number.NaN);
      return [
        {
          what: `${name}: requests`,
          measured: requests,
          budget: `≤ ${mostRequests}`,
          holds: asked <= mostRequests,
        },
      ];
    }),
    {
      what: 'copy: peak memory',
      measured: `${peak.toFixed(0)} MiB`,
      budget: `≤ ${mostMiB} MiB`,
      holds: peak <= mostMiB,
    },
    ...own.slice(0, 1).flatMap(({ name, median }) => [
      {
        what: `${name}: to the limit`,
        measured: `${(median / least).toFixed(1)} × (SHA-256 + loopback, ${least.toFixed(0)} ms)`,
        budget: '',
        holds: true,
      },
      ...checkingPeers(lines).map((peer) => ({
        what: `${name}: to a peer that checks what it carries`,
        measured: `${(median / peer.median).toFixed(2)} × ${peer.name.split(': ')[1] ?? ''}`,
        budget: '',
        holds: true,
      })),
    ]),
  ];
}

/** oras takes the destination's word for the digests: its processor time is less than one hash takes. */
function checkingPeers(lines: readonly Line[]): readonly Line[] {
  return lines.filter(({ name }) => name === 'copy 200 MB: skopeo' || name === 'copy 200 MB: crane');
}

async function measureLimits(): Promise<CopyFigures['limits']> {
  const chunk = randomBytes(1_000_000);
  const started = performance.now();
  const hash = createHash('sha256');
  for (let n = 0; n < 200; n += 1) hash.update(chunk);
  hash.digest();
  const hashed = performance.now();
  const server = createServer((socket) => {
    for (let n = 0; n < 200; n += 1) socket.write(chunk);
    socket.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket.resume(), 'end');
  server.close();
  return { sha256: hashed - started, loopback: performance.now() - hashed };
}
