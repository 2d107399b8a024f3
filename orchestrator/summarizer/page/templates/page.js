"use strict";
// Tables that sort and filter, and trials that are found in table and charts at once. No network, no storage: the page
// may be shown from a file or inside a sandboxed frame.
(() => {
  const order = new Intl.Collator("en", { numeric: true });
  const tip = document.getElementById("tip");

  function compare(a, b, direction) {
    // What has no number comes last, whichever way the column is sorted.
    if (a.number !== null && b.number !== null) return direction * (a.number - b.number);
    if (a.number !== null || b.number !== null) return a.number !== null ? -1 : 1;
    return direction * order.compare(a.text, b.text);
  }

  function cellValue(row, column) {
    const cell = row.cells[column];
    return { number: "sort" in cell.dataset ? Number(cell.dataset.sort) : null, text: cell.textContent.trim() };
  }

  function sort(table, heading) {
    const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, ...cellValue(row, heading.cellIndex) }));
    rows.sort((a, b) => compare(a, b, direction));
    table.tBodies[0].append(...rows.map(({ row }) => row));
  }

  function filter(live) {
    const words = live.querySelector(".filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = live.querySelector("select.status")?.value ?? "";
    const rows = [...live.querySelector("tbody").rows];
    const kept = new Set();
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(words.every((word) => text.includes(word)) && (!status || row.dataset.status === status));
      if (!row.hidden) kept.add(row.dataset.trial);
    }
    live.querySelector(".count").textContent = `${kept.size} of ${rows.length} rows`;
    const search = live.closest(".search");
    if (!search) return;
    search.classList.toggle("filtering", kept.size < rows.length);
    for (const mark of search.querySelectorAll(".mark")) {
      mark.classList.toggle("kept", mark.dataset.trial.split(" ").some((key) => kept.has(key)));
    }
  }

  function rowOf(search, key) {
    return search.querySelector(`tr[data-trial="${CSS.escape(key)}"]`);
  }

  function pick(search, keys) {
    for (const mark of search.querySelectorAll(".mark")) {
      mark.classList.toggle("picked", mark.dataset.trial.split(" ").some((key) => keys.includes(key)));
    }
    for (const row of search.querySelectorAll("tr[data-trial]")) {
      const chosen = keys.includes(row.dataset.trial);
      row.classList.toggle("picked", chosen);
      row.querySelector(".pick")?.setAttribute("aria-pressed", String(chosen));
    }
  }

  function describe(search, keys) {
    const texts = keys.map((key) => rowOf(search, key)?.dataset.description).filter(Boolean);
    tip.hidden = !texts.length;
    tip.textContent = texts.slice(0, 4).join(" | ") + (texts.length > 4 ? ` | and ${texts.length - 4} more` : "");
  }

  function markNear(x, y) {
    // Curves are thin: look around the pointer, too.
    for (const [dx, dy] of [[0, 0], [0, -4], [0, 4], [-4, 0], [4, 0], [0, -8], [0, 8]]) {
      const mark = document.elementFromPoint(x + dx, y + dy)?.closest?.(".mark");
      if (mark) return mark;
    }
    return null;
  }

  for (const button of document.querySelectorAll("button.sort")) {
    button.addEventListener("click", () => sort(button.closest("table"), button.closest("th")));
  }
  for (const live of document.querySelectorAll(".live")) {
    live.addEventListener("input", () => filter(live));
    if (live.querySelector(".filter").value || live.querySelector("select.status")?.value) filter(live); // after "back"
  }
  for (const search of document.querySelectorAll(".search")) {
    search.addEventListener("click", (event) => {
      const button = event.target.closest("button.pick");
      const mark = event.target.closest("svg.chart") && markNear(event.clientX, event.clientY);
      if (!button && !mark) return;
      const keys = button ? [button.closest("tr").dataset.trial] : mark.dataset.trial.split(" ");
      const again = button && button.getAttribute("aria-pressed") === "true";
      pick(search, again ? [] : keys);
      describe(search, again ? [] : keys);
    });
    search.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse") return;
      const mark = event.target.closest("svg.chart") && markNear(event.clientX, event.clientY);
      describe(search, mark ? mark.dataset.trial.split(" ") : []);
    });
    search.addEventListener("pointerleave", () => describe(search, []));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    tip.hidden = true;
    document.querySelectorAll(".search").forEach((search) => pick(search, []));
  });
  function openTarget() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }
  window.addEventListener("hashchange", openTarget);
  openTarget();
  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open])")) { part.open = true; part.dataset.printed = ""; }
  });
  window.addEventListener("afterprint", () => {
    for (const part of document.querySelectorAll("details[data-printed]")) { part.open = false; delete part.dataset.printed; }
  });
})();
