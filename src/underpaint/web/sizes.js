// Sizes in the shape of a photo. The API takes multiples of 64 between 128 and 2048 pixels.

const UNIT = 64;
const LEAST = 128;
const MOST = 2048;
const SCALES = [["S", 0.5], ["M", 1], ["L", 1.5], ["XL", 2]];

/** The size closest to `ratio` (width by height) with about `pixels` pixels: shape counts three times as much as area. */
export function sizeFor(ratio, pixels) {
  let best = null;
  const around = Math.sqrt(pixels * ratio);
  for (let width = LEAST; width <= MOST; width += UNIT) {
    if (width < around * 0.7 || width > around * 1.4) continue;
    for (const height of [Math.floor, Math.ceil].map((round) => round(width / ratio / UNIT) * UNIT)) {
      if (height < LEAST || height > MOST) continue;
      const cost = 3 * Math.abs(Math.log(width / height / ratio)) + Math.abs(Math.log((width * height) / pixels));
      if (!best || cost < best.cost) best = { width, height, cost };
    }
  }
  best ??= ratio > 1 ? { width: MOST, height: LEAST } : { width: LEAST, height: MOST };
  return { width: best.width, height: best.height };
}

/** Sizes from half to twice the model's own side, each once: [{ name, width, height }]. */
export function sizesFor(ratio, side) {
  const seen = new Set();
  return SCALES.map(([name, scale]) => ({ name, ...sizeFor(ratio, (side * scale) ** 2) })).filter(({ width, height }) => {
    const key = `${width}x${height}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** Whether a picture of this size shows a photo of that ratio without visible distortion or loss. */
export function sameShape(width, height, ratio) {
  return Math.abs(Math.log(width / height / ratio)) < 0.1;
}
