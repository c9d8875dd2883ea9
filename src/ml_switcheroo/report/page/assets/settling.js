// What is open, with its answers; those that are picked become the file that `plan --rules` takes.
const settleView = byId("view-settle"), cards = make("div", { id: "cards" }), rulesText = make("textarea", { readonly: true, spellcheck: "false", "aria-label": "rules.toml" });
const picked = new Map(); // number of a question -> { rules, words }
const CARDS = 40, MOST_PLACES = 300;
let shownCards = CARDS;

const quoted = text => JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029]/g, sign => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0"));
const tomlString = text => /^[ -&(-~\u00a0-\ud7ff]*$/.test(text) ? "'" + text + "'" : quoted(text);
const plain = text => text.replace(/[\u0000-\u001f\u007f]/g, " ");

function rulesFile() {
  const chosen = facts.questions.filter(question => picked.has(question.number));
  const made = facts.rules.length ? ["  # given before", ...facts.rules.map(rule => "  " + tomlString(rule) + ",")] : [];
  for (const question of chosen) made.push("  # " + plain(question.shown) + ": " + plain(picked.get(question.number).words), ...picked.get(question.number).rules.map(rule => "  " + tomlString(rule) + ","));
  return `# ${plain(facts.source)} to ${plain(facts.target)}: ml-switcheroo plan ... --rules rules.toml\nrules = [\n${made.join("\n")}${made.length ? "\n" : ""}]\n`;
}

// Ways to lay out a tensor so that it has the shape of a leaf.
function layouts(from, to) {
  const a = dims(from), b = dims(to), letters = "abcdefgh", found = [];
  if (a.length !== b.length || a.length > 6) return found;
  (function next(order) {
    if (found.length >= 12) return;
    if (order.length === a.length) {
      found.push(order.every((axis, at) => axis === at) ? "" : [...letters.slice(0, a.length)].join(" ") + " -> " + order.map(axis => letters[axis]).join(" "));
      return;
    }
    for (let axis = 0; axis < a.length; axis++) if (!order.includes(axis) && a[axis] === b[order.length]) next([...order, axis]);
  })([]);
  return found;
}

// The leaves that are missing and that as many tensors of the same sizes could fill.
const placesBySizes = new Map();
const sizesOf = (question, items) => items.length + ":" + dims(question.spec).sort((a, b) => a - b).join(",");
for (const question of facts.questions)
  if (question.status === "missing") {
    const key = sizesOf(question, question.leaves);
    placesBySizes.set(key, [...(placesBySizes.get(key) || []), question]);
  }
const SIGNS = /[{}*]/;
function places(question) {
  const names = question.tensors.map(at => tensors[at].name), found = [];
  if (names.some(name => SIGNS.test(name))) return found;
  for (const other of placesBySizes.get(sizesOf(question, question.tensors)) || []) {
    if (found.length >= MOST_PLACES) break;
    const paths = other.leaves.map(at => leaves[at].name).sort(natural), sorted = [...names].sort(natural);
    if (paths.some(path => SIGNS.test(path))) continue;
    for (const equation of layouts(question.spec, other.spec)) {
      const rules = sorted.map((name, at) => `Move(${[name, paths[at], ...(equation ? [equation] : [])].map(quoted).join(", ")})`);
      found.push({ words: `becomes ${other.shown} ${other.spec}, ${equation || "as it is"}`, rules, covers: other.number });
    }
  }
  return found;
}

// A question that an answer to another one settles as well.
function coveredBy(question) {
  for (const [number, answer] of picked) {
    if (number === question.number) continue;
    const other = facts.questions[number];
    if (answer.covers === question.number) return other;
    if (other.status === "suggested" && question.status !== "suggested" && question.status !== "ambiguous") {
      const [mine, theirs] = question.tensors.length ? [question.tensors, other.tensors] : [question.leaves, other.leaves];
      if (mine.length && mine.every(at => theirs.includes(at))) return other;
    }
  }
  return null;
}

function answerRow(question, words, after, rules, answer) {
  const id = `answer-${question.number}-${answer.at}`, given = picked.get(question.number);
  const radio = make("input", { type: "radio", name: "question-" + question.number, id, onchange: () => pick(question, answer) });
  radio.checked = Boolean(given) && given.at === answer.at;
  const many = rules.length > 3 ? [...rules.slice(0, 2), `\u2026 and ${rules.length - 2} more`] : rules;
  return make("div", { class: "answer" }, radio, make("label", { for: id }, words, after ? make("small", {}, " \u2192 " + after) : null, ...many.map(rule => make("code", {}, rule))));
}

function pick(question, answer) {
  if (answer) picked.set(question.number, answer); else picked.delete(question.number);
  refresh();
}

function card(question) {
  const box = make("fieldset", { id: "question-" + question.number, class: question.status, "data-question": question.number });
  box.append(make("legend", {}, question.status === "suggested" ? "a place for what is left over" : question.status));
  box.append(make("div", {}, make("code", {}, question.shown), " ", make("code", { class: "small" }, question.spec)), make("div", { class: "small" }, question.why), make("div", { class: "small covered" }));
  question.options.forEach(([words, after, ...rules], at) => box.append(answerRow(question, words, after, rules, { at: String(at), words, rules })));
  if (question.status === "unexpected") {
    const found = places(question);
    if (found.length) {
      const select = make("select", { "aria-label": "leaf and layout" }, ...found.map((place, at) => make("option", { value: at }, place.words)));
      const given = picked.get(question.number);
      if (given && given.place !== undefined) select.value = given.place;
      const answer = () => ({ at: "place", place: select.value, ...found[select.value] });
      select.addEventListener("change", () => pick(question, answer()));
      const row = answerRow(question, "put it into a leaf that nothing fills", "", [], { at: "place" }), radio = row.querySelector("input");
      radio.replaceWith(make("input", { type: "radio", name: radio.name, id: radio.id, onchange: () => pick(question, answer()) }));
      row.querySelector("input").checked = Boolean(given) && given.at === "place";
      row.append(make("span"), select);
      box.append(row);
    }
  }
  box.append(ownRule(question));
  return box;
}

function ownRule(question) {
  const given = picked.get(question.number), own = given && given.at === "own";
  const first = question.options.length ? question.options[0][2] : "";
  const text = make("input", { type: "text", class: "own", placeholder: first || 'Kind("fc1", "linear")', "aria-label": "your own rule", spellcheck: "false" });
  text.value = own ? given.rules[0] : "";
  const answer = () => ({ at: "own", words: "a rule of your own", rules: [text.value.trim()] });
  const isRule = () => /^(Rename|Kind|Drop|Keep|Move)\(.*\)\s*(#.*)?$/.test(text.value.trim());
  const radio = make("input", { type: "radio", name: "question-" + question.number, id: `answer-${question.number}-own`, onchange: take });
  radio.checked = own;
  function take() {
    if (!text.value) text.value = first;
    text.setCustomValidity(isRule() ? "" : "Rename(...), Kind(...), Drop(...), Keep(...) or Move(...)");
    text.reportValidity();
    pick(question, isRule() ? answer() : null);
  }
  text.addEventListener("input", () => { if (radio.checked) { text.setCustomValidity(""); pick(question, isRule() ? answer() : null); radio.checked = true; } });
  return make("div", { class: "answer" }, radio, make("label", { for: radio.id }, "another rule"), make("span"), text);
}

const toSettle = facts.questions.filter(question => question.status !== "suggested");

function refresh() {
  rulesText.value = rulesFile();
  for (const box of cards.querySelectorAll("fieldset")) {
    const question = facts.questions[box.dataset.question], other = coveredBy(question);
    box.classList.toggle("done", picked.has(question.number) || Boolean(other));
    box.querySelector(".covered").textContent = other && !picked.has(question.number) ? "settled with " + other.shown : "";
  }
  const done = toSettle.filter(question => picked.has(question.number) || coveredBy(question)).length;
  settleView.querySelector("#settled").textContent = `${done} of ${toSettle.length} settled`;
  const tab = byId("tab-settle");
  if (tab) tab.textContent = `To settle (${toSettle.length - done})`;
}

const settleText = make("input", { type: "search", placeholder: "filter", "aria-label": "filter questions", autocomplete: "off", oninput: () => { shownCards = CARDS; showCards(); } });
function showCards() {
  const words = settleText.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = facts.questions.filter(question => { const text = (question.status + " " + question.shown + " " + question.spec + " " + question.why).toLowerCase(); return words.every(one => text.includes(one)); });
  const more = found.length > shownCards ? [make("button", { type: "button", onclick: () => { shownCards += CARDS; showCards(); } }, `show more: ${found.length - shownCards} left`)] : [];
  cards.replaceChildren(...found.slice(0, shownCards).map(card), ...more);
  refresh();
}

function goToQuestion(question) {
  hideDetails();
  settleText.value = "";
  const at = facts.questions.indexOf(question);
  shownCards = Math.max(CARDS, at + 1);
  showCards();
  showView("settle");
  const box = byId("question-" + question.number), radio = box.querySelector("input");
  box.scrollIntoView({ block: "start" });
  if (radio) radio.focus({ preventScroll: true });
}

async function copyRules(event) {
  const button = event.currentTarget;
  try { await navigator.clipboard.writeText(rulesText.value); }
  catch { rulesText.select(); document.execCommand("copy"); } // a page from a file may have no clipboard
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1500);
}
function downloadRules() {
  const address = URL.createObjectURL(new Blob([rulesText.value], { type: "application/toml" }));
  const link = make("a", { href: address, download: "rules.toml" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

settleView.append(make("div", { class: "columns" },
  make("div", {}, make("form", { onsubmit: event => event.preventDefault() }, settleText, make("output", { id: "settled", "aria-live": "polite" })), make("p", { class: "small" }, "Pick an answer where you know it. The next plan shows what is left."), cards),
  make("div", { id: "export" }, make("h2", {}, "rules.toml"), make("div", { class: "does" }, make("button", { type: "button", id: "download", class: "primary", onclick: downloadRules }, "download"), make("button", { type: "button", id: "copy", onclick: copyRules }, "copy"), make("button", { type: "button", onclick: () => { picked.clear(); showCards(); } }, "start again")), rulesText, make("p", { class: "small" }, "Hand it to the same command: ", make("code", {}, "--rules rules.toml")))));
