// Controls to state, state to page.

const VIEWS = ["pictures", "figures", "failures", "run"];

function fillClasses() {
  const counts = new Map();
  for (let record = 0; record < COUNT; record++) {
    const index = classOf(record, state.by);
    if (index >= 0) counts.set(index, (counts.get(index) ?? 0) + 1);
  }
  const options = [...counts]
    .map(([index, count]) => [index, className(index), count])
    .sort((a, b) => (a[1] < b[1] ? -1 : 1));
  choose($("cls"), [
    ["", `all ${many(options.length, "class").replace(/classs$/, "classes")}`],
    ...options.map(([index, name, count]) => [index, `${name} (${count})`]),
  ]);
  if (state.cls !== "" && !counts.has(Number(state.cls)))
    $("cls").append(el("option", { value: state.cls }, `${className(Number(state.cls))} (0)`));
}

function fill() {
  document.documentElement.style.setProperty("--aspect", D.aspect);
  const models = [...new Set(S.map((store) => store.about.model).filter(Boolean))];
  const about = [
    many(D.records, D.thing),
    COUNT < D.records && `${COUNT.toLocaleString("en")} shown`,
    S.length > 1 && many(S.length, "method"),
    ...models,
    S[0].about.started?.slice(0, 10),
  ];
  $("subtitle").replaceChildren(
    ...about.filter(Boolean).flatMap((text, at) => [at ? " · " : "", el("span", { class: "whole" }, text)]),
  );
  choose($("by"), [
    ...(D.label ? [["label", "labelled"]] : []),
    ["target", "explained"],
    ...(S.some((store) => store.predicted) ? [["predicted", "predicted"]] : []),
  ]);
  choose($("right"), [
    ["", "any"],
    ["right", "correct"],
    ["wrong", "wrong"],
  ]);
  $("right-label").hidden = !D.label;
  const statuses = [
    [0, "not done"],
    [DONE, "done"],
    [FAILED, "failed"],
    [ABSENT, "not in a store"],
  ].filter(([value]) => S.some((store) => store.status.includes(value)));
  choose($("status"), [["", "any"], ...statuses]);
  $("status-label").hidden = statuses.length < 2;
  choose($("sort"), [
    ["row", "record"],
    ["path", "path"],
    ...valueNames.map((name) => [name, valueTitle(name)]),
    ...(D.agreement ? [["agreement", "agreement of the maps"]] : []),
  ]);
  choose(
    $("of"),
    S.map((store, at) => [at, store.name]),
  );
  $("of-label").hidden = S.length < 2;
  choose(
    $("rank"),
    [...Array(TARGETS).keys()].map((rank) => [rank, `${rank + 1} of ${TARGETS}`]),
  );
  $("rank-label").hidden = TARGETS < 2;
  for (const id of ["colours", "dialog-colours"])
    choose(
      $(id),
      COLOURS.map((name) => [name, name]),
    );
  if (D.failed) $("tab-failures").append(el("span", { class: "badge" }, D.failed.toLocaleString("en")));
}

let drawn = ""; // what the page was last brought to

// Brings the page to what `state` says; opening and closing a picture leaves the cards, and their focus, alone.
function refresh(push = false) {
  const wanted = JSON.stringify({ ...state, open: null, alpha: null });
  tint();
  toAddress(push);
  if (wanted !== drawn) redraw();
  drawn = wanted;
  drawDialog();
}

function redraw() {
  fillClasses();
  for (const id of ["q", "by", "cls", "right", "status", "sort", "of", "rank", "colours", "alpha", "size"]) {
    if ($(id).value !== String(state[id])) $(id).value = state[id];
  }
  $("dialog-colours").value = state.colours;
  $("desc").textContent = state.desc ? "↓" : "↑";
  $("desc").setAttribute("aria-label", state.desc ? "Highest first; turn round" : "Lowest first; turn round");
  for (const view of VIEWS) {
    $(`view-${view}`).hidden = state.view !== view;
    $(`tab-${view}`).setAttribute("aria-selected", state.view === view);
    $(`tab-${view}`).tabIndex = state.view === view ? 0 : -1;
  }
  select();
  $("count").textContent =
    order.length === COUNT
      ? many(COUNT, D.thing)
      : `${order.length.toLocaleString("en")} of ${many(COUNT, D.thing)}`;
  $("clear").hidden = !filtered();
  $("empty").hidden = order.length > 0;
  drawGrid(true);
  if (state.view === "figures") drawFigures();
}

function tint() {
  const share = state.alpha / 100; // a spotlight dims more, for the same place of the slider
  document.documentElement.style.setProperty(
    "--alpha",
    state.colours === "spotlight" ? 1 - (1 - share) ** 2 : share,
  );
  for (const id of ["alpha", "dialog-alpha"]) $(id).value = state.alpha;
}

function wire() {
  const soon = once(() => refresh());
  $("q").addEventListener("input", () => {
    state.q = $("q").value;
    soon();
  });
  for (const id of ["cls", "right", "status", "sort", "colours"])
    $(id).addEventListener("change", () => {
      state[id] = $(id).value;
      refresh();
    });
  for (const id of ["of", "rank"])
    $(id).addEventListener("change", () => {
      state[id] = Number($(id).value);
      refresh();
    });
  $("by").addEventListener("change", () => {
    state.by = $("by").value;
    state.cls = "";
    refresh();
  });
  $("desc").addEventListener("click", () => {
    state.desc = !state.desc;
    refresh();
  });
  $("dialog-colours").addEventListener("change", () => {
    state.colours = $("dialog-colours").value;
    refresh();
  });
  for (const id of ["alpha", "dialog-alpha"]) {
    $(id).addEventListener("input", () => {
      state.alpha = Number($(id).value);
      tint();
    });
    $(id).addEventListener("change", () => toAddress());
  }
  $("size").addEventListener("input", () => {
    state.size = Number($("size").value);
    soon();
  });
  $("clear").addEventListener("click", () => {
    for (const name of FILTERS) state[name] = DEFAULTS[name];
    refresh();
    $("q").focus();
  });
  $("more").addEventListener("click", () =>
    $("more").setAttribute("aria-expanded", $("controls").classList.toggle("open")),
  );
  for (const [at, view] of VIEWS.entries()) {
    const tab = $(`tab-${view}`);
    tab.addEventListener("click", () => {
      state.view = view;
      scrollTo(0, 0);
      refresh(true);
    });
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: VIEWS.length - 1, ArrowRight: 1 }[event.key];
      if (by) {
        state.view = VIEWS[(at + by) % VIEWS.length];
        refresh();
        $(`tab-${state.view}`).focus();
      }
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || state.open >= 0 || event.target.matches("input, select")) return;
    event.preventDefault();
    $("q").focus();
  });
  const draw = once(() => drawGrid());
  addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  addEventListener("popstate", () => {
    fromAddress();
    refresh();
  });
  wireTheme();
  wireDialog();
}

// The system's choice, until the reader makes one; it is remembered where the browser lets a file do so.
function wireTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("jaxcam-theme");
  } catch {
    /* no storage for files here */
  }
  const apply = () => {
    const theme = chosen ?? (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    $("theme").textContent = theme === "dark" ? "☀" : "☾";
    $("theme").setAttribute("aria-label", theme === "dark" ? "Light colours" : "Dark colours");
  };
  $("theme").onclick = () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("jaxcam-theme", chosen);
    } catch {
      /* as above */
    }
    apply();
  };
  system.addEventListener("change", apply);
  apply();
}

fromAddress();
fill();
wire();
drawFailures();
drawRun();
refresh();
