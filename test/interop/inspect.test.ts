/** Everything on one image, made by the tools themselves; and whether each tool reads what `inspect` says it reads. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';

import type { Inspection, SeenSignature } from '../../src/operations/inspect.ts';
import { serveRegistry } from '../../src/servers/registry/serve.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';

type Stage = { readonly bench: Bench; readonly host: string; readonly name: string };

async function onRegistry(hasApi: boolean, run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  await using embedded = hasApi ? await serveRegistry({}) : undefined;
  const host = embedded === undefined ? (await startRegistry(bench)).host : new URL(embedded.url).host;
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1', files: { 'a.txt': 'a\n' } });
  const to = `docker://${host}/ns/app:v1`;
  await bench.ok('skopeo', ['copy', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`, to]);
  const configuration = `docker: { "${host}": { lookaside: "file://${bench.path('sigs')}", use-sigstore-attachments: true } }\n`;
  writeFileSync(`${bench.config}/registries.d/default.yaml`, configuration);
  for (const key of ['k', 'other'])
    await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', key]);
  await bench.ok('cosign', ['signing-config', 'create', '--out', 'config.json']);
  await bench.ok('cosign', ['trusted-root', 'create', '--out', 'root.json']);
  await run({ bench, host, name: `${host}/ns/app@${digest}` });
}

const offline = ['--signing-config', 'config.json', '--trusted-root', 'root.json', '-y'];
const oldFormat = ['--new-bundle-format=false', '--use-signing-config=false', '--tlog-upload=false', '-y'];

async function inspect(
  { bench, name }: Stage,
  ...flags: readonly string[]
): Promise<readonly SeenSignature[]> {
  const result = await bench.bulla(['inspect', '--json', '--tls-verify=false', ...flags, `docker://${name}`]);
  assert.equal(result.exitCode, 0, result.stderr);
  return (JSON.parse(result.stdout) as Inspection).manifests[0]?.signatures ?? [];
}

for (const hasApi of [true, false]) {
  const how = hasApi ? 'with the referrers API' : 'by the fallback tag';
  const peers = ['cosign', 'cosign2', 'notation', 'skopeo', 'gpg'] as const;
  test(
    `all kinds side by side ${how}`,
    needs(...(hasApi ? peers : ([...peers, 'docker-registry'] as const))),
    () =>
      onRegistry(hasApi, async (stage) => {
        const { bench, host, name } = stage;
        const fingerprint = await bench.newGpgKey('Tester <t@example.com>');
        const image = `docker://${host}/ns/app:v1`;
        const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];
        await bench.ok('skopeo', ['copy', ...insecure, '--sign-by', fingerprint, image, image]);
        await bench.ok('cosign', ['sign', '--key', 'k.key', ...oldFormat, name]);
        const verify = ['verify', '--key', 'k.pub', '--insecure-ignore-tlog=true', name];
        await bench.ok('cosign', verify);
        const [, before] = await inspect(stage, '--key', 'k.pub');
        assert.equal(before?.verdict?.accepted, true);

        writeFileSync(bench.path('p.json'), '{"a":1}');
        const attest = ['attest', '--key', 'k.key', '--predicate', 'p.json', '-y', '--tlog-upload=false'];
        await bench.ok('cosign2', [...attest, name]);
        await bench.ok('notation', ['cert', 'generate-test', 'tester']);
        await bench.ok('notation', ['sign', '--insecure-registry', '--key', 'tester', name]);
        await bench.ok('cosign', ['sign', '--key', 'other.key', ...offline, name]);

        const found = await inspect(stage, '--key', 'other.pub');
        const shown = new Map(found.map((each) => [each.format, each]));
        assert.deepEqual([...shown.keys()].toSorted(), [
          'attestation',
          'bundle',
          'cosign',
          'notary',
          'simple',
        ]);
        assert.equal(shown.get('simple')?.untrusted.keyIds.length, 1);
        assert.equal(shown.get('cosign')?.verdict?.accepted, false);
        assert.equal(shown.get('bundle')?.verdict?.accepted, true);
        assert.equal(shown.get('bundle')?.untrusted.predicateType, 'https://sigstore.dev/cosign/sign/v1');
        assert.match(shown.get('bundle')?.untrusted.keyHint ?? '', /^[0-9a-f]{64}$/);
        assert.equal(
          shown.get('attestation')?.untrusted.predicateType,
          'https://cosign.sigstore.dev/attestation/v1',
        );
        for (const format of ['bundle', 'attestation', 'notary'])
          assert.equal(shown.get(format)?.untrusted.digest, name.slice(name.indexOf('@') + 1));
        assert.match(shown.get('notary')?.untrusted.created ?? '', /^20/);

        // what inspect says of cosign 3: the .sig, which it accepted before, is hidden now
        const why = (format: string, tool: string): string =>
          shown.get(format)?.notReadBy?.find((each) => each.tool === tool)?.code ?? 'read';
        assert.equal((await bench.run('cosign', verify)).exitCode, 1);
        assert.equal(why('cosign', 'cosign3'), 'trust.not-read');
        await bench.ok('cosign', ['verify', '--key', 'other.pub', '--insecure-ignore-tlog=true', name]);
        await bench.ok('cosign2', verify);
        // the bundle and the .sig have no log entry
        const strict = ['verify', '--key', 'other.pub', '--trusted-root', 'root.json', name];
        assert.notEqual((await bench.run('cosign', strict)).exitCode, 0);
        assert.equal(why('bundle', 'cosign3'), 'signature.log-entry-missing');
        assert.notEqual(
          (await bench.run('cosign2', ['verify', '--key', 'k.pub', '--offline', name])).exitCode,
          0,
        );
        assert.equal(why('cosign', 'cosign2'), 'signature.log-entry-missing');
        // cosign signed for a name without tag: podman's default rule refuses that
        assert.equal(why('cosign', 'podman'), 'signature.wrong-identity');
        for (const [identity, exitCode] of [
          ['matchRepoDigestOrExact', 1],
          ['matchRepository', 0],
        ] as const) {
          const requirement = {
            type: 'sigstoreSigned',
            keyPath: bench.path('k.pub'),
            signedIdentity: { type: identity },
          };
          writeFileSync(bench.path('policy.json'), JSON.stringify({ default: [requirement] }));
          const copy = ['copy', '--policy', 'policy.json', '--src-tls-verify=false', image];
          const { exitCode: actual } = await bench.run('skopeo', [...copy, `dir:${bench.path(identity)}`]);
          assert.equal(actual, exitCode, identity);
        }
        assert.deepEqual(shown.get('simple')?.readBy, ['podman']);
        for (const [tool, key, flags, exitCode] of [
          ['podman', 'k', [], 1],
          ['cosign2', 'k', [], 1],
          ['cosign2', 'k', ['--insecure-ignore-tlog'], 0],
          ['cosign', 'k', ['--insecure-ignore-tlog'], 1],
          ['cosign', 'other', ['--insecure-ignore-tlog'], 0],
          ['cosign', 'other', [], 1],
          ['cosign', 'other', ['--policy', 'policy.json'], 2],
        ] as const) {
          const by = ['verify', '--for', tool, '--key', `${key}.pub`, ...flags, '--tls-verify=false'];
          const result = await bench.bulla([...by, `docker://${name}`]);
          assert.equal(result.exitCode, exitCode, `${by.join(' ')}: ${result.stdout}${result.stderr}`);
        }
        const byPolicy = ['verify', '--policy', 'policy.json', '--tls-verify=false', `docker://${name}`];
        assert.equal((await bench.bulla([...byPolicy, '--for', 'podman'])).exitCode, 0);
        assert.equal((await bench.bulla([...byPolicy, '--for', 'cosign'])).exitCode, 2);
      }),
  );
}
