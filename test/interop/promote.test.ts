/** Promotions between real registries: what Bulla promoted skopeo and podman accept under production's policy, and refuse under development's. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { needs, type PeerName } from '../support/peers.ts';
import { onPromoteStage, type PromoteStage } from '../support/promote-stage.ts';

const peers: readonly PeerName[] = ['skopeo', 'podman', 'docker-registry', 'gpg', 'openssl'];

/** skopeo signs the image where it is. */
async function signInDev({ bench, devKey, from }: PromoteStage): Promise<void> {
  await bench.ok('skopeo', [
    ...['copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', '--sign-by', devKey],
    ...[from, from],
  ]);
}

/** Manifests that were written. */
function puts(log: string, path: string): number {
  return log.split('\n').filter((line) => line.includes(`"PUT /v2/${path}/manifests/`)).length;
}

type Side = { reference: string; digest: string; signers: { key?: string; identity?: string }[] };
type Printed = {
  schema: string;
  changed: boolean;
  source: Side;
  destination: Side & {
    previous?: { digest: string; tag?: string };
    waiting?: { location: string; publish: object }[];
  };
  signatures: { added: boolean }[];
  attestation: { note?: string; added?: boolean };
  carryPolicy?: string;
};

function printed(stdout: string): Printed {
  return JSON.parse(stdout) as Printed;
}

test(
  're-signed by GPG: what skopeo signed in development, Bulla promotes, and the peers accept it in production',
  needs(...peers),
  () =>
    onPromoteStage(async (stage) => {
      const { bench, prod, digest, from, to, devKey, prodKey, devPolicy, prodPolicy } = stage;
      const flags = ['--src-policy', devPolicy, '--dest-policy', prodPolicy, '--sign-by', prodKey];
      const unsigned = await stage.promote(...flags, from, to);
      assert.equal(unsigned.exitCode, 1, unsigned.stderr);
      assert.match(unsigned.stdout, /\[trust\.no-signature\]/);
      await signInDev(stage);

      const dry = await stage.promote('--dry-run', ...flags, from, to);
      assert.equal(dry.exitCode, 0, dry.stderr);
      assert.match(dry.stdout, /^would promote /);
      assert.match(dry.stdout, /accepted docker:/);
      assert.doesNotMatch(prod.log(), /"(?:PUT|POST|PATCH) /, 'nothing was written');
      assert.deepEqual(readdirSync(bench.path('sig', 'prod')), []);

      const record = bench.path('lineage.json');
      const promoted = await stage.promote('--json', '--lineage', record, ...flags, from, to);
      assert.equal(promoted.exitCode, 0, promoted.stderr);
      const { schema, source, destination, changed } = printed(promoted.stdout);
      assert.equal(schema, 'urn:bulla:lineage:v1');
      assert.equal(changed, true);
      assert.deepEqual([source.digest, destination.digest], [digest, digest]);
      assert.deepEqual(
        source.signers.map(({ key, identity }) => [key, identity]),
        [[devKey, from.slice(9)]],
      );
      assert.deepEqual(
        destination.signers.map(({ key, identity }) => [key, identity]),
        [[prodKey, to.slice(9)]],
      );
      const written = JSON.parse(readFileSync(record, 'utf8')) as Printed;
      assert.deepEqual(written.destination, destination);
      assert.equal(await stage.meaning('team/app', '1.4'), digest);
      assert.equal(await stage.peersAccept(to, prodPolicy), true);
      assert.equal(await stage.peersAccept(to, devPolicy), false);

      const before = [puts(prod.log(), 'team/app'), storedIn(bench.path('sig', 'prod', 'team'))];
      const again = await stage.promote('--json', ...flags, from, to);
      assert.equal(again.exitCode, 0, again.stderr);
      assert.equal(printed(again.stdout).changed, false);
      assert.deepEqual([puts(prod.log(), 'team/app'), storedIn(bench.path('sig', 'prod', 'team'))], before);
    }),
);

function storedIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder, { recursive: true }).map(String).toSorted() : [];
}

test(
  'signatures in a staging folder count, are said to wait, and the peers accept the image when they are published',
  needs(...peers),
  () =>
    onPromoteStage(
      async (stage) => {
        const { bench, from, to, prodKey, devPolicy, prodPolicy } = stage;
        await signInDev(stage);
        const flags = ['--src-policy', devPolicy, '--dest-policy', prodPolicy, '--sign-by', prodKey];
        const promoted = await stage.promote('--json', ...flags, from, to);
        assert.equal(promoted.exitCode, 0, promoted.stderr);
        const { waiting = [] } = printed(promoted.stdout).destination;
        assert.equal(waiting.length, 2, 'the carried one and the new one');
        for (const { location, publish } of waiting) {
          assert.ok(location.startsWith(bench.path('sig', 'staging')));
          assert.deepEqual(publish, {
            from: `file://${bench.path('sig', 'staging')}`,
            to: `file://${bench.path('sig', 'prod')}`,
          });
        }
        assert.equal(await stage.peersAccept(to, prodPolicy), false, 'nobody sees them yet');
        const again = await stage.promote('--json', ...flags, from, to);
        assert.equal(printed(again.stdout).changed, false, again.stderr);

        const published = await bench.bulla([
          'store',
          'publish',
          bench.path('sig', 'staging'),
          bench.path('sig', 'prod'),
        ]);
        assert.equal(published.exitCode, 0, published.stderr);
        assert.equal(await stage.peersAccept(to, prodPolicy), true);
        const last = await stage.promote('--json', ...flags, from, to);
        assert.equal(printed(last.stdout).destination.waiting, undefined, last.stdout);
        assert.equal(printed(last.stdout).changed, false);
        // whoever moves files when they are published finds none again
        rmSync(bench.path('sig', 'staging'), { recursive: true });
        const emptied = await stage.promote('--json', ...flags, from, to);
        assert.equal(printed(emptied.stdout).changed, false, emptied.stderr);
        assert.deepEqual(storedIn(bench.path('sig', 'staging')), []);
      },
      { staged: true },
    ),
);

test(
  'carried: the printed policy accepts the old signature under the new name, by its tag or by its repository, for the peers too',
  needs(...peers),
  () =>
    onPromoteStage(async (stage) => {
      const { bench, prod, from, to, devPolicy, prodPolicy } = stage;
      await signInDev(stage);
      for (const [name, rule] of [
        ['team/app:1.4', 'remapIdentity'],
        ['team/app:stable', 'exactRepository'],
      ] as const) {
        const [destination, policy] = [`docker://${prod.host}/${name}`, bench.path(`${rule}.json`)];
        const carry = ['--mode', 'carry', '--policy', devPolicy, '--carry-policy', policy];
        const promoted = await stage.promote('--json', ...carry, from, destination);
        assert.equal(promoted.exitCode, 0, promoted.stderr);
        const { carryPolicy = '' } = printed(promoted.stdout);
        assert.equal(readFileSync(policy, 'utf8'), carryPolicy);
        assert.match(carryPolicy, new RegExp(`"type": "${rule}"`));
        assert.equal(await stage.peersAccept(destination, policy), true);
        assert.equal(await stage.peersAccept(destination, devPolicy), false);
        const again = await stage.promote('--json', ...carry, from, destination);
        assert.equal(printed(again.stdout).changed, false, again.stderr);
      }
      // a policy of the destination's own must accept, too
      const refused = await stage.promote(
        ...['--mode', 'carry', '--policy', devPolicy, '--dest-policy', prodPolicy, from, `${to}-other`],
      );
      assert.equal(refused.exitCode, 1, refused.stderr);
      assert.match(refused.stdout, /\[signature\.unknown-key\]|\[trust\.not-accepted\]/);
      assert.equal(await stage.meaning('team/app', '1.4-other'), undefined);
    }),
);

test(
  'where the destination’s policy refuses after the copy, its name means what it meant; the previous image keeps a name',
  needs(...peers),
  () =>
    onPromoteStage(async (stage) => {
      const { bench, digest, from, to, prodKey, devKey, devPolicy, prodPolicy } = stage;
      await signInDev(stage);
      const { writeOciImage } = await import('../support/oci-image.ts');
      const old = await writeOciImage(bench.path('old'), { tag: 'v1', files: { 'a.txt': 'old' } });
      await bench.ok('skopeo', [
        ...['copy', '--quiet', '--dest-tls-verify=false', '--dest-creds', 'user:correct horse'],
        ...[`oci:${bench.path('old')}:v1`, to],
      ]);
      const policies = ['--src-policy', devPolicy, '--dest-policy', prodPolicy];
      const dry = await stage.promote('--dry-run', ...policies, '--sign-by', devKey, from, to);
      assert.equal(dry.exitCode, 1, 'a dry run knows it already');
      const refused = await stage.promote('--json', ...policies, '--sign-by', devKey, from, to);
      assert.equal(refused.exitCode, 1, refused.stderr);
      const { at } = JSON.parse(refused.stdout) as { at: string };
      assert.equal(at, 'destination');
      assert.equal(await stage.meaning('team/app', '1.4'), old.digest);

      const promoted = await stage.promote(
        '--json',
        '--keep-previous',
        ...policies,
        '--sign-by',
        prodKey,
        from,
        to,
      );
      assert.equal(promoted.exitCode, 0, promoted.stderr);
      const tag = `1.4-previous-${old.digest.slice(7, 19)}`;
      assert.deepEqual(printed(promoted.stdout).destination.previous, { digest: old.digest, tag });
      assert.equal(await stage.meaning('team/app', tag), old.digest);
      assert.equal(await stage.meaning('team/app', '1.4'), digest);
      const again = await stage.promote(
        '--json',
        '--keep-previous',
        ...policies,
        '--sign-by',
        prodKey,
        from,
        to,
      );
      assert.equal(printed(again.stdout).changed, false, again.stderr);
      assert.equal(printed(again.stdout).destination.previous, undefined);
    }),
);

test(
  'by stages.yaml: promoted by its names, and what is published the peers accept; status tells where it stands',
  needs(...peers),
  () =>
    onPromoteStage(async (stage) => {
      const { bench, dev, prod, digest, to, devKey, prodKey, prodPolicy } = stage;
      const stages = `apiVersion: bulla/v1
kind: Stages
signers:
  dev: { type: gpg, keyPath: ${devKey}.asc }
  prod: { type: gpg, keyPath: ${prodKey}.asc }
stages:
  - name: dev
    registry: ${dev.host}/team
    require: [{ type: signed, by: dev }]
    store: { lookaside: sig/dev }
  - name: prod
    registry: ${prod.host}/team
    require: [{ type: signed, by: prod }]
    sign: { sign-by: ${prodKey} }
    store: { lookaside: sig/prod, lookaside-staging: sig/waiting }
`;
      writeFileSync(bench.path('stages.yaml'), stages);
      await bench.ok(
        'skopeo',
        ['login', '--tls-verify=false', '--username', 'user', '--password-stdin', prod.host],
        {
          input: 'correct horse',
        },
      );
      type Status = {
        tags: {
          stages: {
            stage: string;
            digest: string | null;
            accepted: boolean | null;
            next?: { missing: unknown[] };
          }[];
        }[];
      };
      const status = async (): Promise<
        readonly (readonly [string, string | null, boolean | null, number | undefined])[]
      > => {
        const told = await bench.bulla(['promote', 'status', 'app:1.4', '--json', '--tls-verify=false']);
        assert.equal(told.exitCode, 0, told.stderr);
        const [tag] = (JSON.parse(told.stdout) as Status).tags;
        return (tag?.stages ?? []).map((each) => [
          each.stage,
          each.digest,
          each.accepted,
          each.next?.missing.length,
        ]);
      };
      const step = ['app:1.4', '--to', 'prod'];
      assert.equal((await stage.promote(...step)).exitCode, 1, 'nobody has signed it yet');
      await signInDev(stage);
      assert.deepEqual(await status(), [
        ['dev', digest, true, 1],
        ['prod', null, null, undefined],
      ]);
      const promoted = await stage.promote(...step);
      assert.equal(promoted.exitCode, 0, promoted.stderr);
      assert.match(promoted.stdout, /waits to be published/);
      assert.deepEqual((await status())[1], ['prod', digest, false, undefined]);
      const published = await bench.bulla([
        'store',
        'publish',
        bench.path('sig', 'waiting'),
        bench.path('sig', 'prod'),
      ]);
      assert.equal(published.exitCode, 0, published.stderr);
      assert.deepEqual(await status(), [
        ['dev', digest, true, 0],
        ['prod', digest, true, undefined],
      ]);
      assert.equal(await stage.peersAccept(to, prodPolicy), true);
      await prod.stop();
      const blind = await bench.bulla([
        'promote',
        'status',
        'app',
        '--tls-verify=false',
        '--retry-times',
        '0',
      ]);
      assert.equal(blind.exitCode, 3, blind.stderr);
      assert.match(blind.stdout, /prod: cannot list the tags/);
      assert.match(blind.stdout, / {2}dev {2}accepted/);
    }),
);
