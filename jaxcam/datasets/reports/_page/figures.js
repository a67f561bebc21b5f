// The parts beside the pictures: figures of all records, what failed, what was run.

function drawFigures() {
  const total = D.records,
    shown = COUNT;
  const tiles = [[`${D.thing}s`, total.toLocaleString("en")]];
  if (S.length > 1) tiles.push(["methods", S.length]);
  tiles.push(["maps done", S.reduce((sum, store) => sum + store.figures.done, 0).toLocaleString("en")]);
  tiles.push(["failed", D.failed.toLocaleString("en")]);
  const left = S.reduce((sum, { figures }) => sum + figures.total - figures.done - figures.failed, 0);
  if (left) tiles.push(["not done yet", left.toLocaleString("en")]);
  if (S[0].figures.accuracy) tiles.push(["top-1 accuracy", percent(S[0].figures.accuracy[0])]);
  $("view-figures").replaceChildren(
    el(
      "div",
      { class: "tiles" },
      tiles.map(([name, value]) =>
        el("div", { class: "box" }, el("strong", {}, value), el("span", { class: "quiet" }, name)),
      ),
    ),
    shown < total
      ? el(
          "p",
          { class: "quiet", style: "margin-top:12px" },
          `Figures are of all ${many(total, D.thing)}; ${shown.toLocaleString("en")}, spread evenly, are shown.`,
        )
      : "",
    methodsTable(),
    histograms(),
    meanMaps(),
  );
}

function methodsTable() {
  const any = S.some((store) => store.figures.accuracy);
  const head = [
    "method",
    "done",
    "failed",
    ...(any ? ["top-1"] : []),
    ...valueNames.map((name) => `mean ${valueTitle(name)}`),
  ];
  const meanOf = (found) => {
    if (!found) return "–";
    const mean = number(found[0]);
    return found[2] > 1 && !mean.includes("e")
      ? `${mean} ± ${found[1].toFixed((mean.split(".")[1] ?? "").length)}`
      : mean;
  };
  const body = S.map(({ name, figures }) => [
    name,
    figures.done.toLocaleString("en"),
    figures.failed.toLocaleString("en"),
    ...(any ? [percent(figures.accuracy?.[0])] : []),
    ...valueNames.map((each) => meanOf(figures.means[each])),
  ]);
  return el(
    "div",
    { class: "box" },
    el("h2", {}, S.length > 1 ? "Methods" : "Means"),
    el(
      "p",
      { class: "quiet" },
      "Mean ± standard error over the records that are done. Entropy is 0 for a map on one cell and 1 for one that is the same everywhere.",
      TARGETS > 1 ? " Values are those of the first target." : "",
    ),
    el(
      "div",
      { class: "scroll" },
      el(
        "table",
        { style: "margin-top:8px" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head.map((text, at) => el("th", { class: at ? "number" : "", scope: "col" }, text)),
          ),
        ),
        el(
          "tbody",
          {},
          body.map((row) =>
            el(
              "tr",
              {},
              row.map((text, at) =>
                at ? el("td", { class: "number" }, text) : el("th", { scope: "row" }, text),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

function histograms() {
  const names = valueNames.filter((name) => S.some((store) => store.figures.histograms[name]));
  if (!names.length) return "";
  const name = names.includes(state.histogram) ? state.histogram : names[0];
  const select = el("select", {
    id: "histogram",
    "aria-label": "Histogram of",
    onchange: (event) => {
      state.histogram = event.target.value;
      toAddress();
      drawFigures();
      $("histogram").focus();
    },
  });
  choose(
    select,
    names.map((each) => [each, valueTitle(each)]),
  );
  select.value = name;
  const wrong = S.some((store) => store.figures.histograms[name]?.wrong);
  return el(
    "div",
    { class: "box" },
    el(
      "div",
      { class: "head" },
      el("h2", {}, "Histogram"),
      el(
        "div",
        {},
        select,
        wrong
          ? el("span", { class: "quiet key", style: "--swatch:var(--bar)" }, "correct or not labelled")
          : "",
        wrong ? el("span", { class: "quiet key", style: "--swatch:var(--wrong)" }, "wrong prediction") : "",
      ),
    ),
    el(
      "div",
      { class: "charts" },
      S.map((store) => chart(store, name)),
    ),
  );
}

function chart(store, name) {
  const found = store.figures.histograms[name];
  if (!found) return el("div", {}, el("h3", {}, store.name), el("p", { class: "quiet" }, "no values"));
  const most = Math.max(...found.counts),
    width = 300,
    height = 140,
    bar = width / found.counts.length;
  const bars = found.counts.flatMap((count, at) => {
    const tall = (count / most) * height,
      low = ((found.wrong?.[at] ?? 0) / most) * height;
    const from = found.low + ((found.high - found.low) * at) / found.counts.length,
      to = found.low + ((found.high - found.low) * (at + 1)) / found.counts.length;
    const says = `${number(from)} to ${number(to)}: ${many(count, D.thing)}${found.wrong ? `, ${found.wrong[at]} wrong` : ""}`;
    const rect = (kind, y, tall) =>
      svg(
        "rect",
        { class: kind, x: at * bar + 0.5, y, width: bar - 1, height: tall },
        svg("title", {}, says),
      );
    return [rect("bar", height - tall, tall), rect("wrong", height - low, low)];
  });
  const picture = svg(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${width} ${height + 1}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${valueTitle(name)} of ${store.name}: ${number(found.low)} to ${number(found.high)}, at most ${many(most, D.thing)} in a bar`,
    },
    ...bars,
    svg("line", { x1: 0, x2: width, y1: height + 0.5, y2: height + 0.5 }),
  );
  return el(
    "div",
    {},
    el("h3", {}, S.length > 1 ? store.name : valueTitle(name)),
    picture,
    el(
      "div",
      { class: "ends" },
      el("span", {}, number(found.low)),
      el("span", {}, `highest bar: ${many(most, D.thing)}`),
      el("span", {}, number(found.high)),
    ),
  );
}

function meanMaps() {
  const store = S[state.of];
  if (!store.mean) return "";
  const drawn = (data, size) => {
    const canvas = el("canvas", {});
    paint(canvas, data, size, 112);
    return canvas;
  };
  const cell = (store, name, count, data, onclick) =>
    el(
      "button",
      { type: "button", class: "card", onclick, disabled: !onclick, title: name },
      drawn(data, store.map),
      el("span", { class: "caption" }, el("b", {}, name), el("span", { class: "quiet" }, many(count, "map"))),
    );
  const overall = S.filter((each) => each.mean).map((each) =>
    cell(
      each,
      S.length > 1 ? each.name : "all classes",
      each.figures.done * each.target.length,
      each.mean,
      null,
    ),
  );
  const pick = el("select", {
    id: "mean-of",
    "aria-label": "Mean maps of",
    onchange: (event) => {
      state.of = Number(event.target.value);
      drawFigures();
      refresh();
    },
  });
  choose(
    pick,
    S.map((each, at) => [at, each.name]),
  );
  pick.value = state.of;
  const classes = store.means.map(([index, count, data]) =>
    cell(store, className(index), count, data, () => {
      Object.assign(state, {
        view: "pictures",
        q: "",
        status: "",
        right: "",
        by: "target",
        cls: String(index),
      });
      refresh(true);
    }),
  );
  return el(
    "div",
    { class: "box" },
    el("div", { class: "head" }, el("h2", {}, "Mean maps"), S.length > 1 ? pick : ""),
    el(
      "p",
      { class: "quiet", style: "margin-bottom:12px" },
      `Where the maps are on average${store.means.length ? ", over all and by the class explained, the most frequent first; choose a class to see its pictures" : ""}.`,
    ),
    ...(S.length > 1 ? [overall, classes] : [[...overall, ...classes]]).map((cells) =>
      el("div", { class: "means" }, cells),
    ),
  );
}

function drawFailures() {
  if (!D.failed) {
    $("view-failures").replaceChildren(
      el(
        "div",
        { class: "empty" },
        el("p", {}, el("strong", {}, "Nothing failed.")),
        el("p", { class: "quiet" }, "Every picture that was read got its map."),
      ),
    );
    return;
  }
  const reasons = new Map();
  for (const [, , reason] of D.failures) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const several = S.length > 1;
  $("view-failures").replaceChildren(
    el(
      "div",
      { class: "box" },
      el("h2", {}, `${many(D.failed, "record")} failed`),
      el(
        "p",
        { class: "quiet" },
        D.failed > D.failures.length
          ? `The first ${D.failures.length} are listed.`
          : [...reasons]
              .sort((a, b) => b[1] - a[1])
              .slice(0, 4)
              .map(([reason, count]) => `${count} × ${reason}`)
              .join("; "),
      ),
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          { style: "margin-top:8px" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              [D.thing, ...(several ? ["method"] : []), "reason"].map((text) =>
                el("th", { scope: "col" }, text),
              ),
            ),
          ),
          el(
            "tbody",
            {},
            D.failures.map(([path, store, reason]) =>
              el(
                "tr",
                {},
                el("td", { class: "path" }, path),
                several ? el("td", {}, S[store].name) : "",
                el("td", { class: "path" }, reason),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

function drawRun() {
  const flat = (value, name = "") =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.entries(value).flatMap(([key, each]) =>
          flat(each, name ? `${name} · ${titled(key)}` : titled(key)),
        )
      : [[name, Array.isArray(value) ? value.join(", ") : value === null ? "–" : String(value)]];
  $("view-run").replaceChildren(
    ...S.map((store) =>
      el(
        "div",
        { class: "box" },
        el("h2", {}, store.name),
        el("p", { class: "quiet", style: "overflow-wrap:anywhere;margin-bottom:10px" }, store.location),
        el(
          "dl",
          {},
          flat(store.about).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
        ),
        el("details", {}, el("summary", {}, "As JSON"), el("pre", {}, JSON.stringify(store.about, null, 1))),
      ),
    ),
  );
}
