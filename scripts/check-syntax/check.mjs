// Checks every PowerShell, Bicep and workflow file of the repository; ends with 1 when something is wrong.
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readFileSync } from 'node:fs';
import { Language, Parser } from 'web-tree-sitter';
import { checkBicep } from './bicep.mjs';
import { checkPowerShell } from './powershell.mjs';
import { actionlintIn, checkWorkflows } from './workflows.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');

// New files count before they are committed, ignored ones never.
const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
const files = [...new Set(listed.split('\0'))].filter(Boolean).sort();
const read = (paths) => paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

async function parserFor(grammar) {
  const parser = new Parser();
  parser.setLanguage(await Language.load(join(here, 'node_modules', grammar, `${grammar}.wasm`)));
  return parser;
}

await Parser.init();
const powershell = read(files.filter((path) => /\.ps(1|m1|d1)$/.test(path)));
const bicep = read(files.filter((path) => /\.bicep(param)?$/.test(path)));
const workflows = read(files.filter((path) => /^\.github\/workflows\/[^/]+\.ya?ml$/.test(path)));
const findings = [
  ...checkPowerShell(powershell, await parserFor('tree-sitter-powershell')),
  ...checkBicep(bicep, await parserFor('tree-sitter-bicep')),
  ...(await checkWorkflows(workflows, actionlintIn(join(here, 'node_modules')))),
];
for (const { path, line, column, message } of findings) console.error(`${path}:${line}:${column}: ${message}`);
console.log(`syntax: ${powershell.length} PowerShell files, ${bicep.length} Bicep files and ${workflows.length} workflows, ${findings.length} findings`);
if (powershell.length === 0 || workflows.length === 0) {
  console.error('no PowerShell file or no workflow was found: the check looks in the wrong place');
  process.exit(1);
}
process.exit(findings.length === 0 ? 0 : 1);
