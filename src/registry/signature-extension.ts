/** The OpenShift registry's signature extension, X-R-S-S: raw bytes both ways. */
import type { Digest } from '../base/digest.ts';
import { limits } from '../base/limits.ts';
import { answerError } from './answer.ts';
import { type Client, pullScope, pushScope } from './client.ts';

function targetOf(path: string, digest: Digest): string {
  return `/extensions/v2/${path}/signatures/${digest}`;
}

export async function getSignatureList(client: Client, path: string, digest: Digest): Promise<Uint8Array> {
  const response = await client.session.send({
    method: 'GET',
    target: targetOf(path, digest),
    scopes: [pullScope(path)],
    maxBytes: limits.signatureListBytes,
  });
  if (response.status !== 200) throw await answerError(response, `read the signatures of ${path}`);
  return response.bytes();
}

export async function putSignature(
  client: Client,
  path: string,
  digest: Digest,
  body: Uint8Array,
): Promise<number> {
  const response = await client.session.send({
    method: 'PUT',
    target: targetOf(path, digest),
    scopes: [pushScope(path)],
    headers: { 'content-type': 'application/json' },
    body,
    maxBytes: limits.errorBodyBytes,
  });
  if (response.status !== 201) throw await answerError(response, `write a signature of ${path}`);
  response.discard();
  return response.status;
}
