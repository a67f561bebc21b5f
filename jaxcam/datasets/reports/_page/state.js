// What is chosen, and the address that says it: a link, a reload and the back button all lead to the same page.

const DEFAULTS = {
  view: "pictures",
  q: "",
  by: D.label ? "label" : "target",
  cls: "",
  status: "",
  right: "",
  sort: "row",
  desc: false,
  of: 0,
  rank: 0,
  colours: "turbo",
  alpha: 50,
  size: 168,
  open: -1,
  mean: "",
  histogram: "",
};
const state = { ...DEFAULTS };

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    const text = given.get(name);
    if (text === null) state[name] = usual;
    else if (typeof usual === "number") state[name] = Number.isFinite(Number(text)) ? Number(text) : usual;
    else state[name] = typeof usual === "boolean" ? text === "1" : text;
  }
  const allowed = (name, choices) => {
    if (!choices.includes(state[name])) state[name] = DEFAULTS[name];
  };
  allowed("view", ["pictures", "figures", "failures", "run"]);
  allowed("colours", COLOURS);
  allowed("sort", ["row", "path", "agreement", ...valueNames]);
  allowed("by", ["label", "target", "predicted"]);
  allowed("of", [...S.keys()]);
  allowed("rank", [...Array(TARGETS).keys()]);
  allowed("open", [-1, ...Array(COUNT).keys()]);
  state.alpha = Math.min(Math.max(state.alpha, 0), 100);
  state.size = Math.min(Math.max(state.size, 88), 320);
}

const COLOURS = [...Object.keys(D.colours), "spotlight"];

function toAddress(push = false) {
  const given = new URLSearchParams();
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (state[name] !== usual) given.set(name, state[name] === true ? "1" : state[name]);
  }
  const address = `#${given}`;
  if (address === (location.hash || "#")) return;
  if (push) history.pushState({ opened: true }, "", address);
  else history.replaceState(history.state, "", address);
}

const FILTERS = ["q", "cls", "status", "right"];
const filtered = () => FILTERS.some((name) => state[name] !== DEFAULTS[name]);
