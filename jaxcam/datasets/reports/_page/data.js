// The report's data: what is known of every record, and the blocks with pictures and maps, taken apart when needed.

const D = JSON.parse($("about").textContent);
const DONE = 1,
  FAILED = 2,
  ABSENT = 3;
const S = D.stores;
const COUNT = D.paths.length;
const TARGETS = Math.max(...S.map((store) => store.target.length));

const blocks = new Map();
const KEPT = 30; // blocks in memory beside the page's own text

// {picture, note, maps: store -> target -> base64, tops: store -> [[class, probability], ...]}
function heavy(record) {
  const at = Math.floor(record / D.block);
  if (!blocks.has(at)) {
    if (blocks.size >= KEPT) blocks.delete(blocks.keys().next().value);
    blocks.set(at, JSON.parse($(`block-${at}`).textContent));
  }
  const [picture, note, maps, tops] = blocks.get(at)[record % D.block];
  return { picture: picture && `data:image/webp;base64,${picture}`, note, maps, tops };
}

const className = (index) => D.classes[index] ?? (index < 0 ? "unknown" : `class ${index}`);
const within = (lists, rank) => lists[Math.min(rank, lists.length - 1)];
const targetOf = (record, store, rank) => within(S[store].target, rank)[record];
const statusOf = (record, store) => S[store].status[record];
const label = (record) => (D.label ? D.label[record] : -1);

function valueIn(record, store, name, rank) {
  const lists = S[store].values[name];
  return lists ? within(lists, rank)[record] : null;
}

// true, false, or null where the label or the prediction is not known
function isRight(record, store) {
  const predicted = S[store].predicted?.[record] ?? -1;
  return label(record) < 0 || statusOf(record, store) !== DONE || predicted < 0
    ? null
    : predicted === label(record);
}

const valueNames = [...new Set(S.flatMap((store) => Object.keys(store.values)))];
const valueTitle = (name) => (name === "entropy" ? "entropy of the map" : titled(name));
