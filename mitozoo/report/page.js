"use strict";
// Tables sort by their column's button and show the rows that a search box asks for. Nothing is fetched.
function keyOf(row, column) {
  return row.cells[column].dataset.key;
}

function inOrder(one, other) {
  if (one === "" || other === "") return (one === "") - (other === ""); // what is unknown stands last
  const [a, b] = [Number(one), Number(other)];
  return Number.isNaN(a) || Number.isNaN(b) ? one.localeCompare(other) : a - b;
}

function sortBy(table, header) {
  const column = header.cellIndex;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const known = rows.find((row) => keyOf(row, column) !== "");
  const numeric = known !== undefined && !Number.isNaN(Number(keyOf(known, column)));
  const last = header.getAttribute("aria-sort");
  const descending = last === null ? numeric : last === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  rows.sort((a, b) => {
    const [one, other] = [keyOf(a, column), keyOf(b, column)];
    const order = inOrder(one, other);
    return descending && one !== "" && other !== "" ? -order : order;
  });
  body.append(...rows);
}

function filter(input) {
  const wanted = input.value.trim().toLowerCase();
  const rows = Array.from(document.getElementById(input.dataset.filters).tBodies[0].rows);
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  const shown = rows.filter((row) => !row.hidden).length;
  input.parentElement.querySelector("[role=status]").textContent = wanted ? `${shown} of ${rows.length} rows` : "";
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.rows[0].cells) {
    header.querySelector("button").addEventListener("click", () => sortBy(table, header));
  }
}
for (const input of document.querySelectorAll("input[data-filters]")) {
  input.addEventListener("input", () => filter(input));
}
let unfolded = []; // for paper, and folded again after
window.addEventListener("beforeprint", () => {
  unfolded = Array.from(document.querySelectorAll("details.run:not([open]), details.gallery:not([open])"));
  for (const details of unfolded) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of unfolded) details.open = false;
});
