// Sorts tables, marks the section in sight, closes an opened image. The page is whole without it.
"use strict";

const numberIn = (text) => parseFloat(text.replace(/,/g, "").replace(/−/g, "-"));
const isMissing = (text) => text === "–" || text === "";

function sortBy(table, column, head) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const textOf = (row) => row.cells[column].textContent.trim();
  const given = rows.map(textOf).filter((text) => !isMissing(text));
  const numeric = given.every((text) => /^[+−-]?\.?\d/.test(text));
  const descending = head.getAttribute("aria-sort") === "ascending";
  rows.sort((first, second) => {
    const [a, b] = [textOf(first), textOf(second)];
    if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
    const order = numeric ? numberIn(a) - numberIn(b) : a.localeCompare(b, undefined, { numeric: true });
    return descending ? -order : order;
  });
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  body.append(...rows);
}

for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    if (!button.textContent.trim()) button.setAttribute("aria-label", "name");
    button.addEventListener("click", () => sortBy(table, column, head));
    head.append(button);
  });
}

document.addEventListener("keydown", (event) => {
  const opened = document.querySelector("figure:target");
  if (event.key === "Escape" && opened) location.hash = opened.parentNode.id;
});

const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(target.id).setAttribute("aria-current", "true");
  }
}, { rootMargin: "-15% 0px -80% 0px" });
for (const section of document.querySelectorAll("section")) inSight.observe(section);

let opened = []; // a printed page shows what is folded away
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const folded of opened) folded.open = true;
});
addEventListener("afterprint", () => { for (const folded of opened) folded.open = false; });
