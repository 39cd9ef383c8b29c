// What one import costs a fresh process: prints the milliseconds of CPU that loading took.
//   node import-cost.cjs builtin NAME | bundle FILE | package NAME
// A bundle is loaded with V8's code of an earlier run, as the launcher does it.
'use strict';

const [kind, name] = process.argv.slice(2);

function loadBundle(file) {
  const fs = process.getBuiltinModule('node:fs');
  const vm = process.getBuiltinModule('node:vm');
  const cache = `${file}.cache`;
  const cachedData = fs.existsSync(cache) ? fs.readFileSync(cache) : undefined;
  const source = `(function (exports, require, module) {${fs.readFileSync(file, 'latin1')}\n})`;
  const script = new vm.Script(source, {
    filename: file,
    cachedData,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const loaded = { exports: {} };
  script.runInThisContext()(loaded.exports, require, loaded);
  if (cachedData === undefined || script.cachedDataRejected)
    fs.writeFileSync(cache, script.createCachedData());
}

async function main() {
  const before = process.cpuUsage();
  if (kind === 'builtin') process.getBuiltinModule(`node:${name}`);
  else if (kind === 'bundle') loadBundle(name);
  else await import(name);
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(`${(user + system) / 1000}\n`);
}

void main();
