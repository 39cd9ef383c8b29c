/** Which scopes a policy may name under each transport (containers-policy.json.5, "Supported transports and their scopes"). */
import { tryParseDigest } from '../base/digest.ts';

/**
 * Says why a scope cannot be right under a transport, or undefined where it may be. Under a
 * transport that is not known any scope may be. The empty scope is always right.
 */
export function scopeFault(transport: string, scope: string): string | undefined {
  if (scope === '') return undefined;
  return faults.get(transport)?.(scope);
}

const faults: ReadonlyMap<string, (scope: string) => string | undefined> = new Map([
  ['atomic', atomicFault],
  ['docker-daemon', daemonFault],
  ['containers-storage', storageFault],
  ['dir', pathFault],
  ['oci', pathFault],
  ['oci-archive', pathFault],
  ['sif', pathFault],
  ['docker-archive', onlyDefault],
  ['tarball', onlyDefault],
]);

function atomicFault(scope: string): string | undefined {
  const pattern = /^[^/]*(?:\/[^:/]*(?:\/[^:/]*(?::[^:/]*)?)?)?$/;
  return pattern.test(scope) ? undefined : 'an atomic scope reads host[/namespace[/stream[:tag]]]';
}

function daemonFault(scope: string): string | undefined {
  return tryParseDigest(scope) === undefined
    ? undefined
    : 'an image ID cannot be a scope: images named by ID fall under the empty scope';
}

function onlyDefault(): string {
  return 'this transport knows only the empty scope ""';
}

function pathFault(scope: string): string | undefined {
  if (scope === '/') return 'write "" instead of "/"';
  if (!scope.startsWith('/')) return 'the scope must be an absolute path';
  const parts = scope.slice(1).split('/');
  return parts.some((part) => part === '' || part === '.' || part === '..')
    ? 'the path must be written plainly: no empty parts, no ".", no "..", no slash at its end'
    : undefined;
}

// [driver@root]name@id: containers/image checks the bracket and what follows the @, not the name
function storageFault(scope: string): string | undefined {
  const store = /^\[([^\]]*)\]/.exec(scope);
  const bracket = 'the scope must begin with [driver@/graph/root] or [/graph/root]';
  if (store === null) return bracket;
  const spec = store[1] ?? '';
  const at = spec.indexOf('@');
  const root = at < 0 ? spec : spec.slice(at + 1);
  if (at === 0 || !root.startsWith('/')) return bracket;
  const [, ...suffixes] = scope.slice(store[0].length).split('@');
  const [first, second] = suffixes;
  if (first === undefined) return undefined;
  const wrong = 'what follows the @ must be a digest, an image ID, or a digest and an ID';
  if (suffixes.length > 2) return wrong;
  if (second !== undefined) return isDigest(first) && isImageId(second) ? undefined : wrong;
  return isDigest(first) || isImageId(first) ? undefined : wrong;
}

function isDigest(text: string): boolean {
  return tryParseDigest(text) !== undefined;
}

function isImageId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
