// What stands in a page: its blocks, its headings, its links.

const SHELL = new Set(['sh', 'bash']);
// Other names of the same thing, under which a command would escape the check.
const SHELL_TOO = new Set(['shell', 'console', 'zsh', 'shell-session', 'terminal']);

/**
 * Reads a page. A block of a shell has `notRun`, the reason, where a comment `<!-- not run: reason -->` stands right above it;
 * `prose` is the page without blocks and code.
 */
export function readPage(path, text) {
  const page = { path, blocks: [], anchors: new Set(), links: [], findings: [] };
  const say = (line, message) => page.findings.push({ path, line, message });
  const prose = [];
  let open = null;
  let mark = null;
  for (const [index, line] of text.split('\n').entries()) {
    const number = index + 1;
    const fence = /^(\s*)(`{3,}|~{3,})\s*([\w-]*)/.exec(line);
    if (open) {
      if (fence && fence[2].startsWith(open.fence) && fence[3] === '') {
        page.blocks.push(open.block);
        open = null;
      } else {
        open.block.lines.push(line.slice(Math.min(open.indent, line.search(/\S|$/))));
      }
      continue;
    }
    if (fence) {
      const language = fence[3].toLowerCase();
      if (SHELL_TOO.has(language)) say(number, `a block of a shell is called sh here, not ${language}`);
      if (mark && !SHELL.has(language)) say(mark.line, 'only blocks of sh are run, so that this comment says nothing');
      const block = { path, line: number, language, isShell: SHELL.has(language), notRun: mark?.reason, lines: [] };
      open = { block, fence: fence[2], indent: fence[1].length };
      mark = null;
      continue;
    }
    if (mark && line.trim() !== '') {
      say(mark.line, 'no block stands below this comment');
      mark = null;
    }
    const comment = /^\s*<!--\s*not run:\s*(.*?)\s*-->\s*$/.exec(line);
    if (comment) {
      if (comment[1] === '') say(number, 'not run, but why? Give the reason');
      mark = { line: number, reason: comment[1] };
      continue;
    }
    const heading = /^#{1,6}\s+(.*)$/.exec(line);
    if (heading) addAnchor(page.anchors, heading[1]);
    prose.push([number, line.replace(/`[^`]*`/g, (code) => '`'.repeat(code.length))]);
  }
  if (open) say(open.block.line, 'this block has no end');
  for (const [number, line] of prose) {
    for (const [, target] of line.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)) page.links.push({ line: number, target });
  }
  return page;
}

/** As GitHub makes them: https://docs.github.com/get-started/writing-on-github (section links). */
function addAnchor(anchors, heading) {
  const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  const plain = text.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').trim().replace(/\s/g, '-');
  let anchor = plain;
  for (let n = 1; anchors.has(anchor); n += 1) anchor = `${plain}-${n}`;
  anchors.add(anchor);
}
