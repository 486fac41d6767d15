// The kinds of guides: by which parameter of a task they lead it, with how many pictures, and what else is said of them.

// Architectures whose additions fit one another, as the server has it; any other fits itself alone.
const FAMILIES = [/^(sd1x|sdhyper)/, /^(sdxl|pony|illustrious|noobai)/, /^(flux1d|flux1s|fluxkontextdev|flex_1_alpha)/];
export const familyOf = (architecture) => FAMILIES.find((family) => family.test(architecture))?.source ?? architecture;

export const PREPROCESSORS = ["canny", "depth", "lineart", "lineart_anime", "mlsd", "normalbae", "openpose", "scribble", "seg", "shuffle", "softedge", "tile"];
const WEIGHT_TYPES = ["normal", "ease_in", "ease_out", "ease_in_out", "weak_input", "weak_output", "weak_middle", "strong_middle", "style_transfer", "composition", "strong_style_transfer", "style_and_composition", "strong_style_and_composition"];

/** Models of FLUX.1 take guide images in place of the prompt, and those have no weight. */
const weighed = (_guide, architecture) => !FAMILIES[2].test(architecture);
/** Architectures that look at pictures by themselves, without an addition. */
export const EDITORS = /^fluxkontextdev/;
/** What stands among the additions for such a model's own way. */
export const REFERENCE = { category: "reference", air: "", name: "Reference images" };

/**
 * By the catalogue's category of the model: the task's parameter, how many pictures one entry takes, and what else it says.
 * `plain` ones say nothing but their pictures. A field is a range [least, most, step] or a choice; `value` is the API's
 * default, `first` what suits a beginning better, `always` has it said even so, and `when(guide, architecture)` tells
 * whether it is worth asking.
 */
export const KINDS = {
  reference: {
    parameter: "referenceImages",
    title: "The model itself",
    most: 2,
    plain: true,
    hint: "What the model looks at: say in the prompt what is to change. Strength 1 leaves the photo itself out.",
    fields: [],
  },
  ipadapter: {
    parameter: "ipAdapters",
    title: "IP-Adapters",
    hint: "Leads towards what its pictures show. One to three are usual; with __BLANK__ as the prompt they lead alone.",
    most: 8,
    fields: [
      { name: "weight", label: "Weight", range: [-1, 1, 0.05], value: 1, first: 0.6, when: weighed, hint: "0.4 to 0.8 leaves the prompt its say; below 0 leads away from it." },
      { name: "combineMethod", label: "Together", options: ["concat", "add", "subtract", "average", "norm_average"], value: "concat", when: ({ pictures }) => pictures.length > 1, hint: "concat sees each of the pictures, average their mean." },
      { name: "weightType", label: "Leads", options: WEIGHT_TYPES, value: "normal", when: weighed, hint: "style_transfer takes the look alone, composition the arrangement alone." },
      { name: "weightComposition", label: "Composition", range: [0, 1, 0.05], value: 1, when: ({ values }) => /style_and_composition$/.test(values.weightType), hint: "How much the arrangement weighs, beside the style. 0.5 to 1 is usual." },
    ],
  },
  controlnet: {
    parameter: "controlNet",
    title: "ControlNets",
    hint: "Lays the picture out by a map: drop one, or have it made of the photo.",
    most: 1,
    map: true, // its picture is a map, such as of edges, which the server makes of a photo
    fields: [
      { name: "weight", label: "Weight", range: [0, 1, 0.05], value: 1, hint: "How strictly the map is followed. 0.5 to 1 is usual." },
      { name: "startStepPercentage", label: "From, % of the steps", range: [0, 99, 1], value: 0, hint: "0 lays the picture out by the map from the start." },
      { name: "endStepPercentage", label: "To, % of the steps", range: [1, 100, 1], value: 100, hint: "60 to 80 leaves the last details to the prompt." },
      { name: "controlMode", label: "Counts for more", options: ["balanced", "prompt", "controlnet"], value: "balanced", hint: "The prompt, the map, or neither." },
    ],
  },
  lora: {
    parameter: "lora",
    title: "LoRAs",
    hint: "Teaches the model a style or a thing.",
    most: 0,
    fields: [{ name: "weight", label: "Weight", range: [-2, 2, 0.05], value: 1, always: true, hint: "0.5 to 1 is usual; below 0 leads away from it. The number may be from −4 to 4." }],
  },
};
