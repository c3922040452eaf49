"use strict";
// The page's own script. It holds no data: it hides and shows what is there.
(() => {
  const form = document.getElementById("filter");
  const sections = Array.from(document.querySelectorAll("section"), (section) => ({
    section,
    kind: section.dataset.kind,
    cards: Array.from(section.querySelectorAll("article"), (card) => ({
      card,
      change: card.className,
      name: card.querySelector(".name").textContent.toLowerCase(),
    })),
  }));

  function apply() {
    const wanted = new FormData(form);
    const changes = wanted.getAll("change");
    const kind = wanted.get("kind");
    const name = wanted.get("name").trim().toLowerCase();
    let shown = 0;
    let all = 0;
    for (const { section, kind: its, cards } of sections) {
      let here = 0;
      for (const { card, change, name: full } of cards) {
        const show = (!kind || kind === its) && changes.includes(change) && full.includes(name);
        card.hidden = !show;
        here += show ? 1 : 0;
      }
      section.hidden = here === 0;
      shown += here;
      all += cards.length;
    }
    form.querySelector("output").value = `${shown} of ${all} shown`;
  }

  // A link to something that is filtered away.
  function reveal() {
    const target = document.getElementById(location.hash.slice(1));
    if (target?.closest("[hidden]")) {
      form.reset();
      apply();
      target.scrollIntoView();
    }
  }

  if (form) {
    form.addEventListener("input", apply);
    form.addEventListener("reset", () => setTimeout(apply));
    form.addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", reveal);
    form.hidden = false;
    apply();
  }

  // Paper cannot be unfolded.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = Array.from(document.querySelectorAll("details:not([open])"));
    for (const details of unfolded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
  });
})();
