// One picture, large: the picture itself, all maps of all stores, the likely classes; the keys walk through the order.

let opener = null; // what had the focus

function show(record) {
  opener = document.activeElement;
  state.open = record;
  toAddress(true);
  drawDialog();
}

function drawDialog() {
  const dialog = $("dialog"),
    record = state.open;
  if (record < 0) {
    if (dialog.open) dialog.close();
    return;
  }
  const place = order.indexOf(record);
  $("dialog-title").textContent = D.paths[record];
  const said = label(record) < 0 ? "" : ` · labelled ${className(label(record))}`;
  $("dialog-place").textContent =
    (place < 0
      ? "not among the filtered"
      : `${(place + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`) + said;
  $("previous").disabled = place <= 0;
  $("next").disabled = place < 0 || place >= order.length - 1;
  const panels = [];
  if (heavy(record).picture)
    panels.push(
      el(
        "div",
        { class: "panel" },
        frame(record, null, 0, 384),
        el("div", { class: "caption" }, el("b", {}, D.thing)),
      ),
    );
  for (const store of S.keys()) {
    const targets = statusOf(record, store) === DONE ? S[store].target.length : 1;
    for (let rank = 0; rank < targets; rank++) {
      panels.push(
        el("div", { class: "panel" }, frame(record, store, rank, 320), caption(record, store, rank)),
      );
    }
  }
  $("dialog-body").replaceChildren(
    el(
      "div",
      { class: "panels", style: `--across: ${Math.ceil(panels.length / Math.ceil(panels.length / 4))}` },
      panels,
    ),
    el("div", { class: "facts" }, facts(record)),
  );
  if (!dialog.open) {
    dialog.showModal();
    $("dialog-title").focus({ preventScroll: true }); // `autofocus` would also ask for it when the page opens
    $("dialog-body").scrollTop = 0;
  }
}

// Likely classes, once for stores that agree on them, and a table of values.
function facts(record) {
  const tops = new Map();
  for (const store of S.keys()) {
    const found = JSON.stringify(heavy(record).tops[store]);
    if (found !== "null") tops.set(found, [...(tops.get(found) ?? []), S[store].name]);
  }
  const bars = [...tops].map(([found, names]) =>
    el(
      "div",
      {},
      el("h3", {}, tops.size > 1 ? `Likely classes: ${names.join(", ")}` : "Likely classes"),
      el(
        "table",
        { class: "top-classes" },
        el(
          "tbody",
          {},
          JSON.parse(found).map(([index, share]) =>
            el(
              "tr",
              {},
              el("td", { class: index === label(record) ? "good" : "" }, className(index)),
              el("td", { class: "share" }, el("i", { style: `width:${100 * share}%` })),
              el("td", { class: "number" }, percent(share)),
            ),
          ),
        ),
      ),
    ),
  );
  const names = valueNames.filter((name) => S.some((_, store) => valueIn(record, store, name, 0) !== null));
  const rows = names.map((name) => [
    valueTitle(name),
    ...S.map((_, store) => number(valueIn(record, store, name, 0))),
  ]);
  const head =
    S.length > 1
      ? el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", {}),
            S.map((store) => el("th", { class: "number", scope: "col" }, store.name)),
          ),
        )
      : null;
  const values = el(
    "div",
    { class: "scroll" },
    S.length > 1 ? null : el("h3", {}, "Values"),
    el(
      "table",
      {},
      head,
      el(
        "tbody",
        {},
        rows.map(([name, ...cells]) =>
          el(
            "tr",
            {},
            el("td", {}, name),
            cells.map((cell) => el("td", { class: "number" }, cell)),
          ),
        ),
      ),
    ),
    D.agreement?.[record] != null
      ? el("p", { class: "quiet" }, `agreement of the maps (correlation): ${number(D.agreement[record])}`)
      : null,
  );
  return [...bars, names.length ? values : null];
}

function turn(by) {
  const place = order.indexOf(state.open) + by;
  if (order.indexOf(state.open) < 0 || place < 0 || place >= order.length) return;
  state.open = order[place];
  toAddress();
  reveal(place);
  drawDialog();
}

// The event "close" comes with the next frame, which a page in the background does not have: so not by it alone.
function shut() {
  $("dialog").close();
  closed();
}

function closed() {
  if (state.open < 0) return;
  const place = order.indexOf(state.open);
  state.open = -1;
  if (history.state?.opened)
    history.back(); // to the address before it was opened
  else toAddress();
  if (place >= 0 && cards.has(place)) cards.get(place).firstChild.focus({ preventScroll: true });
  else opener?.focus?.({ preventScroll: true });
}

function wireDialog() {
  $("previous").onclick = () => turn(-1);
  $("next").onclick = () => turn(1);
  $("close").onclick = shut;
  $("dialog").addEventListener("close", closed);
  $("dialog").addEventListener("click", (event) => event.target === $("dialog") && shut());
  $("dialog").addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      shut();
    }
    if (event.target.matches("input, select")) return;
    if (event.key === "ArrowLeft") turn(-1);
    else if (event.key === "ArrowRight") turn(1);
    else return;
    event.preventDefault();
  });
}
