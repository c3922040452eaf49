// Blocks of PowerShell are not run here (the Pester tests run the scripts); but the scripts and parameters that they name must exist.

const COMMON = ['whatif', 'confirm', 'verbose', 'debug'];

/** `read` gives the text of a file of the repository, or undefined. */
export function checkPowerShellBlock(block, read) {
  const findings = [];
  // A line that ends with a backtick goes on.
  const lines = block.lines.join('\n').replace(/`\n\s*/g, ' ').split('\n');
  for (const line of lines) {
    const call = /(?:^|\s)\.[\\/](?:scripts[\\/]db-version-control[\\/])?([\w-]+\.ps1)(.*)$/.exec(line);
    if (!call) continue;
    const text = read(`scripts/db-version-control/${call[1]}`);
    if (text === undefined) {
      findings.push({ path: block.path, line: block.line, message: `there is no script ${call[1]}` });
      continue;
    }
    const known = new Set([...COMMON, ...[...text.matchAll(/^\.PARAMETER (\w+)\s*$/gm)].map((match) => match[1].toLowerCase())]);
    const outsideOfTexts = call[2].replace(/"[^"]*"|'[^']*'/g, '""').replace(/#.*$/, '');
    for (const [, name] of outsideOfTexts.matchAll(/\s-([A-Za-z]+)/g)) {
      if (!known.has(name.toLowerCase())) findings.push({ path: block.path, line: block.line, message: `${call[1]} has no parameter -${name}` });
    }
  }
  return findings;
}
