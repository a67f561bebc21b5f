// A map of few cells, drawn in colours. Values are interpolated, then coloured: never colours between colours.

const tables = {};

function colourTable(name) {
  if (tables[name]) return tables[name];
  const table = new Uint32Array(256); // alpha, blue, green, red, from the highest byte
  const rgb = name === "spotlight" ? null : bytes(D.colours[name]);
  for (let i = 0; i < 256; i++) {
    table[i] = rgb
      ? 0xff000000 | (rgb[3 * i + 2] << 16) | (rgb[3 * i + 1] << 8) | rgb[3 * i]
      : (255 - i) << 24;
  }
  tables[name] = table;
  return table;
}

const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

// Where each of `length` pixels falls among `cells`: the cell before, the one after, and the share of the latter.
function places(length, cells) {
  const low = new Uint16Array(length),
    high = new Uint16Array(length),
    share = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const at = Math.min(Math.max(((i + 0.5) * cells) / length - 0.5, 0), cells - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i] + 1, cells - 1);
    share[i] = at - low[i];
  }
  return { low, high, share };
}

function paint(canvas, base64, [rows, columns], edge) {
  const width = edge,
    height = Math.max(1, Math.round(edge / D.aspect));
  canvas.width = width;
  canvas.height = height;
  const cells = bytes(base64),
    table = colourTable(state.colours);
  const x = places(width, columns),
    y = places(height, rows);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let j = 0; j < height; j++) {
    const above = y.low[j] * columns,
      below = y.high[j] * columns,
      down = y.share[j];
    for (let i = 0; i < width; i++) {
      const a = x.low[i],
        b = x.high[i],
        right = x.share[i];
      const top = cells[above + a] + right * (cells[above + b] - cells[above + a]);
      const bottom = cells[below + a] + right * (cells[below + b] - cells[below + a]);
      pixels[j * width + i] = table[Math.round(top + down * (bottom - top))];
    }
  }
  context.putImageData(image, 0, 0);
}
