/** A Fulcio that certifies whatever it is told to, so that a client can be lied to. */
import { createPublicKey, verify } from 'node:crypto';
import type { ServerResponse } from 'node:http';

import { serveAnswers, type FaultyRegistry, type Recorded } from './registry-faults.ts';
import * as forge from './sigstore-forge.ts';

/** What is certified, against what was asked for. */
export type Lie = {
  readonly names?: Uint8Array;
  readonly issuer?: string;
  readonly key?: forge.KeyPair;
  /** Seconds from now. */
  readonly from?: number;
  readonly to?: number;
  readonly sct?: boolean;
  readonly usage?: Uint8Array;
  /** Who is said to be the leaf's issuer. */
  readonly chain?: (chain: readonly Uint8Array[]) => readonly Uint8Array[];
  /** The whole answer, in place of the chain. */
  readonly body?: (pems: readonly string[]) => unknown;
  readonly detached?: boolean;
};

export type FulcioStub = Pick<FaultyRegistry, 'requests'> &
  AsyncDisposable & {
    readonly url: string;
    /** DER of the root that signs. */
    readonly root: Uint8Array;
  };

const now = (): number => Math.floor(Date.now() / 1000);
/** Not a real list: presence is what is looked at where no log is known. */
const sctList = forge.extension('1.3.6.1.4.1.11129.2.4.2', forge.der(0x04, Uint8Array.of(0, 0)));

/** `answer` may answer itself (a fault); else the stub certifies, with the lie that `answer` gives. */
export async function openFulcioStub(
  answer: (request: Recorded, response: ServerResponse, count: number) => Lie | undefined,
): Promise<FulcioStub> {
  const rootKey = forge.ecKey();
  const times = { from: now() - 1000, to: now() + 1_000_000 };
  const root = forge.certificate({
    subject: 'root',
    key: rootKey,
    ...times,
    extensions: [forge.authority()],
  });
  let count = 0;
  const server = await serveAnswers((request, response) => {
    const lie = answer(request, response, (count += 1));
    if (lie === undefined) return;
    certify(request, response, lie, { root, rootKey });
  });
  return {
    url: `http://${server.host}`,
    root,
    requests: server.requests,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

type Asked = { readonly api: 1 | 2; readonly spki: Buffer; readonly proof: Buffer };

type AskedV1 = { readonly publicKey: { readonly content: string }; readonly signedEmailAddress: string };
type AskedV2 = {
  readonly publicKeyRequest: {
    readonly publicKey: { readonly content: string };
    readonly proofOfPossession: string;
  };
};

function read({ url, body }: Recorded): Asked {
  const asked = JSON.parse(body.toString()) as AskedV1 & AskedV2;
  if (url.endsWith('/api/v1/signingCert')) {
    const { content } = asked.publicKey;
    return {
      api: 1,
      spki: Buffer.from(content, 'base64'),
      proof: Buffer.from(asked.signedEmailAddress, 'base64'),
    };
  }
  const { publicKey, proofOfPossession } = asked.publicKeyRequest;
  const spki = createPublicKey(publicKey.content).export({ type: 'spki', format: 'der' });
  return { api: 2, spki, proof: Buffer.from(proofOfPossession, 'base64') };
}

function certify(
  request: Recorded,
  response: ServerResponse,
  lie: Lie,
  { root, rootKey }: { root: Uint8Array; rootKey: forge.KeyPair },
): void {
  const { api, spki, proof } = read(request);
  const claims = JSON.parse(
    Buffer.from(request.headers.authorization?.split('.')[1] ?? '', 'base64url').toString(),
  ) as { iss: string; sub: string; email?: string };
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  if (!verify('sha256', Buffer.from(claims.email ?? claims.sub), publicKey, proof)) {
    response
      .writeHead(400)
      .end(
        JSON.stringify({ code: 3, message: 'The signature supplied in the request could not be verified' }),
      );
    return;
  }
  const { issuer = claims.iss, from = -5, to = 595 } = lie;
  const leaf = forge.certificate({
    issuer: 'root',
    key: lie.key ?? { publicKey, privateKey: rootKey.privateKey },
    by: rootKey,
    from: now() + from,
    to: now() + to,
    extensions: [
      lie.usage ?? forge.codeSigning,
      lie.names ?? forge.altNames([[1, claims.email ?? claims.sub]], true),
      forge.issuerUtf8(issuer),
      ...(lie.sct === false ? [] : [sctList]),
    ],
  });
  const chain = lie.chain?.([leaf, root]) ?? [leaf, root];
  const pems = chain.map((each) => forge.pemText('CERTIFICATE', each));
  const name = lie.detached === true ? 'signedCertificateDetachedSct' : 'signedCertificateEmbeddedSct';
  const body =
    lie.body?.(pems) ?? (api === 1 ? pems.join('') : { [name]: { chain: { certificates: pems } } });
  response.writeHead(api === 1 ? 201 : 200);
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}
