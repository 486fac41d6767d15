"""The training recipe of the embedded model: from freely usable pictures to a diffusers model folder."""
