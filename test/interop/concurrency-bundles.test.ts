/** Many processes sign one image with bundles at once, where every writer reads, changes and writes one list: none is lost. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { needs, openBench } from '../support/peers.ts';

const writers = 12;

type Index = { readonly manifests: readonly { readonly digest: string }[] };
type Referrer = { readonly layers: readonly { readonly digest: string }[] };

test(
  `${writers} processes sign with bundles at once at docker-registry, which has no referrers API`,
  { ...needs('skopeo', 'docker-registry', 'cosign'), timeout: 300_000 },
  async () => {
    await using bench = await openBench();
    const { host, url } = await startRegistry(bench);
    const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
    const name = `${host}/ns/app@${digest}`;
    const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`];
    await bench.ok('skopeo', [...copy, `docker://${host}/ns/app:1`]);
    writeFileSync(bench.path('pass'), 'pw\n');
    const flags = ['--output-prefix', bench.path('k'), '--passphrase-file', bench.path('pass')];
    const made = await bench.bulla(['key', 'generate', 'sigstore', ...flags]);
    assert.equal(made.exitCode, 0, made.stderr);
    const sign = [
      'sign',
      '--quiet',
      '--tls-verify=false',
      '--signature-format',
      'bundle',
      '--key',
      'k.private',
    ];
    const ends = await Promise.all(
      Array.from({ length: writers }, (_, n) =>
        bench.bulla([...sign, '--sign-passphrase-file', 'pass', name], {
          timeoutMs: 240_000,
          // half of them cannot see the others' lock, as on other machines: reading again has to do
          env: n % 2 === 0 ? {} : { XDG_RUNTIME_DIR: bench.path(`nowhere-${n}`) },
        }),
      ),
    );
    assert.deepEqual(
      ends.filter(({ exitCode }) => exitCode !== 0).map(({ stderr }) => stderr),
      [],
    );
    const read = async <T>(tagOrDigest: string): Promise<T> => {
      const response = await fetch(`${url}/v2/ns/app/manifests/${tagOrDigest}`, {
        headers: {
          accept: 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json',
        },
      });
      assert.equal(response.status, 200);
      return (await response.json()) as T;
    };
    const list = await read<Index>(digest.replace(':', '-'));
    const referrers = await Promise.all(list.manifests.map((entry) => read<Referrer>(entry.digest)));
    // ECDSA signs alike differently each time: as many bundles as processes
    assert.equal(new Set(referrers.map(({ layers }) => layers[0]?.digest)).size, writers);
    const cosign = ['verify', '--key', 'k.pub', '--insecure-ignore-tlog=true', '--output', 'json', name];
    const verified = JSON.parse(await bench.ok('cosign', cosign)) as readonly unknown[];
    assert.equal(verified.length, writers);
  },
);
