"use strict";
// The table sorts, filters and turns its pages. All rows lie in the page; nothing is fetched, and text stays text.

function shownAs(value, kind, digits) {
  if (value === null) return "-";
  if (kind === "name") return value[0];
  if (kind === "number") return value.toFixed(digits);
  if (kind === "rank") return value[0] === value[1] ? `${value[0]}` : `${value[0]} to ${value[1]}`;
  if (kind !== "interval") return value;
  const [mean, ...ends] = value.map((number) => number.toFixed(3));
  return ends.length ? `${mean} [${ends[0]}, ${ends[1]}]` : mean;
}

// What a value sorts by: a number, a text, or null where it is unknown, which stands last whichever way.
function keyOf(value, kind, words) {
  if (value === null || value === "") return null;
  if (kind === "number") return value;
  if (kind === "interval") return value[0];
  if (kind === "rank") return value[0] * 1e7 + value[1];
  if (kind === "marks") return value.length ? value.map((place) => words[place][0]).join(" ").toLowerCase() : null;
  return (kind === "name" ? value[0] : value).toLowerCase();
}

function sorted(rows, column, kind, words, descending) {
  const keyed = rows.map((row) => [keyOf(row[column], kind, words), row]);
  const turn = descending ? -1 : 1;
  keyed.sort(([one], [other]) => {
    if (one === null || other === null) return (one === null) - (other === null);
    return one === other ? 0 : one < other ? -turn : turn;
  });
  return keyed.map(([, row]) => row);
}

// The text that a search looks through: every word of a row, but for its traits.
function textOf(row, columns, words) {
  return columns.map(([kind], place) => kind === "marks"
    ? row[place].map((each) => words[each][0]).join(" ")
    : kind === "name" || kind === "text" ? shownAs(row[place], kind) : "").join("\n").toLowerCase();
}

// Whether a row passes all filters, {kind, column, value} each; `text` tells what a search looks through.
function passes(row, filters, text) {
  return filters.every(({ kind, column, value }) => {
    if (kind === "is") return row[column] === value;
    if (kind === "most") return row[column] !== null && row[column] <= value;
    if (kind === "without") return !row[row.length - 1].split(" ").includes(value);
    return text(row).includes(value);
  });
}

function start(page) {
  const table = page.getElementById("results");
  const inputs = Array.from(page.querySelectorAll("[data-filter]"));
  const [previous, next] = [page.getElementById("previous"), page.getElementById("next")];
  const atOnce = Number(table.dataset.atOnce);
  const texts = new Map(); // of rows, as far as a search asked for them
  let data = null;
  const state = { column: null, descending: false, first: 0 };

  function filters() {
    return inputs.map((input) => {
      const kind = input.dataset.filter;
      const column = Number(input.dataset.column);
      if (kind === "without") return input.checked ? { kind, value: input.dataset.trait } : null;
      if (input.value.trim() === "") return null;
      if (kind === "most") return { kind, column, value: Number(input.value) };
      return kind === "is" ? { kind, column, value: input.value } : { kind, value: input.value.trim().toLowerCase() };
    }).filter((filter) => filter !== null);
  }

  function text(row) {
    if (!texts.has(row)) texts.set(row, textOf(row, data.columns, data.words));
    return texts.get(row);
  }

  function element(tag, words) {
    const made = page.createElement(tag);
    if (words !== undefined) made.textContent = words;
    return made;
  }

  function cell(value, place) {
    const [kind, digits] = data.columns[place];
    const made = element(place === 0 ? "th" : "td");
    made.className = kind;
    if (place === 0) made.scope = "row";
    if (kind === "marks") {
      for (const each of value) {
        const [words, loud] = data.words[each];
        const mark = element("span", words);
        mark.className = loud ? "mark loud" : "mark";
        made.append(mark, " ");
      }
    } else if (kind === "name" && value[1]) {
      const link = element("a", value[0]);
      link.href = value[1];
      made.append(link);
    } else made.textContent = shownAs(value, kind, digits);
    return made;
  }

  function show() {
    data ??= JSON.parse(page.getElementById("data").textContent);
    const asked = filters();
    let rows = asked.length ? data.rows.filter((row) => passes(row, asked, text)) : data.rows;
    if (state.column !== null) {
      rows = sorted(rows, state.column, data.columns[state.column][0], data.words, state.descending);
    }
    state.first = Math.max(0, Math.min(state.first, Math.floor((rows.length - 1) / atOnce) * atOnce));
    const shown = rows.slice(state.first, state.first + atOnce);
    table.tBodies[0].replaceChildren(...shown.map((row) => {
      const made = element("tr");
      made.append(...data.columns.map((_, place) => cell(row[place], place)));
      return made;
    }));
    const found = asked.length ? `${rows.length} of ${data.rows.length}` : `${rows.length}`;
    page.getElementById("status").textContent = rows.length > atOnce
      ? `Rows ${state.first + 1} to ${state.first + shown.length} of ${found}` : `Rows: ${found}`;
    page.getElementById("pager").hidden = rows.length <= atOnce;
    previous.disabled = state.first === 0;
    next.disabled = state.first + atOnce >= rows.length;
  }

  function sortBy(header) {
    const place = header.cellIndex;
    const last = header.getAttribute("aria-sort");
    data ??= JSON.parse(page.getElementById("data").textContent);
    const highest = ["interval", "number"].includes(data.columns[place][0]);
    state.descending = last === null ? highest : last === "ascending";
    state.column = place;
    state.first = 0;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    show();
  }

  for (const header of table.tHead.rows[0].cells) {
    header.querySelector("button").addEventListener("click", () => sortBy(header));
  }
  for (const input of inputs) {
    input.addEventListener("input", () => { state.first = 0; show(); });
  }
  previous.addEventListener("click", () => { state.first -= atOnce; show(); });
  next.addEventListener("click", () => { state.first += atOnce; show(); });
  page.getElementById("filters").hidden = false;
  page.getElementById("pager").hidden = Number(table.dataset.rows) <= atOnce;
  previous.disabled = true;
}

if (typeof document !== "undefined") start(document);
