// The facts of the plan, decoded: everything in them is text, and only ever becomes text.
const facts = JSON.parse(document.getElementById("facts").textContent);
const word = number => facts.words[number];
const STATUSES = { ambiguous: "several answers fit equally", missing: "nothing fills this leaf", unexpected: "no leaf takes this tensor", moved: "becomes a leaf", dropped: "left behind, for a reason", kept: "stays as the target has it" };
const SEVERITY = Object.keys(STATUSES);

// An element with attributes and children; a child that is no element is text.
function make(tag, attributes = {}, ...children) {
  const one = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) one.addEventListener(key.slice(2), value);
    else if (value === true) one.setAttribute(key, "");
    else if (value !== false && value != null) one.setAttribute(key, value);
  }
  one.append(...children.filter(child => child != null && child !== false));
  return one;
}
const byId = id => document.getElementById(id);

const asItem = side => ([name, spec, status, why], number) => ({ side, number, name, spec: word(spec), status: word(status), why: word(why), move: null, unit: null, values: null, question: null });
const tensors = facts.tensors.map(asItem("left")), leaves = facts.leaves.map(asItem("right"));
const lines = new Map(facts.lines);

const moves = facts.moves.map(([sources, targets, what, kind, origin, reason, where, notes]) => {
  const move = { sources: sources.map(at => tensors[at]), targets: targets.map(at => leaves[at]), what: word(what), kind: word(kind), origin: word(origin), reason: word(reason), where: word(where), line: lines.get(where) || "", notes: notes.map(word) };
  for (const item of [...move.sources, ...move.targets]) item.move = move;
  return move;
});
for (const side of ["tensors", "leaves"])
  for (const [number, size, taken, nans, infinite, low, high, mean, deviation, counts] of facts.values[side])
    (side === "tensors" ? tensors : leaves)[number].values = { size, taken, nans, infinite, low, high, mean, deviation, counts };
facts.questions.forEach((question, number) => {
  question.number = number;
  if (question.status === "suggested") return;
  for (const at of question.tensors) tensors[at].question = question;
  for (const at of question.leaves) leaves[at].question = question;
});

// A unit is shown or hidden as a whole: a move with all its tensors and leaves, or what no move touches.
const units = [];
function addUnit(items, status, texts) {
  const unit = { items, status, text: texts.join("\n").toLowerCase(), shown: true };
  for (const item of items) item.unit = unit;
  units.push(unit);
}
for (const move of moves) {
  const items = [...move.sources, ...move.targets];
  addUnit(items, "moved", [...items.map(item => item.name + " " + item.spec), move.what, move.kind, move.origin, move.reason, move.where, ...move.notes]);
}
for (const item of [...tensors, ...leaves])
  if (!item.move) addUnit([item], item.status, [item.name + " " + item.spec, item.status, item.why]);

const dims = spec => { const found = /\[(.*)\]/.exec(spec); return found && found[1] ? found[1].split(",").map(Number) : []; };
function bytesOf(spec) {
  const [, type] = /^([a-z]+\d*)/.exec(spec) || [, ""];
  const bits = type === "bool" ? 8 : Number((/\d+$/.exec(type) || [0])[0]);
  return dims(spec).reduce((all, one) => all * one, 1) * bits / 8;
}
const sized = bytes => { let unit = 0; while (bytes >= 1000 && unit < 4) { bytes /= 1000; unit++; } return (unit ? bytes.toFixed(bytes < 10 ? 1 : 0) : bytes) + " " + ["B", "kB", "MB", "GB", "TB"][unit]; };
