// Links between the pages: every file and every heading that one names is there, and every page can be found.
import { dirname, join, normalize } from 'node:path/posix';

/** `files` are the paths of the repository; addresses of other hosts are not asked. */
export function checkLinks(pages, files) {
  const findings = [];
  const byPath = new Map(pages.map((page) => [page.path, page]));
  const named = new Set();
  let count = 0;
  for (const page of pages) {
    for (const { line, target } of page.links) {
      if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
      count += 1;
      const [file, anchor] = target.split('#');
      const path = file === '' ? page.path : normalize(join(dirname(page.path), decodeURIComponent(file)));
      named.add(path);
      if (!files.has(path) && ![...files].some((each) => each.startsWith(`${path.replace(/\/$/, '')}/`))) {
        findings.push({ path: page.path, line, message: `the link leads nowhere: there is no ${path}` });
      } else if (anchor !== undefined && byPath.has(path) && !byPath.get(path).anchors.has(anchor)) {
        findings.push({ path: page.path, line, message: `the link leads nowhere: ${path} has no heading #${anchor}` });
      }
    }
  }
  for (const { path } of pages) {
    if (path !== 'README.md' && !named.has(path)) findings.push({ path, line: 1, message: 'no other page has a link to this one' });
  }
  return { findings, count };
}
