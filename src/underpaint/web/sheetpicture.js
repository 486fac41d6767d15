// A sheet as one labelled picture.

import { label } from "./sheets.js";

const CELL_PX = 320; // the longer side of a cell; less where the sheet would be too large for a canvas
const LARGEST_PX = 8000;
const GAP = 8;
const MARGIN = 28;
const LABEL = 34;
const INK = "#191a1b";
const PAPER = "#ffffff";
const FONT = "500 15px Inter, system-ui, sans-serif";

/** A PNG of the pictures that are there. Throws an Error where one cannot be had any more. */
export async function drawSheet(sheet) {
  const columns = sheet.x.values.length;
  const rows = sheet.cells.length;
  const room = (LARGEST_PX - 2 * MARGIN) / Math.max(columns, rows) - GAP;
  const side = Math.min(CELL_PX, room);
  const width = Math.round(side * Math.min(1, sheet.ratio));
  const height = Math.round(side / Math.max(1, sheet.ratio));
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  context.font = FONT;
  const rowLabels = sheet.y ? sheet.y.values.map((value) => label(sheet.y.axis, value)) : [];
  const left = MARGIN + (rowLabels.length ? Math.min(240, Math.max(...rowLabels.map((text) => context.measureText(text).width))) + 16 : 0);
  canvas.width = left + columns * (width + GAP) - GAP + MARGIN;
  canvas.height = MARGIN + LABEL + rows * (height + GAP) - GAP + MARGIN;
  context.fillStyle = PAPER;
  context.fillRect(0, 0, canvas.width, canvas.height);
  Object.assign(context, { fillStyle: INK, font: FONT, textBaseline: "middle", imageSmoothingQuality: "high" });
  sheet.x.values.forEach((value, column) => {
    context.textAlign = "center";
    context.fillText(label(sheet.x.axis, value), left + column * (width + GAP) + width / 2, MARGIN + LABEL / 2 - 4, width);
  });
  for (const [row, parts] of sheet.cells.entries()) {
    const top = MARGIN + LABEL + row * (height + GAP);
    context.textAlign = "left";
    if (rowLabels.length) context.fillText(rowLabels[row], MARGIN, top + height / 2, left - MARGIN - 12);
    for (const [column, part] of parts.entries()) {
      if (part?.imageUUID) context.drawImage(await loaded(part.url), left + column * (width + GAP), top, width, height);
    }
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function loaded(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    // Pictures may be under the server's public name; they allow to be drawn from anywhere.
    if (new URL(url).origin !== location.origin) image.crossOrigin = "anonymous";
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("The server no longer keeps all pictures of this sheet."));
    image.src = url;
  });
}
