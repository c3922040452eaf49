// What both languages need of a syntax tree.

/** Every node below and including `node`, in the order of the text. */
export function* nodesOf(node) {
  yield node;
  for (const child of node.children) yield* nodesOf(child);
}

export function finding(path, node, message) {
  return { path, line: node.startPosition.row + 1, column: node.startPosition.column + 1, message };
}

/** The innermost places that the grammar could not read. */
export function syntaxFindings(path, root) {
  const found = [];
  for (const node of nodesOf(root)) {
    if (node.isMissing) found.push(finding(path, node, `'${node.type}' is missing here`));
    else if (node.type === 'ERROR') found.push(finding(path, node, `this cannot be read: ${node.text.slice(0, 60).split('\n')[0]}`));
  }
  return found;
}
