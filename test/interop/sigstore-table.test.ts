/**
 * The interop table of sigstore signatures: every kind of signature × `.sig` and bundle × cosign 2 and 3, skopeo, podman, both ways.
 * Every cell is run; what comes of all is docs/reference/interop.md, and this test compares the two.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { mapBounded } from '../../src/io/bounded.ts';
import { needs, peerVersion } from '../support/peers.ts';
import { bullaSigns, bullaVerifies } from './sigstore-table/bulla.ts';
import { type Cell, cosignEnv, identity, type Peer, peers } from './sigstore-table/peers.ts';
import { cellsOf, type Direction, keyOf, type Named, renderTable } from './sigstore-table/render.ts';
import {
  type Format,
  formats,
  openStage,
  type Outcome,
  registries,
  type Row,
  rows,
  type Stage,
} from './sigstore-table/stage.ts';

const page = join(import.meta.dirname, '..', '..', 'docs', 'reference', 'interop.md');
const needed = {
  ...needs('sigstack', 'docker-registry', 'openssl', ...peers.map(({ name }) => name)),
  timeout: 300_000,
};
const outcomes = new Map<string, Outcome>();
let stage: Stage;

before(async () => {
  if (needed.skip === undefined) stage = await openStage();
});
after(async () => {
  if (needed.skip === undefined) await stage[Symbol.asyncDispose]();
});

const directions: Readonly<Record<Direction, (peer: Peer, cell: Cell) => Promise<Outcome>>> = {
  'to Bulla': async (peer, cell) => {
    const signed = await peer.sign(stage, cell);
    return signed.ok ? judged((who) => bullaVerifies(stage, cell, who)) : signed;
  },
  'from Bulla': async (peer, cell) => {
    const signed = await bullaSigns(stage, cell);
    return signed.ok ? judged((who) => peer.verify(stage, cell, who)) : signed;
  },
};

/** Accepted, and not whoever signed. */
async function judged(verify: (who: 'right' | 'wrong') => Promise<Outcome>): Promise<Outcome> {
  const right = await verify('right');
  if (!right.ok) return right;
  const wrong = await verify('wrong');
  assert.equal(wrong.ok, false, 'another key or identity is believed');
  assert.doesNotMatch(wrong.ok ? '' : wrong.said, /internal\.bug|usage\.|unknown (?:flag|option)/);
  return right;
}

/** A bundle must do in a registry with referrers API and in one without. */
async function run(direction: Direction, peer: Peer, row: Row, format: Format): Promise<Outcome> {
  const places = format === 'bundle' ? registries : registries.slice(0, 1);
  const all: Outcome[] = [];
  for (const registry of places) {
    const cell = { row, format, target: await stage.push(registry) };
    all.push(await directions[direction](peer, cell));
  }
  const said = all.map((outcome) => (outcome.ok ? 'yes' : outcome.said));
  assert.deepEqual(new Set(said).size, 1, `the registries differ: ${said.join('; ')}`);
  return all[0] ?? { ok: false, said: 'not run' };
}

for (const direction of ['to Bulla', 'from Bulla'] as const) {
  for (const row of rows) {
    for (const format of formats) {
      test(`${direction}: ${row.name}, ${format}`, needed, async () => {
        const found = await mapBounded(peers, 2, (peer) => run(direction, peer, row, format));
        found.forEach((outcome, at) => {
          outcomes.set(keyOf(direction, row.name, format, peers[at]?.name ?? ''), outcome);
        });
      });
    }
  }
}

test('a timestamp instead of a log, as .sig: cosign 2 and 3 and Bulla, both ways', needed, async () => {
  const { bench, stack } = stage;
  const trust = ['--trusted-root', stack.trustedRoot];
  const noLog = '--insecure-ignore-tlog';
  const verifiers: Readonly<Record<string, (digest: string, who: readonly string[]) => Promise<number>>> = {
    bulla: async (digest, who) =>
      (await bench.bulla(['verify', '--tls-verify=false', ...who, ...trust, noLog, digest])).exitCode,
    cosign: async (digest, who) => {
      const how = ['--new-bundle-format=false', '--use-signed-timestamps', noLog, ...trust];
      return (await bench.run('cosign', ['verify', ...how, ...who, digest])).exitCode;
    },
    cosign2: async (digest, who) => {
      const args = ['verify', '--use-signed-timestamps', noLog, ...who, digest];
      return (await bench.run('cosign2', args, cosignEnv(stage))).exitCode;
    },
  };
  const row = { name: 'Fulcio + TSA', keyless: true, log: undefined, timestamp: true };
  const [ours, theirs] = [await stage.push('docker-registry'), await stage.push('docker-registry')];
  const signed = await bullaSigns(stage, { row: { ...row, log: 2 }, format: '.sig', target: ours });
  assert.deepEqual(signed, { ok: true });
  const byCosign2 = await peers[1]?.sign(stage, { row, format: '.sig', target: theirs });
  assert.deepEqual(byCosign2, { ok: true });
  for (const [name, verify] of Object.entries(verifiers)) {
    for (const { digest } of [ours, theirs]) {
      assert.equal(await verify(digest, identity(stage, row, 'right')), 0, name);
      assert.notEqual(await verify(digest, identity(stage, row, 'wrong')), 0, name);
    }
  }
});

const titles: Readonly<Partial<Record<Peer['name'], string>>> = { cosign: 'cosign 3', cosign2: 'cosign 2' };

test('the table is the one in docs/reference/interop.md', needed, async () => {
  const named = peers.map(({ name }): Named => ({ peer: name, title: titles[name] ?? name }));
  const versions = await Promise.all(named.map(async ({ peer }) => `${peer} ${await peerVersion(peer)}`));
  const now = renderTable(outcomes, named, versions);
  process.stdout.write(`\n${now.slice(now.indexOf('## '))}\n`);
  if (process.env['BULLA_INTEROP_WRITE'] === '1') writeFileSync(page, now);
  const then = existsSync(page) ? readFileSync(page, 'utf8') : '';
  assert.deepEqual(cellsOf(now), cellsOf(then));
  // other versions may say it otherwise
  const measured = versions.join(', ');
  if (then.includes(measured)) assert.equal(now, then);
});
