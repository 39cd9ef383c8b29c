/** Every command: its name, its line in `bulla --help`, and the file that is loaded when it runs. */
import type { CommandModule } from './command.ts';

export type CommandEntry = {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
};

export const commands: readonly CommandEntry[] = [
  {
    name: 'demo',
    summary: 'show the whole job on an embedded registry',
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'key',
    summary: 'make, list, show, export, import, extend, revoke, delete keys; impact of one',
    load: () => import('./commands/key.ts'),
  },
  {
    name: 'sign',
    summary: 'sign an image that is already there, moving nothing',
    load: () => import('./commands/sign.ts'),
  },
  {
    name: 'attest',
    summary: 'sign a statement about an image: an SBOM, its provenance',
    load: () => import('./commands/attest.ts'),
  },
  { name: 'sign-blob', summary: 'sign a file', load: () => import('./commands/sign-blob.ts') },
  {
    name: 'attest-blob',
    summary: 'sign a statement about a file',
    load: () => import('./commands/attest-blob.ts'),
  },
  {
    name: 'verify',
    summary: 'judge an image by policy, key or certificate',
    load: () => import('./commands/verify.ts'),
  },
  {
    name: 'verify-attestation',
    summary: 'judge the attestations of an image',
    load: () => import('./commands/verify-attestation.ts'),
  },
  {
    name: 'verify-blob',
    summary: 'judge the signature of a file',
    load: () => import('./commands/verify-blob.ts'),
  },
  {
    name: 'inspect',
    summary: 'list the signatures of an image',
    load: () => import('./commands/inspect.ts'),
  },
  {
    name: 'copy',
    summary: 'copy an image with all that belongs to it',
    load: () => import('./commands/copy.ts'),
  },
  {
    name: 'promote',
    summary: 'copy an image on to the next stage, verified before and after',
    load: () => import('./commands/promote.ts'),
  },
  {
    name: 'sync',
    summary: 'copy all images of a repository, folder or list that are not there yet',
    load: () => import('./commands/sync.ts'),
  },
  {
    name: 'push',
    summary: 'send an image from a folder, archive or engine to a registry',
    load: () => import('./commands/push.ts'),
  },
  {
    name: 'pull',
    summary: 'fetch an image that the policy accepts into podman',
    load: () => import('./commands/pull.ts'),
  },
  {
    name: 'resign',
    summary: 'sign anew, with a new key, what an old one has signed',
    load: () => import('./commands/resign.ts'),
  },
  {
    name: 'bundle',
    summary: 'carry images across an air gap in one file: create, show, verify, load',
    load: () => import('./commands/bundle.ts'),
  },
  {
    name: 'trust',
    summary: 'show, set, check and explain the policy',
    load: () => import('./commands/trust.ts'),
  },
  {
    name: 'store',
    summary: 'publish, fetch and check signature stores',
    load: () => import('./commands/store.ts'),
  },
  { name: 'serve', summary: 'serve a registry', load: () => import('./commands/serve.ts') },
  { name: 'login', summary: 'store credentials for a registry', load: () => import('./commands/login.ts') },
  {
    name: 'logout',
    summary: 'forget credentials for a registry',
    load: () => import('./commands/logout.ts'),
  },
  {
    name: 'standalone-sign',
    summary: 'sign a manifest file',
    load: () => import('./commands/standalone-sign.ts'),
  },
  {
    name: 'standalone-verify',
    summary: 'verify a signature file',
    load: () => import('./commands/standalone-verify.ts'),
  },
  {
    name: 'manifest-digest',
    summary: 'print the digest of a manifest file',
    load: () => import('./commands/manifest-digest.ts'),
  },
  {
    name: 'completion',
    summary: 'print a completion script for a shell',
    load: () => import('./commands/completion.ts'),
  },
];
