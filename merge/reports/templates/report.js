"use strict";
const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
const number = (text) => (text.trim() === "" ? NaN : Number(text));
const compare = (one, other) => {
  const [first, second] = [number(one), number(other)];
  if (isNaN(first) && isNaN(second)) return one.localeCompare(other, undefined, { numeric: true });
  return isNaN(first) ? 1 : isNaN(second) ? -1 : first - second;
};
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((one, other) => compare(value(one, column), value(other, column)));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
const opened = [];
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) opened.push(folded), (folded.open = true);
});
addEventListener("afterprint", () => {
  while (opened.length) opened.pop().open = false;
});
