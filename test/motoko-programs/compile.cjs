// Compiles a Motoko file of this folder: node compile.cjs OUTPUT enhanced|classic NAME [IMPORTED NAMES]
const { readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const loaded = require('motoko');
const motoko = loaded.default ?? loaded;
const [output, persistence, ...names] = process.argv.slice(2);
motoko.loadPackage(require('motoko/packages/latest/core.json'));
for (const name of names) motoko.write(`${name}.mo`, readFileSync(path.join(__dirname, `${name}.mo`), 'utf8'));
motoko.setPublicMetadata(['candid:service']);
motoko.compiler.gcFlags(persistence === 'classic' ? 'classicOP' : 'enhancedOP');
try {
  writeFileSync(output, motoko.wasm(`${names[0]}.mo`, 'ic').wasm);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
