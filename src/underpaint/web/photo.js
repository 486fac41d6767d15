// The picture to start from: a file of this person's, the example, or a result. Its upload happens once, when it is needed.

const LONGEST_SIDE_PX = 2048; // the server stores uploads at this size, so more would only take longer to send
const SENT_AS_IT_IS = new Set(["image/png", "image/jpeg", "image/webp"]);
const LARGEST_FILE_BYTES = 8 * 2 ** 20;

export class Photo {
  #upload = null;

  /** `uuid` of a picture that the server has; otherwise `blob`, of one that it gets. */
  constructor({ url, name, width, height, uuid = null, blob = null }) {
    Object.assign(this, { url, name, width, height, uuid, blob });
  }

  get ratio() {
    return this.width / this.height;
  }

  /** The UUID under which the server has it. */
  async stored(socket) {
    if (this.uuid) return this.uuid;
    this.#upload ??= this.#send(socket).finally(() => (this.#upload = null));
    return this.#upload;
  }

  async #send(socket) {
    const [item] = await socket.ask({ taskType: "imageUpload", image: await dataURI(this.blob) });
    this.uuid = item.imageUUID;
    this.storedURL = item.imageURL;
    return this.uuid;
  }

  /** What is kept of it in the history and across a reload; null before the server has it. */
  get record() {
    if (!this.uuid) return null;
    const { uuid, name, width, height } = this;
    return { uuid, name, width, height, url: this.storedURL ?? this.url };
  }
}

/** Reads a file that the browser can show. Throws an Error with words for whoever chose it. */
export async function photoOf(file, name = file.name) {
  let bitmap;
  try {
    // Upright, as the camera's Exif says.
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error(`${name || "That"} is not a picture that this browser can open. Try a PNG, JPG or WEBP file.`);
  }
  const scale = Math.min(1, LONGEST_SIDE_PX / Math.max(bitmap.width, bitmap.height));
  const width = Math.round(bitmap.width * scale);
  const height = Math.round(bitmap.height * scale);
  const asItIs = SENT_AS_IT_IS.has(file.type) && scale === 1 && file.size <= LARGEST_FILE_BYTES;
  const blob = asItIs ? file : await redrawn(bitmap, width, height, file.type);
  bitmap.close();
  return new Photo({ url: URL.createObjectURL(blob), name, width, height, blob });
}

async function redrawn(bitmap, width, height, type) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const format = type === "image/jpeg" ? "image/jpeg" : "image/png";
  return new Promise((resolve) => canvas.toBlob(resolve, format, 0.94));
}

export function dataURI(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("The file could not be read."));
    reader.readAsDataURL(blob);
  });
}

/** Lets photos be dropped anywhere on the page, pasted, and chosen. */
export function receivePhotos({ overlay, input, button, onFile }) {
  let depth = 0;
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  const show = (shown) => {
    if (!shown) depth = 0;
    overlay.hidden = !shown;
    document.body.classList.toggle("dragging", shown);
  };
  addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    depth += 1;
    show(true);
  });
  addEventListener("dragleave", (event) => carriesFile(event) && (depth -= 1) <= 0 && show(false));
  addEventListener("dragover", (event) => carriesFile(event) && event.preventDefault());
  // Before whatever else takes it.
  addEventListener("drop", () => show(false), { capture: true });
  addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    onFile(file, "The pasted picture");
  });
  button.onclick = () => input.click();
  input.onchange = () => {
    if (input.files[0]) onFile(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  };
}
