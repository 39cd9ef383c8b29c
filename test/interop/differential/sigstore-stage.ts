/** Everything the sigstore cases need: a registry that answers what a case wants, keys, and each case's files. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { parseDigest } from '../../../src/base/digest.ts';
import { encodeSignatureBlob } from '../../../src/formats/blob.ts';
import type { CosignSignature } from '../../../src/formats/cosign.ts';
import type { Question } from '../../support/peer-verdicts.ts';
import type { Bench } from '../../support/peers.ts';
import { signatureFolder } from '../../support/simple-signing.ts';
import { openCases } from '../../support/sigstore-case.ts';
import { allCases } from '../../support/sigstore-cases.ts';
import type { Place } from './cases.ts';
import { imageKinds } from './cases.ts';
import type { AttachmentForm, SigstoreOne, SigstorePlace } from './sigstore-cases.ts';
import { makeSigstoreKeys } from './sigstore-keys.ts';
import { makeSigstore } from './sigstore-signatures.ts';
import { makeSignature } from './signatures.ts';
import { openPlace } from './stage.ts';

type Answer = { readonly status?: number; readonly mediaType?: string; readonly bytes: Uint8Array };

/** Read-only: blobs by digest for everybody, images in every repository, attachments by repository and tag. */
type Shelves = {
  readonly blobs: Map<string, Uint8Array>;
  readonly images: Map<string, Answer>;
  readonly tags: Map<string, Answer>;
};

export type SigstoreStage = SigstorePlace & AsyncDisposable & { write(one: SigstoreOne): Promise<Question> };

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

function answerFor(url: string, { blobs, images, tags }: Shelves): Answer {
  const [, path = '', kind, name = ''] = /^\/v2\/(.*)\/(manifests|blobs)\/([^/?]+)/.exec(url) ?? [];
  if (url === '/v2/' || url === '/v2') return { bytes: Buffer.from('{}'), mediaType: 'application/json' };
  const missing = { status: 404, bytes: Buffer.from('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}') };
  if (kind === 'blobs') {
    const bytes = blobs.get(name);
    return bytes === undefined ? missing : { bytes, mediaType: 'application/octet-stream' };
  }
  return tags.get(`${path} ${name}`) ?? images.get(name) ?? missing;
}

async function serve(shelves: Shelves): Promise<Server> {
  const server = createServer((request, response) => {
    const { status = 200, mediaType = 'application/json', bytes } = answerFor(request.url ?? '', shelves);
    const headers = { 'content-type': mediaType, 'content-length': bytes.length };
    response.writeHead(status, { ...headers, 'docker-distribution-api-version': 'registry/2.0' });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** The images of the older cases, from their dir: folders. */
function shelve({ images }: Pick<Place, 'images'>): Shelves {
  const shelves: Shelves = { blobs: new Map(), images: new Map(), tags: new Map() };
  for (const kind of imageKinds) {
    const { folder } = images[kind];
    for (const name of readdirSync(folder)) {
      const bytes = readFileSync(join(folder, name));
      const digest = sha256(bytes);
      if (!name.endsWith('manifest.json')) {
        shelves.blobs.set(digest, bytes);
        continue;
      }
      const { mediaType } = JSON.parse(bytes.toString()) as { readonly mediaType: string };
      shelves.images.set(digest, { bytes, mediaType });
      if (name === 'manifest.json') shelves.images.set(kind, { bytes, mediaType });
    }
  }
  return shelves;
}

/** Makes keys, images and the registry. */
export async function openSigstoreStage(bench: Bench): Promise<SigstoreStage> {
  const { images, keys: gpg } = await openPlace(bench);
  const shelves = shelve({ images });
  const server = await serve(shelves);
  const digest = parseDigest(images.oci.judged);
  const sigstore = makeSigstoreKeys(bench, digest);
  const numbers = new Map<string, number>();
  const numberOf = (id: string): number => {
    const number = numbers.get(id) ?? numbers.size;
    numbers.set(id, number);
    return number;
  };
  const place: SigstorePlace = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    images,
    keys: { sigstore, gpg },
    forged: allCases(openCases(digest)),
    folderOf: (id) => bench.path('cases', String(numberOf(id))),
    pathOf: (id) => `c${numberOf(id)}/ns/app`,
  };
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { ...place, write: (one) => writeSigstoreCase(one, place, shelves), [Symbol.asyncDispose]: close };
}

function registriesD({ attachments, signed: { host, path } }: SigstoreOne, folder: string): string {
  const use = '{ use-sigstore-attachments: true }';
  const lines = {
    everywhere: ['  use-sigstore-attachments: true'],
    'for the host': ['docker:', `  "${host}": ${use}`],
    'for the repository': ['  use-sigstore-attachments: false', 'docker:', `  "${host}/${path}": ${use}`],
    'not here': ['docker:', `  "${host}/other": ${use}`],
    unsaid: [],
    off: ['  use-sigstore-attachments: true', 'docker:', `  "${host}": { use-sigstore-attachments: false }`],
  }[attachments];
  return [`default-docker:`, `  lookaside: file://${folder}/sig`, ...lines, ''].join('\n');
}

const ociManifest = 'application/vnd.oci.image.manifest.v1+json';

/** The tag's manifest, its blobs put on the shelf. */
function attachmentAnswer(
  form: AttachmentForm,
  made: readonly CosignSignature[],
  { blobs }: Shelves,
): Answer | undefined {
  const config = Buffer.from(
    '{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}',
  );
  if (form !== 'config missing') blobs.set(sha256(config), config);
  const layers = made.map(({ payload, mediaType, annotations }) => {
    // what is missing or changed must be so for this case alone
    const own = form.startsWith('blob ') ? Buffer.concat([payload, Buffer.from(' '.repeat(50))]) : payload;
    if (form !== 'blob missing')
      blobs.set(sha256(own), form === 'blob changed' ? Buffer.concat([own.subarray(1), Buffer.of(32)]) : own);
    const size = form === 'size wrong' ? own.length + 1 : form === 'size huge' ? 2 ** 40 : own.length;
    return { mediaType, digest: sha256(own), size, ...(form !== 'without annotations' && { annotations }) };
  });
  const other = {
    mediaType: 'application/vnd.dsse.envelope.v1+json',
    digest: sha256(config),
    size: config.length,
  };
  const manifest = {
    schemaVersion: 2,
    ...(form !== 'no media type' && { mediaType: ociManifest }),
    ...(form === 'artifact type' && { artifactType: 'application/x' }),
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: sha256(config),
      size: config.length,
    },
    layers: form === 'no layers' ? [] : form === 'another first' ? [other, ...layers] : layers,
    ...(form === 'with subject' && { subject: other }),
  };
  const json = (value: object, mediaType = ociManifest): Answer => ({
    bytes: Buffer.from(JSON.stringify(value)),
    mediaType,
  });
  if (form === 'nothing') return undefined;
  if (form === 'garbage') return { bytes: Buffer.from('garbage'), mediaType: ociManifest };
  if (form.startsWith('status ')) return { status: Number(form.slice(7)), bytes: Buffer.from('{}') };
  if (form === 'a Docker manifest') {
    const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
    return json({ ...manifest, mediaType }, mediaType);
  }
  if (form === 'an index') {
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    return json({ schemaVersion: 2, mediaType, manifests: [] }, mediaType);
  }
  return json(manifest);
}

async function writeSigstoreCase(
  one: SigstoreOne,
  place: SigstorePlace,
  shelves: Shelves,
): Promise<Question> {
  const folder = place.folderOf(one.id);
  mkdirSync(join(folder, 'registries.d'), { recursive: true });
  writeFileSync(join(folder, 'policy.json'), one.policy);
  writeFileSync(join(folder, 'registries.d', 'case.yaml'), registriesD(one, folder));
  const made = one.sigstore.map((each) =>
    'recipe' in each ? makeSigstore(each.recipe, one.signed, place.keys.sigstore) : each.attachment,
  );
  const gpg = await Promise.all(one.gpg.map((each) => makeSignature(each, one.signed, place.keys.gpg)));
  const { folder: image, top, judged } = place.images[one.kind];
  const digests = one.kind !== 'list' || one.filed === 'instance' ? [judged] : [judged, top];
  const filed = one.kind === 'list' && one.filed === 'list' ? [top] : digests;
  if (one.transport === 'dir') {
    cpSync(image, join(folder, 'image'), { recursive: true });
    const blobs = [...gpg, ...made.map(encodeSignatureBlob)];
    for (const digest of filed) {
      const prefix = digest === top ? '' : `${digest.slice(7)}.`;
      blobs.forEach((blob, at) => writeFileSync(join(folder, 'image', `${prefix}signature-${at + 1}`), blob));
    }
  } else {
    for (const digest of filed) {
      const answer = made.length === 0 ? undefined : attachmentAnswer(one.form, made, shelves);
      const tag = `${digest.replace(':', '-')}.sig`;
      if (answer !== undefined) shelves.tags.set(`${one.signed.path} ${tag}`, answer);
      const lookaside = signatureFolder(join(folder, 'sig'), one.signed.path, digest);
      gpg.forEach((blob, at) => writeFileSync(join(lookaside, `signature-${at + 1}`), blob));
    }
  }
  return { image: one.image, policy: join(folder, 'policy.json'), registriesD: join(folder, 'registries.d') };
}
