/**
 * Node's heavy built-in modules. An `import` of them runs every lazy getter of the module for the
 * sake of its named exports (node:http: 50 ms, node:crypto: 10 ms); this way costs a tenth. Use
 * these functions; light modules (node:fs, node:path, node:os) are imported as usual.
 */
export const crypto: typeof import('node:crypto') = process.getBuiltinModule('node:crypto');

/** Milliseconds on a clock that only goes forward. `performance` would load a module for it (4 ms). */
export const monotonicMs = (): number => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
};

/** Whether a person is at standard input (0), output (1) or error (2). Opening the stream to ask it costs 5 ms. */
export const isTerminal = (descriptor: 0 | 1 | 2): boolean =>
  process.getBuiltinModule('node:tty').isatty(descriptor);

/**
 * Keeps V8's young generation at its first size. It would grow to 48 MiB in a batch of a thousand
 * images, most of it garbage; collecting more often costs such a batch a few hundredths of its time.
 */
export const keepHeapSmall = (): void =>
  process.getBuiltinModule('node:v8').setFlagsFromString('--semi-space-growth-factor=1');

export const http = (): typeof import('node:http') => process.getBuiltinModule('node:http');
export const https = (): typeof import('node:https') => process.getBuiltinModule('node:https');
export const zlib = (): typeof import('node:zlib') => process.getBuiltinModule('node:zlib');
export const childProcess = (): typeof import('node:child_process') =>
  process.getBuiltinModule('node:child_process');

/**
 * A package that Bulla does not bring along, found beside the program that runs, above it, or by NODE_PATH; it throws as
 * `require` does. CommonJS, as native addons are.
 */
export const requireOptional = (name: string): unknown => {
  const { realpathSync } = process.getBuiltinModule('node:fs');
  const program = process.argv[1];
  // a link in a folder of programs is followed: the packages are where it leads
  const from = program === undefined ? `${process.cwd()}/program` : realpathSync(program);
  return process.getBuiltinModule('node:module').createRequire(from)(name);
};

/** A JSON file of a package that Bulla brings along. @param from the caller's `import.meta.url` */
export const requireJson = (name: `${string}.json`, from: string): unknown =>
  process.getBuiltinModule('node:module').createRequire(from)(name);
