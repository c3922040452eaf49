// Bicep: the grammar; names that nobody declares; parameter files against the template that they use.
import { dirname, join } from 'node:path/posix';
import { finding, nodesOf, syntaxFindings } from './tree.mjs';

const DECLARATIONS = ['parameter_declaration', 'variable_declaration', 'resource_declaration', 'output_declaration', 'module_declaration', 'type_declaration'];

// Functions and namespaces of the language that the templates use. A name that is not here is a typing error, or is added.
const LANGUAGE = new Set(
  `az concat contains empty environment existing format guid length readEnvironmentVariable replace resourceGroup resourceId
  subscription subscriptionResourceId substring take tenant toLower union uniqueString range string`.split(/\s+/),
);

const declared = (node) => node.children.find((child) => child.type === 'identifier')?.text;

export function checkBicep(files, parser) {
  const findings = [];
  const templates = new Map();
  for (const { path, text } of files.filter((file) => file.path.endsWith('.bicep'))) {
    const { rootNode } = parser.parse(text);
    findings.push(...syntaxFindings(path, rootNode), ...nameFindings(path, rootNode));
    const parameters = [...nodesOf(rootNode)].filter((node) => node.type === 'parameter_declaration');
    templates.set(path, new Map(parameters.map((node) => [declared(node), { optional: /=/.test(node.text) }])));
  }
  for (const { path, text } of files.filter((file) => file.path.endsWith('.bicepparam'))) {
    // The grammar knows no parameter files; an assignment reads like a variable there.
    const { rootNode } = parser.parse(text.replace(/^using .*$/m, (line) => `//${line.slice(2)}`).replace(/^param (?=\w+ =)/gm, 'var   '));
    findings.push(...syntaxFindings(path, rootNode));
    const used = /^using '([^']+)'$/m.exec(text);
    const template = used && templates.get(join(dirname(path), used[1]));
    if (!template) {
      findings.push(finding(path, rootNode, 'uses no template of this repository'));
      continue;
    }
    const given = new Set([...text.matchAll(/^param (\w+) =/gm)].map((match) => match[1]));
    for (const name of given) if (!template.has(name)) findings.push(finding(path, rootNode, `${used[1]} has no parameter ${name}`));
    for (const [name, { optional }] of template) if (!optional && !given.has(name)) findings.push(finding(path, rootNode, `${used[1]} needs the parameter ${name}`));
  }
  return findings;
}

function nameFindings(path, root) {
  const names = new Set(LANGUAGE);
  const nodes = [...nodesOf(root)];
  for (const node of nodes) {
    if (DECLARATIONS.includes(node.type)) names.add(declared(node));
    if (node.type === 'for_statement') names.add(declared(node));
  }
  const found = [];
  for (const node of nodes) {
    if (node.type !== 'identifier' || names.has(node.text)) continue;
    const parent = node.parent;
    // A key of an object, a decorator, a type.
    if (parent.type === 'object_property' && parent.children[0].id === node.id) continue;
    if (parent.type === 'call_expression' && parent.parent.type === 'decorator') continue;
    if (parent.type === 'type' || parent.type === 'parameter_declaration') continue;
    found.push(finding(path, node, `nobody declares ${node.text}`));
  }
  return found;
}
