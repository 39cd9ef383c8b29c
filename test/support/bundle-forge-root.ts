/** trusted_root.json of the instances of bundle-forge.ts. */
import { encodeBase64, utf8 } from '../../src/base/bytes.ts';
import { sha256 } from './bundle-forge-log.ts';
import type { Instance } from './bundle-forge.ts';
import * as forge from './sigstore-forge.ts';
import type { KeyPair } from './sigstore-forge.ts';

export type RootJson = Record<
  'tlogs' | 'ctlogs' | 'certificateAuthorities' | 'timestampAuthorities',
  object[]
> & {
  mediaType: string;
};

/** trusted_root.json of an instance. */
export function trustedRootBytes(instance: Instance, change?: (root: RootJson) => unknown): Uint8Array {
  const { rekor1, rekor2, keys, certificates, time } = instance;
  const validFor = { start: new Date((time - 2000) * 1000).toISOString().replace('.000', '') };
  const root: RootJson = {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [
      logJson(rekor1.host, rekor1.key, rekor1.logId, validFor),
      logJson(rekor2.host, rekor2.key, rekor2.logId, validFor),
    ],
    ctlogs: [logJson('ct.example', keys.certificateLog, sha256(forge.spkiOf(keys.certificateLog)), validFor)],
    certificateAuthorities: [authorityJson([certificates.middle, certificates.root], validFor)],
    timestampAuthorities: [authorityJson([certificates.timestamp, certificates.timestampRoot], validFor)],
  };
  // a copy, so that a change of one service's validity is not one of all
  const copy = JSON.parse(JSON.stringify(root)) as RootJson;
  return utf8(JSON.stringify(change?.(copy) ?? copy));
}

function logJson(host: string, key: KeyPair, logId: Uint8Array, validFor: object): object {
  const isEd = key.privateKey.asymmetricKeyType === 'ed25519';
  return {
    baseUrl: `https://${host}`,
    hashAlgorithm: 'SHA2_256',
    publicKey: {
      rawBytes: encodeBase64(forge.spkiOf(key)),
      keyDetails: isEd ? 'PKIX_ED25519' : 'PKIX_ECDSA_P256_SHA_256',
      validFor,
    },
    logId: { keyId: encodeBase64(logId) },
  };
}

function authorityJson(chain: readonly Uint8Array[], validFor: object): object {
  return {
    subject: { organization: 'example', commonName: 'example' },
    uri: 'https://authority.example',
    certChain: { certificates: chain.map((each) => ({ rawBytes: encodeBase64(each) })) },
    validFor,
  };
}
