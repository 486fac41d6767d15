from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from training.tokenizer import MAX_TOKENS, all_phrases, load_tokenizer, token_ids, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return train_tokenizer(
        ["a red house by the lake"] * 30, tmp_path_factory.mktemp("tokenizer"), merges=1500
    )


def test_words_of_the_styles_are_single_tokens(tokenizer: CLIPTokenizer) -> None:
    for word in ("watercolor", "charcoal", "vaporwave", "autumn", "house"):
        assert tokenizer.tokenize(word) == [f"{word}</w>"]


def test_every_caption_is_padded_to_one_length(tokenizer: CLIPTokenizer) -> None:
    rows = token_ids(tokenizer, ["", "a cat", " ".join(all_phrases()[:40])])
    assert [len(row) for row in rows] == [MAX_TOKENS] * 3
    assert rows[0][0] == tokenizer.bos_token_id
    assert set(rows[0][1:]) == {tokenizer.eos_token_id}


def test_unknown_words_and_scripts_still_have_tokens(tokenizer: CLIPTokenizer) -> None:
    for text in ("zyzzyva xylophone", "日本語", "naïve café 42!"):
        ids = tokenizer(text).input_ids
        assert len(ids) > 3
        assert tokenizer.unk_token_id not in ids[1:-1]


def test_case_does_not_matter(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    assert tokenizer("Oil Painting").input_ids == tokenizer("oil painting").input_ids
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path)("oil painting").input_ids == tokenizer("oil painting").input_ids
