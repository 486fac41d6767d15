"""Preprocessors: from a picture to the guide image of a ControlNet. Arrays in, arrays out; this room knows no other."""
