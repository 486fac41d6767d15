"""What a model family is: how it reads prompts and pictures, predicts, and paints; and the samplers that drive it."""
