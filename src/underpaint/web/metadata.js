// The parameters that Underpaint writes into its pictures: PNG iTXt "underpaint", and the Exif MakerNote of JPG and WEBP.

import { decode } from "./wire.js";

const EXIF_IFD = 0x8769;
const MAKER_NOTE = 0x927c;
const HEAD = "Underpaint\0";
const PNG_HEAD = "underpaint\0\0\0\0\0";
const latin = (bytes) => String.fromCharCode(...bytes);

/** How the picture in a file was made, in the task's words; null where it does not say, or says it brokenly. */
export async function parametersOf(file) {
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const json = inPNG(bytes) ?? inExif(exifOf(bytes));
    const parameters = json && decode(new TextDecoder("utf-8", { fatal: true }).decode(json));
    return parameters && typeof parameters === "object" && !Array.isArray(parameters) ? parameters : null;
  } catch {
    return null; // a file may hold anything
  }
}

function inPNG(bytes) {
  if (latin(bytes.subarray(1, 4)) !== "PNG") return null;
  const view = new DataView(bytes.buffer);
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const data = bytes.subarray(at + 8, at + 8 + view.getUint32(at));
    if (latin(bytes.subarray(at + 4, at + 8)) === "iTXt" && latin(data.subarray(0, PNG_HEAD.length)) === PNG_HEAD) {
      return data.subarray(PNG_HEAD.length);
    }
  }
  return null;
}

/** The Exif block of a JPG or WEBP file: a TIFF file of its own. */
function exifOf(bytes) {
  const view = new DataView(bytes.buffer);
  if (view.getUint16(0) === 0xffd8) {
    for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== 0xda; at += 2 + view.getUint16(at + 2)) {
      if (view.getUint8(at + 1) === 0xe1 && latin(bytes.subarray(at + 4, at + 10)) === "Exif\0\0") {
        return bytes.slice(at + 10, at + 2 + view.getUint16(at + 2));
      }
    }
  } else if (latin(bytes.subarray(0, 4)) === "RIFF" && latin(bytes.subarray(8, 12)) === "WEBP") {
    for (let at = 12; at + 8 <= bytes.length; ) {
      const size = view.getUint32(at + 4, true);
      if (latin(bytes.subarray(at, at + 4)) === "EXIF") {
        const block = bytes.slice(at + 8, at + 8 + size);
        return latin(block.subarray(0, 6)) === "Exif\0\0" ? block.slice(6) : block;
      }
      at += 8 + size + (size % 2);
    }
  }
  return null;
}

function inExif(block) {
  if (!block) return null;
  const view = new DataView(block.buffer);
  const little = latin(block.subarray(0, 2)) === "II";
  const entry = (directory, tag) => {
    const count = view.getUint16(directory, little);
    for (let at = directory + 2; at < directory + 2 + 12 * count; at += 12) {
      if (view.getUint16(at, little) === tag) return { count: view.getUint32(at + 4, little), value: view.getUint32(at + 8, little) };
    }
    return null;
  };
  const pointer = entry(view.getUint32(4, little), EXIF_IFD);
  const note = pointer && entry(pointer.value, MAKER_NOTE);
  const data = note && block.subarray(note.value, note.value + note.count);
  return data && latin(data.subarray(0, HEAD.length)) === HEAD ? data.subarray(HEAD.length) : null;
}
