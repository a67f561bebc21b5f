// The grid of cards: filtered, sorted, and only those in sight are in the page.

const GAP = 12,
  CAPTION = 42,
  FILE = 26;
let order = []; // records that pass the filters, in the order that is shown
const cards = new Map(); // place in the order -> element

const sortValue = (record, store) =>
  state.sort === "agreement"
    ? D.agreement[record]
    : state.sort === "row"
      ? record
      : valueIn(record, store, state.sort, state.rank);

function classOf(record, by) {
  if (by === "label") return label(record);
  return by === "predicted"
    ? (S[state.of].predicted?.[record] ?? -1)
    : targetOf(record, state.of, state.rank);
}

function select() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = (record) =>
    [
      D.paths[record],
      className(targetOf(record, state.of, state.rank)),
      label(record) < 0 ? "" : className(label(record)),
    ]
      .join(" ")
      .toLowerCase();
  const passes = (record) => {
    if (state.cls !== "" && classOf(record, state.by) !== Number(state.cls)) return false;
    if (state.status !== "" && !S.some((_, store) => statusOf(record, store) === Number(state.status)))
      return false;
    if (state.right !== "" && isRight(record, state.of) !== (state.right === "right")) return false;
    if (!words.length) return true;
    const text = texts(record);
    return words.every((word) => text.includes(word));
  };
  order = [...Array(COUNT).keys()].filter(passes);
  const way = state.desc ? -1 : 1;
  if (state.sort === "path")
    order.sort((a, b) => way * (D.paths[a] < D.paths[b] ? -1 : D.paths[a] > D.paths[b] ? 1 : a - b));
  else {
    const none = (value) => value === null || value === undefined;
    order.sort((a, b) => {
      const one = sortValue(a, state.of),
        other = sortValue(b, state.of);
      if (none(one) !== none(other)) return none(one) ? 1 : -1; // what has no value comes last, either way
      return none(one) || one === other ? a - b : way * (one - other);
    });
  }
}

function layout() {
  const width = $("grid").clientWidth,
    panels = S.length;
  const across = Math.max(1, Math.min(panels, Math.floor(width / state.size)));
  const columns = Math.max(
    1,
    Math.min(Math.floor((width + GAP) / (across * state.size + GAP) + 0.2), Math.max(order.length, 1)),
  );
  const most = Math.max(state.size * across * 1.8, 240); // few cards do not grow to fill the line
  const card = Math.min((width - GAP * (columns - 1)) / columns, most);
  const panel = (card - 2 - (across - 1)) / across / D.aspect;
  const height = Math.ceil(panels / across) * (panel + CAPTION + 1) + FILE;
  return { across, columns, card, height };
}

function card(record, place, { across }) {
  const edge = Math.min(192, Math.max(64, Math.round(state.size * 0.7)));
  const panels = S.map((_, store) =>
    el("div", { class: "panel" }, frame(record, store, state.rank, edge), caption(record, store, state.rank)),
  );
  const said = [
    D.paths[record],
    className(targetOf(record, 0, state.rank)),
    percent(valueIn(record, 0, "probability", state.rank)),
  ].join(", ");
  const button = el(
    "button",
    { class: "card", type: "button", "aria-label": said, onclick: () => show(record) },
    el("div", { class: "panels", style: `grid-template-columns: repeat(${across}, minmax(0, 1fr))` }, panels),
    el(
      "span",
      { class: "file" },
      el(
        "span",
        { class: "cut", title: D.paths[record] },
        D.paths[record].split("/").pop() || D.paths[record],
      ),
      mistake(record),
    ),
  );
  button.addEventListener("keydown", (event) => step(event, place));
  return el("li", { "aria-setsize": order.length, "aria-posinset": place + 1 }, button);
}

// What the caption does not say of a wrong prediction: the label, or, where that is explained, what was predicted instead.
function mistake(record) {
  const store = S.findIndex((_, each) => isRight(record, each) === false);
  if (store < 0) return null;
  const labelled = className(label(record)),
    predicted = className(S[store].predicted[record]);
  const said =
    targetOf(record, store, state.rank) === label(record) ? `predicted ${predicted}` : `is ${labelled}`;
  return el("span", { class: "cut bad", title: `labelled ${labelled}, predicted ${predicted}` }, said);
}

let shape = null;

function drawGrid(fresh = false) {
  const grid = $("grid");
  if (state.view !== "pictures") return;
  if (fresh || !shape || shape.width !== grid.clientWidth) {
    shape = { ...layout(), width: grid.clientWidth };
    cards.clear();
    grid.replaceChildren();
    grid.style.height = `${Math.max(0, Math.ceil(order.length / shape.columns) * (shape.height + GAP) - GAP)}px`;
  }
  const line = shape.height + GAP,
    top = -grid.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(top / line) - 1) * shape.columns;
  const last = Math.min(order.length, (Math.ceil((top + innerHeight) / line) + 1) * shape.columns);
  for (const [place, element] of cards) {
    if (place < first || place >= last) {
      element.remove();
      cards.delete(place);
    }
  }
  for (let place = first; place < last; place++) {
    if (cards.has(place)) continue;
    const made = card(order[place], place, shape);
    const x = (place % shape.columns) * (shape.card + GAP),
      y = Math.floor(place / shape.columns) * line;
    made.style.cssText = `width:${shape.card}px;height:${shape.height}px;transform:translate(${x}px,${y}px)`;
    cards.set(place, made);
    const after = [...cards.keys()].filter((each) => each > place);
    grid.insertBefore(made, after.length ? cards.get(Math.min(...after)) : null); // the order of Tab is that of the eye
  }
}

// Arrow keys walk from card to card, also to one that is not in the page yet.
function step(event, place) {
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -shape.columns, ArrowDown: shape.columns };
  const to =
    event.key === "Home" ? 0 : event.key === "End" ? order.length - 1 : place + (moves[event.key] ?? NaN);
  if (!(to >= 0 && to < order.length)) return;
  event.preventDefault();
  reveal(to);
  cards.get(to)?.firstChild.focus({ preventScroll: true });
}

function reveal(place) {
  const line = shape.height + GAP,
    tools = document.querySelector(".tools").offsetHeight;
  const top = $("grid").getBoundingClientRect().top + Math.floor(place / shape.columns) * line;
  if (top < tools) scrollBy(0, top - tools - GAP);
  else if (top + shape.height > innerHeight) scrollBy(0, top + shape.height - innerHeight + GAP);
  drawGrid();
}
