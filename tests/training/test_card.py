from training.card import credit_lines, model_card
from training.manifest import DRAWINGS, PHOTOS


def test_every_author_and_licence_is_credited() -> None:
    card = model_card()
    for photo in PHOTOS:
        assert photo.author in card
    lines = credit_lines()
    for photo in PHOTOS:
        assert any(photo.licence in line and photo.author in line for line in lines)
    assert all(drawings.author in card for drawings in DRAWINGS)


def test_figures_are_shown_where_there_are_any() -> None:
    assert "Measured" not in model_card()
    assert '"psnr_db_mean": 28.1' in model_card({"autoencoder": {"psnr_db_mean": 28.1}})


def test_the_card_names_what_the_model_was_taught() -> None:
    card = model_card()
    for word in ("watercolor", "pixel art", "snow", "autumn", "teal"):
        assert word in card
