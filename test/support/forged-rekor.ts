/** What honest Rekors answer to a proposed entry, with the logs of a forged instance. */
import { hexOfBytes } from '../../src/base/bytes.ts';
import { leafHash } from '../../src/witnesses/merkle.ts';
import { addEntry, sha256 } from './bundle-forge-log.ts';
import type { Instance } from './bundle-forge.ts';
import type { Recorded } from './registry-faults.ts';

export type Body = { kind: string; apiVersion: string; spec: Record<string, unknown> };
export type Entry = Record<string, unknown> & { inclusionProof: Record<string, unknown> };

/** What Rekor v1 makes of a proposed entry. */
function bodyOfV1(proposed: Body): Body {
  if (proposed.kind !== 'dsse') return proposed;
  const { envelope: text, verifiers } = proposed.spec['proposedContent'] as {
    envelope: string;
    verifiers: string[];
  };
  const parsed = JSON.parse(text) as { payload: string; signatures: { sig: string }[] };
  const hash = (bytes: Uint8Array): object => ({ algorithm: 'sha256', value: hexOfBytes(sha256(bytes)) });
  const spec = {
    envelopeHash: hash(Buffer.from(text)),
    payloadHash: hash(Buffer.from(parsed.payload, 'base64')),
    signatures: [{ signature: parsed.signatures[0]?.sig, verifier: verifiers[0] }],
  };
  return { kind: 'dsse', apiVersion: '0.0.1', spec };
}

/** The same entry as Rekor v1's own JSON has it. */
export function asV1(entry: Entry): Record<string, Record<string, unknown>> {
  const { inclusionProof: proof } = entry;
  const hex = (text: unknown): string => Buffer.from(String(text), 'base64').toString('hex');
  const { signedEntryTimestamp } = entry['inclusionPromise'] as { signedEntryTimestamp: string };
  const body = String(entry['canonicalizedBody']);
  const uuid = `0123456789abcdef${hexOfBytes(leafHash(Buffer.from(body, 'base64')))}`;
  return {
    [uuid]: {
      body,
      integratedTime: Number(entry['integratedTime']),
      logID: hex((entry['logId'] as { keyId: string }).keyId),
      logIndex: Number(entry['logIndex']),
      verification: {
        inclusionProof: {
          checkpoint: (proof['checkpoint'] as { envelope: string }).envelope,
          hashes: (proof['hashes'] as string[]).map(hex),
          logIndex: Number(proof['logIndex']),
          rootHash: hex(proof['rootHash']),
          treeSize: Number(proof['treeSize']),
        },
        signedEntryTimestamp,
      },
    },
  };
}

export function answerV1({ body }: Recorded, by: Instance): Record<string, Record<string, unknown>> {
  const proposed = JSON.parse(body.toString()) as Body;
  return asV1(addEntry(by.rekor1, bodyOfV1(proposed), { time: by.time }) as Entry);
}

export function answerV2({ body }: Recorded, by: Instance): Entry {
  const { hashedRekordRequestV002: request } = JSON.parse(body.toString()) as {
    hashedRekordRequestV002: { digest: string; signature: object };
  };
  const data = { algorithm: 'SHA2_256', digest: request.digest };
  const spec = { hashedRekordV002: { data, signature: request.signature } };
  return addEntry(by.rekor2, { kind: 'hashedrekord', apiVersion: '0.0.2', spec }, { time: by.time }) as Entry;
}
