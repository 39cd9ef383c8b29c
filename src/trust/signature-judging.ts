/** What judging signatures by one requirement takes, whatever its kind. */
import type { TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import type { KeyView } from './key-view.ts';
import type { KeyReader } from './material.ts';
import type { RequirementVerdict, SignatureVerdict, StoredLike } from './verdict.ts';

export type EvaluateContext = {
  /** Keys and signatures are judged as of this moment. */
  readonly now: Date;
  /**
   * Reads a key file that the policy names. Hand in the same function for all images of a command:
   * keyrings are read and parsed once for each such function and requirement.
   */
  readonly keyring: KeyReader;
  /** sigstore's public instance, for the trust.yaml that names it; it is asked for once it is needed. */
  readonly publicRoots?: () => Promise<readonly TrustedRoot[]>;
  /** Refuse what the policy accepts without asking for a signature (skopeo's --require-signed). */
  readonly requireSigned?: boolean;
  /** Keys seen otherwise than the policy has them. */
  readonly view?: KeyView;
  /** Every signature is judged, also where a trust.yaml's requirement is decided before: for whoever asks which ones count. */
  readonly everySignature?: boolean;
};

/** One requirement about signatures, for one image. */
export type SignatureJudging = {
  readonly type: string;
  /** Whether the requirement is about such a signature. Without one its keys are not looked at. */
  readonly isCandidate: (stored: StoredLike) => boolean;
  /** The verdict on what is no candidate. */
  readonly passOver: (stored: StoredLike) => SignatureVerdict;
  /** Why no signature can be accepted, whatever it is. */
  readonly impossible?: () => RequirementVerdict | undefined;
  /** Reads the keys for signatures of a format. @throws BullaError `trust.key-unavailable` */
  readonly load: (
    format: StoredLike['signature']['format'],
  ) => Promise<(stored: StoredLike) => SignatureVerdict>;
  /** Whether no further signature can change the outcome. */
  readonly isDecided: (verdicts: readonly SignatureVerdict[]) => boolean;
  readonly conclude: (
    judged: readonly StoredLike[],
    verdicts: readonly SignatureVerdict[],
  ) => RequirementVerdict;
};
