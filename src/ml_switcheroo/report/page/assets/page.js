// Views, colours and keys.
byId("target").textContent = facts.target;
byId("notes").append(...facts.notes.map(note => make("li", {}, note)));
byId("differences").append(...facts.differences.map(line => make("li", {}, line)));
if (facts.differences.length) byId("differences").before(make("h2", { class: "alarm" }, "The programs compute something else"));

const counts = new Map();
for (const item of [...tensors, ...leaves]) if (item.side === "left" || !item.move) counts.set(item.status, (counts.get(item.status) || 0) + 1);
byId("statuses").append(...SEVERITY.filter(status => counts.has(status)).map(status => {
  const box = make("input", { type: "checkbox", value: status });
  box.checked = true;
  return make("label", { class: status, title: STATUSES[status] }, box, ` ${status} `, make("b", {}, counts.get(status).toLocaleString("en")));
}));

const views = [["trees", "Tensors", true], ["settle", "To settle", toSettle.length > 0 || facts.questions.length > 0], ["programs", "Programs" + (facts.differences.length ? ` (${facts.differences.length} differences)` : ""), Boolean(programs) || facts.differences.length > 0], ["notes", `Notes (${facts.notes.length})`, facts.notes.length > 0]].filter(view => view[2]);
function showView(name) {
  for (const [view] of views) {
    byId("view-" + view).hidden = view !== name;
    byId("tab-" + view).setAttribute("aria-selected", view === name ? "true" : "false");
    byId("tab-" + view).tabIndex = view === name ? 0 : -1;
  }
  if (name === "programs") drawPrograms();
  if (name === "trees") draw();
}
document.querySelector("nav").append(...views.map(([name, title]) => make("button", { type: "button", role: "tab", id: "tab-" + name, "aria-controls": "view-" + name, onclick: () => showView(name) }, title)));
document.querySelector("nav").addEventListener("keydown", event => {
  const at = views.findIndex(([name]) => "tab-" + name === document.activeElement.id), by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by || at < 0) return;
  const [name] = views[(at + by + views.length) % views.length];
  showView(name);
  byId("tab-" + name).focus();
});

const dark = matchMedia("(prefers-color-scheme: dark)");
let asked = null;
const paint = () => { document.documentElement.dataset.scheme = asked || (dark.matches ? "dark" : "light"); };
dark.addEventListener("change", paint);
byId("scheme").addEventListener("click", () => { asked = document.documentElement.dataset.scheme === "dark" ? "light" : "dark"; paint(); });
function help(open) { byId("help").hidden = !open; byId("keys").setAttribute("aria-expanded", open ? "true" : "false"); }
byId("keys").addEventListener("click", () => help(byId("help").hidden));

filterForm.addEventListener("submit", event => { event.preventDefault(); sides.left.focus(); });
filterText.addEventListener("input", applyFilter);
filterText.addEventListener("keydown", event => { if (event.key === "ArrowDown") { event.preventDefault(); sides.left.focus(); } });
byId("statuses").addEventListener("change", applyFilter);
byId("sort").addEventListener("change", event => { sortBoth(event.target.value); scroller.scrollTop = 0; arrange(); });
byId("open-all").addEventListener("click", () => openAll(true));
byId("close-all").addEventListener("click", () => openAll(false));
addEventListener("resize", () => { rowHeight = height(); arrange(); drawPrograms(); });

addEventListener("keydown", event => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName) && !/radio|checkbox/.test(document.activeElement.type);
  if (event.key === "Escape") {
    if (!byId("help").hidden) help(false);
    else if (!hideDetails() && filterText.value) { filterText.value = ""; applyFilter(); }
    else if (typing) document.activeElement.blur();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); showView(byId("view-settle").hidden ? "trees" : "settle"); (byId("view-settle").hidden ? filterText : settleText).focus(); }
  else if (event.key === "?") help(byId("help").hidden);
  else if (/^[1-4]$/.test(event.key) && views[event.key - 1]) { showView(views[event.key - 1][0]); byId("tab-" + views[event.key - 1][0]).focus(); }
});

paint();
sortBoth("order");
showCards();
applyFilter();
showView("trees");
