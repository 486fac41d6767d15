"""The tokenizer: byte-level BPE in the layout of CLIP, learned from the captions, about 2,500 tokens."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training.captions import COLOR_PHRASES, PLAIN_PHRASES, STYLE_PHRASES, WEATHER_PHRASES

MAX_TOKENS = 32
START, END = "<|startoftext|>", "<|endoftext|>"

CLIP_WORDS = Regex(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def all_phrases() -> list[str]:
    """Every phrase that captions are made of, so that their words become single tokens."""
    groups = (*STYLE_PHRASES.values(), *WEATHER_PHRASES.values(), *COLOR_PHRASES.values(), PLAIN_PHRASES)
    return [phrase for group in groups for phrase in group]


def train_tokenizer(captions: Iterable[str], folder: Path, merges: int = 2000) -> CLIPTokenizer:
    """Learn merges from captions and write the tokenizer in CLIP's file layout."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    words = pre_tokenizers.Split(CLIP_WORDS, behavior="removed", invert=True)
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=merges + len(letters),
        end_of_word_suffix="</w>",
        continuing_subword_prefix="",
        initial_alphabet=letters,
        show_progress=False,
    )
    learner.train_from_iterator([*captions, *all_phrases() * 20], trainer)
    pairs = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in pairs), START, END]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in pairs))
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_TOKENS,
        "do_lower_case": True,
        **special,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(folder)


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Read a tokenizer folder."""
    return CLIPTokenizer.from_pretrained(folder)


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> list[list[int]]:
    """Padded token ids, ``MAX_TOKENS`` a caption."""
    encoded = tokenizer(captions, padding="max_length", truncation=True, max_length=MAX_TOKENS)
    return [list(row) for row in encoded.input_ids]
