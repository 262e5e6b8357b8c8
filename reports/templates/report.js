"use strict";
(() => {
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const table = document.getElementById("trials");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = all("tr", body);
  const byNumber = new Map(rows.map((row) => [row.dataset.i, row]));
  const points = all("svg .run");

  // hover and keyboard: arrows walk over the runs of a figure, Enter shows the run in the table
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  const show = (point) => {
    const at = point.getBoundingClientRect();
    tip.textContent = point.getAttribute("aria-label");
    tip.hidden = false;
    const left = Math.min(at.right + 8, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(8, left) + scrollX}px`;
    tip.style.top = `${at.bottom + 6 + scrollY}px`;
  };
  const hide = () => { tip.hidden = true; };
  const visible = (svg) => all(".run:not(.off)", svg);
  const walk = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  for (const svg of new Set(points.map((point) => point.ownerSVGElement))) {
    svg.setAttribute("role", "group");
    const first = svg.querySelector(".run");
    first.setAttribute("tabindex", "0");
    svg.addEventListener("mouseover", (event) => event.target.matches(".run") && show(event.target));
    svg.addEventListener("mouseout", hide);
    svg.addEventListener("focusin", (event) => event.target.matches(".run") && show(event.target));
    svg.addEventListener("focusout", hide);
    svg.addEventListener("click", (event) => event.target.matches(".run") && reveal(event.target));
    svg.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return hide();
      if (event.key === "Enter") return reveal(event.target);
      const seen = visible(svg);
      const next = seen[seen.indexOf(event.target) + (walk[event.key] || 0)];
      if (!walk[event.key] || !next) return undefined;
      event.preventDefault();
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      return next.focus();
    });
  }
  const reveal = (point) => {
    const row = byNumber.get(point.dataset.i);
    if (!row) return;
    table.closest("details").open = true;
    rows.forEach((other) => other.classList.toggle("here", other === row));
    row.scrollIntoView({ block: "center" });
  };

  const filters = all("#filters select");
  const count = document.getElementById("count");
  const apply = () => {
    let left = 0;
    for (const row of rows) {
      row.hidden = filters.some((filter) => filter.value && row.dataset[filter.name] !== filter.value);
      left += !row.hidden;
    }
    for (const point of points) point.classList.toggle("off", Boolean(byNumber.get(point.dataset.i)?.hidden));
    count.textContent = `${left} of ${rows.length} readings`;
  };
  filters.forEach((filter) => filter.addEventListener("change", apply));
  document.getElementById("filters").addEventListener("reset", () => setTimeout(apply));
  document.getElementById("filters").hidden = false;
  apply();

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent : cell.dataset.v === "" ? Infinity : Number(cell.dataset.v);
  };
  for (const button of all("th button", table)) {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const down = head.getAttribute("aria-sort") === "ascending";
      all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const column = head.cellIndex;
      const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
      const sorted = rows.slice().sort((a, b) => order(value(a, column), value(b, column)));
      body.append(...(down ? sorted.reverse() : sorted));
    });
  }
})();
