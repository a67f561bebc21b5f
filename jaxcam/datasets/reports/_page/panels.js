// A panel: a picture with the map of one store laid over it, and what it says.

function frame(record, store, rank, edge, { method = true } = {}) {
  const data = heavy(record);
  const status = store === null ? DONE : statusOf(record, store);
  const tag =
    method && store !== null && S.length > 1 ? el("span", { class: "method cut" }, S[store].name) : null;
  const map = store === null ? null : data.maps[store]?.[Math.min(rank, data.maps[store].length - 1)];
  if (store !== null && !map) {
    const why =
      status === FAILED ? S[store].errors[record] : status === ABSENT ? "not in this store" : "not done yet";
    const head = status === FAILED ? el("strong", {}, "failed") : null;
    return el("div", { class: "frame none" }, head, el("span", {}, why), tag);
  }
  const made = el("div", { class: data.picture ? "frame" : "frame alone" });
  if (data.picture) {
    const image = el("img", { src: data.picture, alt: "", decoding: "async", draggable: "false" });
    image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth <= 64));
    made.append(image);
  }
  if (map) {
    const canvas = el("canvas", {});
    paint(canvas, map, S[store].map, edge);
    made.append(canvas);
  }
  if (tag) made.append(tag);
  if (data.note)
    made.append(
      el("span", { class: "note", title: data.note }, edge < 200 && !data.picture ? "no picture" : data.note),
    );
  return made;
}

function caption(record, store, rank) {
  if (statusOf(record, store) !== DONE) return el("div", { class: "caption" });
  const right = isRight(record, store);
  const mark =
    right === null
      ? null
      : el(
          "span",
          {
            class: right ? "mark good" : "mark bad",
            title: right ? "predicted as labelled" : `predicted ${className(S[store].predicted[record])}`,
          },
          right ? "✓" : "✗",
        );
  const name = className(targetOf(record, store, rank));
  const facts = [
    percent(valueIn(record, store, "probability", rank)),
    `score ${number(valueIn(record, store, "score", rank))}`,
  ];
  if (!["row", "path", "score", "probability"].includes(state.sort)) {
    facts[1] = `${titled(state.sort)} ${number(sortValue(record, store))}`;
  }
  return el(
    "div",
    { class: "caption" },
    el("b", { class: "cut", title: name }, mark, name),
    el("span", { class: "cut quiet" }, facts.join(" · ")),
  );
}
