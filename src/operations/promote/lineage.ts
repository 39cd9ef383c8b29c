/** The lineage record of a promotion (docs/formats/lineage.md): who signed what, where, as it was verified. It vouches for nothing. */
import type { Platform } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import type { ScopeName } from '../../trust/scopes.ts';
import type { WaitingSignature } from './stores.ts';
import type { ImageVerdict, InstanceVerdict } from '../verify.ts';

/** The record's schema, and the predicate type of its attestation. */
export const lineageSchema = 'urn:bulla:lineage:v1';

/** One signature that a policy accepted. */
export type LineageSigner = {
  /** The manifest that is signed. */
  readonly digest: Digest;
  readonly format: string;
  /** GPG: the primary key's fingerprint; sigstore: SHA-256 of SubjectPublicKeyInfo. Not there for a certificate. */
  readonly key?: string;
  /** The Docker reference that was signed for, or whose certificate it is. */
  readonly identity?: string;
  /** The Docker reference, where `identity` is a certificate's. */
  readonly reference?: string;
  /** Where it was found. */
  readonly store: string;
};

export type LineageSide = {
  /** With its transport. */
  readonly reference: string;
  readonly digest: Digest;
  /** The scopes of the policy that judged it. */
  readonly scopes: readonly ScopeName[];
  readonly signers: readonly LineageSigner[];
};

export type Lineage = {
  readonly schema: typeof lineageSchema;
  readonly mode: 're-sign' | 'carry';
  /** RFC 3339, UTC. */
  readonly time: string;
  readonly source: LineageSide;
  readonly destination: LineageSide & {
    /** What the name meant before, where that was something else. */
    readonly previous?: { readonly digest: Digest; readonly tag?: string };
    /** Signatures that no reader sees before they are published. */
    readonly waiting?: readonly WaitingSignature[];
  };
  /** Every image of a list. */
  readonly instances?: readonly { readonly digest: Digest; readonly platform?: Platform }[];
  /** Why the destination's digest is another one than the source's. */
  readonly digestChanged?: { readonly from: Digest; readonly to: Digest; readonly why: string };
};

export type LineageFacts = Pick<Lineage, 'mode' | 'instances' | 'digestChanged'> & {
  readonly time: Date;
  readonly source: { readonly digest: Digest; readonly verdict: ImageVerdict };
  readonly destination: {
    readonly reference: string;
    readonly digest: Digest;
    readonly verdict: ImageVerdict;
  };
  readonly previous?: { readonly digest: Digest; readonly tag?: string };
  readonly waiting: readonly WaitingSignature[];
};

/** Writes down what was verified, and nothing else. */
export function lineageOf(facts: LineageFacts): Lineage {
  const { mode, time, source, destination, previous, waiting, instances, digestChanged } = facts;
  return {
    schema: lineageSchema,
    mode,
    time: time.toISOString(),
    source: { reference: source.verdict.image, digest: source.digest, ...judgedBy(source.verdict) },
    destination: {
      reference: destination.reference,
      digest: destination.digest,
      ...judgedBy(destination.verdict),
      ...(previous !== undefined && { previous }),
      ...(waiting.length > 0 && { waiting }),
    },
    ...(instances !== undefined && { instances }),
    ...(digestChanged !== undefined && { digestChanged }),
  };
}

function judgedBy(verdict: ImageVerdict): Pick<LineageSide, 'scopes' | 'signers'> {
  const instances = instancesOf(verdict);
  const scopes = new Map(
    instances.flatMap(({ scope }) => (scope === null ? [] : [[`${scope.transport} ${scope.name}`, scope]])),
  );
  return { scopes: [...scopes.values()], signers: signersOf(verdict) };
}

/** The manifests that a verdict is about. */
export function instancesOf(verdict: ImageVerdict): readonly InstanceVerdict[] {
  const { instances, digest } = verdict;
  return instances ?? (digest === undefined ? [] : [{ ...verdict, digest }]);
}

/** Every signature that was accepted, once. */
export function signersOf(verdict: ImageVerdict): readonly LineageSigner[] {
  const signers = new Map<string, LineageSigner>();
  for (const { digest, requirements } of instancesOf(verdict)) {
    for (const each of requirements.flatMap(({ signatures }) => signatures)) {
      if (!each.accepted) continue;
      const { format, key, identity, reference, store } = each;
      signers.set(`${digest} ${store} ${key ?? identity ?? ''}`, {
        digest,
        format,
        ...(key !== undefined && { key }),
        ...(identity !== undefined && { identity }),
        ...(reference !== undefined && reference !== identity && { reference }),
        store,
      });
    }
  }
  return [...signers.values()];
}
