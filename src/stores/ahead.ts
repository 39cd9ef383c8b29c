/**
 * Asking a registry ahead of need. Whether there is a `.sig` and whether there are bundles are two questions that do not hang on
 * one another, and where an image is named by its digest neither hangs on the manifest: asked at one time, they take the
 * time of the slowest. The answers are handed to whoever would have asked, errors too; what nobody asks for counts for nothing.
 */
import type { Descriptor } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import type { Manifest } from '../base/manifest.ts';
import type { Reference } from '../base/reference.ts';
import type { Registry } from '../registry/registry.ts';
import { signatureAttachments } from './attachments-kind.ts';
import { attachmentTag } from './attachments-read.ts';

export type AskedAhead = {
  /**
   * The registry through which an image is read. Where the reference (the physical one) has a digest, this asks for it.
   * Called again, as for the next mirror, it forgets what it has asked the last one.
   */
  readonly through: (registry: Registry, reference: Reference) => Registry;
  /** Asks whether this manifest is signed, once, where there is a registry to ask. */
  readonly ask: (digest: Digest) => void;
};

/** Asks for the referrers, by the API alone, and for the `.sig` tag where it is wanted. */
export function askAhead(options: { readonly attachments: boolean }): AskedAhead {
  let asking: ((digest: Digest) => void) | undefined;
  return {
    through(registry, reference) {
      const lists = new Map<string, Promise<readonly Descriptor[] | undefined>>();
      const tags = new Map<string, Promise<Manifest>>();
      const { path } = reference;
      const asked = new Set<Digest>();
      asking = (digest) => {
        // stores file what they hold under the sha256 of the manifest
        if (asked.has(digest) || !digest.startsWith('sha256:')) return;
        asked.add(digest);
        if (options.attachments) {
          const tag = attachmentTag({ kind: signatureAttachments, image: { reference, digest } });
          tags.set(tag, heard(registry.manifest(path, tag)));
        }
        lists.set(digest, heard(registry.referrersByApi(path, digest)));
      };
      if (reference.digest !== undefined) asking(reference.digest);
      return {
        ...registry,
        manifest: (where, name) =>
          (where === path ? taken(tags, name) : undefined) ?? registry.manifest(where, name),
        referrers: (where, digest, more) => {
          const byApi = where === path ? taken(lists, digest) : undefined;
          return registry.referrers(where, digest, { ...more, ...(byApi !== undefined && { byApi }) });
        },
      };
    },
    ask: (digest) => asking?.(digest),
  };
}

/** Its failure is for whoever takes it; nobody may. */
function heard<T>(answer: Promise<T>): Promise<T> {
  answer.catch(() => undefined);
  return answer;
}

/** Once: who asks again wants to know what is there by then. */
function taken<T>(answers: Map<string, Promise<T>>, name: string): Promise<T> | undefined {
  const answer = answers.get(name);
  answers.delete(name);
  return answer;
}
