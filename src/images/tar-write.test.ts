/** Archives as bytes: tar-stream's own writer, and the machine's tar, say what they are to be. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';
import { pack } from 'tar-stream';

import { isBullaError } from '../base/errors.ts';
import { type TarEntry, writeTarArchive } from './tar-write.ts';

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-tar-write-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** All in one folder, as tar-stream writes them by itself. */
async function byTarStream(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<Buffer> {
  const archive = pack();
  const common = { uid: 0, gid: 0, mtime: new Date(0) };
  archive.entry({ ...common, name: `${folder}/`, type: 'directory', mode: 0o755 }, Buffer.alloc(0));
  for (const [name, content] of [...files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    archive.entry({ ...common, name, type: 'file', mode: 0o644 }, Buffer.from(content));
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('an archive is what tar-stream writes, whatever the names and sizes, and however the contents come', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  const name = fc.oneof(
    fc.stringMatching(/^[a-z0-9]{1,20}$/),
    // too long for a header: a record of its own
    fc.stringMatching(/^[a-z0-9]{128}$/),
    fc.stringMatching(/^ü[a-z]{1,5}$/),
  );
  const size = fc.oneof(fc.constantFrom(0, 1, 511, 512, 513, 1024), fc.nat(3000));
  const given = fc.dictionary(name, size, { minKeys: 1, maxKeys: 6 });
  await fc.assert(
    fc.asyncProperty(given, fc.integer({ min: 1, max: 900 }), async (sizes, step) => {
      const files = new Map(
        Object.entries(sizes).map(([each, length]) => [`blobs/${each}`, Buffer.alloc(length, each)]),
      );
      const entries = [...files].map(([each, content], n): TarEntry => {
        const feed: TarEntry['content'] = async (write) => {
          // several under way at once, as feeds have them
          const under: Promise<void>[] = [];
          for (let at = 0; at < content.length; at += step) {
            const slow = write(content.subarray(at, at + step));
            if (slow !== undefined) under.push(slow);
          }
          await Promise.all(under);
        };
        return { name: each, size: content.length, content: n % 2 === 0 ? content : feed };
      });
      await writeTarArchive(path, entries, 'replace');
      deepEqual(readFileSync(path), await byTarStream('blobs', files));
    }),
    { numRuns: 60 },
  );
});

test('a content of another size than its entry, and one that fails, leave no archive', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.tar');
  const of = (content: TarEntry['content']): Promise<void> =>
    writeTarArchive(path, [{ name: 'a', size: 3, content }], 'replace');
  for (const wrong of [Buffer.from('ab'), Buffer.from('abcd')]) {
    await rejects(of(wrong), (error) => isBullaError(error, 'io.failed'));
    await rejects(
      of(async (write) => write(wrong)),
      (error) => isBullaError(error, 'io.failed'),
    );
  }
  await rejects(
    of(async (write) => {
      void write(Buffer.from('a'));
      throw new Error('the source is gone');
    }),
    /the source is gone/,
  );
  equal(readdirSync(folder.path).length, 0);
});
