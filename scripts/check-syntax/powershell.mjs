// PowerShell: the grammar, and the mistakes that only show when a line is run.
import { finding, nodesOf, syntaxFindings } from './tree.mjs';

// What the scripts may call besides functions of this repository. A name that is not here is a typing error, or is added.
const CMDLETS = new Set(
  `Add-Type AfterAll AfterEach az BeforeAll BeforeEach BeforeDiscovery Context ConvertFrom-Json ConvertTo-Json Describe ForEach-Object
  Get-Command Get-Content Import-Module It Join-Path Mock New-Item New-Object Out-Host Read-Host Remove-Item Select-Object Set-StrictMode Should
  Sort-Object Split-Path Start-Process Start-Sleep Stop-Process Test-Path Where-Object Write-Host Write-Progress`
    .split(/\s+/)
    .map((name) => name.toLowerCase()),
);

// Of every function with [CmdletBinding()].
const COMMON = ['verbose', 'debug', 'erroraction', 'warningaction', 'whatif', 'confirm'];

// Set by PowerShell itself, or read by it.
const AUTOMATIC = new Set(
  `_ args env error erroractionpreference executioncontext false home host input isLinux isMacOS isWindows lastexitcode matches null
  progresspreference psboundparameters pscmdlet pscommandpath pshome psnativecommanduseerroractionpreference psscriptroot psversiontable true whatifpreference`
    .toLowerCase()
    .split(/\s+/),
);

const variableName = (text) => text.replace(/^[$@]\{?/, '').replace(/\}$/, '').replace(/^(script|global|local|using):/i, '').toLowerCase();

function parametersOf(block) {
  const parameters = [];
  for (const parameter of block.children.filter((child) => child.type === 'parameter_list').flatMap((list) => list.children)) {
    if (parameter.type !== 'script_parameter') continue;
    const variable = parameter.children.find((child) => child.type === 'variable');
    const aliases = [...parameter.text.matchAll(/Alias\('([^']+)'\)/g)].map((match) => match[1].toLowerCase());
    parameters.push({ name: variableName(variable.text), node: variable, aliases });
  }
  return parameters;
}

/** The param block of a script or function itself, not one of a function within. */
function ownParamBlock(node) {
  for (const child of node.children) {
    if (child.type === 'param_block') return child;
    if (child.type === 'function_statement') continue;
    const found = child.type === 'script_block' || child.type === 'ERROR' ? ownParamBlock(child) : null;
    if (found) return found;
  }
  return null;
}

export function checkPowerShell(files, parser) {
  const parsed = files.map((file) => ({ ...file, root: parser.parse(file.text).rootNode }));
  const findings = parsed.flatMap(({ path, root }) => syntaxFindings(path, root));

  const functions = new Map();
  for (const { path, root } of parsed) {
    for (const node of nodesOf(root)) {
      if (node.type !== 'function_statement') continue;
      const name = node.children.find((child) => child.type === 'function_name').text;
      const block = ownParamBlock(node);
      const parameters = block ? parametersOf(block) : [];
      functions.set(name.toLowerCase(), { name, path, names: new Set([...parameters.flatMap((p) => [p.name, ...p.aliases]), ...COMMON]) });
    }
  }

  for (const { path, text, root } of parsed) {
    const lines = text.split('\n');
    lines.forEach((line, row) => {
      const at = line.search(/[^\x09\x0d\x20-\x7e]/);
      if (at >= 0) findings.push({ path, line: row + 1, column: at + 1, message: 'only ASCII: Windows PowerShell reads this file in the code page of the machine' });
    });
    findings.push(...commandFindings(path, root, functions), ...variableFindings(path, root), ...helpFindings(path, text, root));
    if (path.endsWith('.psd1')) findings.push(...exportFindings(path, text, root, functions));
  }
  return findings;
}

function commandFindings(path, root, functions) {
  const found = [];
  for (const node of nodesOf(root)) {
    if (node.type !== 'command') continue;
    const name = node.childForFieldName('command_name');
    if (!name || !/^[A-Za-z][\w-]*$/.test(name.text) || name.type !== 'command_name') continue;
    const known = functions.get(name.text.toLowerCase());
    if (!known) {
      if (!CMDLETS.has(name.text.toLowerCase())) found.push(finding(path, name, `nobody defines the command ${name.text}`));
      continue;
    }
    const elements = node.childForFieldName('command_elements');
    for (const element of elements ? elements.children : []) {
      if (element.type !== 'command_parameter') continue;
      const parameter = element.text.replace(/^-/, '').replace(/:$/, '').toLowerCase();
      if (!known.names.has(parameter)) found.push(finding(path, element, `${known.name} has no parameter ${element.text}`));
    }
  }
  return found;
}

/** A variable that is read and never set throws under strict mode. */
function variableFindings(path, root) {
  const set = new Set();
  const used = [];
  for (const node of nodesOf(root)) {
    if (node.type === 'script_parameter') set.add(variableName(node.children.find((child) => child.type === 'variable').text));
    if (node.type === 'assignment_expression') {
      const left = node.children[0];
      for (const inner of nodesOf(left)) if (inner.type === 'variable') set.add(variableName(inner.text));
    }
    if (node.type === 'foreach_statement') {
      const variable = node.children.find((child) => child.type === 'variable');
      if (variable) set.add(variableName(variable.text));
    }
    // The rows of a test's -ForEach become its variables.
    if (node.type === 'key_expression' && path.endsWith('.Tests.ps1')) set.add(node.text.toLowerCase());
    if (node.type === 'variable') used.push(node);
  }
  return used
    .filter((node) => {
      const name = variableName(node.text);
      return !set.has(name) && !AUTOMATIC.has(name) && !name.startsWith('env:');
    })
    .map((node) => finding(path, node, `${node.text} is read and never set`));
}

/** The help of a script names every parameter, and no other. */
function helpFindings(path, text, root) {
  const block = ownParamBlock(root);
  if (!path.endsWith('.ps1') || !block) return [];
  const described = new Set([...text.matchAll(/^\.PARAMETER (\w+)$/gm)].map((match) => match[1].toLowerCase()));
  const parameters = parametersOf(block);
  const missing = parameters.filter((parameter) => !described.has(parameter.name));
  const names = new Set(parameters.map((parameter) => parameter.name));
  const found = missing.map((parameter) => finding(path, parameter.node, `the help does not describe ${parameter.node.text}`));
  for (const name of described) if (!names.has(name)) found.push(finding(path, block, `the help describes -${name}, which is no parameter`));
  for (const part of ['.SYNOPSIS', '.DESCRIPTION', '.EXAMPLE']) if (!text.includes(`\n${part}\n`)) found.push(finding(path, block, `the help has no ${part}`));
  return found;
}

function exportFindings(path, text, root, functions) {
  const list = /FunctionsToExport\s*=\s*@\(([^)]*)\)/.exec(text);
  const names = list ? [...list[1].matchAll(/'([^']+)'/g)].map((match) => match[1]) : [];
  return names.filter((name) => !functions.has(name.toLowerCase())).map((name) => finding(path, root, `exports ${name}, which nobody defines`));
}
