// Checks the pages at the root, docs/, examples/README.md and infra/README.md; exits with 1 on findings.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runPage } from './commands.mjs';
import { checkLinks } from './links.mjs';
import { readPage } from './pages.mjs';
import { checkPowerShellBlock } from './powershell.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const [binary] = process.argv.slice(2);

// New files count before they are committed, ignored ones never.
const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
const files = new Set(listed.split('\0').filter((path) => path !== '' && existsSync(join(root, path))).sort());
const read = (path) => (files.has(path) ? readFileSync(join(root, path), 'utf8') : undefined);
const pages = [...files].filter((path) => /^(?:[A-Z]+|docs\/[^/]+|(?:examples|infra)\/README)\.md$/.test(path)).map((path) => readPage(path, read(path)));

const findings = pages.flatMap((page) => page.findings);
const links = checkLinks(pages, files);
findings.push(...links.findings);
const blocks = pages.flatMap((page) => page.blocks);
const powershell = blocks.filter((block) => block.language === 'powershell');
findings.push(...powershell.flatMap((block) => checkPowerShellBlock(block, read)));

// Each in a copy and with a port of its own, so that they do not wait for each other.
const results = await Promise.all(pages.map((page) => runPage(page, { root, files, binary, path: process.env.PATH })));
const ran = results.reduce((sum, result) => sum + result.ran, 0);
findings.push(...results.flatMap((result) => result.findings));

const notRun = blocks.filter((block) => block.notRun !== undefined);
for (const { path, line, notRun: reason } of notRun) console.log(`${path}:${line}: not run: ${reason}`);
for (const { path, line, message } of findings) console.error(`${path}:${line}: ${message}`);
console.log(
  `docs: ${pages.length} pages, ${links.count} links; blocks of commands: ${ran} run, ${notRun.length} not run; ` +
    `${powershell.length} of PowerShell compared with the scripts; ${findings.length} findings`,
);
if (ran === 0 || links.count === 0) {
  console.error('no command was run or no link was found: the check looks in the wrong place');
  process.exit(1);
}
process.exit(findings.length === 0 ? 0 : 1);
