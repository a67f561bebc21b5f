// One picture, large: the picture itself, all maps of all stores, the likely classes; the keys walk through the order.

let opener = null; // what had the focus

function show(record) {
  opener = document.activeElement;
  state.open = record;
  toAddress(true);
  drawDialog();
}

function drawDialog() {
  const dialog = $("dialog"), record = state.open;
  if (record < 0) {
    if (dialog.open) dialog.close();
    return;
  }
  const place = order.indexOf(record);
  $("dialog-title").textContent = D.paths[record];
  const said = label(record) < 0 ? "" : ` · labelled ${className(label(record))}`;
  $("dialog-place").textContent = (place < 0 ? "not among the filtered" : `${(place + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`) + said;
  $("previous").disabled = place <= 0;
  $("next").disabled = place < 0 || place >= order.length - 1;
  const panels = [];
  if (heavy(record).picture) panels.push(el("div", { class: "panel" }, frame(record, null, 0, 384), el("div", { class: "caption" }, el("b", {}, "picture"))));
  for (const store of S.keys()) {
    const targets = statusOf(record, store) === DONE ? S[store].target.length : 1;
    for (let rank = 0; rank < targets; rank++) {
      panels.push(el("div", { class: "panel" }, frame(record, store, rank, 320), caption(record, store, rank)));
    }
  }
  $("dialog-body").replaceChildren(el("div", { class: "panels" }, panels), el("div", { class: "facts" }, S.map((_, store) => facts(record, store))));
  if (!dialog.open) {
    dialog.showModal();
    $("dialog-body").scrollTop = 0;
  }
}

function facts(record, store) {
  const tops = heavy(record).tops[store];
  const rows = valueNames.filter((name) => !["score", "probability"].includes(name)).map((name) => [valueTitle(name), valueOf(record, store, name, 0)]);
  if (D.agreement && store === 0) rows.push(["agreement of the maps", D.agreement[record]]);
  const known = rows.filter(([, value]) => value !== null && value !== undefined);
  return el("div", {},
    S.length > 1 ? el("h3", {}, S[store].name) : null,
    tops ? el("table", { class: "top-classes" }, el("tbody", {}, tops.map(([index, share]) =>
      el("tr", {}, el("td", { class: index === label(record) ? "good" : "" }, className(index)),
        el("td", { class: "share" }, el("i", { style: `width:${100 * share}%` })), el("td", { class: "number" }, percent(share)))))) : null,
    known.length ? el("dl", {}, known.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, number(value))])) : null);
}

function turn(by) {
  const place = order.indexOf(state.open) + by;
  if (order.indexOf(state.open) < 0 || place < 0 || place >= order.length) return;
  state.open = order[place];
  toAddress();
  reveal(place);
  drawDialog();
}

function closed() {
  const place = order.indexOf(state.open);
  if (state.open >= 0) {
    state.open = -1;
    if (history.state?.opened) history.back(); // to the address before it was opened
    else toAddress();
  }
  if (place >= 0 && cards.has(place)) cards.get(place).firstChild.focus({ preventScroll: true });
  else opener?.focus?.({ preventScroll: true });
}

function wireDialog() {
  $("previous").onclick = () => turn(-1);
  $("next").onclick = () => turn(1);
  $("close").onclick = () => $("dialog").close();
  $("dialog").addEventListener("close", closed);
  $("dialog").addEventListener("click", (event) => event.target === $("dialog") && $("dialog").close());
  $("dialog").addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) return;
    if (event.key === "ArrowLeft") turn(-1);
    else if (event.key === "ArrowRight") turn(1);
    else return;
    event.preventDefault();
  });
}
