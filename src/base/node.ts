/**
 * Node's heavy built-in modules. An `import` of them runs every lazy getter of the module for the
 * sake of its named exports (node:http: 50 ms, node:crypto: 10 ms); this way costs a tenth. Use
 * these functions; light modules (node:fs, node:path, node:os) are imported as usual.
 */
export const crypto: typeof import('node:crypto') = process.getBuiltinModule('node:crypto');

export const http = (): typeof import('node:http') => process.getBuiltinModule('node:http');
export const https = (): typeof import('node:https') => process.getBuiltinModule('node:https');
export const zlib = (): typeof import('node:zlib') => process.getBuiltinModule('node:zlib');
export const childProcess = (): typeof import('node:child_process') =>
  process.getBuiltinModule('node:child_process');
