from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.embeddings import write_embedding
from underpaint.diffusion.embedding_names import is_named, token_of
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.textual_inversion import NewWord, TextualInversion, Vocabulary, load_inversion


class Encoder(nn.Module):
    """As much of a text encoder as the table of its words."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(10, width)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table


ONE = {"text_encoder": Encoder(8)}
TWO = {"text_encoder": Encoder(8), "text_encoder_2": Encoder(12)}
REFINER = {"text_encoder_2": Encoder(12)}


@pytest.mark.parametrize(
    ("prompt", "trigger", "named"),
    [
        ("a toy", "toy", True),
        ("A TOY, red", "toy", True),
        ("(toy:1.2)", "toy", True),
        ("a toyshop", "toy", False),
        ("a_toy", "toy", False),
        ("a<cat-toy>b", "<cat-toy>", True),
        ("a bad-hands-5 b", "Bad-Hands-5", True),
        ("a bad-hands-51", "bad-hands-5", False),
        ("what.ever", "what?ever", False),
        ("", "toy", False),
    ],
)
def test_a_trigger_is_found_in_any_case_and_not_within_words(prompt: str, trigger: str, named: bool) -> None:
    assert is_named(prompt, (trigger,)) is named


def test_the_word_of_a_file_is_the_name_of_its_tensor() -> None:
    assert token_of(["<cat-toy>"]) == "<cat-toy>"
    assert token_of(["emb_params"]) is token_of(["clip_l"]) is token_of(["clip_l", "clip_g"]) is None


@pytest.mark.parametrize(("encoders", "widths"), [(ONE, (8,)), (TWO, (8, 12)), (REFINER, (8, 12))])
def test_every_encoder_gets_its_vectors(encoders: Any, widths: tuple[int, ...], tmp_path: Path) -> None:
    inversion = load_inversion(write_embedding(tmp_path / "a.safetensors", *widths, vectors=3), encoders)
    assert {name: tuple(vectors.shape) for name, vectors in inversion.vectors.items()} == {
        name: (3, encoder.table.embedding_dim) for name, encoder in encoders.items()
    }
    assert inversion.size_bytes == sum(3 * 4 * encoder.table.embedding_dim for encoder in encoders.values())


@pytest.mark.parametrize(
    ("encoders", "tensors", "said"),
    [
        (ONE, {"emb_params": torch.zeros(2, 12)}, "vectors are 8 wide"),
        (ONE, {"emb_params": torch.zeros(0, 8)}, "is of shape"),
        (ONE, {"emb_params": torch.zeros(1, 2, 8)}, "is of shape"),
        (ONE, {"emb_params": torch.full((1, 8), torch.nan)}, "not numbers"),
        (TWO, {"emb_params": torch.zeros(2, 8)}, "it has no clip_l"),
        (TWO, {"clip_l": torch.zeros(2, 8)}, "it has no clip_g"),
        (TWO, {"clip_l": torch.zeros(2, 8), "clip_g": torch.zeros(3, 12)}, "not as many vectors"),
        (TWO, {"clip_l": torch.zeros(2, 12), "clip_g": torch.zeros(2, 12)}, "clip_l is of shape"),
    ],
)
def test_what_does_not_suit_the_model_is_refused(
    encoders: Any, tensors: Any, said: str, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ModelLoadError, match=said) as caught:
        load_inversion(tmp_path / "a.safetensors", encoders)
    assert str(tmp_path) not in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = write_embedding(tmp_path / "a.safetensors", 8)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ModelLoadError, match=r"a\.safetensors cannot be read"):
        load_inversion(file, ONE)


def word(*triggers: str, vectors: int = 2, weight: float = 1.0, value: float = 1.0) -> NewWord:
    inversion = TextualInversion(vectors={"text_encoder": torch.full((vectors, 8), value)})
    return NewWord(inversion, triggers, weight)


def read(vocabulary: Vocabulary, prompt: str) -> list[int]:
    return vocabulary.ids(vocabulary.marked(prompt), lambda part: [1] * len(part.split()))


def test_words_have_identifiers_after_those_of_the_encoder() -> None:
    vocabulary = Vocabulary([word("toy"), word("fog", "<f>", vectors=1)], network="text_encoder", first=10)
    fog, f = read(vocabulary, "fog"), read(vocabulary, "<f>")
    assert read(vocabulary, "a Toy in FOG, <f>, toyfog") == [1, 10, 11, 1, *fog, 1, *f, 1, 1]
    assert {*fog, *f} == {12, 13}
    assert read(vocabulary, "\U000f0000 toy") == [10, 11]
    assert read(Vocabulary(), "a toy") == [1, 1]


def test_of_two_words_at_one_place_the_longer_is_read() -> None:
    vocabulary = Vocabulary([word("cat"), word("cat toy", vectors=1)], network="text_encoder", first=10)
    assert read(vocabulary, "cat toy cat") == [12, 10, 11]


@pytest.mark.parametrize("prompt", ["\u017fun", "\u0131nk", "\u212aey"])
def test_letters_that_are_equal_in_an_odd_way_are_read_too(prompt: str) -> None:
    vocabulary = Vocabulary([word("sun"), word("ink"), word("key")], network="text_encoder", first=10)
    assert len(read(vocabulary, prompt)) in (1, 2)


def test_vectors_take_the_places_of_new_words_for_the_time_being() -> None:
    encoder = ONE["text_encoder"]
    twice = word("toy", value=2.0, weight=0.5)
    other = word("toy", vectors=1, value=5.0)
    vocabulary = Vocabulary([twice, twice, other], network="text_encoder", first=10)
    ids = torch.tensor([[3, *read(vocabulary, "toy"), 4]])
    before = encoder.table(torch.tensor([[3, 4]]))
    with torch.inference_mode(), vocabulary.looked_up(encoder, ids) as known:
        given = encoder.table(known)
    assert torch.equal(given[0, [0, 4]], before[0])
    # Of one embedding both weights, then the other embedding of the same name.
    assert given[0, 1:4, 0].tolist() == [2.0, 2.0, 5.0]
    assert known.max() < 10
    assert torch.equal(encoder.table(torch.tensor([[3, 4]])), before)
    assert not encoder.table._forward_hooks
